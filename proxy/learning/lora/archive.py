"""A tar archive, written as its files are made: none of them is ever whole in memory. Pure."""

import tarfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class File(NamedTuple):
    """A file whose size is known before its content is made."""

    name: str
    size: int
    content: Iterable[bytes]


def whole(name: str, content: bytes) -> File:
    """One that is there already."""
    return File(name, len(content), (content,))


def write_tar(files: Iterable[File]) -> Iterator[bytes]:
    """The archive's bytes. Raises ValueError where a file is not as long as it said."""
    for file in files:
        entry = tarfile.TarInfo(file.name)
        entry.size = file.size
        yield entry.tobuf(tarfile.GNU_FORMAT)
        written = 0
        for part in file.content:
            written += len(part)
            yield part
        if written != file.size:
            raise ValueError(f"{file.name} has {written:,} bytes, not {file.size:,}.")
        yield bytes(-written % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
