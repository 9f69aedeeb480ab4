"""A GGUF file, as llama.cpp reads it: where its tensors lie, what they say, and the same file with some of them others.

What stands around the tensors is copied as it is. Written here because the format's own library is in no default
install; the formulas of the packed kinds are those of ggml-quants.c. Pure.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_ALIGNMENT: Final = "general.alignment"
_DEFAULT_ALIGNMENT: Final = 32
#: bytes of a metadata value by its kind; strings and lists say themselves how long they are
_VALUE_BYTES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _STRING, _LIST = 4, 8, 9
#: kinds of tensors
F32: Final = 0
F16: Final = 1


class NoGguf(ValueError):
    """This is no such file, or it has what is not read here. The message says which."""


class Tensor(NamedTuple):
    """One of a file's. ``shape`` is numpy's, the rows first; its bytes lie from ``start`` to ``end``, what fills up the
    last ones included."""

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int
    end: int


class Layout(NamedTuple):
    """What a file has. ``metadata`` is as it is written, ``values`` and ``texts`` are single numbers and texts of it;
    ``tensors`` are in the file's order."""

    version: int
    metadata: tuple[int, int]
    metadata_count: int
    alignment: int
    values: Mapping[str, float]
    texts: Mapping[str, str]
    tensors: Sequence[Tensor]


def read_layout(content: Bytes) -> Layout:
    """Of a whole file, which may be mapped: only what stands before the numbers is read. Raises NoGguf."""
    try:
        return _read_layout(_Cursor(content))
    except (struct.error, KeyError, ValueError) as error:
        if isinstance(error, NoGguf):
            raise
        raise NoGguf("The file's beginning cannot be read.") from error


def check_kind(tensor: Tensor) -> None:
    """Raises NoGguf for a tensor that ``read_tensor`` cannot unpack."""
    if tensor.kind not in _KINDS:
        raise NoGguf(f"The tensor {tensor.name} is packed in a way that is not unpacked here (kind {tensor.kind}).")


def read_tensor(content: Bytes, tensor: Tensor) -> Floats:
    """What it says, unpacked. Raises NoGguf for a kind that is not known here."""
    check_kind(tensor)
    count = int(np.prod(tensor.shape))
    numbers, size, unpack = _KINDS[tensor.kind]
    blocks, rest = divmod(count, numbers)
    raw = content[tensor.start : tensor.start + blocks * size]
    if rest or len(raw) != blocks * size:
        raise NoGguf(f"The tensor {tensor.name} is shorter than it should be.")
    return unpack(np.ascontiguousarray(raw).reshape(blocks, size)).astype(np.float32).reshape(tensor.shape)


def write_with(
    content: Bytes, layout: Layout, others: Mapping[str, Callable[[], Floats]]
) -> tuple[int, Iterator[bytes]]:
    """The same file with these tensors, in half precision where they were in less than whole one: how long it is, and
    its bytes, a tensor at a time, each made when it is its turn."""
    kinds = {one.name: F32 if one.kind == F32 else F16 for one in layout.tensors if one.name in others}
    sizes = {
        one.name: _pad(int(np.prod(one.shape)) * (4 if kinds[one.name] == F32 else 2), layout.alignment)
        if one.name in others
        else one.end - one.start
        for one in layout.tensors
    }
    infos, at = [], 0
    for one in layout.tensors:
        kind = kinds.get(one.name, one.kind)
        name = one.name.encode()
        shape = struct.pack(f"<I{len(one.shape)}Q", len(one.shape), *reversed(one.shape))
        infos.append(struct.pack("<Q", len(name)) + name + shape + struct.pack("<IQ", kind, at))
        at += sizes[one.name]
    metadata = content[slice(*layout.metadata)].tobytes()
    head = _MAGIC + struct.pack("<IQQ", layout.version, len(layout.tensors), layout.metadata_count)
    head += metadata + b"".join(infos)
    head += b"\0" * (_pad(len(head), layout.alignment) - len(head))

    def write() -> Iterator[bytes]:
        yield head
        for one in layout.tensors:
            if one.name in others:
                precision = np.float32 if kinds[one.name] == F32 else np.float16
                yield others[one.name]().astype(precision).tobytes().ljust(sizes[one.name], b"\0")
            else:
                # The last one may end with the file.
                yield content[one.start : one.end].tobytes()

    return len(head) + at, write()


class _Cursor:
    """Reads on and on."""

    def __init__(self, content: Bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, layout: str) -> Any:
        size = struct.calcsize(layout)
        found = struct.unpack(layout, self.content[self.at : self.at + size].tobytes())
        self.at += size
        return found[0] if len(found) == 1 else found

    def take_text(self) -> str:
        size = self.take("<Q")
        self.at += size
        return self.content[self.at - size : self.at].tobytes().decode("utf-8", "replace")

    def skip_value(self, kind: int) -> None:
        if kind == _STRING:
            self.take_text()
        elif kind == _LIST:
            inner, count = self.take("<IQ")
            if inner in _VALUE_BYTES:
                self.at += count * _VALUE_BYTES[inner]
            else:
                for _ in range(count):
                    self.skip_value(inner)
        else:
            self.at += _VALUE_BYTES[kind]


