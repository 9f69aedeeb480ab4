"""A file of /v1/files that a message names by its id reaches the model as what it holds, for who may read it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from django.db import connections
from pytest_django.fixtures import Settings

from tenants.access import org_scope
from tenants.actions.compression import create_compression_policy
from tenants.actions.keys import create_key
from tenants.actions.orgs import update_organization
from tenants.actions.projects import create_project
from tenants.choices import BudgetScope, Mode, RouteKind, UpstreamKind
from tests.proxy.batches.desk import Desk, open_desk, read, run_worker
from tests.proxy.books import open_holds
from tests.proxy.cache.calls import make_policy
from tests.proxy.in_process import Conversation, events_of
from tests.proxy.scripted_upstream import USAGE, ScriptedUpstream, answer, scripted, whole
from tests.proxy.test_messages import MESSAGE
from tests.tenants.route_examples import make_route
from tests.world import Tenant, World, make_budget, make_catalog, make_rate_limit

Json = dict[str, Any]
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
PDF, LETTER, PICTURE = b"%PDF-1.7\n\xff\x00", b"Dear Ada", b"\x89PNG\r\n\x1a\n\x00"
PDF_DATA, PICTURE_DATA = "JVBERi0xLjcK/wA=", "iVBORw0KGgoA"
RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "small",
    "output": [],
    "usage": {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11},
}


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    """It answers each body in its own format, and counts nine tokens in any."""

    def script(body: Json) -> list[bytes]:
        if "input" in body:
            return whole(RESPONSE)
        if body.get("max_tokens") is None:
            return whole({"input_tokens": 9})
        return whole(MESSAGE if body["model"] == "claude" else answer("Hello", USAGE))

    with scripted(script) as upstream:
        yield upstream


@pytest.fixture
def acme(committed_world: World, upstream: ScriptedUpstream) -> Tenant:
    """With a model at an upstream of each kind."""
    acme = committed_world.acme
    for model, kind in (
        ("small", UpstreamKind.OPENAI_COMPATIBLE),
        ("native", UpstreamKind.OPENAI),
        ("claude", UpstreamKind.ANTHROPIC),
    ):
        make_catalog(acme, base_url=upstream.base_url, kind=kind, model=model, max_output_tokens=100)
    connections.close_all()
    return acme


def write(path: str, *parts: Any, model: str = "small", **fields: Any) -> Json:
    """A body whose only message has these parts."""
    said = [{"role": "user", "content": list(parts)}]
    if path == RESPONSES:
        return {"model": model, "input": said, "max_output_tokens": 50, **fields}
    return {"model": model, "messages": said, "max_tokens": 50, **fields}


async def keep(desk: Desk, content: bytes, filename: str = "letter.pdf") -> str:
    """A file's name."""
    uploaded = await desk.upload(content, purpose="user_data", filename=filename)
    assert uploaded.status == 200, uploaded.body
    return str(read(uploaded)["id"])


async def post(desk: Desk, path: str, body: Json, file: str = "", **headers: str) -> Conversation:
    """What is told of a body, with a file's name in the place of each question mark."""
    return await desk.ask("POST", path, orjson.dumps(body).replace(b'"?"', orjson.dumps(file)), **headers)


def send(tenant: Tenant, path: str, body: Json, content: bytes, **headers: str) -> tuple[int, Json]:
    """What is told of a body that names a file."""

    async def run() -> tuple[int, Json]:
        async with open_desk(tenant) as desk:
            told = await post(desk, path, body, await keep(desk, content), **headers)
            return told.status, read(told)

    return asyncio.run(run())


DOCUMENT = {"type": "document", "source": {"type": "file", "file_id": "?"}}
IN_CHAT = {"type": "file", "file": {"file_id": "?"}}
INPUT = {"type": "input_file", "file_id": "?"}
LONG = {"min_tokens": 501}
AS_FILE = {"type": "file", "file": {"filename": "letter.pdf", "file_data": f"data:application/pdf;base64,{PDF_DATA}"}}
AS_DOCUMENT = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_DATA}}


