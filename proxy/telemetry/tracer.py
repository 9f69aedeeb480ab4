"""Calls that have ended, on their way to a collector of traces: noted by the event loop, exported by a thread.

Nothing here can slow or fail a call: what does not fit into the queue, and what the collector does not take, is dropped
and counted.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from random import randrange
from typing import Final

from costhub.lib import clock, metrics
from proxy.core.spans import CallTrace, read_parent
from proxy.edges.entry import Entry

_log = logging.getLogger(__name__)

#: calls that wait to be exported, about 3 kB each
MAX_WAITING: Final = 4_096
#: calls in one request to the collector
BATCH: Final = 128
_PAUSE_SECONDS: Final = 1.0
#: how long a worker that stops lets the last ones be exported
_CLOSING_SECONDS: Final = 3.0


class Tracer:
    """Hands traces to ``export``, which answers how many spans the collector took and how many it did not."""

    def __init__(self, export: Callable[[list[CallTrace]], tuple[int, int]], per_mille: int = 1_000) -> None:
        self._export = export
        self._per_mille = per_mille
        self._waiting: deque[CallTrace] = deque()
        self._wake = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def note(self, entry: Entry) -> None:
        """A call has ended. Its caller's trace says whether it is traced; without one, chance does."""
        parent = read_parent(entry.traceparent) if entry.traceparent else None
        if not (parent.is_sampled if parent else self._per_mille == 1_000 or randrange(1_000) < self._per_mille):  # noqa: S311
            return
        if len(self._waiting) >= MAX_WAITING:
            metrics.SPANS.labels("dropped").inc(1 + len(entry.timings))
            return
        origin = entry.candidate.upstream.origin if entry.candidate is not None else ""
        self._waiting.append(
            CallTrace(entry.row, entry.org.slug, origin, entry.started_ns, clock.monotonic_ns(), entry.timings, parent)
        )

    def close(self) -> None:
        """Export what waits, as long as that is quick."""
        self._is_closing = True
        self._wake.set()
        self._thread.join(_CLOSING_SECONDS)

    def _run(self) -> None:
        while not self._is_closing:
            self._wake.wait(_PAUSE_SECONDS)
            self._empty()

    def _empty(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                taken, lost = self._export(batch)
            except Exception:  # noqa: BLE001 - a thread that ends would let the queue stand full for ever
                _log.exception("spans could not be exported")
                taken, lost = 0, sum(1 + len(trace.timings) for trace in batch)
            if taken:
                metrics.SPANS.labels("exported").inc(taken)
            if lost:
                metrics.SPANS.labels("dropped").inc(lost)
