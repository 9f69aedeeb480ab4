"""The ASGI edge of the LLM API: a request in, the pipeline's answer out, every error in OpenAI's shape.

Before the first byte an error is JSON with its status; after it, an event in the stream. A caller who leaves cancels
the call, unless its upstream bills the whole answer anyway and is read to the end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qs

import orjson
from django.conf import settings

from costhub.lib import metrics
from proxy import queries, story
from proxy.call import Call
from proxy.edges.reply import Reply
from proxy.edges.shortcuts import SHORTCUTS, Receive, Send
from proxy.errors import ApiError, MethodNotAllowed, NotFound, UpstreamError
from proxy.pipeline import complete
from proxy.types import Endpoint
from proxy.wiring import Edges, open_edges

_log = logging.getLogger(__name__)

PREFIX: Final = "/v1/"
#: how long a stopping worker waits for its last entries to be written
CLOSING_SECONDS: Final = 10.0
#: how long a stopping worker lets calls in flight come to their end
DRAINING_SECONDS: Final = 20.0

#: how long a call may still take whose caller has left
LEAVE_AFTER_SECONDS: Final = 0.02

_ENDPOINTS: Final = {PREFIX + endpoint.value: endpoint for endpoint in Endpoint}

Scope = Mapping[str, Any]


class InternalError(ApiError):
    """Our own fault."""

    code = "internal_error"
    http_status = 500


class App:
    """``/v1``. ``open`` before the first call, ``close`` after the last."""

    def __init__(self) -> None:
        self._edges: Edges | None = None
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._max_body_bytes: int = settings.MAX_BODY_BYTES

    async def open(self) -> None:
        """Open the edges."""
        self._loop = asyncio.get_running_loop()
        self._edges = await open_edges()

    async def close(self) -> None:
        """Let calls in flight end, cut off what does not, write every entry."""
        if self._in_flight:
            _, late = await asyncio.wait(self._in_flight, timeout=DRAINING_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1)
        if self._edges:
            await self._edges.close(CLOSING_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        assert self._edges is not None, "open() comes first"
        # Without its loop asyncio asks the kernel which process this is, at every call.
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._in_flight.add(task)
        shortcuts = scope.get("extensions", {}).get(SHORTCUTS)
        reply = Reply(send, shortcuts)
        endpoint = _ENDPOINTS.get(scope["path"])
        call: Call | None = None
        try:
            call = Call(scope, receive, endpoint or Endpoint.CHAT, self._max_body_bytes, shortcuts)
            if endpoint is None:
                await _answer_query(scope, call, self._edges, reply)
            elif scope["method"] != "POST":
                raise MethodNotAllowed(f"Use POST for {scope['path']}.", headers={"allow": "POST"})
            else:
                await _serve(call, self._edges, reply, task)
        except ApiError as error:
            await _send_error(error, call.id if call else "", reply)
        except asyncio.CancelledError:
            # The caller has left: nobody is there to be told.
            if not reply.is_gone:
                raise
        except Exception:  # noqa: BLE001 - the last resort: no traceback ever reaches a caller
            _log.exception("a call failed by our own fault", extra={"request_id": call.id if call else ""})
            await _send_error(
                InternalError("CostHub failed to serve this call. It is in our log under its request id."),
                call.id if call else "",
                reply,
            )
        finally:
            self._in_flight.discard(task)


async def _serve(call: Call, edges: Edges, reply: Reply, task: asyncio.Task[Any]) -> None:
    def leave() -> None:
        # Nobody waits for the answer any more. Some upstreams are read to its end all the same; of the others, one that
        # is about to end still tells what it cost.
        reply.is_gone = True
        asyncio.get_running_loop().call_later(LEAVE_AFTER_SECONDS, give_up)

    def give_up() -> None:
        if not call.keeps_going:
            task.cancel()

    call.watch(leave)
    try:
        await complete(call, edges, reply)
    finally:
        call.stop_watching()


async def _answer_query(scope: Scope, call: Call, edges: Edges, reply: Reply) -> None:
    path: str = scope["path"].removeprefix(PREFIX)
    query = parse_qs(scope["query_string"].decode("latin-1"))
    routes: dict[str, tuple[str, Callable[[], Awaitable[dict[str, Any]]]]] = {
        "models": ("GET", lambda: queries.list_models(call, edges)),
        "costhub/estimate": ("POST", lambda: queries.estimate(call, edges)),
        "costhub/budget": ("GET", lambda: queries.show_budget(call, edges, query.get("end_user", [""])[0])),
    }
    found = routes.get(path)
    if found is None and path.startswith("models/"):
        found = ("GET", lambda: queries.get_model(call, edges, path.removeprefix("models/")))
    if found is None and path.startswith("costhub/requests/"):
        found = ("GET", lambda: story.show_request(call, edges, path.removeprefix("costhub/requests/")))
    if found is None:
        raise NotFound(f"There is nothing at {scope['path'][:200]}.", code="unknown_url")
    method, run = found
    if scope["method"] != method:
        raise MethodNotAllowed(f"Use {method} for {scope['path'][:200]}.", headers={"allow": method})
    answer = await run()
    headers = {"content-type": "application/json", "x-request-id": call.id}
    await reply.send(200, headers, orjson.dumps(answer))


async def _send_error(error: ApiError, request_id: str, reply: Reply) -> None:
    # An upstream's own codes are as many as it likes: a label takes only ours.
    metrics.ERRORS.labels(error.code if isinstance(error, UpstreamError) else error.error_code).inc()
    body = orjson.dumps(error.body(request_id))
    # A caller who left meanwhile cannot be told.
    with suppress(OSError, RuntimeError):
        if reply.has_begun:
            await reply.end(b"data: " + body + b"\n\n")
            return
        headers = {"content-type": "application/json", "x-request-id": request_id, **error.headers}
        await reply.send(error.status, headers, body)