@pytest.mark.parametrize(
    ("path", "model", "part", "content", "meant"),
    [
        (CHAT, "small", IN_CHAT, PDF, AS_FILE),
        (CHAT, "claude", IN_CHAT, PDF, AS_DOCUMENT),
        (CHAT, "small", IN_CHAT, LETTER, {"type": "text", "text": "Dear Ada"}),
        (MESSAGES, "claude", DOCUMENT, PDF, AS_DOCUMENT),
        (
            MESSAGES,
            "claude",
            DOCUMENT,
            LETTER,
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Dear Ada"}},
        ),
        (
            MESSAGES,
            "small",
            {"type": "image", "source": {"type": "file", "file_id": "?"}},
            PICTURE,
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE_DATA}"}},
        ),
        (
            RESPONSES,
            "native",
            INPUT,
            PDF,
            {"type": "input_file", "filename": "letter.pdf", "file_data": f"data:application/pdf;base64,{PDF_DATA}"},
        ),
        (RESPONSES, "small", INPUT, PDF, AS_FILE),
    ],
)
def test_a_model_gets_what_the_file_holds(
    acme: Tenant, upstream: ScriptedUpstream, path: str, model: str, part: Json, content: bytes, meant: Json
) -> None:
    hello = {"type": "input_text" if path == RESPONSES else "text", "text": "Hi"}
    status, told = send(acme, path, write(path, hello, part, model=model), content)
    assert status == 200, told
    (sent,) = upstream.bodies
    parts = (sent.get("messages") or sent["input"])[0]["content"]
    assert parts[1] == meant
    (row,) = events_of(acme)
    assert (row["status"], row["endpoint"], row["effective_cost"]) == (
        200,
        path.removeprefix("/v1/"),
        9 * 150 + 2 * 600,
    )


def test_who_may_not_read_a_file_is_told_what_who_names_none_is(
    acme: Tenant, committed_world: World, upstream: ScriptedUpstream
) -> None:
    mallory = committed_world.mallcorp
    make_catalog(mallory, base_url=upstream.base_url)
    with org_scope(acme.org_id):
        project = create_project(actor=acme.owner, name="another")
        other = create_key(actor=acme.owner, name="other", project=project).secret
        bound = create_key(actor=acme.owner, name="bound", end_user="ada").secret
    connections.close_all()

    async def run() -> list[tuple[int, Json]]:
        found = []
        async with open_desk(acme) as desk:
            file = await keep(desk, LETTER)
            never = "file-0197e9d400007000800000000000abcd"
            for key, name in ((acme.api_key, never), (mallory.api_key, file), (other, file), (bound, file)):
                told = await post(Desk(desk.app, key), CHAT, write(CHAT, IN_CHAT), name)
                error = {field: value for field, value in read(told)["error"].items() if field != "request_id"}
                found.append((told.status, error | {"message": error["message"].replace(name, "...")}))
        return found

    first, *others = asyncio.run(run())
    told = {
        "message": "No such File object: ...",
        "type": "invalid_request_error",
        "param": "messages[0].content[0].file.file_id",
        "code": "not_found",
    }
    assert (first, others) == ((404, told), [(404, told)] * 3)
    assert upstream.bodies == []
    assert [(row["status"], row["error_code"], row["effective_cost"]) for row in events_of(acme)] == [
        (404, "not_found", 0)
    ] * 3


def test_a_key_that_is_kept_to_calls_has_no_file_read(acme: Tenant, upstream: ScriptedUpstream) -> None:
    with org_scope(acme.org_id):
        key = create_key(actor=acme.owner, name="calls only", endpoints=[CHAT]).secret
    connections.close_all()

    async def run() -> tuple[int, str]:
        async with open_desk(acme) as desk:
            told = await post(Desk(desk.app, key), CHAT, write(CHAT, IN_CHAT), await keep(desk, LETTER))
            return told.status, read(told)["error"]["code"]

    assert (asyncio.run(run()), upstream.bodies) == ((403, "endpoint_not_allowed"), [])
    assert [(row["status"], row["effective_cost"]) for row in events_of(acme)] == [(403, 0)]


