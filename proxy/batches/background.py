"""Responses that run in the background: taken at once, asked by a worker next, shown and cancelled by their ids.

One is a call with a deadline that is asked at once, so that a proxy or a worker that is killed loses neither its money
nor its answer. When it is out, its answer is kept like that of any other response.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import UUID

import orjson

from costhub.lib.secrets import UnusableCredential
from proxy import stored
from proxy.answers import store
from proxy.answers.archive import ask_database, not_found
from proxy.answers.store import Kind, Stored
from proxy.batches import pools
from proxy.batches.database import in_database
from proxy.batches.ids import RESPONSE, name_response
from proxy.batches.model import Batch, BatchLine
from proxy.batches.telling import Piece, hear, read_told
from proxy.call import Call
from proxy.core import exact_json
from proxy.core.deadlines import DeadlineCannotBeKept, NoRoomToWait
from proxy.dialects import dialect_of, openai_responses
from proxy.edges.entry import Entry
from proxy.edges.reply import Reply
from proxy.edges.told import forget_told, tell_end
from proxy.errors import GovernanceUnavailable, InvalidRequest, NotFound, RateLimited
from proxy.values.answer import Answer
from proxy.values.request import Endpoint, Request
from proxy.wiring import Edges
from tenants.sealed_rows import Sealer
from tenants.snapshots import KeySnapshot

Json = dict[str, Any]
Query = Mapping[str, list[str]]
#: after such a silence a stream says that it lives, and it is looked whether it is out
_SILENCE_SECONDS: Final = 20.0

#: by then it has been asked, or has failed
WITHIN: Final = timedelta(hours=24)
_RESPONSES: Final = "/v1/responses/"
_UNDER_WAY: Final = frozenset({"queued", "in_progress"})
_MOST_DIGITS: Final = 9
#: in a line whose answer is kept elsewhere
_KEPT: Final = "is_kept"
_MOMENT_BITS: Final = 80


def check_background(request: Request, answers_kept_hours: int) -> None:
    """Raise InvalidRequest for a response that nobody could ask for later."""
    assert request.original is not None, "a response"
    body = request.original.body
    if body.get("store") is False:
        raise InvalidRequest("A response that runs in the background is kept: leave store out.", param="store")
    if body.get("background_options") is not None:
        raise InvalidRequest(
            "A response in the background is asked here within seconds: leave background_options out, or give"
            " x-costhub-deadline in the place of background.",
            param="background_options",
        )
    if not answers_kept_hours:
        raise InvalidRequest(
            "Answers are not kept in this organisation, so that nobody could ask for one later: leave background out, or"
            " have an admin set for how long answers are kept.",
            param="background",
        )


def refuse_crowded(error: DeadlineCannotBeKept) -> RateLimited:
    """The error of a response for which there is no time or room among all that wait: its caller has set no deadline,
    and has only to come again when some of them are out."""
    seconds = -(-error.late_ms // 1000)
    why = (
        "So many calls of this organisation wait for the model's upstream that this response could not be made within"
        f" {WITHIN // timedelta(hours=1)} hours. Try again in {seconds} s, or leave background out."
    )
    return RateLimited(
        error.message if isinstance(error, NoRoomToWait) else why,
        param="background",
        code="background_full",
        headers={"retry-after": str(seconds)},
    )


def write_line(request: Request, *, is_kept: bool = True) -> bytes:
    """What a worker asks: with all that was said before it, so that it is what was priced. ``is_kept``: its answer goes
    where kept answers are."""
    assert request.original is not None, "a response"
    left_out = {"background", "stream_options"}
    body = {name: value for name, value in request.original.body.items() if name not in left_out}
    return exact_json.dumps(body if is_kept else body | {"store": False})


def show_taken(call_id: str, request: Request, created_ms: int) -> bytes:
    """What who has handed one in is told."""
    assert request.original is not None, "a response"
    body = {**request.original.body, "store": True}
    return orjson.dumps(_describe(call_id, request.model, body, created_ms, "queued"))


def render(endpoint: Endpoint, request: Request, answer: Answer, entry: Entry) -> bytes:
    """An answer that a worker has got, in its caller's form."""
    if request.original is None or request.wire is entry.wire:
        return answer.body
    translation = dialect_of(endpoint).make_translation(request, entry.request_id, entry.started_at_ms)
    assert translation is not None, "another form"
    return translation.whole(answer.body, answer.usage)


