"""Anthropic's Message Batches: a batch of messages in its clients' form. Its requests come with the call, and are kept
as a file like any batch's lines; all else is as with every batch."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import orjson

from costhub.lib.moments import from_ms
from costhub.lib.money import format_usd
from costhub.lib.objects import Objects
from proxy.batches import files, store, stored_files
from proxy.batches.create import BatchRequest
from proxy.batches.database import in_database
from proxy.batches.finish import CANCELLED_LINE, EXPIRED_LINE, UNASKED
from proxy.batches.ids import FILE, MESSAGE_BATCH, find_id, object_path, show_id
from proxy.batches.model import Batch
from proxy.batches.sealed_files import SealedFiles
from proxy.call import Call
from proxy.core.batch_lines import read_outcome
from proxy.core.body_fields import check_objects, read_dict, read_list, read_object, write_object
from proxy.edges.reply import Reply
from proxy.errors import InvalidRequest, NotFound
from tenants.snapshots import KeySnapshot

Json = dict[str, Any]

_ENDPOINT: Final = "/v1/messages"
_OVER: Final = frozenset({store.FAILED, store.COMPLETED, store.EXPIRED, store.CANCELLED})
_DEFAULT_PAGE, _LONGEST_PAGE = 20, 1_000
_PART_BYTES: Final = 256 * 1024
_GONE: Final = "The results of this batch are not kept any more."
#: lines that were not answered, as Anthropic says why
_UNANSWERED: Final = {CANCELLED_LINE: b'{"type":"canceled"}', EXPIRED_LINE: b'{"type":"expired"}'}


def read_request(raw: bytes) -> BatchRequest:
    """Read the body: each request becomes a line. Raises InvalidRequest naming the field."""
    requests = check_objects(read_list(read_object(raw), "requests"), "requests")
    if not requests:
        raise InvalidRequest("requests must have at least one request, with custom_id and params.", param="requests")
    lines = []
    for number, one in enumerate(requests):
        params = read_dict(one, "params", f"requests[{number}].")
        line = {"custom_id": one.get("custom_id"), "method": "POST", "url": _ENDPOINT, "body": params}
        lines.append(write_object(line) + b"\n")
    return BatchRequest("", _ENDPOINT, None, b"".join(lines))


def show(batch: Batch, key: KeySnapshot) -> Json:
    """A batch, and under ``costhub`` what was set aside for it, unless the key hides amounts."""
    name, is_over = show_id(MESSAGE_BATCH, batch.pk), batch.status in _OVER
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    if is_over:
        unasked = batch.remote.get(UNASKED, {})
        canceled, expired = unasked.get(CANCELLED_LINE, 0), unasked.get(EXPIRED_LINE, 0)
        errored = batch.failed - canceled - expired
        counts |= {"succeeded": batch.completed, "errored": errored, "canceled": canceled, "expired": expired}
    else:
        counts["processing"] = batch.total
    ended_at = batch.completed_at or batch.expired_at or batch.cancelled_at or batch.failed_at
    return {
        "id": name,
        "type": "message_batch",
        "processing_status": "ended" if is_over else "canceling" if batch.cancelling_at else "in_progress",
        "request_counts": counts,
        "created_at": _write(from_ms(batch.created_ms)),
        "expires_at": _write(batch.expires_at),
        "ended_at": _write(ended_at) if is_over else None,
        "cancel_initiated_at": _write(batch.cancelling_at),
        "archived_at": None,
        "results_url": f"{_ENDPOINT}/batches/{name}/results" if is_over else None,
        **({} if key.hides_amounts else {"costhub": {"held": format_usd(batch.held)}}),
    }


async def get(key: KeySnapshot, name: str) -> Batch:
    """A batch of messages by its name. Raises NotFound."""
    batch_id = find_id(MESSAGE_BATCH, name)
    batch = await in_database(store.find_batch, key, batch_id) if batch_id else None
    if batch is None or batch.endpoint != _ENDPOINT:
        raise NotFound(f"No message batch found with id '{name[:100]}'.", code="not_found")
    return batch


async def list_page(key: KeySnapshot, query: dict[str, list[str]]) -> Json:
    """A page of batches of messages, newest first. Raises InvalidRequest."""
    limit = files.read_limit(query, _DEFAULT_PAGE, _LONGEST_PAGE)
    after, before = (files.read_after(query, MESSAGE_BATCH, name) for name in ("after_id", "before_id"))
    found = await in_database(store.list_batches, key, after=after, before=before, limit=limit + 1, endpoint=_ENDPOINT)
    if before is not None:
        # One more than wanted stands in front of the page.
        found = found[::-1]
    page = files.show_page([show(batch, key) for batch in found], limit)
    if before is not None:
        page |= {"data": page["data"][::-1], "first_id": page["last_id"], "last_id": page["first_id"]}
    del page["object"]
    return page


async def cancel(key: KeySnapshot, name: str) -> Json:
    """Ask for a batch's end, as ``/v1/batches`` does. Raises NotFound, and InvalidRequest for one that has ended."""
    batch = await get(key, name)
    if batch.status in _OVER:
        raise InvalidRequest("A batch that has ended cannot be cancelled.", code="batch_not_cancellable")
    cancelled = await in_database(store.cancel, key, batch.pk)
    return show(cancelled or batch, key)