@pytest.mark.parametrize(
    ("part", "content", "code", "param"),
    [
        ({"type": "container_upload", "file_id": "?"}, LETTER, "file_not_readable", "messages[0].content[0].file_id"),
        (DOCUMENT, b"\x00\x01", "file_not_readable", "messages[0].content[0].source.file_id"),
        (DOCUMENT, b"a" * 5_000, "request_too_large", "messages[0].content[0].source.file_id"),
    ],
)
def test_what_cannot_be_put_there_is_refused_by_its_field_and_sent_to_nobody(
    acme: Tenant,
    upstream: ScriptedUpstream,
    settings: Settings,
    part: Json,
    content: bytes,
    code: str,
    param: str,
) -> None:
    settings.MAX_BODY_BYTES = 4_096
    status, told = send(acme, MESSAGES, write(MESSAGES, part, model="claude"), content)
    assert (status, told["type"]) == (400, "error")
    assert (told["error"]["code"], told["error"]["param"]) == (code, param)
    assert upstream.bodies == []
    assert [(row["status"], row["error_code"], row["effective_cost"]) for row in events_of(acme)] == [(400, code, 0)]


def test_one_file_may_stand_in_two_places_and_one_that_is_gone_in_none(
    acme: Tenant, upstream: ScriptedUpstream
) -> None:
    async def run() -> tuple[int, int]:
        async with open_desk(acme) as desk:
            file = await keep(desk, LETTER)
            first = await post(desk, CHAT, write(CHAT, IN_CHAT, IN_CHAT), file)
            await desk.ask("DELETE", f"/v1/files/{file}")
            return first.status, (await post(desk, CHAT, write(CHAT, IN_CHAT), file)).status

    assert asyncio.run(run()) == (200, 404)
    (sent,) = upstream.bodies
    assert sent["messages"][0]["content"] == [{"type": "text", "text": "Dear Ada"}] * 2


def test_who_may_not_call_is_told_so_before_a_file_is_looked_for(acme: Tenant, upstream: ScriptedUpstream) -> None:
    """A few bytes may name megabytes: nothing is read for who is over a limit, or asks for what there is not."""
    make_rate_limit(acme, 2)
    never = "file-0197e9d400007000800000000000abcd"

    async def run() -> list[tuple[int, str]]:
        async with open_desk(acme) as desk:
            file = await keep(desk, LETTER)
            told = [
                await post(desk, CHAT, write(CHAT, IN_CHAT, model="unknown"), never),
                await post(desk, CHAT, write(CHAT, IN_CHAT), file),
                await post(desk, MESSAGES, write(MESSAGES, DOCUMENT, model="claude"), file),
                await post(desk, CHAT, write(CHAT, IN_CHAT), never),
                await post(desk, CHAT, write(CHAT, IN_CHAT), never, x_costhub_deadline="600"),
            ]
            return [(one.status, "" if one.status == 200 else read(one)["error"]["code"]) for one in told]

    full = (429, "rate_limit_exceeded")
    assert asyncio.run(run()) == [(404, "model_not_found"), (200, ""), (200, ""), full, full]
    assert len(upstream.bodies) == 2
    rows = [(row["status"], row["request_model"], row["effective_cost"] > 0) for row in events_of(acme)]
    assert rows == [
        (404, "unknown", False),
        (200, "small", True),
        (200, "claude", True),
        (429, "small", False),
        (429, "small", False),
    ]


def test_no_file_is_looked_for_that_no_budget_pays(acme: Tenant, upstream: ScriptedUpstream) -> None:
    make_budget(acme, "0.000001")
    status, told = send(acme, CHAT, write(CHAT, IN_CHAT), PDF)
    assert (status, told["error"]["code"]) == (402, "budget_exceeded")
    never = orjson.loads(orjson.dumps(write(CHAT, IN_CHAT)).replace(b'"?"', b'"file-0197e9d400007000800000000000abcd"'))
    status, told = send(acme, CHAT, never, PDF)
    assert (status, told["error"]["code"]) == (402, "budget_exceeded")
    assert upstream.bodies == []
    assert open_holds(acme.org) == []


