"""A collector of traces: an OTLP/HTTP receiver that keeps every span."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


class Received:
    """One span, as it arrived."""

    def __init__(self, span: Any, resource: dict[str, Any]) -> None:
        self.name: str = span.name
        self.kind: int = span.kind
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.start_ns: int = span.start_time_unix_nano
        self.end_ns: int = span.end_time_unix_nano
        self.attributes = {pair.key: plain(pair.value) for pair in span.attributes}
        self.is_error: bool = span.status.code == 2
        self.resource = resource


class Collector:
    """What was received. With ``status`` another than 200 it refuses."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.requests = 0
        self.status = 200
        self.url = ""
        self.headers: dict[str, str] = {}
        self._came = threading.Condition()

    def take(self, path: str, body: bytes) -> int:
        """One request. Gives the status of the answer."""
        with self._came:
            self.requests += 1
            if path != "/v1/traces":
                return 404
            if self.status == 200:
                for told in ExportTraceServiceRequest.FromString(body).resource_spans:
                    resource = {pair.key: plain(pair.value) for pair in told.resource.attributes}
                    self.spans += [Received(span, resource) for scope in told.scope_spans for span in scope.spans]
            self._came.notify_all()
            return self.status

    def wait_for(self, count: int) -> list[Received]:
        """So many spans, once they are here."""
        with self._came:
            self._came.wait_for(lambda: len(self.spans) >= count)
            return list(self.spans)


@contextmanager
def collect() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(collector.take(self.path, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def plain(value: AnyValue) -> Any:
    """An attribute as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None
