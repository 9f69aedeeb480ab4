"""What is kept of calls: nothing without consent, and with it sealed, on the stream."""

from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest
from django.conf import settings

from costhub.lib import keyspace, secrets
from costhub.lib.redis import client
from proxy.app import App
from proxy.edges.capture import draw, place_of
from proxy.learning.conversations import Message, read_call
from tenants.access import org_scope
from tenants.actions.capture import create_capture_policy
from tenants.actions.compression import create_compression_policy
from tenants.choices import Mode, UpstreamKind
from tenants.models import Organization
from tests.bank import Bank
from tests.proxy.cache.calls import call, make_policy, written
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import chat, converse, events_of, serve
from tests.world import Tenant, World, make_catalog

SAID = "My telephone is +49 30 901820"


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    make_catalog(committed_world.acme, base_url=bank.base_url)
    make_catalog(committed_world.acme, base_url=bank.base_url, model="other")
    return committed_world.acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


def consent(tenant: Tenant, per_mille: int = 1_000, **fields: Any) -> None:
    with org_scope(tenant.org.pk):
        create_capture_policy(actor=tenant.owner, per_mille=per_mille, **fields)


def lose_data_key(tenant: Tenant) -> None:
    """What an organisation's key was is gone, and no master key opens what stands there."""
    with org_scope(tenant.org.pk):
        Organization.objects.filter(pk=tenant.org.pk).update(data_key=b"no key")


def kept(tenant: Tenant) -> list[dict[str, Any]]:
    """What is on the stream of a tenant's calls, opened."""
    found = []
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client().xrange(keyspace.CAPTURED))
    for _, fields in entries:
        if tenant.org_id.encode() not in fields[b"h"]:
            continue
        head = orjson.loads(fields[b"h"])
        assert SAID.encode() not in fields[b"s"]
        opened = secrets.unseal(
            settings.MASTER_KEYS,
            bytes(tenant.org.data_key),
            org_id=tenant.org_id,
            origin=place_of(head["id"]),
            sealed=fields[b"s"],
        )
        found.append(head | orjson.loads(opened))
    return found


async def test_nothing_is_kept_without_consent(acme: Tenant, app: App) -> None:
    await call(app, acme, chat())
    await written(app)
    assert kept(acme) == []


async def test_whole_numbers_of_any_length_are_kept(acme: Tenant, app: App) -> None:
    await in_thread(lambda: consent(acme))
    messages = [{"role": "user", "content": SAID, "wei": 1}]
    raw = orjson.dumps(chat(messages=messages)).replace(b'"wei":1', b'"wei":123456789012345678901234567890')
    answer = await serve(app, converse(acme.api_key, raw))
    await written(app)
    assert answer.status == 200
    (one,) = kept(acme)
    assert one["messages"][0]["wei"] == pytest.approx(1.2345678901234568e29)


async def test_whole_and_streamed_answers_are_kept_sealed(acme: Tenant, app: App) -> None:
    await in_thread(lambda: consent(acme))
    messages = [{"role": "user", "content": SAID}]
    whole = await call(app, acme, chat(messages=messages), x_costhub_user="una")
    stream = await call(app, acme, chat(messages=messages, stream=True))
    await written(app)
    one, two = kept(acme)
    assert (one["id"], one["model"], one["teacher"], one["end_user"]) == (
        whole.headers["x-request-id"],
        "small",
        "small",
        "una",
    )
    assert one["project"] == str(acme.project.pk)
    assert one["messages"] == two["messages"] == messages
    assert orjson.loads(one["answer"])["choices"][0]["message"]["content"].startswith(" the river runs")
    assert two["id"] == stream.headers["x-request-id"]
    assert two["content_type"].startswith("text/event-stream")
    assert two["answer"].startswith("data: ")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("path", "kind", "asked"),
    [
        ("/v1/messages", UpstreamKind.ANTHROPIC, {"messages": [{"role": "user", "content": SAID}], "max_tokens": 50}),
        ("/v1/responses", UpstreamKind.OPENAI, {"input": SAID}),
    ],
    ids=["messages", "responses"],
)
async def test_answers_that_pass_untouched_in_another_form_are_kept_too(
    committed_world: World, bank: Bank, app: App, path: str, kind: UpstreamKind, asked: dict[str, Any], stream: bool
) -> None:
    acme = committed_world.acme

    def allow() -> None:
        make_catalog(acme, base_url=bank.base_url, kind=kind)
        consent(acme)

    await in_thread(allow)
    answer = await serve(app, converse(acme.api_key, {"model": "small", "stream": stream, **asked}, path=path))
    await written(app)
    assert answer.status == 200
    (one,) = kept(acme)
    assert one["teacher"] == "small"
    assert '"choices"' not in one["answer"]
    prompt, text = read_call(one, one["answer"].encode(), one["content_type"])
    assert prompt == (Message("user", SAID),)
    assert text.startswith(" the river runs")


