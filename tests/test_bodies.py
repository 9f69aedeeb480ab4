"""Bodies outside ``/v1``: bounded in length and time, and refused in the shape of the page or the problem."""

import asyncio
import json
import tracemalloc
from typing import Any

import pytest

from costhub import bodies
from costhub.bodies import BoundedBodies

Message = dict[str, Any]
MOST = 1_000


class Application:
    """Reads its body as Django does, and then waits to hear that the caller has left."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.next_messages: list[Message] = []

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        message = await receive()
        assert message["more_body"] is False
        self.bodies.append(message["body"])
        self.next_messages.append(await receive())


async def call(
    *messages: Message, headers: dict[str, str], path: str = "/login", app: BoundedBodies | None = None
) -> tuple[Application, int, dict[str, str], bytes]:
    """What comes of a request whose body is these messages, and then nothing for ever."""
    inner, waiting, sent = Application(), list(messages), []

    async def receive() -> Message:
        if not waiting:
            await asyncio.Future()
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    app = app or BoundedBodies(inner, MOST)
    app._app = inner
    await app(scope, receive, send)
    if not sent:
        return inner, 0, {}, b""
    lines = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return inner, sent[0]["status"], lines, sent[1]["body"]


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}
CHUNKED = {"transfer-encoding": "chunked"}


@pytest.mark.parametrize(
    ("headers", "messages", "body"),
    [
        ({}, [piece(b"", more=False)], b""),
        ({"content-length": "0"}, [piece(b"", more=False)], b""),
        ({"content-length": "2"}, [piece(b"{}", more=False)], b"{}"),
        ({"content-length": "3"}, [piece(b"{"), piece(b""), piece(b"} ", more=False)], b"{} "),
        ({"content-length": "1000"}, [piece(b"x" * 1_000), piece(b"", more=False)], b"x" * 1_000),
        (CHUNKED, [piece(b"x" * 1_000), piece(b"", more=False)], b"x" * 1_000),
    ],
)
async def test_a_body_within_the_bound_is_handed_on_whole(
    headers: dict[str, str], messages: list[Message], body: bytes
) -> None:
    inner, status, _, _ = await call(*messages, GONE, headers=headers)
    assert (inner.bodies, inner.next_messages, status) == ([body], [GONE], 0)


@pytest.mark.parametrize(
    ("headers", "messages"),
    [
        ({"content-length": "1001"}, []),
        ({"content-length": "99999999999999"}, []),
        (CHUNKED, [piece(b"x" * 1_001)]),
        (CHUNKED, [piece(b"x" * 600), piece(b"x" * 600)]),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/keys", "/login"])
async def test_a_longer_one_is_refused_at_once(headers: dict[str, str], messages: list[Message], path: str) -> None:
    inner, status, lines, said = await call(*messages, headers=headers, path=path)
    assert (inner.bodies, status) == ([], 413)
    sentence = "The body is larger than 1000 bytes, the most that is taken here."
    if path == "/login":
        assert lines["content-type"] == "text/html; charset=utf-8"
        assert f"<p>{sentence}</p>".encode() in said
    else:
        assert lines["content-type"] == "application/problem+json"
        assert (json.loads(said)["code"], json.loads(said)["detail"]) == ("body_too_large", sentence)
    assert lines["content-length"] == str(len(said))
    assert lines["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("messages", [[], [piece(b"x")]])
async def test_one_that_does_not_come_is_not_waited_for(
    messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)
    inner, status, _, said = await call(*messages, headers={"content-length": "5"}, path="/api/v1/keys")
    assert (inner.bodies, status, json.loads(said)["code"]) == ([], 408, "body_timeout")


async def test_who_leaves_in_its_body_is_not_answered() -> None:
    inner, status, _, _ = await call(piece(b"x"), GONE, headers={"content-length": "5"})
    assert (inner.bodies, status) == ([], 0)


async def test_all_that_come_at_once_have_a_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_WAITING_BYTES", 900)
    app = BoundedBodies(None, MOST)
    slow = asyncio.create_task(call(piece(b"x" * 900), headers=CHUNKED, app=app))
    while app._waiting_bytes == 0:
        await asyncio.sleep(0)
    _, status, lines, said = await call(piece(b"x"), headers=CHUNKED, path="/api/v1/keys", app=app)
    assert (status, lines["retry-after"], json.loads(said)["code"]) == (503, "1", "too_many_bodies")
    slow.cancel()
    await asyncio.wait([slow])
    inner, status, _, _ = await call(piece(b"y", more=False), GONE, headers=CHUNKED, app=app)
    assert (inner.bodies, status, app._waiting_bytes) == ([b"y"], 0, 0)


async def test_the_bound_holds_while_bodies_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them began when there was room, and none is too long by itself."""
    monkeypatch.setattr(bodies, "MOST_WAITING_BYTES", 900)
    app = BoundedBodies(None, MOST)
    most = 0

    async def send_slowly() -> int:
        nonlocal most
        inner, parts, statuses = Application(), [piece(b"x" * 50)] * 6, list[int]()
        app._app = inner

        async def receive() -> Message:
            nonlocal most
            await asyncio.sleep(0)
            most = max(most, app._waiting_bytes)
            if not parts:
                await asyncio.Future()
            return parts.pop()

        async def send(message: Message) -> None:
            statuses.append(message.get("status", 0))

        scope = {"type": "http", "path": "/login", "headers": [(b"transfer-encoding", b"chunked")]}
        await app(scope, receive, send)
        return statuses[0]

    sending = [asyncio.create_task(send_slowly()) for _ in range(10)]
    for _ in range(200):  # turns of the loop: each part takes one
        await asyncio.sleep(0)
    held = [task for task in sending if not task.done()]
    assert {task.result() for task in sending if task.done()} == {503}
    # three of 300 bytes fit; whoever adds a part over the bound is let go at once
    assert (len(held), most <= 900, app._waiting_bytes) == (3, True, 900)
    for task in held:
        task.cancel()
    await asyncio.wait(held)
    assert app._waiting_bytes == 0


async def test_a_body_counts_until_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_WAITING_BYTES", 900)
    app = BoundedBodies(None, MOST)
    answering = asyncio.create_task(call(piece(b"x" * 600, more=False), headers=CHUNKED, app=app))
    while not (inner := app._app) or not inner.bodies:
        await asyncio.sleep(0)
    assert app._waiting_bytes == 600
    answering.cancel()
    await asyncio.wait([answering])
    assert app._waiting_bytes == 0


async def test_a_body_that_is_being_answered_is_held_once() -> None:
    size, held, parts = 4 * 1024 * 1024, list[int](), 64

    async def application(scope: Message, receive: Any, send: Any) -> None:
        message = await receive()
        assert len(message["body"]) == size
        held.append(tracemalloc.get_traced_memory()[0])

    async def receive() -> Message:
        nonlocal parts
        parts -= 1
        return piece(bytes(size // 64), more=parts > 0)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    tracemalloc.start()
    try:
        scope = {"type": "http", "path": "/login", "headers": [(b"transfer-encoding", b"chunked")]}
        await BoundedBodies(application, size)(scope, receive, send)
    finally:
        tracemalloc.stop()
    assert held[0] < size * 5 // 4
