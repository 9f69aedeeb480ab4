"""``/v1/files``: upload, list, retrieve, content, delete. A file belongs to the project of its key, and to the end user
that this is bound to; anybody else's is as unknown as one that never was."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from django.conf import settings

from costhub.lib import clock
from costhub.lib.moments import to_ms
from costhub.lib.objects import Objects
from proxy.batches import stored_files
from proxy.batches.database import in_database
from proxy.batches.ids import FILE, find_id, object_path, show_id
from proxy.batches.model import StoredFile
from proxy.batches.sealed_files import SealedFiles
from proxy.batches.sealed_files import delete_file as delete_file_bytes
from proxy.batches.upload import Upload, find_boundary, read_upload
from proxy.call import Call
from proxy.core.controls import parse_controls
from proxy.edges.reply import Reply
from proxy.errors import ApiError, InvalidRequest, NotFound
from proxy.wiring import Edges
from tenants.sealed_rows import Sealer
from tenants.snapshots import KeySnapshot, OrgSnapshot

Json = dict[str, Any]

#: what a file may be uploaded for; the answers of batches are ``batch_output``
PURPOSES: Final = ("batch", "user_data", "assistants", "fine-tune", "vision", "evals")
OUTPUT: Final = "batch_output"
_LISTED: Final = (*PURPOSES, OUTPUT)
_FORM_BYTES: Final = 64 * 1024
#: bytes of uploads that are under way in this process, by organisation: no row counts them yet
_under_way: Final = Counter[str]()
#: seconds for which a file may be kept
_SHORTEST: Final = 3_600
_LONGEST: Final = 30 * 86_400


async def upload_file(call: Call, key: KeySnapshot, org: OrgSnapshot, edges: Edges, reply: Reply) -> None:
    """Take a file, and answer; the same one again with its Idempotency-Key is not kept a second time. Nothing of it is
    left where this raises: InvalidRequest, IdempotencyConflict, or GovernanceUnavailable."""
    find_boundary(call.headers)
    controls = parse_controls(call.headers, call.repeated)
    most, stored = settings.MAX_FILE_BYTES, SealedFiles(edges.objects, Sealer(org.id, org.data_key))
    kept = await in_database(stored_files.count_bytes, key.org_id)
    if kept >= settings.MAX_FILES_BYTES:
        raise _too_many(kept)
    file_id = UUID(clock.new_id_of(clock.now_ms()))
    path = object_path(key.org_id, file_id)
    # A writer that is left by an exception leaves nothing behind.
    async with stored.writer(path) as writer, aclosing(_bounded(call, most, key.org_id, kept)) as parts:
        upload = await read_upload(call.headers, parts, writer)
        purpose, expires_after = _check(upload, most)
    file = _describe(file_id, key, upload.filename or "file", purpose, upload.size, expires_after)
    once = edges.idempotency.once_free(controls, call.id, call.path, upload.summary(), key, org, reply)
    try:
        async with once as is_first:
            if not is_first:
                await stored.delete(path)
                return
            if not await in_database(stored_files.keep_file, file, settings.MAX_FILES_BYTES):
                raise _too_many(await in_database(stored_files.count_bytes, key.org_id))
            headers = {"content-type": "application/json", "x-request-id": call.id}
            await reply.send(200, headers, orjson.dumps(show_file(file)))
    except ApiError:
        await stored.delete(path)
        raise


async def keep_lines(content: bytes, file_id: UUID, key: KeySnapshot, org: OrgSnapshot, edges: Edges) -> StoredFile:
    """Keep a batch's lines that came without a file, as one, for as long as its answers. Raises InvalidRequest where
    the organisation has too many files."""
    stored, path = SealedFiles(edges.objects, Sealer(org.id, org.data_key)), object_path(key.org_id, file_id)
    async with stored.writer(path) as writer:
        await writer.write(content)
    name = f"batch_{file_id.hex}_input.jsonl"
    file = _describe(file_id, key, name, "batch", len(content), timedelta(seconds=_LONGEST))
    if not await in_database(stored_files.keep_file, file, settings.MAX_FILES_BYTES):
        await stored.delete(path)
        raise _too_many(await in_database(stored_files.count_bytes, key.org_id))
    return file


def _describe(
    file_id: UUID, key: KeySnapshot, name: str, purpose: str, size: int, expires_after: timedelta | None
) -> StoredFile:
    """What is known of a file of so many bytes that a key hands in now."""
    now = clock.now()
    return StoredFile(
        id=file_id,
        org_id=UUID(key.org_id),
        project_id=UUID(key.project_id),
        end_user=key.end_user or "",
        filename=name,
        purpose=purpose,
        bytes=size,
        created_at=now,
        expires_at=now + expires_after if expires_after else None,
    )


def _too_many(kept: int) -> InvalidRequest:
    return InvalidRequest(
        f"The files of this organisation have {kept} bytes, and {settings.MAX_FILES_BYTES} are taken: delete some.",
        code="too_many_files",
    )


async def list_files(key: KeySnapshot, query: dict[str, list[str]]) -> Json:
    """A page of the key's files. Raises InvalidRequest for a query that cannot be, naming the parameter."""
    limit = read_limit(query, 10_000, 10_000)
    order = query.get("order", ["desc"])[0]
    if order not in {"asc", "desc"}:
        raise InvalidRequest("order must be asc or desc.", param="order")
    purpose = query.get("purpose", [""])[0]
    if purpose and purpose not in _LISTED:
        raise InvalidRequest(f"purpose must be one of {', '.join(_LISTED)}.", param="purpose")
    after = read_after(query, FILE)
    found = await in_database(
        stored_files.list_files, key, purpose=purpose, after=after, limit=limit + 1, rising=order == "asc"
    )
    return show_page([show_file(file) for file in found], limit)


