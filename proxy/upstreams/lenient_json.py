"""JSON as servers really write it: what the standard's own parser refuses is read here, so that a relay need not fail
where its caller would not.

Taken beside RFC 8259: half a surrogate pair (servers in JavaScript cut texts there and escape the halves), ``NaN`` and
``Infinity``, control characters inside texts, and a byte order mark.
"""

import json
from typing import Any, Final

import orjson

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Unreadable(Exception):
    """No JSON, however one looks at it."""


def read(raw: bytes) -> Any:
    """The value. Raises Unreadable."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(raw.removeprefix(BYTE_ORDER_MARK).decode(), strict=False)
    except (ValueError, RecursionError) as error:
        raise Unreadable from error
