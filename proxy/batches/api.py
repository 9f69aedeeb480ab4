"""``/v1/files``, ``/v1/batches`` and ``/v1/messages/batches``: which path does what."""

import re
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

from costhub.lib.objects import Objects
from proxy.batches import files, message_batches, store
from proxy.batches.create import create_batch, read_batch_request
from proxy.batches.database import in_database, store_in_reach
from proxy.batches.defer import show_deferred
from proxy.batches.ids import BATCH, find_id
from proxy.batches.sealed_files import SealedFiles
from proxy.batches.show import show_batch
from proxy.call import Call
from proxy.edges.reply import Reply
from proxy.errors import InvalidRequest, MethodNotAllowed, NotFound
from proxy.free_calls import answer_free
from proxy.wiring import Edges
from tenants.sealed_rows import Sealer
from tenants.snapshots import KeySnapshot

Json = dict[str, Any]

_PATH: Final = re.compile(r"/v1/(files|batches|messages/batches)(?:/([^/]+)(?:/(content|cancel|results))?)?")
_DEFERRED: Final = "/v1/costhub/deferred/"
#: by which Anthropic's clients say which API they speak
_ANTHROPICS: Final = "anthropic-version"


def is_mine(path: str) -> bool:
    """Whether a path is one of these."""
    return path.startswith(_DEFERRED) or _PATH.fullmatch(path) is not None


async def serve(path: str, method: str, query_string: bytes, call: Call, edges: Edges, reply: Reply) -> None:
    """Answer a request to such a path. Raises ApiError."""
    if path.startswith(_DEFERRED):
        if method != "GET":
            raise MethodNotAllowed("Use GET here.", headers={"allow": "GET"})
        await show_deferred(call, edges, path.removeprefix(_DEFERRED), reply)
        return
    found = _PATH.fullmatch(path)
    assert found is not None
    what, name, verb = found.groups()
    objects = edges.objects
    if what == "batches" and name is None and method == "POST":
        await create_batch(call, edges, reply, read_batch_request, show_batch)
        return
    if what == "messages/batches" and name is None and method == "POST":
        await create_batch(call, edges, reply, message_batches.read_request, message_batches.show)
        return
    key, org = await edges.auth.admit(call)
    if what == "files" and _ANTHROPICS in call.headers:
        raise NotFound(
            "Anthropic's Files are not served: put a document into the message itself, as base64 or as text. Or hand it in"
            " at /v1/files as OpenAI's clients do, without the header anthropic-version and with purpose user_data, and"
            " name it as the message's file_id; so may one be named that was uploaded at Anthropic with the upstream's"
            " own credential.",
            code="not_served",
        )
    query = parse_qs(query_string.decode("latin-1"))
    with store_in_reach():
        if what == "files" and verb == "content" and method == "GET":
            stored = SealedFiles(objects, Sealer(org.id, org.data_key))
            await files.send_content(call, key, name, stored, reply)
        elif what == "files" and name is None and method == "POST":
            await files.upload_file(call, key, org, edges, reply)
        elif what == "messages/batches" and verb == "results" and method == "GET":
            stored = SealedFiles(objects, Sealer(org.id, org.data_key))
            await message_batches.send_results(call, key, name, stored, reply)
        else:
            answer = partial(_answer, what, name, verb, method, query, key, objects)
            await answer_free(call, edges, reply, method, answer)


async def _answer(
    what: str,
    name: str | None,
    verb: str | None,
    method: str,
    query: dict[str, list[str]],
    key: KeySnapshot,
    objects: Objects,
) -> Json:
    match what, name, verb, method:
        case "files", None, None, "GET":
            return await files.list_files(key, query)
        case "files", str(), None, "GET":
            return files.show_file(await files.get_file(key, name))
        case "files", str(), None, "DELETE":
            return await files.delete_file(key, name, objects)
        case "batches", None, None, "GET":
            return await _list_batches(key, query)
        case "batches", str(), None, "GET":
            return await _get_batch(key, name)
        case "batches", str(), "cancel", "POST":
            return await _cancel_batch(key, name)
        case "messages/batches", None, None, "GET":
            return await message_batches.list_page(key, query)
        case "messages/batches", str(), None, "GET":
            return message_batches.show(await message_batches.get(key, name), key)
        case "messages/batches", str(), None, "DELETE":
            return await message_batches.delete(key, name, objects)
        case "messages/batches", str(), "cancel", "POST":
            return await message_batches.cancel(key, name)
    allowed = _METHODS.get((what, name is not None, verb))
    if allowed is None:
        raise NotFound(f"There is nothing at /v1/{what}/{str(name)[:100]}/{verb}.", code="unknown_url")
    raise MethodNotAllowed(f"Use {allowed} here.", headers={"allow": allowed.replace(" or ", ", ")})


_METHODS: Final = {
    ("files", False, None): "GET or POST",
    ("files", True, None): "GET or DELETE",
    ("files", True, "content"): "GET",
    ("batches", False, None): "GET or POST",
    ("batches", True, None): "GET",
    ("batches", True, "cancel"): "POST",
    ("messages/batches", False, None): "GET or POST",
    ("messages/batches", True, None): "GET or DELETE",
    ("messages/batches", True, "cancel"): "POST",
    ("messages/batches", True, "results"): "GET",
}


async def _list_batches(key: KeySnapshot, query: dict[str, list[str]]) -> Json:
    limit, after = files.read_limit(query, 20, 100), files.read_after(query, BATCH)
    found = await in_database(store.list_batches, key, after=after, limit=limit + 1)
    return files.show_page([show_batch(batch, key) for batch in found], limit)


async def _get_batch(key: KeySnapshot, name: str) -> Json:
    batch_id = find_id(BATCH, name)
    batch = await in_database(store.find_batch, key, batch_id) if batch_id else None
    if batch is None:
        raise _no_such_batch(name)
    return show_batch(batch, key)


async def _cancel_batch(key: KeySnapshot, name: str) -> Json:
    """Ask for its end: lines that run come to theirs, and are charged; the others never begin."""
    batch_id = find_id(BATCH, name)
    batch = await in_database(store.cancel, key, batch_id) if batch_id else None
    if batch is None:
        raise _no_such_batch(name)
    if batch.status not in {store.CANCELLING, store.CANCELLED}:
        raise InvalidRequest(
            f"A batch that is {batch.status} cannot be cancelled.", code="batch_not_cancellable", status=409
        )
    return show_batch(batch, key)


def _no_such_batch(name: str) -> NotFound:
    return NotFound(f"No batch found with id '{name[:100]}'.", code="not_found")
