"""What our own servers of models share: an upstream in OpenAI's form, which the proxy asks as any other one.

Who asks is known by the credential that is stored for the upstream, and reaches its own organisation's models alone. No
event loop waits for the database: one thread reads, and what it found is believed for a second.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import orjson
import uvicorn
from django.db import close_old_connections, connections

from costhub.lib import clock
from proxy.learning.upstream_credentials import read_credential
from tenants.access import org_scope

_log = logging.getLogger(__name__)

#: after which a model is read anew: one that was withdrawn answers no longer than that
FRESH_SECONDS: Final = 1.0
#: how often it is looked what was withdrawn: nothing of it stays in memory longer, whether anybody calls it or not
SWEEP_SECONDS: Final = 5.0
_MOST_KNOWN: Final = 1_000
_NAME_CHARACTERS: Final = 200
#: how long a stop waits for the thread
_CLOSE_SECONDS: Final = 1.0

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
#: status, content type, body
Answer = tuple[int, str, bytes]
Key = tuple[UUID, str]
Known = TypeVar("Known")


class OwnUpstream(ABC, Generic[Known]):
    """An ASGI application. ``what`` is what it serves, in the plural; ``most_bytes`` the longest body that it reads."""

    def __init__(self, pepper: bytes, *, what: str, most_bytes: int) -> None:
        self._pepper = pepper
        self._what = what
        self._most_bytes = most_bytes
        self._known: OrderedDict[Key, tuple[int, Known | None]] = OrderedDict()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=what.replace(" ", "-"))
        self._sweeping: asyncio.Task[None] | None = None
        self.calls = 0

    @abstractmethod
    def load(self, org_id: UUID, name: str) -> Known | None:
        """A model of the open organisation as it is now; None where there is none. In the thread."""

    @abstractmethod
    def list_names(self, org_id: UUID) -> Sequence[str]:
        """The models of the open organisation that answer. In the thread."""

    @abstractmethod
    async def complete(
        self, key: Key, known: Known | None, body: dict[str, Any], call_id: str, send: Send
    ) -> Answer | None:
        """Answer a chat's call; None where it has been sent already."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        if scope["type"] != "http":
            return
        self.calls += 1
        try:
            answer = await self._answer(scope, receive, send)
        finally:
            self.calls -= 1
        if answer is not None:
            status, content_type, body = answer
            headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def sweep(self) -> None:
        """Let go of what was withdrawn, trained anew, or is gone: of whatever is too old to be believed, to begin
        with."""
        self._known = OrderedDict((key, one) for key, one in self._known.items() if _is_fresh(one[0]))

    async def open(self) -> None:
        """Begin to sweep, beside the calls."""
        self._sweeping = asyncio.create_task(self._sweep_on())

    async def close(self) -> None:
        """End the thread, and its connection to the database."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        closing = asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)
        await asyncio.wait([closing], timeout=_CLOSE_SECONDS)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do something in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except Exception:  # noqa: BLE001 - such as a database that is away for a moment
                _log.exception("what was withdrawn could not be looked for")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.startup":
                await self.open()
            if kind == "lifespan.shutdown":
                await self.close()
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        route = (scope["method"], scope["path"])
        if route == ("GET", "/metrics"):
            # As llama.cpp tells it, for whoever has the server drain: this question is one of them.
            return 200, "text/plain; version=0.0.4", f"llamacpp:requests_processing {self.calls - 1}\n".encode()
        headers = dict(scope["headers"])
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        org_id = read_credential(authorization.removeprefix("Bearer "), self._pepper)
        if org_id is None:
            return refuse(401, "Give the credential that CostHub has stored for this upstream.", "invalid_api_key")
        if route == ("GET", "/v1/models"):
            names = await self.run(_in_scope, self.list_names, org_id)
            return _json(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})
        what = self._what.capitalize()
        if route != ("POST", "/v1/chat/completions"):
            return refuse(404, f"{what} answer /v1/chat/completions and /v1/models.", "not_found")
        raw = await read_body(receive, self._most_bytes)
        if raw is None:
            return refuse(413, f"{what} read at most {self._most_bytes:,} bytes.", "body_too_large")
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            return refuse(400, f"The body is not valid JSON: {error}.", "invalid_json")
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            return refuse(400, "The body must be an object with a model.", "invalid_request_error")
        key = (org_id, body["model"][:_NAME_CHARACTERS])
        call_id = headers.get(b"x-client-request-id", b"").decode("latin-1")
        return await self.complete(key, await self._find(key), body, call_id, send)

    async def _find(self, key: Key) -> Known | None:
        at_ns, known = self._known.get(key, (0, None))
        if known is not None and _is_fresh(at_ns):
            return known
        found: Known | None = await self.run(_in_scope, self.load, *key)
        self._known[key] = (clock.monotonic_ns(), found)
        self._known.move_to_end(key)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return found


def _is_fresh(at_ns: int) -> bool:
    return clock.monotonic_ns() - at_ns < FRESH_SECONDS * 1_000_000_000


def run_server(app: Callable[..., Awaitable[None]], host: str, port: int, *, stop_seconds: int) -> None:
    """Serve until SIGTERM or SIGINT; calls under way have ``stop_seconds`` to end."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=stop_seconds,
    )


def refuse(status: int, message: str, code: str) -> Answer:
    """An error in OpenAI's form."""
    return _json(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})


def _json(status: int, body: Any) -> Answer:
    return status, "application/json", orjson.dumps(body)


def _in_scope(work: Callable[..., Any], org_id: UUID, *arguments: Any) -> Any:
    close_old_connections()
    with org_scope(org_id):
        return work(org_id, *arguments)


async def read_body(receive: Receive, most_bytes: int) -> bytes | None:
    """A request's body; None where it is longer."""
    parts, size = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > most_bytes:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
