"""What of a call's answer is kept, and what an earlier one adds to a call."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import orjson
from django.conf import settings
from django.db import DataError
from django.db import Error as AnyDatabaseError

from costhub.lib.secrets import UnusableCredential
from proxy.answers import store
from proxy.answers.store import Kind, Stored
from proxy.core.chat_stream import assemble, read_chunks
from proxy.dialects import openai_responses
from proxy.edges.database_threads import DATABASE_THREADS
from proxy.edges.entry import Entry
from proxy.errors import GovernanceUnavailable, InvalidRequest, NotFound
from proxy.values.request import Operation, Request, Wire

Json = dict[str, Any]
Keep = Callable[[bytes], Awaitable[None]]

_log = logging.getLogger(__name__)
_EARLIER: Final = "previous_response_id"
#: what ends a stream of a response: it has all of it
_ENDINGS: Final = ("response.completed", "response.incomplete")


def continues(request: Request) -> bool:
    """Whether a request names an earlier response, which ``recall`` waits for."""
    return request.wire is Wire.RESPONSES and bool(request.original and request.original.body.get(_EARLIER))


async def recall(request: Request, entry: Entry) -> Request:
    """The request as it is priced and sent: with the turns of the earlier response that it refers to, and with what
    happens to its own answer. Raises InvalidRequest where there is no such response, and GovernanceUnavailable while
    that cannot be known."""
    if request.original is None or request.wire is not Wire.RESPONSES:
        return request
    if continues(request):
        earlier = request.original.body[_EARLIER]
        continued = await ask_database(partial(_continue, request, entry, earlier))
        if continued is None:
            kept = " Answers are not kept in this organisation." if not entry.org.answers_kept_hours else ""
            raise InvalidRequest(
                f"Previous response with id '{earlier}' not found.{kept}",
                param=_EARLIER,
                code="previous_response_not_found",
            )
        request = continued
    if request.is_compacting:
        return openai_responses.summarise(request)
    return openai_responses.store_as(request, is_stored=_wants(request, entry))


def make_archive(request: Request, entry: Entry) -> Keep | None:
    """What keeps the answer to a request, given all that its caller is sent; None where nobody wants that."""
    if not _wants(request, entry):
        return None
    if request.wire is Wire.RESPONSES:
        return partial(_keep_response, request, entry)
    return partial(_keep_completion, request, entry)


async def ask_database(ask: Callable[[], Any]) -> Any:
    """What a blocking question comes to. Raises GovernanceUnavailable while the database does not answer, and
    InvalidRequest for what it cannot hold."""

    def run() -> Any:
        try:
            return ask()
        finally:
            store.close_connection()

    try:
        return await DATABASE_THREADS.run(run)
    except DataError as error:
        raise InvalidRequest("An id or a text of this request holds a NUL: leave it out.") from error
    except AnyDatabaseError as error:
        raise GovernanceUnavailable("Kept answers cannot be read at the moment. Try again.") from error


def not_found(what: str, answer_id: str) -> NotFound:
    """The error for an answer that is not there, or is somebody else's."""
    return NotFound(f"There is no {what} with the id {answer_id[:100]!r}.", code=f"{what}_not_found")


def _wants(request: Request, entry: Entry) -> bool:
    if not entry.org.answers_kept_hours or request.operation is not Operation.CHAT:
        return False
    if request.original is None:
        return request.body.get("store") is True
    # Of Responses it is the usual thing.
    return request.wire is Wire.RESPONSES and request.original.body.get("store") is not False


def _continue(request: Request, entry: Entry, earlier: str) -> Request | None:
    """The request with an earlier response before it; None where there is no such response. Not on the loop: what was
    said before may be as long as any body."""
    found = store.find(entry.key, Kind.RESPONSE, earlier)
    if found is None:
        return None
    said = [*found.asked, *_list_output(found.answer)]
    return openai_responses.continue_request(request, said, settings.MAX_BODY_BYTES)


async def _keep_response(request: Request, entry: Entry, told: bytes) -> None:
    def read() -> tuple[Json | None, list[Json]]:
        answer = _find_response(told) if request.is_stream else _read(told)
        if answer is not None:
            answer = {name: value for name, value in answer.items() if name != "costhub"} | {"store": True}
        return answer, openai_responses.list_input(request)

    await _keep(Kind.RESPONSE, read, request, entry)


async def _keep_completion(request: Request, entry: Entry, told: bytes) -> None:
    def read() -> tuple[Json | None, list[Json]]:
        return assemble(read_chunks(told)) if request.is_stream else _read(told), request.body["messages"]

    await _keep(Kind.COMPLETION, read, request, entry)


async def _keep(kind: Kind, read: Callable[[], tuple[Json | None, list[Json]]], request: Request, entry: Entry) -> None:
    def keep() -> None:
        answer, asked = read()
        name = None if answer is None else answer.get("id")
        if answer is None or not isinstance(name, str) or not name:
            return
        given = (request.body if request.original is None else request.original.body).get("metadata")
        store.keep(
            *(entry.key, kind, Stored(name, answer, asked, given if isinstance(given, dict) else {})),
            model=request.model,
            end_user=entry.row["end_user"],
            hours=entry.org.answers_kept_hours,
        )

    try:
        # Beside the loop: an answer and what it was asked may be long.
        await ask_database(keep)
    except (GovernanceUnavailable, InvalidRequest, UnusableCredential, ValueError, TypeError):
        # The answer was made and paid for: it is given, and not kept.
        _log.warning("an answer could not be kept", extra={"request_id": entry.request_id})


def _find_response(told: bytes) -> Json | None:
    """The last event's response."""
    for event in reversed(read_chunks(told)):
        response = event.get("response")
        if event.get("type") in _ENDINGS and isinstance(response, dict):
            return response
    return None


def _read(told: bytes) -> Json | None:
    try:
        answer = orjson.loads(told)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


def _list_output(answer: Json) -> list[Json]:
    """What a response said, as items of an input. Thoughts that stand at the provider only are none: nothing is kept
    there, and an item that it does not find is refused."""
    output = answer.get("output")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    return [
        item
        for item in items
        if item.get("type") != "reasoning" or item.get("encrypted_content") or item.get("content")
    ]
