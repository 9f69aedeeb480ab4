"""What callers may do with the answers that were kept for them: Responses, and chat's stored completions."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from proxy.answers import store
from proxy.answers.archive import ask_database, not_found
from proxy.answers.store import Kind, Stored, Wanted
from proxy.call import Call
from proxy.core.body_fields import read_dict, read_object
from proxy.dialects import openai_responses
from proxy.errors import InvalidRequest
from proxy.wiring import Edges
from tenants.snapshots import KeySnapshot

Json = dict[str, Any]
Query = Mapping[str, list[str]]

_MOST_LISTED: Final = 100
_USUAL_LISTED: Final = 20
_MOST_DIGITS: Final = 3
_MOST_PAIRS: Final = 16
_MOST_NAME: Final = 64
_MOST_VALUE: Final = 512


async def show_response(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """A stored response. Raises NotFound."""
    key = await _authenticate(call, edges)
    return (await _get(key, Kind.RESPONSE, answer_id)).answer


async def delete_response(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """Forget a response. Raises NotFound."""
    key = await _authenticate(call, edges)
    await _delete(key, Kind.RESPONSE, answer_id)
    return {"id": answer_id, "object": "response", "deleted": True}


async def cancel_response(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """Refuse to cancel a response that has ended. Raises InvalidRequest, and NotFound for an unknown one."""
    key = await _authenticate(call, edges)
    await _get(key, Kind.RESPONSE, answer_id)
    raise InvalidRequest(
        "Only a response that runs in the background can be cancelled, and this one has ended.", code="not_cancellable"
    )


async def list_input_items(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """What a response was asked. Raises NotFound."""
    key = await _authenticate(call, edges)
    return show_input_items((await _get(key, Kind.RESPONSE, answer_id)).asked, query)


def show_input_items(items: Sequence[Json], query: Query) -> Json:
    """A page of what a response was asked. Raises InvalidRequest for a query that makes no sense."""
    limit, is_newest_first = _read_limit(query), _is_newest_first(query, usual=True)
    return _page(openai_responses.show_input(items), limit, query, is_newest_first=is_newest_first)


async def list_completions(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """Stored chats, of one model and with certain metadata if the query asks for that."""
    key = await _authenticate(call, edges)
    metadata = {
        name.removeprefix("metadata[").removesuffix("]"): values[0]
        for name, values in query.items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    wanted = Wanted(
        limit=_read_limit(query),
        is_newest_first=_is_newest_first(query, usual=False),
        after=query.get("after", [""])[0],
        model=query.get("model", [""])[0],
        metadata=metadata,
    )
    found, has_more = await ask_database(partial(store.list_answers, key, Kind.COMPLETION, wanted))
    return _list([_show_completion(stored) for stored in found], has_more=has_more)


async def show_completion(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """A stored chat. Raises NotFound."""
    key = await _authenticate(call, edges)
    return _show_completion(await _get(key, Kind.COMPLETION, answer_id))


async def update_completion(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """Replace the metadata of a stored chat. Raises NotFound, and InvalidRequest for what is no metadata."""
    key = await _authenticate(call, edges)
    body = read_object(await call.body())
    if unknown := sorted(body.keys() - {"metadata"}):
        raise InvalidRequest(f"Of a kept completion only its metadata changes, and not {unknown[0]}.", param=unknown[0])
    metadata = _check_metadata(read_dict(body, "metadata"))
    stored = await ask_database(partial(store.set_metadata, key, Kind.COMPLETION, answer_id, metadata))
    if stored is None:
        raise not_found("completion", answer_id)
    return _show_completion(stored)


async def delete_completion(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """Forget a chat. Raises NotFound."""
    key = await _authenticate(call, edges)
    await _delete(key, Kind.COMPLETION, answer_id)
    return {"object": "chat.completion.deleted", "id": answer_id, "deleted": True}


async def list_messages(call: Call, edges: Edges, answer_id: str, query: Query) -> Json:
    """What a chat was asked. Raises NotFound."""
    key = await _authenticate(call, edges)
    limit, is_newest_first = _read_limit(query), _is_newest_first(query, usual=False)
    stored = await _get(key, Kind.COMPLETION, answer_id)
    messages = [{"id": f"{answer_id}-{place}", **message} for place, message in enumerate(stored.asked)]
    return _page(messages, limit, query, is_newest_first=is_newest_first)


async def _authenticate(call: Call, edges: Edges) -> KeySnapshot:
    key, _ = await edges.auth.admit(call)
    return key


async def _get(key: KeySnapshot, kind: Kind, answer_id: str) -> Stored:
    found: Stored | None = await ask_database(partial(store.find, key, kind, answer_id))
    if found is None:
        raise not_found(kind.value, answer_id)
    return found


async def _delete(key: KeySnapshot, kind: Kind, answer_id: str) -> None:
    if not await ask_database(partial(store.delete, key, kind, answer_id)):
        raise not_found(kind.value, answer_id)


def _show_completion(stored: Stored) -> Json:
    return {**stored.answer, "metadata": stored.metadata}


def _check_metadata(metadata: Json) -> Json:
    if len(metadata) > _MOST_PAIRS:
        raise InvalidRequest(f"metadata may have {_MOST_PAIRS} pairs at most.", param="metadata")
    for name, value in metadata.items():
        if not isinstance(value, str) or len(name) > _MOST_NAME or len(value) > _MOST_VALUE or "\0" in name + value:
            raise InvalidRequest(
                f"metadata has names of {_MOST_NAME} and texts of {_MOST_VALUE} characters at most.", param="metadata"
            )
    return metadata


def _read_limit(query: Query) -> int:
    given = query.get("limit", [str(_USUAL_LISTED)])[0]
    if not (given.isascii() and given.isdecimal() and len(given) <= _MOST_DIGITS and 1 <= int(given) <= _MOST_LISTED):
        raise InvalidRequest(f"limit must be a whole number from 1 to {_MOST_LISTED}.", param="limit")
    return int(given)


def _is_newest_first(query: Query, *, usual: bool) -> bool:
    order = query.get("order", ["desc" if usual else "asc"])[0]
    if order not in ("asc", "desc"):
        raise InvalidRequest("order must be asc or desc.", param="order")
    return order == "desc"


def _page(items: list[Json], limit: int, query: Query, *, is_newest_first: bool) -> Json:
    ordered = items[::-1] if is_newest_first else items
    if after := query.get("after", [""])[0]:
        place = next((number for number, item in enumerate(ordered) if item.get("id") == after), len(ordered))
        ordered = ordered[place + 1 :]
    return _list(ordered[:limit], has_more=len(ordered) > limit)


def _list(items: list[Json], *, has_more: bool) -> Json:
    first, last = (items[0].get("id"), items[-1].get("id")) if items else (None, None)
    return {"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": has_more}
