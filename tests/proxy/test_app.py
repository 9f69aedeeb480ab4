"""The application in this very process, on real edges: ASGI's messages in, ASGI's messages out."""

import asyncio
import json
from dataclasses import replace
from typing import cast
from uuid import uuid4

import pytest
from pytest_django import Settings

from costhub.lib import keyspace
from costhub.lib.redis import client
from proxy.edges import counting
from tenants.access import org_scope
from tenants.actions.keys import revoke_key, update_key
from tenants.actions.stops import set_stopped
from tenants.snapshots import CachePolicySnapshot, EndpointSnapshot, OrgSnapshot
from tests.bank import Bank, answer_text
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import chat, converse, events_of, make_known, running, send_to, serve
from tests.world import Tenant, World, make_catalog


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme with a model at the bank known to Valkey as a proxy would make it known."""
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url)
    make_known(acme)
    return acme


async def test_a_call_is_answered_paid_and_written_down(acme: Tenant) -> None:
    async with running() as app:
        answer = await serve(app, converse(acme.api_key, chat(), x_costhub_tags="team=search", x_costhub_user="ben"))
        assert answer.status == 200
        assert json.loads(answer.body)["choices"][0]["message"]["content"] == answer_text()
        # 3 + 3 + 2 words in at 0.15, 12 out at 0.60 USD a million
        assert answer.headers["x-costhub-cost"] == "0.000008400"
    (row,) = events_of(acme)
    assert (row["id"], row["status"], row["effective_cost"]) == (answer.headers["x-request-id"], 200, 8_400)
    assert (row["request_model"], row["end_user"], row["tags"]) == ("small", "ben", {"team": "search"})
    assert (row["input_tokens"], row["output_tokens"], row["is_estimated"]) == (8, 12, False)


async def test_the_same_call_again_is_not_paid_again(acme: Tenant) -> None:
    async with running() as app:
        first, second = [await serve(app, converse(acme.api_key, chat(), idempotency_key="k")) for _ in range(2)]
        assert first.body == second.body
        assert second.headers["x-costhub-replayed"] == "true"
    assert [row["effective_cost"] for row in events_of(acme)] == [8_400, 0]


async def test_an_estimate_covers_the_write_into_a_providers_cache_that_a_policy_asks_for(acme: Tenant) -> None:
    name = keyspace.org_snapshot_key(acme.org_id)
    org = OrgSnapshot.from_json(cast("bytes", client().get(name)))
    price = org.models["small"].prices[0]
    dear = replace(org.models["small"], prices=(replace(price, rates=price.rates._replace(cache_write_1h=1_000_000)),))
    policy = CachePolicySnapshot("", "off", "off", 60, 0, 0, "project", marks_prompts=True)
    told = []
    for policies in ((), (policy,)):
        client().set(name, replace(org, models={"small": dear}, cache_policies=policies).to_json())
        async with running() as app:
            answer = await serve(app, converse(acme.api_key, chat(max_tokens=1), path="/v1/costhub/estimate"))
        said = json.loads(answer.body)
        told.append((said["min_cost"], said["input_tokens"]))
    # 87 tokens at 0.15 or at 1 USD a million
    assert told == [("0.000013050", 87), ("0.000087000", 87)]


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(acme: Tenant) -> None:
    name = keyspace.org_snapshot_key(acme.org_id)
    org = OrgSnapshot.from_json(cast("bytes", client().get(name)))
    client().set(name, replace(org, answers_kept_hours=1).to_json())
    async with running() as app:
        answer = await serve(app, converse(acme.api_key, chat(store=True, metadata={"about": "\0"})))
    assert answer.status == 200
    (row,) = events_of(acme)
    assert (row["status"], row["effective_cost"]) == (200, 8_400)


PAGE = "https://app.example.org"


async def test_a_page_of_an_allowed_origin_may_ask_and_call(acme: Tenant, settings: Settings) -> None:
    settings.CORS_ORIGINS = frozenset({PAGE})
    asks = {"access_control_request_method": "POST", "access_control_request_headers": "authorization,content-type"}
    async with running() as app:
        preflight = await serve(app, converse("none", method="OPTIONS", origin=PAGE, **asks))
        assert preflight.status == 204
        assert preflight.headers["access-control-allow-origin"] == PAGE
        assert preflight.headers["access-control-allow-headers"] == "authorization,content-type"
        for body in (chat(), chat(stream=True), chat(n=0)):
            answer = await serve(app, converse(acme.api_key, body, origin=PAGE))
            assert answer.headers["access-control-allow-origin"] == PAGE, body
            assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("origins", "headers"),
    [(set(), {"origin": PAGE}), ({PAGE}, {"origin": "https://evil.example"}), ({PAGE}, {})],
    ids=["none is allowed", "another is", "no page asks"],
)
async def test_no_other_page_is_told_anything(
    acme: Tenant, settings: Settings, origins: set[str], headers: dict[str, str]
) -> None:
    settings.CORS_ORIGINS = frozenset(origins)
    async with running() as app:
        preflight = await serve(app, converse("none", method="OPTIONS", **headers))
        assert (preflight.status, preflight.headers["allow"]) == (405, "POST")
        answer = await serve(app, converse(acme.api_key, chat(), **headers))
        assert answer.status == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_refusal_is_written_down_at_nothing(acme: Tenant) -> None:
    async with running() as app:
        answer = await serve(app, converse(acme.api_key, chat(n=0)))
        assert (answer.status, json.loads(answer.body)["error"]["param"]) == (400, "n")
    (row,) = events_of(acme)
    assert (row["status"], row["error_code"], row["effective_cost"]) == (400, "invalid_request", 0)


async def test_nobody_known_is_nobodys_row(acme: Tenant) -> None:
    async with running() as app:
        answer = await serve(app, converse("chk_nobody", chat()))
        assert answer.status == 401
    assert events_of(acme) == []


async def test_a_caller_who_leaves_ends_the_call(acme: Tenant, bank: Bank) -> None:
    async with running() as app:
        conversation = converse(acme.api_key, chat(stream=True, bank={"output_tokens": 1_000, "pace_ms": 50}))
        serving = asyncio.create_task(serve(app, conversation))
        await conversation.has_begun.wait()
        conversation.incoming.put_nowait({"type": "http.disconnect"})
        await serving
        assert conversation.sent[-1]["more_body"] is True
    (row,) = events_of(acme)
    assert (row["status"], row["error_code"], row["is_estimated"]) == (499, "client_disconnected", True)
    assert 0 < row["output_tokens"] < 1_000
    assert 0 < row["effective_cost"] <= row["held"]
    await asyncio.to_thread(bank.wait_quiet)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ("revoked", 401, "invalid_api_key"),
        ("expired", 401, "invalid_api_key"),
        ("stopped", 403, "emergency_stop"),
        ("another address", 403, "address_not_allowed"),
    ],
)
async def test_what_happens_while_a_body_comes_holds_its_call_too(
    acme: Tenant, change: str, status: int, code: str
) -> None:
    """The key was good when the head came, and its body took its time."""

    def act() -> None:
        with org_scope(acme.org_id):
            match change:
                case "revoked":
                    revoke_key(actor=acme.owner, key=acme.key)
                case "stopped":
                    set_stopped(actor=acme.owner, target=acme.key, is_stopped=True)
                case "another address":
                    update_key(actor=acme.owner, key=acme.key, addresses=["10.9.0.0/16"])

    slow = converse(acme.api_key, chat())
    raw = slow.incoming.get_nowait()["body"]
    slow.incoming.put_nowait({"type": "http.request", "body": raw[:20], "more_body": True})
    async with running() as app:
        serving = asyncio.create_task(serve(app, slow))
        while not slow.incoming.empty():
            await asyncio.sleep(0)
        if change == "expired":
            # Nobody tells of that: the key in memory is looked at.
            assert app._edges is not None
            known = app._edges.catalog._keys
            for digest, key in known.items():
                known.replace(digest, replace(key, expires_at_ms=1))
        else:
            await in_thread(act)
        while (await serve(app, converse(acme.api_key, chat()))).status == 200:
            pass
        slow.incoming.put_nowait({"type": "http.request", "body": raw[20:], "more_body": False})
        await serving
    (row,) = [event for event in events_of(acme) if event["id"] == slow.headers["x-request-id"]]
    assert (slow.status, json.loads(slow.body)["error"]["code"]) == (status, code)
    assert (row["status"], row["effective_cost"]) == (status, 0)


async def test_endpoints_that_are_not_reached_are_no_retries(acme: Tenant, bank: Bank) -> None:
    name = keyspace.org_snapshot_key(acme.org_id)
    org = OrgSnapshot.from_json(cast("bytes", client().get(name)))
    gone = [f"http://127.0.0.1:{port}" for port in (1, 2)]
    servers = tuple(EndpointSnapshot(str(uuid4()), f"{origin}/v1", origin, None, 1) for origin in gone)
    upstreams = {key: replace(one, endpoints=servers, max_retries=1) for key, one in org.upstreams.items()}
    client().set(name, replace(org, upstreams=upstreams).to_json())
    bank.queue(fault="http_error", status=503)
    async with running() as app:
        assert (await serve(app, converse(acme.api_key, chat()))).status == 200
    (row,) = events_of(acme)
    assert [attempt["status"] for attempt in row["attempts"]] == [0, 0, 503, 200]
    assert {attempt.get("endpoint_id", "") for attempt in row["attempts"]} == {"", *(server.id for server in servers)}


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An upstream that answers everything with a 429, to be tried again after \u00b2 seconds."""
    await reader.readuntil(b"false}")
    writer.write(
        b"HTTP/1.1 429 Too Many Requests\r\nretry-after: \xb2\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    )
    writer.close()
    await writer.wait_closed()


async def answer_at_length(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An upstream that writes 200,000 words, a token each, and reports no usage."""
    await reader.readuntil(b"false}")
    choice = {"index": 0, "message": {"role": "assistant", "content": "word " * 200_000}, "finish_reason": "stop"}
    body = json.dumps({"model": "small", "choices": [choice]}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_a_megabyte_without_a_report_is_counted(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "DEADLINE_SECONDS", 60)  # however busy the machine is
    server = await asyncio.start_server(answer_at_length, "127.0.0.1", 0)
    async with server, running() as app:
        send_to(acme, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", tokenizer="o200k_base")
        answer = await serve(app, converse(acme.api_key, chat()))
    assert answer.status == 200
    (row,) = events_of(acme)
    assert row["attempts"][0]["certainty"] == "counted"
    assert 200_000 <= row["output_tokens"] <= 200_001


async def test_a_pause_that_is_no_number_is_not_believed(acme: Tenant) -> None:
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, running() as app:
        send_to(acme, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        answer = await serve(app, converse(acme.api_key, chat()))
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (429, "upstream_error")
    assert "retry-after" not in answer.headers
    (row,) = events_of(acme)
    assert [attempt["status"] for attempt in row["attempts"]] == [429, 429, 429]
    assert (row["effective_cost"], row["is_estimated"]) == (0, False)


async def test_a_stream_ends_with_its_cost_and_done(acme: Tenant) -> None:
    async with running() as app:
        answer = await serve(app, converse(acme.api_key, chat(stream=True)))
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.body.endswith(b"\ndata: [DONE]\n\n")
        assert b": x-costhub-cost: 0.000008400\n" in answer.body
        assert [message["more_body"] for message in answer.sent[1:]][-1] is False


async def test_a_model_is_found_under_its_own_name_decoded_once(acme: Tenant) -> None:
    async with running() as app:
        found = await serve(app, converse(acme.api_key, path="/v1/models/small", method="GET"))
        assert json.loads(found.body) == {
            **json.loads(found.body),
            "id": "small",
            "object": "model",
            "owned_by": "costhub",
        }
        # What the server has decoded already is the name itself.
        missed = await serve(app, converse(acme.api_key, path="/v1/models/sm%61ll", method="GET"))
        assert missed.status == 404
