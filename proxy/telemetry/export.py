"""Spans to a collector by OTLP over HTTP.

The address is the operator's own, from the environment like the database's: no tenant has a say in it, so it does not
pass the gate of ``costhub.lib.net``.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from secrets import token_bytes
from typing import Final
from uuid import UUID

import httpx2

from proxy.core.otlp import Ids, encode_request, encode_span
from proxy.core.spans import CallTrace, make_spans

#: meanwhile the queue fills, and then spans are dropped
_TIMEOUT_SECONDS: Final = 5.0
_SPAN_ID_BYTES: Final = 8


class Exporter:
    """Sends spans to one collector. ``endpoint`` is its base address: ``/v1/traces`` follows."""

    def __init__(self, endpoint: str, service: str, headers: Mapping[str, str]) -> None:
        self._resource = {"service.name": service}
        self._url = f"{endpoint}/v1/traces"
        self._http = httpx2.Client(
            trust_env=False, timeout=_TIMEOUT_SECONDS, headers={**headers, "content-type": "application/x-protobuf"}
        )

    def export(self, traces: list[CallTrace]) -> tuple[int, int]:
        """Send one batch, once. Gives how many spans the collector took, and how many it did not."""
        spans = [span for trace in traces for span in _encode(trace)]
        try:
            answer = self._http.post(self._url, content=encode_request(spans, self._resource))
        except httpx2.HTTPError:
            return 0, len(spans)
        return (len(spans), 0) if answer.status_code == HTTPStatus.OK else (0, len(spans))


def _encode(trace: CallTrace) -> Iterator[bytes]:
    """A trace of our own has the call's request id, whose last 62 bits are random, so that one finds the other."""
    whole, *parts = make_spans(trace)
    parent = trace.parent
    trace_id = parent.trace_id.to_bytes(16) if parent else UUID(trace.row["id"]).bytes
    call = token_bytes(_SPAN_ID_BYTES)
    yield encode_span(whole, Ids(trace_id, call, parent.span_id.to_bytes(_SPAN_ID_BYTES) if parent else b""))
    for part in parts:
        yield encode_span(part, Ids(trace_id, token_bytes(_SPAN_ID_BYTES), call))
