"""Files as they lie in the store: sealed with their organisation's data key, in frames, so that a line can be read out
of the middle of a long one.

A frame is 64 KiB of the file, sealed for its place in it; the last one is shorter, and may be empty, so that a file
whose end is missing is told from a whole one. Whoever has the bucket and not the master key reads none, and nobody
reads one of an organisation that was erased. One that does not open is not there. Files from before they were sealed
lie under names of their own, and are read as they are.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from costhub.lib.objects import PART_BYTES, Objects, Writer
from costhub.lib.secrets import UnusableCredential
from tenants.sealed_rows import OpenSealer, Sealer

#: what a name in the store ends in where the object is sealed
_SEALED: Final = ".sealed"
_FRAME: Final = 64 * 1024
_ROOM: Final = OpenSealer.ROOM
_SEALED_FRAME: Final = _FRAME + _ROOM


class SealedFiles:
    """One organisation's files, by their paths. Everything raises what ``Objects`` does."""

    def __init__(self, objects: Objects, sealer: Sealer) -> None:
        self._objects = objects
        self._sealer = sealer

    @asynccontextmanager
    async def writer(self, path: str) -> AsyncIterator[Writer]:
        """A writer of a new file. Raises UnusableCredential where the organisation's data key cannot be opened."""
        key = self._sealer.keep_open()
        async with self._objects.writer(sealed_path(path)) as target:
            writer = _SealingWriter(key, path, target)
            yield writer
            await writer.end()

    async def stream(self, path: str, part_bytes: int = PART_BYTES) -> AsyncIterator[bytes]:
        """The whole file, part by part. Raises FileNotFoundError."""
        sealed = self._objects.stream(sealed_path(path), part_bytes)
        try:
            part = await anext(sealed, b"")
        except FileNotFoundError:
            async for part in self._objects.stream(path, part_bytes):
                yield part
            return
        key, waiting, number = self._open(), bytearray(), 0
        while part:
            waiting += part
            whole = len(waiting) // _SEALED_FRAME
            if whole:
                yield _open_frames(key, path, number, bytes(waiting[: whole * _SEALED_FRAME]))
                del waiting[: whole * _SEALED_FRAME]
                number += whole
            part = await anext(sealed, b"")
        if len(waiting) < _ROOM:
            raise FileNotFoundError(f"the end of {path} is missing")
        if last := _open_frames(key, path, number, bytes(waiting)):
            yield last

    async def read(self, path: str, start: int, length: int) -> bytes:
        """Some bytes out of the middle. Raises FileNotFoundError."""
        first, behind = start // _FRAME, -(-(start + length) // _FRAME)
        try:
            frames = await self._objects.read(
                sealed_path(path), first * _SEALED_FRAME, (behind - first) * _SEALED_FRAME
            )
        except FileNotFoundError:
            return await self._objects.read(path, start, length)
        at = start - first * _FRAME
        return _open_frames(self._open(), path, first, frames)[at : at + length]

    async def delete(self, path: str) -> None:
        """Forget a file; one that is not there is as good as forgotten."""
        await delete_file(self._objects, path)

    def _open(self) -> OpenSealer:
        try:
            return self._sealer.keep_open()
        except UnusableCredential as error:
            raise FileNotFoundError("it does not open") from error


def sealed_path(path: str) -> str:
    """Where a file lies in the store when it is sealed."""
    return path + _SEALED


async def delete_file(objects: Objects, path: str) -> None:
    """Forget a file, sealed or not, which takes no key."""
    for name in (sealed_path(path), path):
        await objects.delete(name)


class _SealingWriter:
    """Gathers frames."""

    def __init__(self, key: OpenSealer, path: str, target: Writer) -> None:
        self._key = key
        self._path = path
        self._target = target
        self._waiting = bytearray()
        self._number = 0

    async def write(self, data: bytes) -> int:
        """Add to the file."""
        self._waiting += data
        while len(self._waiting) >= _FRAME:
            await self._seal(bytes(self._waiting[:_FRAME]))
            del self._waiting[:_FRAME]
        return len(data)

    async def end(self) -> None:
        """Write the last frame, by which the file is known to be whole."""
        await self._seal(bytes(self._waiting))

    async def _seal(self, content: bytes) -> None:
        await self._target.write(self._key.seal(_place_of(self._path, self._number), content))
        self._number += 1


def _place_of(path: str, number: int) -> str:
    """What a frame is sealed for: in another file, or another place of this one, it does not open."""
    return f"frame {number} of file {path}"


def _open_frames(key: OpenSealer, path: str, first: int, frames: bytes) -> bytes:
    try:
        return b"".join(
            key.open(_place_of(path, first + number), frames[at : at + _SEALED_FRAME])
            for number, at in enumerate(range(0, len(frames), _SEALED_FRAME))
        )
    except UnusableCredential as error:
        raise FileNotFoundError(f"{path} does not open") from error
