"""GGUF files of a few tensors, written as the format's document says."""

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Packed(NamedTuple):
    """A tensor as it lies in a file: ``shape`` is numpy's."""

    kind: int
    shape: tuple[int, ...]
    content: bytes


def pack_floats(numbers: NDArray[Any], kind: int = 0) -> Packed:
    """In whole or half precision."""
    return Packed(kind, numbers.shape, numbers.astype(np.float16 if kind == 1 else np.float32).tobytes())


def write_gguf(
    tensors: Mapping[str, Packed],
    alpha: float = 8.0,
    alignment: int = 32,
    texts: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """With metadata of several kinds and these ``texts``, and tensors in this order."""
    values = [
        _text("general.architecture") + struct.pack("<I", 8) + _text("llama"),
        _text("general.alignment") + struct.pack("<II", 4, alignment),
        _text("adapter.lora.alpha") + struct.pack("<If", 6, alpha),
        _text("tokens") + struct.pack("<IIQ", 9, 8, 2) + _text("one") + _text("tw\N{LATIN SMALL LETTER O WITH STROKE}"),
        _text("sizes") + struct.pack("<IIQ3H", 9, 2, 3, 1, 2, 3),
        _text("lists") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ2B", 0, 2, 7, 8),
        _text("large") + struct.pack("<Id", 12, 1.5),
        *(_text(name) + struct.pack("<I", 8) + _text(text) for name, text in texts.items()),
    ]
    infos, body = b"", b""
    for name, one in tensors.items():
        infos += _text(name) + struct.pack(f"<I{len(one.shape)}Q", len(one.shape), *reversed(one.shape))
        infos += struct.pack("<IQ", one.kind, len(body))
        body += one.content + bytes(-len(one.content) % alignment)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values)) + b"".join(values) + infos
    return head + bytes(-len(head) % alignment) + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw
