"""Answers with vectors, read without them: a batch of embeddings is tens of megabytes of numbers that nobody here looks
at, and a parser gives no other call a turn until it has made an object of each. Pure.
"""

import re
from typing import Any, Final

import orjson

from proxy.core.weight import SMALL_BYTES
from proxy.upstreams import lenient_json

#: a list of numbers: no shorter than is worth it, no longer than takes some milliseconds
_VECTOR: Final = re.compile(rb"\[[-+0-9.eE,\s]{64,1000000}+\]")


def thin(raw: bytes) -> tuple[bytes, list[bytes]]:
    """An answer with ``[[n]]`` in place of its vector number n, which is no vector, and those vectors as they are
    written. One that is short stays as it is. Raises Unreadable where one is no list of numbers."""
    if len(raw) <= SMALL_BYTES:
        return raw, []
    parts, vectors, end = list[bytes](), list[bytes](), 0
    for found in _VECTOR.finditer(raw):
        parts += (raw[end : found.start()], b"[[%d]]" % len(vectors))
        end = found.end()
        vectors.append(found[0])
        try:
            orjson.loads(found[0])
        except orjson.JSONDecodeError as error:
            raise lenient_json.Unreadable from error
    return b"".join((*parts, raw[end:])), vectors


def read(raw: bytes) -> Any:
    """An answer's value, in which long vectors are as they are written: orjson writes them so again. Raises
    Unreadable."""
    thinned, vectors = thin(raw)
    answer = lenient_json.read(thinned)
    data = answer.get("data") if vectors and isinstance(answer, dict) else None
    for item in data if isinstance(data, list) else ():
        match item:
            case {"embedding": [[int(number)]]} if 0 <= number < len(vectors):
                item["embedding"] = orjson.Fragment(vectors[number])
    return answer
