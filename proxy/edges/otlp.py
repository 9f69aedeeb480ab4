"""Spans to a collector by OTLP over HTTP, with OpenTelemetry's own encoder and exporter. Imported only where there is one.

The address is the operator's own, from the environment like the database's: no tenant has a say in it, so it does not
pass the gate of ``costhub.lib.net``. Headers, certificates and compression are read from OpenTelemetry's variables.
"""

import logging
from random import getrandbits
from typing import Final
from uuid import UUID

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from proxy.core.spans import Span, Story, make_spans

_SCOPE: Final = InstrumentationScope("costhub")
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
#: with all its retries; meanwhile the queue fills, and then spans are dropped
_TIMEOUT_SECONDS: Final = 5.0
#: it complains of every batch that a collector does not take: dropped spans are counted
logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)


class Exporter:
    """Sends spans to one collector. ``endpoint`` is its base address: ``/v1/traces`` follows."""

    def __init__(self, endpoint: str, service: str) -> None:
        self._resource = Resource.create({"service.name": service})
        self._exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=_TIMEOUT_SECONDS)

    def export(self, stories: list[Story]) -> tuple[int, int]:
        """Send one batch. Gives how many spans the collector took, and how many it did not."""
        spans = [span for story in stories for span in self._encode(story)]
        is_taken = self._exporter.export(spans) is SpanExportResult.SUCCESS
        return (len(spans), 0) if is_taken else (0, len(spans))

    def _encode(self, story: Story) -> list[ReadableSpan]:
        """A trace of our own has the call's request id, whose last 62 bits are random, so that one finds the other."""
        whole, *parts = make_spans(story)
        trace_id = story.parent.trace_id if story.parent else UUID(story.row["id"]).int
        above = _context(trace_id, story.parent.span_id, is_remote=True) if story.parent else None
        call = _context(trace_id, _new_id())
        return [
            self._readable(whole, call, above),
            *(self._readable(part, _context(trace_id, _new_id()), call) for part in parts),
        ]

    def _readable(self, span: Span, context: SpanContext, parent: SpanContext | None) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            kind=SpanKind.CLIENT if span.is_client else SpanKind.INTERNAL,
            instrumentation_scope=_SCOPE,
            status=Status(StatusCode.ERROR) if span.error else Status(StatusCode.UNSET),
            start_time=span.start_ns,
            end_time=span.end_ns,
        )


def _context(trace_id: int, span_id: int, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote, _SAMPLED)


def _new_id() -> int:
    return getrandbits(64) or 1
