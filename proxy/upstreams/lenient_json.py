"""JSON as servers really write it: what the standard's own parser refuses is read here, so that a relay need not fail
where its caller would not.

Taken beside RFC 8259: half a surrogate pair (servers in JavaScript cut texts there and escape the halves), ``NaN`` and
``Infinity``, control characters inside texts, and a byte order mark. What is long is weighed first: of tiny values a
megabyte takes as long to read as twenty of text, and no parser gives way meanwhile.
"""

import json
from typing import Any, Final

import orjson

from proxy.core.weight import MAX_ANSWER_NODES, MAX_ANSWER_VALUES, SMALL_BYTES, weigh
from proxy.errors import InvalidRequest

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Unreadable(Exception):
    """No JSON, however one looks at it."""


def read(raw: bytes) -> Any:
    """The value. Raises Unreadable, also where it holds more values than any answer does. What is longer than
    SMALL_BYTES is read in a thread."""
    if len(raw) > SMALL_BYTES:
        _weigh(raw)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(raw.removeprefix(BYTE_ORDER_MARK).decode(), strict=False)
    except (ValueError, RecursionError) as error:
        raise Unreadable from error


def _weigh(raw: bytes) -> None:
    try:
        for _ in weigh(raw, MAX_ANSWER_VALUES, MAX_ANSWER_NODES):
            pass
    except InvalidRequest as error:
        raise Unreadable from error
