"""A file of /v1/files that a message names by its id reaches the model as what it holds, for who may read it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from django.db import connections
from pytest_django.fixtures import Settings

from tenants.access import org_scope
from tenants.actions.keys import create_key
from tenants.actions.orgs import update_organization
from tenants.actions.projects import create_project
from tenants.choices import UpstreamKind
from tests.proxy.batches.desk import Desk, open_desk, read, run_worker
from tests.proxy.in_process import Conversation, events_of
from tests.proxy.scripted_upstream import USAGE, ScriptedUpstream, answer, scripted, whole
from tests.proxy.test_messages import MESSAGE
from tests.world import Tenant, World, make_catalog

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
