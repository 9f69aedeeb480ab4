"""What keeps files and batches from growing for ever."""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final, ParamSpec, TypeVar, cast
from uuid import UUID

from django.db import Error as AnyDatabaseError
from django.db import connection

from costhub.lib import clock, keyspace
from costhub.lib.moments import to_ms
from costhub.lib.objects import Objects, StoreUnavailable
from costhub.lib.redis import client
from proxy.batches import stored_files
from proxy.batches.ids import object_path
from proxy.batches.sealed_files import delete_file

_log = logging.getLogger(__name__)

#: a batch that is being read for longer lost its process
_UNFINISHED_AFTER: Final = timedelta(hours=1)
#: bytes that nothing belongs to are left by who died; what is younger may be under way still
_OWNERLESS_AFTER: Final = timedelta(days=1)
#: how files are called in the store, and what an upstream is handed on: see ``ids``
_NAME: Final = re.compile(r"([0-9a-f]{32})(?:\.upstream)?(?:\.sealed)?")
#: names the installation whose files these are
OWNER_MARK: Final = "files-owner.json"
#: below the moment in an id, in ms
_MOMENT_BITS: Final = 80

Value = TypeVar("Value")
Arguments = ParamSpec("Arguments")


class AnothersFiles(Exception):
    """The store of files is another installation's. The message is a sentence for a person."""


async def check_owner(objects: Objects) -> None:
    """Raises AnothersFiles where another installation came first, such as the one of whose database ours is a copy:
    its newer files have no rows here, and would go. Raises StoreUnavailable, RedisError."""
    owner = secrets.token_hex(16).encode()
    if (kept := client().set(keyspace.INSTALLATION, owner, nx=True, get=True)) is not None:
        owner = cast("bytes", kept)
    if not await objects.claim(OWNER_MARK, owner.decode()):
        raise AnothersFiles(
            "COSTHUB_FILES_URL is where another installation keeps its files, or this one before it lost its Valkey: "
            f"nothing is deleted there. Give each a place of its own; if nobody else uses it, delete {OWNER_MARK} in it."
        )


async def forget_expired(org_ids: Iterable[str], objects: Objects) -> int:
    """Delete files whose time is over, bytes in the store that belong to nothing, and batches that were never taken or
    that ended long ago. Gives how many files were deleted. What cannot be deleted now stops nothing else, and is tried
    again the next time."""
    forgotten = 0
    for org_id in org_ids:
        try:
            forgotten += await _forget_files(org_id, objects)
            await _sweep(org_id, objects)
        except (StoreUnavailable, AnyDatabaseError) as error:
            _log.warning("files could not be forgotten", extra={"org": org_id, "why": str(error)})
    return forgotten


async def _forget_files(org_id: str, objects: Objects) -> int:
    now = clock.now()
    gone: list[UUID] = []
    for file_id in await _in_thread(stored_files.list_expired, org_id, now, now - _UNFINISHED_AFTER):
        try:
            await delete_file(objects, object_path(org_id, file_id))
            gone.append(file_id)
        except StoreUnavailable as error:
            _log.warning("a file could not be forgotten", extra={"file": str(file_id), "why": str(error)})
    # Behind the bytes: what has a row is found again.
    await _in_thread(stored_files.forget_files, org_id, gone)
    return len(gone)


async def _sweep(org_id: str, objects: Objects) -> None:
    """Delete what a process has left that died between writing, or deleting, bytes and their row."""
    before_ms = to_ms(clock.now() - _OWNERLESS_AFTER)
    old: dict[str, UUID] = {}
    for path in await objects.list_below(org_id):
        found = _NAME.fullmatch(path.removeprefix(f"{org_id}/"))
        if found is not None and (name := UUID(found[1])).int >> _MOMENT_BITS < before_ms:
            old[path] = name
    if not old:
        return
    ownerless = await _in_thread(stored_files.find_ownerless, org_id, old.values())
    for path, name in old.items():
        if name in ownerless:
            await objects.delete(path)


async def _in_thread(run: Callable[Arguments, Value], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
    def work() -> Value:
        try:
            return run(*args, **kwargs)
        finally:
            # The thread ends with the job, and would leave its connection open.
            connection.close()

    return await asyncio.to_thread(work)
