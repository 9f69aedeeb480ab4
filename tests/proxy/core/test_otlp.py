"""Our bytes as the reference's own parser reads them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from proxy.core.otlp import Ids, encode_request, encode_span
from proxy.core.spans import Span
from tests.proxy.collector import plain

VALUES = st.one_of(
    st.text(max_size=300),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(st.text(max_size=40), max_size=4),
)


def parse(*spans: bytes, **resource: str) -> Any:
    request = ExportTraceServiceRequest.FromString(encode_request(spans, resource))
    (told,) = request.resource_spans
    assert {pair.key: plain(pair.value) for pair in told.resource.attributes} == resource
    (scope,) = told.scope_spans
    assert scope.scope.name == "costhub"
    return scope.spans


@given(
    attributes=st.dictionaries(st.text(min_size=1, max_size=200), VALUES, max_size=20),
    name=st.text(max_size=300),
    start=st.integers(0, 2**64 - 1),
)
def test_what_is_written_is_read(attributes: dict[str, Any], name: str, start: int) -> None:
    span = Span(name, False, start, 2**64 - 1, attributes, "")
    (read,) = parse(encode_span(span, Ids(b"t" * 16, b"s" * 8, b"")), service="x")
    assert {pair.key: plain(pair.value) for pair in read.attributes} == attributes
    assert (read.name, read.start_time_unix_nano, read.end_time_unix_nano) == (name, start, 2**64 - 1)
    assert (read.trace_id, read.span_id, read.parent_span_id) == (b"t" * 16, b"s" * 8, b"")


@pytest.mark.parametrize(("is_client", "kind"), [(True, 3), (False, 1)])
@pytest.mark.parametrize(("error", "code"), [("", 0), ("upstream_error", 2)])
def test_kind_status_and_parent(is_client: bool, kind: int, error: str, code: int) -> None:
    span = encode_span(Span("a", is_client, 1, 2, {}, error), Ids(b"t" * 16, b"s" * 8, b"p" * 8))
    first, second = parse(span, span)
    assert first == second
    assert (first.kind, first.status.code, first.parent_span_id) == (kind, code, b"p" * 8)
