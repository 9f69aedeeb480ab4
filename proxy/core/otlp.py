"""OTLP's protobuf messages of spans, as bytes.

Written out here because OpenTelemetry's own values and encoder cost a worker twice as much: see docs/benchmarks.md. The
fields are those of opentelemetry-proto 1.x (trace.proto, common.proto, resource.proto), which never change their
numbers; the wire format is https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from struct import pack
from typing import Final, NamedTuple

from proxy.core.spans import Span, Value

_INTERNAL, _CLIENT, _ERROR = 1, 3, 2
_BYTES: Final = 2
_SCOPE: Final = "costhub"


class Ids(NamedTuple):
    """A span's place: all as bytes, and no parent is none."""

    trace: bytes
    span: bytes
    parent: bytes


def encode_span(span: Span, ids: Ids) -> bytes:
    """A ``Span``."""
    parts = [
        _field(1, ids.trace),
        _field(2, ids.span),
        _field(4, ids.parent) if ids.parent else b"",
        _field(5, span.name.encode()),
        b"\x30" + bytes((_CLIENT if span.is_client else _INTERNAL,)),
        b"\x39" + pack("<Q", span.start_ns),
        b"\x41" + pack("<Q", span.end_ns),
        *_attributes(9, span.attributes),
    ]
    if span.error:
        parts.append(_field(15, b"\x18" + bytes((_ERROR,))))
    return b"".join(parts)


def encode_request(spans: Iterable[bytes], resource: Mapping[str, Value]) -> bytes:
    """An ``ExportTraceServiceRequest`` with encoded spans, all of one resource."""
    scope = _field(1, _field(1, _SCOPE.encode()))
    scope_spans = scope + b"".join(_field(2, span) for span in spans)
    return _field(1, _field(1, b"".join(_attributes(1, resource))) + _field(2, scope_spans))


def _attributes(number: int, attributes: Mapping[str, Value]) -> list[bytes]:
    return [_field(number, _key(name) + _field(2, _any(value))) for name, value in attributes.items()]


@lru_cache(maxsize=128)
def _key(name: str) -> bytes:
    return _field(1, name.encode())


def _any(value: Value) -> bytes:
    if isinstance(value, str):
        return _field(1, value.encode())
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return b"\x21" + pack("<d", value)
    return _field(5, b"".join(_field(1, _any(one)) for one in value))


def _field(number: int, raw: bytes) -> bytes:
    """A field that says how long it is; numbers below 16 have a tag of one byte."""
    return bytes((number << 3 | _BYTES,)) + _varint(len(raw)) + raw


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
