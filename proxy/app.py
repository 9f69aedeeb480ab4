"""The ASGI edge of the LLM API: a request in, the pipeline's answer out, every error in OpenAI's shape.

Before the first byte an error is JSON with its status; after it, an event in the stream. A caller who leaves cancels
the call, unless its upstream bills the whole answer anyway and is read to the end.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from django.conf import settings

from costhub.lib import metrics
from proxy.batches import api as batches
from proxy.batches import background, named_files
from proxy.batches import defer as deferring
from proxy.call import Call
from proxy.core.cors import allow_origin, allow_preflight
from proxy.core.deadlines import HEADER as DEADLINE
from proxy.dialects import anthropic_messages, dialect_of
from proxy.edges.reply import NO_GUESSING, Reply
from proxy.edges.shortcuts import SHORTCUTS, Receive, Send, Shortcuts
from proxy.errors import AnsweredLater, ApiError, FileNamed, MethodNotAllowed, UpstreamError
from proxy.free_calls import answer_free
from proxy.paths import answer_query
from proxy.pipeline import complete
from proxy.values.dialect import Dialect
from proxy.values.request import Endpoint
from proxy.wiring import Edges, open_edges

_log = logging.getLogger(__name__)

PREFIX: Final = "/v1/"
#: how long a stopping worker waits for its last entries to be written
CLOSING_SECONDS: Final = 10.0
#: the server has let calls come to their end (COSTHUB_DRAIN_SECONDS): those that it cut off have so long to be settled
SETTLING_SECONDS: Final = 5.0

#: how long a call may still take whose caller has left
LEAVE_AFTER_SECONDS: Final = 0.02

_ENDPOINTS: Final = {PREFIX + endpoint.value: (endpoint, dialect_of(endpoint)) for endpoint in Endpoint}
_BELOW_MESSAGES: Final = f"{PREFIX}{Endpoint.MESSAGES.value}/"
_NOT_ALLOWED: Final[Mapping[str, str]] = {}

Scope = Mapping[str, Any]


class InternalError(ApiError):
    """An error of our own."""

    code = "internal_error"
    http_status = 500


class App:
    """``/v1``. ``open`` before the first call, ``close`` after the last."""

    def __init__(self) -> None:
        self._edges: Edges | None = None
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._max_body_bytes: int = settings.MAX_BODY_BYTES
        self._origins: frozenset[str] = settings.CORS_ORIGINS

    async def open(self) -> None:
        """Open the edges."""
        self._loop = asyncio.get_running_loop()
        self._edges = await open_edges()
        self._edges.counting.read(settings.VOCABULARIES)

    async def close(self) -> None:
        """Let what was cut off be settled, and write every entry."""
        if self._in_flight:
            _, late = await asyncio.wait(self._in_flight, timeout=SETTLING_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1)
        if self._edges:
            await self._edges.close(CLOSING_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        assert self._edges is not None, "open() comes first"
        shortcuts: Shortcuts | None = scope["extensions"].get(SHORTCUTS) if "extensions" in scope else None
        # Without its loop asyncio asks the kernel which process this is, at every call.
        task = asyncio.current_task(self._loop) if shortcuts is None else shortcuts.task
        assert task is not None
        self._in_flight.add(task)
        reply = Reply(send, shortcuts)
        path: str = scope["path"]
        endpoint, dialect = _ENDPOINTS.get(path) or (None, _dialect_below(path))
        call: Call | None = None
        try:
            call = Call(scope, receive, endpoint or Endpoint.CHAT, self._max_body_bytes, shortcuts)
            if endpoint is None and "anthropic-version" in call.headers:
                # What both vendors have at a path is told in the form of who asks.
                dialect = anthropic_messages
            if dialect is anthropic_messages:
                # The name by which Anthropic's clients show it.
                reply.more_headers = {**NO_GUESSING, "request-id": call.id}
            allowed = _NOT_ALLOWED
            if self._origins and "origin" in call.headers:
                allowed = allow_origin(call.headers["origin"], self._origins)
                reply.more_headers = {**reply.more_headers, **allowed}
            if endpoint is None or scope["method"] != "POST":
                if scope["method"] == "OPTIONS" and allowed:
                    await reply.begin(204, allow_preflight(call.headers))
                    await reply.end(b"")
                else:
                    await _serve_other(scope, call, endpoint, self._edges, reply, task)
            elif DEADLINE in call.headers:
                await _defer(call, self._edges, reply)
            else:
                call.watch(partial(_leave, call, reply, task))
                try:
                    await complete(call, self._edges, reply)
                except AnsweredLater:
                    await _answer_later(call, self._edges, reply)
                except FileNamed:
                    await _complete_with_files(call, self._edges, reply)
        except ApiError as error:
            await _send_error(error, dialect, call.id if call else "", reply)
        except asyncio.CancelledError:
            # The caller has left: nobody is there to be told.
            if not reply.is_gone:
                raise
        except Exception:  # noqa: BLE001 - the last resort: no traceback ever reaches a caller
            _log.exception("a call failed by our own fault", extra={"request_id": call.id if call else ""})
            await _send_error(
                InternalError("CostHub failed to serve this call. It is in our log under its request id."),
                dialect,
                call.id if call else "",
                reply,
            )
        finally:
            self._in_flight.discard(task)
            if call is not None:
                call.stop_watching()


def _dialect_below(path: str) -> Dialect:
    """The format in which errors are told to whoever asks for a path that is no endpoint, such as one below an
    endpoint's."""
    return anthropic_messages if path.startswith(_BELOW_MESSAGES) else dialect_of(None)