def test_an_answer_that_is_cached_needs_no_budget_for_its_file(acme: Tenant, upstream: ScriptedUpstream) -> None:
    make_policy(acme)
    make_rate_limit(acme, 10)

    async def run() -> list[Conversation]:
        async with open_desk(acme) as desk:
            body, file = write(CHAT, IN_CHAT, temperature=0), await keep(desk, LETTER)
            first = await post(desk, CHAT, body, file)
            await asyncio.to_thread(_use_up, acme)
            return [first, await post(desk, CHAT, body, file), await post(desk, CHAT, body | {"seed": 1}, file)]

    first, hit, other = asyncio.run(run())
    assert (first.status, hit.status, hit.headers["x-costhub-cache"], other.status) == (200, 200, "hit-l1", 402)
    assert len(upstream.bodies) == 1


def test_a_prompt_that_is_sent_shorter_is_held_to_what_it_is_then(acme: Tenant, upstream: ScriptedUpstream) -> None:
    """What stands beside the file may cost the most of it, and most of that be blanks."""
    with org_scope(acme.org_id):
        create_compression_policy(actor=acme.owner, mode=Mode.ON, holdout_percent=0)
    make_budget(acme, "0.001")
    body = write(CHAT, {"type": "text", "text": f"Hi{' ' * 20_000}there"}, IN_CHAT)

    async def run() -> tuple[Conversation, Conversation]:
        async with open_desk(acme) as desk:
            file = await keep(desk, LETTER)
            as_it_came = await post(desk, CHAT, body, file, x_costhub_compression="off")
            return await post(desk, CHAT, body, file), as_it_came

    shorter, as_it_came = asyncio.run(run())
    assert (shorter.status, as_it_came.status) == (200, 402)
    (sent,) = upstream.bodies
    assert [part["text"] for part in sent["messages"][0]["content"]] == ["Hi there", "Dear Ada"]


def test_a_route_chooses_by_what_the_file_holds(acme: Tenant, upstream: ScriptedUpstream) -> None:
    """Before it is read it may have no model for the call, or another one, whose limits are not this call's."""
    small, long = ({"model": name, "when": when} for name, when in (("small", {"max_tokens": 500}), ("claude", LONG)))
    make_route(acme, RouteKind.FIXED, name="either", targets=[small, long])
    make_route(acme, RouteKind.FIXED, name="long", targets=[long])
    make_rate_limit(acme, 1, scope=BudgetScope.MODEL, subject="small")
    make_rate_limit(acme, 5)

    async def run() -> list[tuple[int, str]]:
        async with open_desk(acme) as desk:
            letter, tale = await keep(desk, LETTER), await keep(desk, b"Once. " * 500)
            told = [
                await post(desk, CHAT, write(CHAT, IN_CHAT, model=model), file)
                for model, file in (
                    ("small", letter),
                    ("either", tale),
                    ("long", tale),
                    ("either", letter),
                    ("long", letter),
                )
            ]
            return [(one.status, "" if one.status == 200 else read(one)["error"]["code"]) for one in told]

    full, nobody = (429, "rate_limit_exceeded"), (404, "model_not_found")
    assert asyncio.run(run()) == [(200, ""), (200, ""), (200, ""), full, nobody]
    assert [sent["model"] for sent in upstream.bodies] == ["small", "claude", "claude"]
    assert open_holds(acme.org) == []


def _use_up(acme: Tenant) -> None:
    make_budget(acme, "0.000001")
    connections.close_all()


@pytest.mark.parametrize("headers", [{}, {"x_costhub_deadline": "600"}])
def test_a_first_answer_is_given_again_when_the_file_is_gone(
    acme: Tenant, upstream: ScriptedUpstream, headers: dict[str, str]
) -> None:
    async def run() -> list[Conversation]:
        async with open_desk(acme) as desk:
            body, file = write(CHAT, IN_CHAT), await keep(desk, PDF)
            told = [await post(desk, CHAT, body, file, idempotency_key="one", **headers) for _ in range(2)]
            await desk.ask("DELETE", f"/v1/files/{file}")
            return [
                *told,
                await post(desk, CHAT, body, file, idempotency_key="one", **headers),
                await post(desk, CHAT, body | {"seed": 1}, file, idempotency_key="one", **headers),
                await post(desk, CHAT, body, file, idempotency_key="two", **headers),
            ]

    first, again, later, other, new = asyncio.run(run())
    expected = 202 if headers else 200
    assert [one.status for one in (first, again, later, other, new)] == [expected] * 3 + [409, 404]
    assert first.body == again.body == later.body
    assert later.headers["x-costhub-original-request-id"] == first.headers["x-request-id"]
    assert len(upstream.bodies) == (0 if headers else 1)
    replays = [(row["status"], row["cache_status"], row["effective_cost"]) for row in events_of(acme)][-4:]
    assert replays == [(200, "replayed", 0), (200, "replayed", 0), (409, "bypass", 0), (404, "bypass", 0)]


