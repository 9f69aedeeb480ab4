"""How many values a JSON body holds, found without reading it: what reading it will cost.

Reading 20 MiB of text takes some ten milliseconds, reading as many bytes of tiny lists takes a second, and nothing else
is served meanwhile. The bytes outside of strings tell the two apart.
"""

from collections.abc import Iterator
from typing import Final

from proxy.errors import InvalidRequest

#: a shorter body cannot hold enough to matter
SMALL_BYTES: Final = 128 * 1024
#: more token ids than any embedding takes at once
MAX_VALUES: Final = 400_000
#: lists, objects and the names in them, each dearer to read than ten numbers
MAX_NODES: Final = 50_000
#: of an upstream's answer. A token with its probability takes seven, its alternatives are left out
#: (``core.alternatives``); so many take a tenth of a second to read
MAX_ANSWER_NODES: Final = 500_000
MAX_ANSWER_VALUES: Final = 1_000_000
#: escaped characters of texts: each costs as much to read and to write again as twenty others
MAX_ESCAPES: Final = 4_000_000
#: orjson reads deeper than it writes
MAX_DEPTH: Final = 250
TOO_DEEP: Final = f"The body is nested too deeply: {MAX_DEPTH} levels at most."
_SLICE_BYTES: Final = 64 * 1024
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def weigh(raw: bytes, most_values: int = MAX_VALUES, most_nodes: int = MAX_NODES) -> Iterator[None]:
    """Count the values of a body, slice by slice: whoever runs through may do something else between.

    Raises InvalidRequest when there are too many, or they are nested too deeply.
    """
    in_string, rest = 0, b""
    values = nodes = depth = escapes = 0
    for start in range(0, len(raw), _SLICE_BYTES):
        # Without its escapes every quote begins or ends a string, and each second part lies outside.
        piece = rest + raw[start : start + _SLICE_BYTES]
        escapes += piece.count(b"\\")
        piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        rest = piece[-1:] if piece.endswith(b"\\") else b""
        parts = piece.removesuffix(b"\\").split(b'"')
        outside = b"".join(parts[in_string::2])
        in_string = (in_string + len(parts) - 1) % 2
        values += outside.count(b",")
        nodes += outside.count(b"[") + outside.count(b"{") + outside.count(b":")
        for bracket in outside.translate(None, _NO_BRACKETS):
            depth += 1 if bracket in b"[{" else -1
            if depth > MAX_DEPTH:
                raise InvalidRequest(TOO_DEEP)
        if values + nodes > most_values or nodes > most_nodes:
            raise InvalidRequest(
                f"The body holds too many values: {most_values} at most, {most_nodes} of them lists, objects or their"
                " members. Send long data as text, or in several requests.",
                code="too_many_values",
            )
        if escapes > MAX_ESCAPES:
            raise InvalidRequest(
                f"The body's texts hold too many escaped characters: {MAX_ESCAPES} at most.", code="too_many_escapes"
            )
        yield
