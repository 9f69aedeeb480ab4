"""Bodies read and written without rounding a whole number: orjson makes a float of one with more than 64 bits, and an
amount in wei or a JSON schema's ``maximum`` has more.

Such a number is rare. That a body may hold one is seen in its bytes in a few ns a kilobyte, and only then are they
read by the standard library's slower parser, after orjson has said that they are JSON. Of a body that this parser would
keep everybody waiting with, the values that orjson made are looked through instead, and one that may have been rounded
is refused.
"""

import json
from typing import Any, Final

import orjson

_DIGITS_AS_ZERO: Final = bytes.maketrans(b"0123456789", b"0" * 10)
#: a longer body keeps everybody waiting while the slower parser reads it
MOST_BYTES: Final = 1024 * 1024
#: 2**63 has so many digits
_LARGE: Final = 2.0**63
#: on so many levels more a value may be put: orjson writes 254
_ROOM: Final = 16
_LONG: Final = b"0" * 19


class Rounded(ValueError):
    """A large body holds a whole number of more than 64 bits. Says what it holds and what to do."""

    def __init__(self) -> None:
        super().__init__(
            "a whole number of more than 64 bits, which is only taken where everything has at most"
            f" {MOST_BYTES} bytes: send it as a text."
        )


def loads(raw: bytes) -> Any:
    """The value of what a caller has written. Raises orjson.JSONDecodeError, also for a number that is too large for a
    float, and Rounded where a whole number of a body of more than ``MOST_BYTES`` cannot be kept as it is."""
    value = orjson.loads(raw)
    if len(raw) > MOST_BYTES:
        if _has_large_float(value) and _LONG in raw.translate(_DIGITS_AS_ZERO):
            raise Rounded
        return value
    if _LONG not in raw.translate(_DIGITS_AS_ZERO):
        return value
    try:
        return json.loads(raw)
    except RecursionError:
        return value  # too deep to be written: refused next


def loads_rounded(raw: bytes) -> Any:
    """The value of what no caller can write anew, as an answer, or what was kept: a number for which ``loads`` would
    refuse it is rounded. Raises orjson.JSONDecodeError."""
    try:
        return loads(raw)
    except Rounded:
        return orjson.loads(raw)


def _has_large_float(value: Any) -> bool:
    """Whether a number is among the values that may have been whole. Texts cost nothing, of the rest there is a bounded
    number (``core.weight``)."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            item = list(item.values())
        if isinstance(item, list):
            kinds = set(map(type, item))
            if float in kinds and any(type(each) is float and abs(each) >= _LARGE for each in item):
                return True
            if dict in kinds or list in kinds:
                waiting += [each for each in item if type(each) in {dict, list}]
    return False


def dumps(value: Any) -> bytes:
    """The JSON. Raises TypeError or RecursionError where it is nested too deeply."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        if "surrogates" in str(error):
            return json.dumps(value, separators=(",", ":")).encode()  # halves of characters, as they were escaped
        if "64-bit" not in str(error):
            raise
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            return json.dumps(value, separators=(",", ":")).encode()


def is_too_deep(value: Any) -> bool:
    """Whether a value that was read from within a text cannot be written as a part of a body."""
    for _ in range(_ROOM):
        value = [value]
    try:
        dumps(value)
    except (TypeError, RecursionError):
        return True
    return False
