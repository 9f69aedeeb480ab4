"""Where a secret may come out: everything that the product leaves behind, as bytes to be searched."""

import base64
import logging
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from costhub.lib.logs import JsonFormatter

#: of one file at a time
_CHUNK = 16 * 1024 * 1024
#: how a compressed stream begins
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_PIECE = 256
#: so much of one is unpacked, and what is shorter holds no secret
_UNPACKED = 1024 * 1024
_SHORTEST = 30


def make_canary() -> str:
    """A secret that stands nowhere else in the world."""
    return f"cnry{token_hex(14)}"


def disguises(secret: str) -> list[bytes]:
    """A secret as it is, in base 64 wherever it may begin, and in hexadecimal."""
    raw = secret.encode()
    found = [raw, raw.hex().encode()]
    for shift in range(3):
        # The characters at either end depend on what stands beside the secret.
        whole = base64.b64encode(bytes(shift) + raw)
        found.append(whole[4 if shift else 0 : len(whole) - 4])
    return found


def unpack_all(data: bytes) -> Iterator[bytes]:
    """Whatever zlib has compressed in the data, as far as it goes, unpacked."""
    for start in _ZLIB.finditer(data):
        unpacking = zlib.decompressobj()
        unpacked = b""
        at = start.start()
        # Piece by piece: what is read before something turns out to be none is looked at, too.
        with suppress(zlib.error):
            while not unpacking.eof and at < len(data) and len(unpacked) < _UNPACKED:
                unpacked += unpacking.decompress(data[at : at + _PIECE], _UNPACKED)
                at += _PIECE
        if len(unpacked) >= _SHORTEST:
            yield unpacked


class Canaries:
    """Secrets by what they are of."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def put(self, name: str, secret: str = "") -> str:
        """Keep a secret under a name, or make one up."""
        self.known[name] = secret or make_canary()
        return self.known[name]

    def find(self, data: bytes) -> set[str]:
        """The names of those that are in the data, or in what is compressed in it."""
        found = {name for name, secret in self.known.items() if any(each in data for each in disguises(secret))}
        for packed in unpack_all(data):
            found |= {name for name, secret in self.known.items() if secret.encode() in packed}
        return found

    def find_in_files(self, folder: Path) -> dict[str, set[str]]:
        """The names of those that are in files below a folder, by file."""
        found: dict[str, set[str]] = {}
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and (names := self._find_in_file(path)):
                found[str(path.relative_to(folder))] = names
        return found

    def _find_in_file(self, path: Path) -> set[str]:
        names: set[str] = set()
        overlap = max(len(each) for secret in self.known.values() for each in disguises(secret))
        before = b""
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    names |= self.find(before + chunk)
                    before = chunk[-overlap:]
        except FileNotFoundError:
            return names  # a server's own, gone meanwhile
        return names


class LogKeeper(logging.Handler):
    """Every record of every logger, down to DEBUG, as our logs would have it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, and what it carries beside its message."""
        self.lines.append(self.format(record))


@contextmanager
def keep_logs() -> Iterator[LogKeeper]:
    """Keep what is logged in this process until the block ends."""
    keeper, root = LogKeeper(), logging.getLogger()
    level = root.level
    root.addHandler(keeper)
    root.setLevel(logging.DEBUG)
    try:
        yield keeper
    finally:
        root.setLevel(level)
        root.removeHandler(keeper)


def dump_valkey(store: Any) -> bytes:
    """Every key and value, whatever its type."""
    readers = {
        b"string": store.get,
        b"hash": store.hgetall,
        b"set": store.smembers,
        b"zset": lambda key: store.zrange(key, 0, -1, withscores=True),
        b"list": lambda key: store.lrange(key, 0, -1),
        b"stream": store.xrange,
    }
    found = []
    for key in store.scan_iter(count=1_000):
        kind = store.type(key)
        if kind != b"none":
            found.append(key + b" " + _flat(readers[kind](key)))
    return b"\n".join(found)


def _flat(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping):
        return b" ".join(_flat(each) for pair in value.items() for each in pair)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return b" ".join(_flat(each) for each in value)
    return str(value).encode()
