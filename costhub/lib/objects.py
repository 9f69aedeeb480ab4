"""Where files, backups and checkpoints lie: a folder of this machine, or a bucket of S3's kind, behind one seam.

A URL says which: ``file:///var/lib/costhub/files`` or ``s3://bucket/prefix``. What else a bucket needs (region,
endpoint, credentials) is read from AWS's own variables by the library. The operator's own storage, like the database:
it is no address that a tenant names, and so does not pass the gate of ``costhub.lib.net``.

An object is written as a stream and there is nothing of it before its end: a writer that is left by an exception leaves
nothing behind.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from costhub.lib.errors import AppError

Store = LocalStore | S3Store

#: of an object that is written or read as a stream, so much is in memory at a time
PART_BYTES: Final = 5 * 1024 * 1024
_TRIES: Final = 3
_TRIED_FOR: Final = timedelta(seconds=10)


class NoSuchStore(ValueError):
    """An address that is no store's. The message says what to give."""


class StoreUnavailable(AppError):
    """The store does not take or give what it should, at the moment."""

    code: ClassVar[str] = "store_unavailable"
    http_status: ClassVar[int] = 503


def open_store(url: str) -> Store:
    """The store of an operator's URL; a folder is made where it is missing, the owner's alone. Raises NoSuchStore."""
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.strip("/"):
        folder = Path(unquote(parts.path))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return LocalStore(prefix=folder)
    if parts.scheme != "s3" or not parts.netloc:
        raise NoSuchStore(f"{url!r} is no store: give file:///a/folder or s3://bucket/prefix.")
    # The client's options would take the place of those in the environment.
    retries: Any = {"max_retries": _TRIES, "retry_timeout": _TRIED_FOR}
    return S3Store(parts.netloc, prefix=parts.path.strip("/") or None, retry_config=retries)


def claim(store: Store, mark: str, owner: str) -> bool:
    """Whether a place is ``owner``'s, as the object ``mark`` in it says: it is the first comer's. Raises what the
    library does where the store is in trouble."""
    told = json.dumps({"owner": owner}).encode()
    try:
        obstore.put(store, mark, told, mode="create")
    except AlreadyExistsError:
        return bytes(obstore.get(store, mark).bytes()) == told
    return True


class Writer(Protocol):
    """An object that is being written."""

    async def write(self, data: bytes) -> int:
        """Add to it."""


class _Target:
    """Says of the store's own trouble that it is one."""

    def __init__(self, target: Writer) -> None:
        self._target = target

    async def write(self, data: bytes) -> int:
        """Add to it. Raises StoreUnavailable."""
        with _in_reach(), _is_there():
            return await self._target.write(data)


class Objects:
    """Objects by their paths. Holds no connection of its own; safe to share. Everything raises StoreUnavailable where
    the store is in trouble."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _store(self) -> Store:
        # When it is needed: a process that keeps no files needs no folder that it may write to.
        return open_store(self._url)

    @asynccontextmanager
    async def writer(self, path: str) -> AsyncIterator[Writer]:
        """A writer of a new object, or of one in the place of an old one."""
        writer: Any = obstore.open_writer_async(self._store, path, buffer_size=PART_BYTES, max_concurrency=2)
        with _in_reach(), _is_there():
            target = await writer.__aenter__()
        try:
            yield _Target(target)
        except BaseException as error:
            # What the caller failed by is the caller's: a file that it reads from may be gone. A store in trouble
            # cannot always forget what it has of the object, and that is not what he failed by.
            with suppress(BaseError, FileNotFoundError):
                await writer.__aexit__(type(error), error, error.__traceback__)
            raise
        else:
            with _in_reach(), _is_there():
                await writer.__aexit__(None, None, None)

    async def stream(self, path: str, part_bytes: int = PART_BYTES) -> AsyncIterator[bytes]:
        """The whole object, part by part. Raises FileNotFoundError."""
        with _in_reach():
            answer = await obstore.get_async(self._store, path)
            async for part in answer.stream(min_chunk_size=part_bytes):
                yield bytes(part)

    async def read(self, path: str, start: int, length: int) -> bytes:
        """Some bytes out of the middle. Raises FileNotFoundError."""
        with _in_reach():
            return bytes(await obstore.get_range_async(self._store, path, start=start, length=length))

    async def list_below(self, folder: str) -> list[str]:
        """The path of every object in a folder, and in those below it."""
        with _in_reach(), _is_there():
            found = [entry["path"] async for part in obstore.list(self._store, folder) for entry in part]
        return sorted(found)

    async def claim(self, mark: str, owner: str) -> bool:
        """Whether the store is ``owner``'s; see ``claim``."""
        with _in_reach(), _is_there():
            return await asyncio.to_thread(claim, self._store, mark, owner)

    async def delete(self, path: str) -> None:
        """Forget an object; one that is not there is as good as forgotten."""
        with _in_reach(), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, path)


@contextmanager
def _in_reach() -> Iterator[None]:
    try:
        yield
    except BaseError as error:
        raise _unavailable() from error


@contextmanager
def _is_there() -> Iterator[None]:
    """Of what is not read as an object nothing can be missing but the bucket."""
    try:
        yield
    except FileNotFoundError as error:
        raise _unavailable() from error


def _unavailable() -> StoreUnavailable:
    # What the library says has paths of ours in it.
    return StoreUnavailable("The store of files is in trouble at the moment.")
