"""Server-sent events: how a chunk's JSON is put on the wire, and misput on demand."""

import re

import orjson

DONE = b"data: [DONE]\n\n"
#: an event that says of what type it is has the type's name before it
_TYPE = re.compile(rb'\{"type":"([a-z_.]+)"')
COMMENT = b": keep-alive\n\n"


def frame(payload: bytes, faults: frozenset[str]) -> bytes:
    """One event, in the style that the faults ask for. JSON of ours holds no raw line break, so the styles are safe."""
    kind = _TYPE.match(payload)
    name = b"event: " + kind[1] + b"\n" if kind else b""
    if "multi_line" in faults:
        lines = orjson.dumps(orjson.loads(payload), option=orjson.OPT_INDENT_2).split(b"\n")
        event = name + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    else:
        event = name + b"data: " + payload + b"\n\n"
    return finish_lines(COMMENT + event + b":\n" if "comments" in faults else event, faults)


def done(faults: frozenset[str]) -> bytes:
    return finish_lines(DONE, faults)


def finish_lines(event: bytes, faults: frozenset[str]) -> bytes:
    """Put in the line ends that the faults ask for."""
    if "crlf" in faults:
        return event.replace(b"\n", b"\r\n")
    return event.replace(b"\n", b"\r") if "cr" in faults else event


def with_raw_nuls(payload: bytes) -> bytes:
    """Put raw NUL bytes, which JSON forbids, into the first text of a chunk or an answer."""
    return re.sub(rb'("(?:content|text|arguments)":")', rb"\1" + b"\0\0\0", payload, count=1)


def without_sense(payload: bytes) -> bytes:
    """Something that begins like the JSON it was and is none."""
    return payload[: len(payload) // 2] + b"}]<<"
