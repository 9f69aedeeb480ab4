"""A call leaves nothing for the garbage collector: what it held is gone with its last reference.

In a circle it would stay until the collector came by, which holds every other call up for as long as it looks. The
whole way is taken, from the socket of our own web server to the upstream and back.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import AsyncGeneratorType, CoroutineType, FrameType, FunctionType, GeneratorType, MethodType
from typing import Any, Final
from uuid import uuid4

import orjson
import pytest
import uvloop

from costhub.stack.ports import find_free_port
from proxy.app import App
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tenants.choices import BudgetScope, RouteKind, UpstreamKind
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, until
from tests.proxy.cache.calls import make_policy, written
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import CHAT, chat, make_known, running
from tests.proxy.test_cascades import UNSURE
from tests.serve.server import serve
from tests.tenants.route_examples import make_models, make_route
from tests.world import Tenant, World, make_budget, make_catalog

ROOMS: Final = ("proxy.", "costhub.", "tenants.", "billing.")
FOLDERS: Final = ("/proxy/", "/costhub/", "/tenants/", "/billing/")
#: of each kind, so that what only a second call leaves is seen, too
CALLS: Final = 3
MESSAGES: Final = "/v1/messages"
RESPONSES: Final = "/v1/responses"
EMBEDDINGS: Final = "/v1/embeddings"
#: as one of ours is called
NO_FILE: Final = "file-0197e9d400007000800000000000abcd"

Body = dict[str, Any]


def is_ours(thing: object) -> bool:
    """Whether an object is made by our code, or holds a place in it."""
    match thing:
        case FunctionType():
            return thing.__module__.startswith(ROOMS)
        case MethodType():
            return is_ours(thing.__func__)
        case FrameType():
            return _is_our_file(thing.f_code.co_filename)
        case CoroutineType():
            return _is_our_file(thing.cr_code.co_filename)
        case AsyncGeneratorType():
            return _is_our_file(thing.ag_code.co_filename)
        case GeneratorType():
            return _is_our_file(thing.gi_code.co_filename)
        case type():
            return thing.__module__.startswith(ROOMS)
    return any(kind.__module__.startswith(ROOMS) for kind in type(thing).__mro__)


def _is_our_file(name: str) -> bool:
    return "site-packages" not in name and "/tests/" not in name and any(folder in name for folder in FOLDERS)


@contextmanager
def circles() -> Iterator[dict[str, int]]:
    """What the block leaves in circles that is ours: how many, by kind, once the block has ended."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    left: dict[str, int] = {}
    try:
        yield left
        gc.collect()
        left |= Counter(_name(thing) for thing in gc.garbage if is_ours(thing))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()


def _name(thing: object) -> str:
    if isinstance(thing, FrameType):
        return f"frame of {thing.f_code.co_qualname}"
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{type(thing).__name__} {named.__qualname__}"


