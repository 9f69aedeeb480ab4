"""Requests outside ``/v1`` take turns: who has one, who waits, and who is told to come again."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from pytest_django import Settings

from costhub.turns import InTurn, TooManyWait, Turns

Message = dict[str, Any]
NEVER = 3_600.0


class Queue:
    """People who want a turn, and who had one, in the order in which they had it."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.served: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """Each asks for a turn and has it for good: of ``ada2`` the caller is ``ada``."""
        for name in names:
            self.tasks[name] = asyncio.create_task(self._have(name))
            await settle()

    async def _have(self, name: str) -> None:
        await self.turns.take(name.rstrip("0123456789"), NEVER)
        self.served.append(name)

    async def leave(self, *callers: str) -> None:
        for caller in callers:
            self.turns.leave(caller)
            await settle()


async def settle() -> None:
    """Let everybody go on who can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_so_many_are_served_at_once_and_the_next_when_one_leaves() -> None:
    queue = Queue(Turns(2, 2, 9))
    await queue.come("ada", "ben", "mallory", "una")
    assert queue.served == ["ada", "ben"]
    await queue.leave("ben")
    assert queue.served == ["ada", "ben", "mallory"]
    await queue.leave("ada", "mallory")
    assert queue.served == ["ada", "ben", "mallory", "una"]


async def test_a_crowd_waits_for_itself() -> None:
    """Mallory has sent eight requests before Ada sends two: of what is free each has every second."""
    queue = Queue(Turns(1, 1, 99))
    await queue.come(*(f"mallory{number}" for number in range(8)), "ada1", "ada2", "ben1")
    for _ in range(6):
        await queue.leave(queue.served[-1].rstrip("0123456789"))
    assert queue.served == ["mallory0", "mallory1", "ada1", "ben1", "mallory2", "ada2", "mallory3"]


async def test_no_caller_has_all_the_places() -> None:
    queue = Queue(Turns(3, 2, 9))
    await queue.come("mallory1", "mallory2", "mallory3", "ada1")
    assert queue.served == ["mallory1", "mallory2", "ada1"]
    await queue.leave("ada")
    assert queue.served == ["mallory1", "mallory2", "ada1"]
    await queue.come("ben1")
    await queue.leave("mallory")
    assert queue.served == ["mallory1", "mallory2", "ada1", "ben1", "mallory3"]


async def test_more_than_may_wait_are_refused() -> None:
    turns = Turns(1, 1, 2)
    queue = Queue(turns)
    await queue.come("ada", "ben", "una")
    with pytest.raises(TooManyWait):
        await turns.take("mallory", NEVER)
    await queue.leave("ada")
    await queue.come("mallory")
    assert queue.served == ["ada", "ben"]


async def test_a_crowd_leaves_room_to_wait_for_everybody_else() -> None:
    turns = Turns(2, 1, 6)
    queue = Queue(turns)
    await queue.come("una", *(f"mallory{number}" for number in range(4)))
    assert queue.served == ["una", "mallory0"]
    with pytest.raises(TooManyWait):
        await turns.take("mallory", NEVER)
    await queue.come("ada", "ben")
    await queue.leave("una", "mallory", "ada")
    assert queue.served == ["una", "mallory0", "ada", "mallory1", "ben"]


@pytest.mark.parametrize("gives_up", ["before", "in the same moment", "as it comes"])
async def test_whoever_gives_up_keeps_no_place(gives_up: str) -> None:
    turns = Turns(1, 1, 9)
    queue = Queue(turns)
    await queue.come("ada", "ben", "una")
    if gives_up == "as it comes":
        turns.leave("ada")
        queue.tasks["ben"].cancel()
    else:
        queue.tasks["ben"].cancel()
        if gives_up == "before":
            await settle()
        turns.leave("ada")
    await settle()
    assert queue.served == ["ada", "una"]
    await queue.leave("una")
    await queue.come("mallory")
    assert queue.served == ["ada", "una", "mallory"]


async def test_patience_ends() -> None:
    turns = Turns(1, 1, 9)
    await turns.take("ada", NEVER)
    with pytest.raises(TimeoutError):
        await turns.take("ben", 0)
    turns.leave("ada")
    await turns.take("una", 0)


class Application:
    """Answers when it is told to, and says who is being answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.may_end.wait()
        await send({"type": "http.response.body", "body": b"done"})


def ask(
    app: InTurn,
    path: str,
    sent: list[Message],
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    peer: str = "10.0.0.1",
) -> Any:
    async def receive() -> Message:
        return await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": list(headers), "client": (peer, 1)}
    return asyncio.create_task(app(scope, receive, send))


async def test_a_turn_ends_where_the_answer_begins() -> None:
    inner = Application()
    app = InTurn(inner, Turns(1, 1, 9))
    streams = [ask(app, f"/{number}", []) for number in range(3)]
    await settle()
    assert inner.asked == ["/0"]
    inner.may_answer.set()
    await settle()
    assert inner.asked == ["/0", "/1", "/2"], "while nobody has read the first to its end"
    inner.may_end.set()
    await asyncio.gather(*streams)


async def test_one_that_fails_gives_its_turn_back() -> None:
    class Broken:
        async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
            raise RuntimeError("broken")

    app = InTurn(Broken(), Turns(1, 1, 0))
    for _ in range(3):
        with pytest.raises(RuntimeError, match="broken"):
            await ask(app, "/login", [])


@pytest.mark.parametrize(
    ("path", "content_type"), [("/api/v1/keys", b"application/problem+json"), ("/login", b"text/html; charset=utf-8")]
)
async def test_the_refusal_says_when_to_come_again(path: str, content_type: bytes) -> None:
    inner, sent = Application(), list[Message]()
    app = InTurn(inner, Turns(1, 1, 0))
    first = ask(app, "/", [])
    await settle()
    await ask(app, path, sent)
    head, body = sent
    lines = dict(head["headers"])
    assert (head["status"], lines[b"retry-after"], lines[b"content-type"]) == (503, b"1", content_type)
    assert b"Too many requests wait for an answer at this moment. Try again in a second." in body["body"]
    if path.startswith("/api/"):
        assert json.loads(body["body"])["code"] == "too_many_at_once"
    assert inner.asked == ["/"]
    first.cancel()


async def test_callers_of_a_socket_for_both_kinds_of_addresses_are_not_one() -> None:
    inner = Application()
    app = InTurn(inner, Turns(9, 1, 9))
    tasks = [ask(app, f"/{one}", [], peer=f"::ffff:1.2.3.{one}") for one in (4, 4, 5)]
    await settle()
    assert inner.asked == ["/4", "/5"]
    for task in tasks:
        task.cancel()


async def test_a_caller_is_whom_the_operators_proxy_names(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    inner = Application()
    app = InTurn(inner, Turns(9, 1, 9))
    told = ("1.2.3.4", "6.6.6.6, 1.2.3.4", "1.2.3.5", "2001:db8:1:2:3::4", "2001:db8:1:2:9::9")
    tasks = [ask(app, f"/{one}", [], headers=[(b"x-forwarded-for", one.encode())]) for one in told]
    await settle()
    assert inner.asked == ["/1.2.3.4", "/1.2.3.5", "/2001:db8:1:2:3::4"]
    for task in tasks:
        task.cancel()