def _read_layout(cursor: _Cursor) -> Layout:
    if cursor.content[:4].tobytes() != _MAGIC:
        raise NoGguf("This is no GGUF file.")
    cursor.at = 4
    version, tensor_count, metadata_count = cursor.take("<IQQ")
    if version not in _VERSIONS:
        raise NoGguf(f"GGUF's version {version} is not known here.")
    values: dict[str, float] = {}
    texts: dict[str, str] = {}
    began = cursor.at
    for _ in range(metadata_count):
        name, kind = cursor.take_text(), cursor.take("<I")
        at = cursor.at
        if kind == _STRING:
            texts[name] = cursor.take_text()
            continue
        cursor.skip_value(kind)
        if kind in (_UINT32, 6):
            (values[name],) = struct.unpack("<I" if kind == _UINT32 else "<f", cursor.content[at : at + 4].tobytes())
    metadata = (began, cursor.at)
    alignment = int(values.get(_ALIGNMENT, _DEFAULT_ALIGNMENT))
    found = []
    for _ in range(tensor_count):
        name, dimensions = cursor.take_text(), cursor.take("<I")
        shape = tuple(cursor.take("<Q") for _ in range(dimensions))
        kind, offset = cursor.take("<IQ")
        found.append((name, tuple(reversed(shape)), kind, offset))
    first, size = _pad(cursor.at, alignment), len(cursor.content)
    ends = sorted({offset for *_, offset in found} | {size - first})
    after = dict(pairwise(ends))
    tensors = [Tensor(name, shape, kind, first + offset, first + after[offset]) for name, shape, kind, offset in found]
    tensors.sort(key=lambda one: one.start)
    return Layout(version, metadata, metadata_count, alignment, values, texts, tensors)


def _pad(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _halves(blocks: Bytes, at: int) -> Floats:
    """A column of 16-bit floats."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view(np.float16).astype(np.float32)


def _nibbles(packed: Bytes) -> NDArray[np.uint8]:
    """All lower halves of a block's bytes, then all upper ones."""
    return np.concatenate([packed & 0x0F, packed >> 4], axis=1)


def _q8_0(blocks: Bytes) -> Floats:
    return _halves(blocks, 0) * np.ascontiguousarray(blocks[:, 2:]).view(np.int8).astype(np.float32)


def _q4_0(blocks: Bytes) -> Floats:
    return _halves(blocks, 0) * (_nibbles(blocks[:, 2:]).astype(np.float32) - 8)


def _q4_1(blocks: Bytes) -> Floats:
    return _halves(blocks, 0) * _nibbles(blocks[:, 4:]).astype(np.float32) + _halves(blocks, 2)


def _q4_k(blocks: Bytes) -> Floats:
    low, middle, high = (blocks[:, at : at + 4] for at in (4, 8, 12))
    scales = np.concatenate([low & 0x3F, (high & 0x0F) | ((low >> 2) & 0x30)], axis=1)
    mins = np.concatenate([middle & 0x3F, (high >> 4) | ((middle >> 2) & 0x30)], axis=1)
    # Eight groups of 32, two of them in each 32 bytes.
    packed = blocks[:, 16:].reshape(-1, 4, 32)
    numbers = np.stack([packed & 0x0F, packed >> 4], axis=2).reshape(-1, 8, 32).astype(np.float32)
    scaled = (_halves(blocks, 0) * scales)[:, :, None] * numbers
    return np.asarray(scaled - (_halves(blocks, 2) * mins)[:, :, None], np.float32)


def _q6_k(blocks: Bytes) -> Floats:
    low = blocks[:, :128].reshape(-1, 2, 1, 64) >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)
    joined = (low & 0x0F).reshape(-1, 8, 32) | ((high & 0x03).reshape(-1, 8, 32) << 4)
    numbers = (joined.astype(np.float32) - 32).reshape(-1, 16, 16)
    scales = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8).astype(np.float32)
    return np.asarray((_halves(blocks, 208) * scales)[:, :, None] * numbers, np.float32)


#: by kind: numbers in a block, its bytes, and how these become numbers
_KINDS: Final[Mapping[int, tuple[int, int, Callable[[Bytes], NDArray[Any]]]]] = {
    F32: (1, 4, lambda blocks: blocks.view(np.float32)),
    F16: (1, 2, lambda blocks: blocks.view(np.float16)),
    2: (32, 18, _q4_0),
    3: (32, 20, _q4_1),
    8: (32, 34, _q8_0),
    12: (256, 144, _q4_k),
    14: (256, 210, _q6_k),
    30: (1, 2, lambda blocks: (blocks.view(np.uint16).astype(np.uint32) << 16).view(np.float32)),
}