async def keep(line: BatchLine, request: Request, body: bytes, key: KeySnapshot, entry: Entry) -> bytes:
    """Keep the answer, under the id that its caller knows, as long as any other. Gives what the line has of it: where
    it could not be kept, all of it."""
    answer = exact_json.loads_rounded(body)
    assert isinstance(answer, dict), "a response"
    answer |= {"id": name_response(line.custom_id), "background": True, "store": True}
    given = answer.get("metadata")
    asked = openai_responses.list_input(request)
    kept = Stored(answer["id"], answer, asked, given if isinstance(given, dict) else {})
    # Switched off meanwhile it is kept for as short as can be: somebody was promised it.
    hours = entry.org.answers_kept_hours or 1
    keeping = partial(
        store.keep, key, Kind.RESPONSE, kept, model=request.model, end_user=entry.row["end_user"], hours=hours
    )
    try:
        is_kept = await ask_database(keeping)
    except (GovernanceUnavailable, InvalidRequest, UnusableCredential):
        is_kept = False
    return exact_json.dumps({"id": answer["id"], _KEPT: True} if is_kept else answer)


async def show_response(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """A response that was kept, or one that runs in the background. Raises NotFound."""
    line = await _find(call, edges, answer_id)
    if line is None:
        return await stored.show_response(call, edges, answer_id, query)
    if line.state == pools.DONE and line.cancelled_at is None:
        # What came out while its caller cancelled it stays cancelled.
        with suppress(NotFound):
            return await stored.show_response(call, edges, answer_id, query)
    return await _show(line)


def is_stream(path: str, query_string: bytes) -> bool:
    """Whether somebody wants to listen to a response that is there, or runs in the background."""
    if not path.startswith(_RESPONSES) or "/" in path.removeprefix(_RESPONSES):
        return False
    return parse_qs(query_string.decode("latin-1")).get("stream") == ["true"]


async def stream_response(call: Call, edges: Edges, path: str, query_string: bytes, reply: Reply) -> None:
    """Send a response as events, as it is made or was made; only those behind ``starting_after``. Raises NotFound, and
    InvalidRequest where that is no number."""
    answer_id, query = path.removeprefix(_RESPONSES), parse_qs(query_string.decode("latin-1"))
    after = query.get("starting_after", ["-1"])[0]
    if not after.removeprefix("-").isdecimal() or len(after) > _MOST_DIGITS:
        raise InvalidRequest("starting_after must be the number of an event.", param="starting_after")
    await listen(call, edges, answer_id, reply, max(-1, int(after)))


async def listen(call: Call, edges: Edges, answer_id: str, reply: Reply, after: int = -1) -> None:
    """Send the events of a response that come after one. Raises NotFound."""
    response = await show_response(call, edges, answer_id, {})
    _, org = await edges.auth.admit(call)
    whose = (edges.valkey, org.shard, _name_of(answer_id), Sealer(org.id, org.data_key))
    await reply.begin(200, {"content-type": "text/event-stream", "x-request-id": call.id})
    reply.render_error_event = openai_responses.render_error_event
    opening = openai_responses.tell_opening(response)
    await reply.chunk(b"".join(opening[after + 1 :]))
    heard = _Heard(after)
    if response.get("status") not in _UNDER_WAY:
        for piece in await read_told(*whose):
            await reply.chunk(heard.take(piece))
    else:
        async for heard_piece in hear(*whose, _SILENCE_SECONDS):
            if heard_piece is not None:
                await reply.chunk(heard.take(heard_piece))
                continue
            await reply.chunk(b": it runs\n\n")
            response = await show_response(call, edges, answer_id, {})
            if response.get("status") not in _UNDER_WAY:
                break
        response = await show_response(call, edges, answer_id, {})
    await reply.end(heard.end(response))


class _Heard:
    """What a listener has been told of a response, who wants the events that come ``after`` one."""

    def __init__(self, after: int) -> None:
        self._after = after
        # Where its call was asked a second time, other words may have come: these are told by its end alone.
        self._by = ""
        self._next = openai_responses.OPENING
        self._has_gap = False

    def take(self, piece: Piece) -> bytes:
        """The events of a piece that are new to the listener."""
        self._by = self._by or piece.by
        if piece.by != self._by:
            return b""
        if piece.first != self._next:
            # Nor is what follows words that were lost, or found no room.
            self._has_gap = True
            return b""
        self._next = piece.next
        return piece.behind(self._after)

    def end(self, response: Json) -> bytes:
        """The last of all, or where nothing was told while it was made, what it says."""
        if self._by:
            if self._next <= self._after and not self._has_gap:
                return b""
            # Behind a gap nobody knows how far one was who comes back: the last one he is told once more.
            return openai_responses.tell_end(response, max(self._next, self._after + 1))
        rest = openai_responses.tell_rest(response)
        # One who was further may have heard it as it was made, in more events than these: the last one tells it all.
        return b"".join(rest[max(0, self._after + 1 - openai_responses.OPENING) :] or rest[-1:])


async def cancel_response(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """Cancel a response that runs in the background; one that is cancelled already is shown. Raises NotFound, and
    InvalidRequest for one that has ended, or never ran so."""
    line = await _find(call, edges, answer_id)
    if line is None:
        return await stored.cancel_response(call, edges, answer_id, query)
    if not await in_database(pools.cancel, line):
        raise InvalidRequest("This response has ended, and cannot be cancelled any more.", code="not_cancellable")
    _, org = await edges.auth.admit(call)
    tell_end(edges.valkey, org.shard, line.custom_id)
    return await _show(line)


async def delete_response(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """Forget a response. Raises NotFound, and InvalidRequest for one that still runs."""
    line = await _find(call, edges, answer_id)
    if line is None:
        return await stored.delete_response(call, edges, answer_id, query)
    if line.answer is None:
        raise InvalidRequest("This response still runs: cancel it first.", code="not_deletable")
    await in_database(pools.forget_answer, line)
    _, org = await edges.auth.admit(call)
    forget_told(edges.valkey, org.shard, line.custom_id)
    try:
        return await stored.delete_response(call, edges, answer_id, query)
    except NotFound:
        # It failed, or was cancelled, so that nothing of it was kept.
        return {"id": answer_id, "object": "response", "deleted": True}


async def list_input_items(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """What a response was asked, also one that is not out yet. Raises NotFound."""
    line = await _find(call, edges, answer_id)
    if line is None or line.answer is not None:
        return await stored.list_input_items(call, edges, answer_id, query)
    asked, _ = await in_database(_read_asked, line)
    return stored.show_input_items(openai_responses.list_items(asked.get("input")), query)


def _name_of(answer_id: str) -> str:
    """The id of the call that a response was, if it ran in the background."""
    try:
        return str(UUID(answer_id.removeprefix(RESPONSE)))
    except ValueError:
        return answer_id


async def _find(call: Call, edges: Edges, answer_id: str) -> BatchLine | None:
    key, _ = await edges.auth.admit(call)
    if not answer_id.startswith(RESPONSE):
        return None
    try:
        name = UUID(answer_id.removeprefix(RESPONSE))
    except ValueError:
        return None
    line: BatchLine | None = await in_database(pools.find, key, name)
    return line if line is not None and line.is_background else None


async def _show(line: BatchLine) -> Json:
    asked, model = await in_database(_read_asked, line)
    error = None
    if line.cancelled_at is not None:
        status = "cancelled"
    elif line.answer is None:
        status = "queued" if line.state == pools.WAITING else "in_progress"
    else:
        told = orjson.loads(bytes(line.answer))
        if line.state == pools.DONE:
            answer: Json = told["response"]["body"]
            if _KEPT in answer:
                # It was, and its time is over.
                raise not_found("response", answer["id"])
            return answer
        status, error = "failed", _read_error(told)
    created_ms = UUID(line.custom_id).int >> _MOMENT_BITS
    return _describe(line.custom_id, model, asked, created_ms, status, error)


def _read_asked(line: BatchLine) -> tuple[Json, str]:
    """What it asks, as long as that is kept, and of which model."""
    raw, model = pools.read_asked(line)
    asked = exact_json.loads_rounded(raw) if raw else {}
    return (asked if isinstance(asked, dict) else {}), model


def _read_error(told: Json) -> Json:
    response, error = told.get("response"), told.get("error")
    if isinstance(response, dict) and isinstance(response.get("body"), dict):
        error = response["body"].get("error")
    found = error if isinstance(error, dict) else {}
    return {"code": str(found.get("code") or "server_error"), "message": str(found.get("message") or "It failed.")}


def _describe(call_id: str, model: str, asked: Json, created_ms: int, status: str, error: Json | None = None) -> Json:
    shown = openai_responses.describe(name_response(call_id), model, asked, created_ms, status)
    return {**shown, "background": True, "store": True, "error": error}


def is_background(batch: Batch) -> bool:
    """Whether the calls of a pool run in the background: they are asked at once, and none of them with a deadline."""
    is_of_responses = batch.is_pool and batch.endpoint == f"/v1/{Endpoint.RESPONSES.value}"
    return is_of_responses and pools.HOUR not in batch.row