def test_a_call_that_is_answered_later_is_asked_with_what_the_file_held_when_it_came(
    acme: Tenant, upstream: ScriptedUpstream
) -> None:
    with org_scope(acme.org_id):
        update_organization(actor=acme.owner, answers_kept_hours=24)
    connections.close_all()

    async def run() -> list[int]:
        async with open_desk(acme) as desk:
            file = await keep(desk, PDF)
            later = await post(desk, CHAT, write(CHAT, IN_CHAT), file, x_costhub_deadline="600")
            behind = await post(desk, RESPONSES, write(RESPONSES, INPUT, background=True), file)
            await desk.ask("DELETE", f"/v1/files/{file}")
            return [later.status, behind.status]

    assert (asyncio.run(run()), upstream.bodies) == ([202, 200], [])
    run_worker(acme)
    assert [sent["messages"][0]["content"] for sent in upstream.bodies] == [[AS_FILE]] * 2


def test_a_file_that_is_named_again_and_again_by_calls_that_wait_fills_no_disk(
    acme: Tenant, upstream: ScriptedUpstream, settings: Settings
) -> None:
    """Each has what it holds: two of them have room, and a third one is answered at once or later."""
    settings.MAX_FILES_BYTES = 5_000
    make_route(acme, RouteKind.FIXED, ("small",), deadline_seconds=600)
    with org_scope(acme.org_id):
        update_organization(actor=acme.owner, answers_kept_hours=24)
    connections.close_all()

    async def run() -> list[Conversation]:
        async with open_desk(acme) as desk:
            file = await keep(desk, b"a" * 2_000)

            async def wait(model: str = "small") -> Conversation:
                headers = {"x_costhub_deadline": "600"} if model == "small" else {}
                return await post(desk, CHAT, write(CHAT, IN_CHAT, model=model), file, **headers)

            first, second, third = [await wait() for _ in range(3)]
            at_once = await wait("smart")
            behind = await post(desk, RESPONSES, write(RESPONSES, INPUT, background=True), file)
            return [first, second, third, at_once, behind]

    first, second, third, at_once, behind = asyncio.run(run())
    assert [one.status for one in (first, second, third, at_once, behind)] == [202, 202, 409, 200, 429]
    for refused in (third, behind):
        assert "bytes, and 5000 are taken" in read(refused)["error"]["message"]
    assert (read(behind)["error"]["code"], behind.headers["retry-after"]) == ("background_full", "60")
    assert len(open_holds(acme.org)) == 2


def test_a_body_that_is_counted_or_priced_is_read_with_its_files(acme: Tenant, upstream: ScriptedUpstream) -> None:
    count, price, words = "/v1/messages/count_tokens", "/v1/costhub/estimate", {"type": "text", "text": "Dear Ada"}

    async def run() -> list[Json]:
        async with open_desk(acme) as desk:
            file = await keep(desk, LETTER)

            async def ask(path: str, part: Json, model: str = "small", **headers: str) -> Json:
                body = write(CHAT, part, model=model)
                return read(await post(desk, path, {**body, "max_tokens": None}, file, **headers))

            return [
                await ask(count, words),
                await ask(count, DOCUMENT, idempotency_key="the same"),
                await ask(count, DOCUMENT, idempotency_key="the same"),
                await ask(price, words),
                await ask(price, IN_CHAT),
                await ask(count, DOCUMENT, model="claude"),
            ]

    said, counted, again, said_price, price_named, asked = asyncio.run(run())
    assert (counted, again, price_named["max_cost"]) == (said, said, said_price["max_cost"])
    assert asked == {"input_tokens": 9}
    (sent,) = upstream.bodies
    assert sent["messages"][0]["content"][0]["source"]["data"] == "Dear Ada"
    assert events_of(acme) == []