class Caller:
    """Asks by a socket, on one connection for all its calls."""

    def __init__(self, key: str, port: int, bank: Bank) -> None:
        self._key = key
        self._port = port
        self._bank = bank

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()

    async def ask(self, *bodies: Body | bytes, path: str, **headers: str) -> list[int]:
        """The statuses of calls that come one after the other on one connection, each read to its end."""
        statuses = []
        async with self.connection() as (reader, writer):
            for body in bodies:
                writer.write(self._request(body, path, headers))
                head = await reader.readuntil(b"\r\n\r\n")
                _, has_length, rest = head.lower().partition(b"content-length: ")
                if has_length:
                    await reader.readexactly(int(rest.partition(b"\r\n")[0]))
                else:
                    await reader.readuntil(b"\r\n0\r\n\r\n")
                statuses.append(int(head.split()[1]))
        return statuses

    async def leave(self, body: Body, *, path: str) -> None:
        """Ask, and hang up when the answer has begun."""
        async with self.connection() as (reader, writer):
            writer.write(self._request(body, path, {}))
            await reader.readuntil(b"\r\n\r\n")

    async def hang_up(self, body: Body, *, path: str) -> None:
        """Ask, and hang up when the upstream has been asked."""
        before = await in_thread(self._bank.calls_received)
        async with self.connection() as (_, writer):
            writer.write(self._request(body, path, {}))
            await writer.drain()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(await in_thread(self._bank.calls_received)) == len(before):
                    await asyncio.sleep(0.005)

    def _request(self, body: Body | bytes, path: str, headers: dict[str, str]) -> bytes:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        sent = {"host": "x", "authorization": f"Bearer {self._key}", "content-length": str(len(raw))} | headers
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items())
        return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + raw


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme with three models, a cascade over them, a cache, and a model that no budget is left for."""
    acme = committed_world.acme
    make_models(acme, base_url=bank.base_url)
    make_catalog(acme, base_url=bank.base_url, model="spent")
    make_catalog(acme, base_url=bank.base_url, model="claude", kind=UpstreamKind.ANTHROPIC)
    make_catalog(acme, base_url=f"http://127.0.0.1:{find_free_port()}/v1", model="away")
    make_route(acme, RouteKind.CASCADE, ["small", "large"], name="cascade")
    make_budget(acme, "0.000000001", scope=BudgetScope.MODEL, subject="spent")
    make_budget(acme, "100.00")
    make_policy(acme)
    with org_scope(acme.org_id):
        update_organization(actor=acme.owner, answers_kept_hours=1)
    make_known(acme)
    return acme


Act = Callable[[Caller], Awaitable[list[int]]]


def asks(
    path: str = CHAT, *, status: int = 200, raw: bytes = b"", headers: dict[str, str] | None = None, **fields: Any
) -> Act:
    """So many calls on one connection, each with a text of its own."""

    async def act(caller: Caller) -> list[int]:
        bodies = [raw or fields | _said(path, f"{uuid4()}") for _ in range(CALLS)]
        found = await caller.ask(*bodies, path=path, **(headers or {}))
        assert found == [status] * CALLS
        return found

    return act


def _said(path: str, text: str) -> Body:
    return {"input": text} if path in {RESPONSES, EMBEDDINGS} else {"messages": [{"role": "user", "content": text}]}


async def ask_the_same(caller: Caller) -> list[int]:
    """The first is asked, the others are answered from the cache."""
    return await caller.ask(*[chat(messages=[{"role": "user", "content": f"{uuid4()}"}])] * CALLS, path=CHAT)


async def ask_once(caller: Caller) -> list[int]:
    """The first is asked, the others get its answer again."""
    return await caller.ask(*[chat()] * CALLS, path=CHAT, idempotency_key=f"{uuid4()}")


async def ask_at_once(caller: Caller) -> list[int]:
    """One is asked, those that come meanwhile get its answer."""
    body = chat(messages=[{"role": "user", "content": f"{uuid4()}"}], bank={"first_ms": 50})
    return [
        status
        for found in await asyncio.gather(*(caller.ask(body, path=CHAT) for _ in range(CALLS)))
        for status in found
    ]


async def leave_a_stream(caller: Caller) -> list[int]:
    """The caller hangs up when the first bytes are there."""
    for _ in range(CALLS):
        await caller.leave(chat(stream=True, max_tokens=50, bank={"output_tokens": 50, "pace_ms": 5}), path=CHAT)
    return []


async def leave_before_an_answer(caller: Caller) -> list[int]:
    """The caller hangs up while the upstream thinks."""
    for _ in range(CALLS):
        await caller.hang_up(
            chat(messages=[{"role": "user", "content": f"{uuid4()}"}], bank={"first_ms": 10_000}), path=CHAT
        )
    return []


def _naming(part: Body, **fields: Any) -> bytes:
    """A body whose message has a part that names a file."""
    return orjson.dumps({"model": "small", "messages": [{"role": "user", "content": [part]}], **fields})


KINDS: Final[dict[str, Act]] = {
    "json": asks(model="small"),
    "stream": asks(model="small", stream=True),
    "messages": asks(MESSAGES, model="small", max_tokens=9),
    "messages-stream": asks(MESSAGES, model="small", max_tokens=9, stream=True),
    "responses": asks(RESPONSES, model="small"),
    "responses-stream": asks(RESPONSES, model="small", stream=True),
    "embeddings": asks(EMBEDDINGS, model="small"),
    "background": asks(RESPONSES, model="small", background=True),
    "cached": ask_the_same,
    "at-once": ask_at_once,
    "cascade": asks(model="cascade", bank={"logprob": UNSURE}),
    "cascade-stream": asks(model="cascade", bank={"logprob": UNSURE}, stream=True),
    "idempotent": ask_once,
    "no-budget": asks(model="spent", status=402),
    "no-such-model": asks(model="none", status=404),
    "no-such-file": asks(raw=_naming({"type": "file", "file": {"file_id": NO_FILE}}), status=404),
    "no-place-for-a-file": asks(
        MESSAGES, raw=_naming({"type": "container_upload", "file_id": NO_FILE}, max_tokens=9), status=400
    ),
    "no-json": asks(raw=b"{", status=400),
    "no-key": asks(headers={"authorization": "Bearer sk-none"}, model="small", status=401),
    "upstream-refuses": asks(model="small", bank={"fault": "http_error", "status": 400}, status=400),
    "upstream-breaks": asks(model="small", bank={"fault": "http_500"}, status=500),
    "upstream-hangs-up": asks(model="small", bank={"fault": "hang_up"}, status=502),
    "upstream-resets": asks(model="small", bank={"fault": "reset", "at": 3}, status=502),
    "upstream-says-nothing": asks(model="small", bank={"fault": "not_json"}, status=502),
    "upstream-breaks-a-stream": asks(model="small", bank={"fault": "reset", "at": 3}, stream=True),
    "upstream-ends-a-stream-early": asks(model="small", bank={"fault": "eof", "at": 3}, stream=True),
    "upstream-errs-in-a-stream": asks(model="small", bank={"fault": "error_event", "at": 3}, stream=True),
    "upstream-errs-at-once": asks(model="small", bank={"fault": "error_event", "at": 0}, stream=True),
    "upstream-is-away": asks(model="away", status=502),
    "unlike-its-length": asks(model="small", bank={"fault": "wrong_content_length"}, status=502),
    "caller-leaves-a-stream": leave_a_stream,
    "caller-leaves-early": leave_before_an_answer,
}


def test_a_call_leaves_nothing(acme: Tenant, bank: Bank) -> None:
    """Of whichever kind, and however it ends; nor does its connection when it closes, nor the upstream's."""
    found: dict[str, dict[str, int]] = {}

    async def act() -> None:
        async with running() as app, serve(app) as server:
            caller = Caller(acme.api_key, server.port, bank)

            async def call(kind: str) -> None:
                await KINDS[kind](caller)
                await until(lambda: not server.tasks)
                await written(app)
                server.connections.clear()

            for kind in KINDS:
                # What the first call of a process makes, and keeps, is none of a call's.
                await call(kind)
                tasks = asyncio.all_tasks()
                with circles() as left:
                    await call(kind)
                found[kind] = left | Counter(f"task {task.get_coro()}" for task in asyncio.all_tasks() - tasks)

    # What is there already is left out of the search, as it is in a worker, and in this run (tests/order.py).
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(act())
    assert {kind: left for kind, left in found.items() if left} == {}


def test_what_is_left_in_a_circle_is_seen() -> None:
    """A circle of ours, planted."""
    with circles() as left:
        app: Any = App()
        app.itself = app
        del app
    assert left == {"App App": 1}