async def _defer(call: Call, edges: Edges, reply: Reply) -> None:
    try:
        await deferring.defer(call, edges, reply)
    except FileNamed:
        if await named_files.put(call, edges, reply):
            await deferring.defer(call, edges, reply)


async def _complete_with_files(call: Call, edges: Edges, reply: Reply) -> None:
    if not await named_files.put(call, edges, reply):
        return
    try:
        await complete(call, edges, reply)
    except AnsweredLater:
        await _answer_later(call, edges, reply)


async def _answer_later(call: Call, edges: Edges, reply: Reply) -> None:
    try:
        await deferring.take_later(call, edges, reply)
    except AnsweredLater:
        # It could not be answered by its route's deadline.
        await complete(call, edges, reply, may_wait=False)


async def _serve_other(
    scope: Scope, call: Call, endpoint: Endpoint | None, edges: Edges, reply: Reply, task: asyncio.Task[Any]
) -> None:
    """Serve what asks no model: a stream of a response in the background, files and batches, and questions about what
    there is. Raises MethodNotAllowed, and what those raise."""
    path, method, query = scope["path"], scope["method"], scope["query_string"]
    if method == "GET" and background.is_stream(path, query):
        await _listen(scope, call, edges, reply, task)
    elif batches.is_mine(path):
        await batches.serve(path, method, query, call, edges, reply)
    elif endpoint is None or (method == "GET" and endpoint is Endpoint.CHAT):
        await _answer_query(scope, call, edges, reply)
    else:
        raise MethodNotAllowed(f"Use POST for {path}.", headers={"allow": "POST"})


async def _listen(scope: Scope, call: Call, edges: Edges, reply: Reply, task: asyncio.Task[Any]) -> None:
    call.watch(partial(_leave, call, reply, task))
    # What there is of a body is over: from here on a caller who leaves is noticed.
    await call.body()
    await background.stream_response(call, edges, scope["path"], scope["query_string"], reply)


def _leave(call: Call, reply: Reply, task: asyncio.Task[Any]) -> None:
    """Act on a caller who has left. Some upstreams are read to the end all the same; a call that is about to end still
    tells what it cost; the others are cancelled."""
    reply.is_gone = True
    asyncio.get_running_loop().call_later(LEAVE_AFTER_SECONDS, _give_up, call, task)


def _give_up(call: Call, task: asyncio.Task[Any]) -> None:
    if not call.keeps_going:
        task.cancel()


async def _answer_query(scope: Scope, call: Call, edges: Edges, reply: Reply) -> None:
    path: str = scope["path"].removeprefix(PREFIX)
    ask = partial(answer_query, call, edges, scope["method"], path, scope["query_string"])

    async def answer() -> dict[str, Any]:
        try:
            return await ask()
        except FileNamed:
            # In a body that is counted or priced, and not sent.
            await named_files.put_for_question(call, edges)
            return await ask()

    await answer_free(call, edges, reply, scope["method"], answer)


async def _send_error(error: ApiError, dialect: Dialect, request_id: str, reply: Reply) -> None:
    # An upstream's own codes are as many as it likes: a label takes only ours.
    metrics.ERRORS.labels(error.code if isinstance(error, UpstreamError) else error.error_code).inc()
    # A caller who left meanwhile cannot be told.
    with suppress(OSError, RuntimeError):
        if reply.has_begun:
            await reply.end((reply.render_error_event or dialect.render_error_event)(error, request_id))
            return
        headers = {"content-type": "application/json", "x-request-id": request_id, **error.headers}
        await reply.send(error.status, headers, dialect.render_error(error, request_id))
