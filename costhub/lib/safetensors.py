"""Where the tensors of a safetensors file lie: eight bytes of header length, a JSON header, the numbers. Pure.

The file's own library is not in the default install, and wants the whole file in memory. Nothing here runs what it
reads.
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: bytes that say how long the header is
LENGTH_BYTES: Final = 8
#: of the format's own limit
MOST_HEADER_BYTES: Final = 100_000_000
_METADATA: Final = "__metadata__"


class NoSafetensors(ValueError):
    """This is no such file."""


class Place(NamedTuple):
    """A tensor: how its numbers are written (F32, BF16, ...), its shape, and where it lies in the file."""

    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


def count_header(length: bytes) -> int:
    """How many bytes follow these eight before the numbers. Raises NoSafetensors."""
    size = int.from_bytes(length, "little")
    if len(length) != LENGTH_BYTES or size > MOST_HEADER_BYTES:
        raise NoSafetensors("The file does not begin as a safetensors file does.")
    return size


def find_tensors(header: bytes) -> dict[str, Place]:
    """Of a file with this header, without the eight bytes before it. Raises NoSafetensors."""
    first = LENGTH_BYTES + len(header)
    try:
        return {
            name: Place(
                entry["dtype"],
                tuple(entry["shape"]),
                first + int(entry["data_offsets"][0]),
                first + int(entry["data_offsets"][1]),
            )
            for name, entry in json.loads(header).items()
            if name != _METADATA
        }
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise NoSafetensors("The file's header cannot be read.") from error


def read_floats(content: bytes) -> dict[str, NDArray[np.float32]]:
    """The float tensors of a whole file; no copies of them. Raises NoSafetensors."""
    size = count_header(content[:LENGTH_BYTES])
    found = find_tensors(content[LENGTH_BYTES : LENGTH_BYTES + size])
    try:
        return {
            name: np.frombuffer(content, np.float32, (place.end - place.start) // 4, place.start).reshape(place.shape)
            for name, place in found.items()
            if place.kind == "F32"
        }
    except ValueError as error:
        raise NoSafetensors("The file ends before its numbers do.") from error


def write_floats(tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    """A file of these, the same bytes for the same tensors."""
    header: dict[str, object] = {}
    parts, at = [], 0
    for name, tensor in sorted(tensors.items()):
        part = np.ascontiguousarray(tensor, np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    written = json.dumps(header, separators=(",", ":")).encode()
    written += b" " * (-len(written) % LENGTH_BYTES)
    return len(written).to_bytes(LENGTH_BYTES, "little") + written + b"".join(parts)