async def delete(key: KeySnapshot, name: str, objects: Objects) -> Json:
    """Forget a batch that has ended, with its results. Raises NotFound, and InvalidRequest for one that has not."""
    batch = await get(key, name)
    if batch.status not in _OVER:
        raise InvalidRequest("Cancel the batch first: it has not ended.", code="batch_in_progress")
    own = [batch.pk] if batch.has_own_lines else []
    for file_id in (*own, batch.output_file_id, batch.error_file_id):
        if file_id is not None and await in_database(stored_files.find_file, key, file_id) is not None:
            await files.delete_file(key, show_id(FILE, file_id), objects)
    await in_database(store.drop_batch, batch)
    return {"id": name, "type": "message_batch_deleted"}


async def send_results(call: Call, key: KeySnapshot, name: str, stored: SealedFiles, reply: Reply) -> None:
    """How every request came out, a line each. Raises NotFound, and InvalidRequest before the batch has ended."""
    batch = await get(key, name)
    if batch.status not in _OVER:
        raise InvalidRequest("The batch has not ended: its results are there when it has.", code="batch_in_progress")
    ids = [file_id for file_id in (batch.output_file_id, batch.error_file_id) if file_id is not None]
    for file_id in ids:
        if await in_database(stored_files.find_file, key, file_id) is None:
            raise NotFound(_GONE, code="not_found")
    parts = _translate(stored, [object_path(batch.org_id, file_id) for file_id in ids], call.id)
    try:
        first = await anext(parts, b"")
    except FileNotFoundError as error:
        raise NotFound(_GONE, code="not_found") from error
    await reply.begin(200, {"content-type": "application/x-jsonl", "x-request-id": call.id})
    await reply.chunk(first)
    async for part in parts:
        await reply.chunk(part)
    await reply.end(b"")


async def _translate(stored: SealedFiles, paths: list[str], request_id: str) -> AsyncIterator[bytes]:
    for path in paths:
        line: list[bytes] = []
        async for part in stored.stream(path, _PART_BYTES):
            end, *others = part.split(b"\n")
            line.append(end)
            if others:
                lines = b"".join(line), *others[:-1]
                line = others[-1:]
                yield b"".join(_show_result(one, request_id) for one in lines if one)


def _show_result(line: bytes, request_id: str) -> bytes:
    outcome = read_outcome(line)
    if outcome.status == 200:
        result = b'{"type":"succeeded","message":%b}' % outcome.body
    elif outcome.body:
        result = b'{"type":"errored","error":%b}' % outcome.body
    elif outcome.code in _UNANSWERED:
        result = _UNANSWERED[outcome.code]
    else:
        told = {"type": "api_error", "message": outcome.message, "code": outcome.code}
        result = orjson.dumps({"type": "errored", "error": {"type": "error", "error": told, "request_id": request_id}})
    return b'{"custom_id":%b,"result":%b}\n' % (orjson.dumps(outcome.custom_id), result)


def _write(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