async def get_file(key: KeySnapshot, name: str) -> StoredFile:
    """A file by its name. Raises NotFound."""
    file_id = find_id(FILE, name)
    file = await in_database(stored_files.find_file, key, file_id) if file_id else None
    if file is None:
        raise NotFound(f"No such File object: {name[:100]}", code="not_found")
    return file


async def send_content(call: Call, key: KeySnapshot, name: str, stored: SealedFiles, reply: Reply) -> None:
    """A file's bytes, as they were uploaded. Raises NotFound."""
    file = await get_file(key, name)
    parts = stored.stream(object_path(file.org_id, file.id), 256 * 1024)
    try:
        first = await anext(parts, b"")
    except FileNotFoundError as error:
        raise NotFound(f"No such File object: {name[:100]}", code="not_found") from error
    headers = {"content-type": "application/octet-stream", "x-request-id": call.id, "content-length": str(file.bytes)}
    await reply.begin(200, headers)
    await reply.chunk(first)
    async for part in parts:
        await reply.chunk(part)
    await reply.end(b"")


async def delete_file(key: KeySnapshot, name: str, objects: Objects) -> Json:
    """Forget a file. Raises NotFound, and InvalidRequest while a batch reads it."""
    file = await get_file(key, name)
    if await in_database(stored_files.is_needed, key, file.id):
        raise InvalidRequest("A batch that is in progress reads this file: cancel it first.", code="file_in_use")
    await forget_file(key, file.id, objects)
    return {"id": name, "object": "file", "deleted": True}


async def forget_file(key: KeySnapshot, file_id: UUID, objects: Objects) -> None:
    """Delete a file that nobody needs; one that is not there is as good as deleted."""
    # The bytes first: what has a row is found again where the store is in trouble, or we die.
    await delete_file_bytes(objects, object_path(key.org_id, file_id))
    await in_database(stored_files.forget_file, key, file_id)


def show_file(file: StoredFile) -> Json:
    """A file as OpenAI's clients know it."""
    return {
        "id": show_id(FILE, file.id),
        "object": "file",
        "bytes": file.bytes,
        "created_at": to_ms(file.created_at) // 1000,
        "expires_at": to_ms(file.expires_at) // 1000 if file.expires_at else None,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def show_page(items: list[Json], limit: int) -> Json:
    """A page of a list, of which one more item than wanted was read."""
    shown = items[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(items) > limit,
    }


def read_limit(query: dict[str, list[str]], default: int, most: int) -> int:
    """How many items a page has. Raises InvalidRequest."""
    text = query.get("limit", [str(default)])[0]
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= most):
        raise InvalidRequest(f"limit must be a whole number from 1 to {most}.", param="limit")
    return int(text)


def read_after(query: dict[str, list[str]], prefix: str, param: str = "after") -> UUID | None:
    """Behind which item a page begins. Raises InvalidRequest for what is no name of one."""
    text = query.get(param, [""])[0]
    if not text:
        return None
    found = find_id(prefix, text)
    if found is None:
        raise InvalidRequest(f"{param} must be an id such as {prefix}...", param=param)
    return found


def _check(upload: Upload, most: int) -> tuple[str, timedelta | None]:
    if upload.filename is None:
        raise InvalidRequest("Send the file in the field file.", param="file")
    if upload.size > most:
        raise InvalidRequest(
            f"The file has more than {most} bytes, the most that is taken here.", code="file_too_large"
        )
    purpose = upload.fields.get("purpose", "")
    if purpose not in PURPOSES:
        raise InvalidRequest(f"purpose must be one of {', '.join(PURPOSES)}.", param="purpose")
    seconds = upload.fields.get("expires_after[seconds]", "")
    if not seconds and "expires_after[anchor]" not in upload.fields:
        return purpose, None
    number = int(seconds) if seconds.isascii() and seconds.isdecimal() and len(seconds) < 9 else None
    return purpose, read_expiry(upload.fields.get("expires_after[anchor]"), number, "expires_after[%s]")


def read_expiry(anchor: object, seconds: object, name: str) -> timedelta:
    """For how long from its making a file is kept. Raises InvalidRequest; ``name`` is how the two parts are called."""
    if anchor != "created_at":
        raise InvalidRequest(f"{name % 'anchor'} must be created_at.", param=name % "anchor")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not _SHORTEST <= seconds <= _LONGEST:
        raise InvalidRequest(
            f"{name % 'seconds'} must be a whole number from {_SHORTEST} to {_LONGEST}.", param=name % "seconds"
        )
    return timedelta(seconds=seconds)


async def _bounded(call: Call, most: int, org_id: str, kept: int) -> AsyncGenerator[bytes, None]:
    """The form's bytes: those of the file and a little more. All that an organisation sends at once lies in the store
    until it is refused: no more of it than fits beside the ``kept`` bytes of its files."""
    size = 0
    try:
        async for part in call.parts(most + _FORM_BYTES):
            size += len(part)
            _under_way[org_id] += len(part)
            if (together := kept + _under_way[org_id]) > settings.MAX_FILES_BYTES + _FORM_BYTES:
                raise _too_many(together)
            yield part
    except InvalidRequest as error:
        if error.error_code != "request_too_large":
            raise
        raise InvalidRequest(
            f"The file has more than {most} bytes, the most that is taken here.", code="file_too_large", status=413
        ) from error
    finally:
        _under_way[org_id] -= size
        if not _under_way[org_id]:
            del _under_way[org_id]