async def test_the_policy_of_a_model_goes_first(acme: Tenant, app: App) -> None:
    await in_thread(lambda: consent(acme, 0))
    await in_thread(lambda: consent(acme, model="other"))
    await call(app, acme, chat())
    await call(app, acme, chat(model="other"))
    await written(app)
    assert [one["model"] for one in kept(acme)] == ["other"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (chat(), {"x_costhub_cache_control": "no-store"}),
        (chat(bank={"output_tokens": 40}, max_tokens=20), {}),
        (chat(n=2), {}),
        (chat(bank={"fault": "http_500"}), {}),
        (chat(messages=[{"role": "user", "content": "x" * 70_000}]), {}),
    ],
    ids=["not to be stored", "cut off", "two answers", "failed", "long"],
)
async def test_what_is_never_kept(acme: Tenant, app: App, body: dict[str, Any], headers: dict[str, str]) -> None:
    await in_thread(lambda: consent(acme))
    await call(app, acme, body, **headers)
    await written(app)
    assert kept(acme) == []


async def test_a_call_that_may_not_be_stored_is_not_cached_for_being_kept(acme: Tenant, app: App) -> None:
    await in_thread(lambda: consent(acme))
    await in_thread(lambda: make_policy(acme))
    first = await call(app, acme, chat(), x_costhub_cache_control="no-store")
    again = await call(app, acme, chat())
    hit = await call(app, acme, chat())
    await written(app)
    assert [answer.headers["x-costhub-cache"] for answer in (first, again, hit)] == ["miss", "miss", "hit-l1"]
    # an answer of the cache is no new one of the teacher's
    assert [one["id"] for one in kept(acme)] == [again.headers["x-request-id"]]


def test_the_sample_is_of_the_size_that_was_asked_for() -> None:
    ids = [f"0192{number:028x}" for number in range(20_000)]
    assert sum(draw(request_id) < 100 for request_id in ids) == pytest.approx(2_000, rel=0.1)
    assert [draw(request_id) for request_id in ids[:5]] == [draw(request_id) for request_id in ids[:5]]


async def test_what_was_shortened_is_kept_as_it_was_too(acme: Tenant, app: App) -> None:
    def allow() -> None:
        consent(acme)
        with org_scope(acme.org.pk):
            create_compression_policy(actor=acme.owner, mode=Mode.ON, holdout_percent=0)

    await in_thread(allow)
    wide = f"{SAID}   and   there    is    nobody    at    home."
    await call(app, acme, chat(messages=[{"role": "user", "content": wide}]))
    await written(app)
    (one,) = kept(acme)
    tidy = f"{SAID} and there is nobody at home."
    assert one["messages"] == [{"role": "user", "content": tidy}]
    assert one["shortened"] == [[wide, tidy]]


async def test_a_call_that_cannot_be_sealed_is_answered_and_not_kept(
    committed_world: World, bank: Bank, app: App
) -> None:
    acme = committed_world.acme

    def allow() -> None:
        make_catalog(acme, base_url=bank.base_url, credential=None)
        consent(acme)
        lose_data_key(acme)

    await in_thread(allow)
    answer = await call(app, acme, chat())
    await written(app)
    assert answer.status == 200
    assert kept(acme) == []
    (row,) = events_of(acme)
    assert (row["status"], row["error_code"]) == (200, "")
