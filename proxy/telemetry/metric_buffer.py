"""Counts of calls, in plain numbers first and in Prometheus's a few times a second: its counters cost as much as a
reserve when every call moves six of them."""

from collections import defaultdict
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

from costhub.lib import metrics
from costhub.lib.money import NANOS_PER_USD

#: of so many calls one is timed for the histogram; all are in the ledger
TIMED_EVERY: Final = 16
_MICROS_PER_SECOND: Final = 1_000_000
_WHAT: Final = itemgetter("endpoint", "status")
_SPENT: Final = itemgetter("effective_cost", "input_tokens", "output_tokens", "is_overrun")


class MetricBuffer:
    """What happened since the last ``flush``."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, int], int] = defaultdict(int)
        self._spent: dict[tuple[str, str], list[tuple[int, int, int, bool]]] = defaultdict(list)
        self._saved: dict[str, int] = defaultdict(int)
        self._doubts: dict[str, int] = defaultdict(int)
        self._seen = 0

    def count(self, org: str, row: Mapping[str, Any]) -> None:
        """One call that ended."""
        self._calls[_WHAT(row)] += 1
        if row["effective_cost"]:
            # Added up when they are handed on, a few times a second.
            self._spent[org, row["request_model"]].append(_SPENT(row))
        if savings := row["savings"]:
            for mechanism, nanos in savings.items():
                self._saved[mechanism] += nanos
        for attempt in row["attempts"]:
            if "doubts" in attempt:
                for doubt in attempt["doubts"]:
                    self._doubts[doubt] += 1
        self._seen += 1
        if self._seen % TIMED_EVERY == 0:
            metrics.OVERHEAD.observe(row["overhead_us"] / _MICROS_PER_SECOND)

    def flush(self) -> None:
        """Hand everything to Prometheus's counters. What these do not take is not handed to them again."""
        ended, self._calls = self._calls, defaultdict(int)
        paid, self._spent = self._spent, defaultdict(list)
        saved, self._saved = self._saved, defaultdict(int)
        doubts, self._doubts = self._doubts, defaultdict(int)
        for (endpoint, status), calls in ended.items():
            metrics.CALLS.labels(endpoint, status).inc(calls)
        for (org, model), spent in paid.items():
            cost, inputs, outputs, overruns = map(sum, zip(*spent, strict=True))
            metrics.COST.labels(org, model).inc(cost / NANOS_PER_USD)
            metrics.TOKENS.labels(org, model, "input").inc(inputs)
            metrics.TOKENS.labels(org, model, "output").inc(outputs)
            metrics.OVERRUNS.labels(org).inc(overruns)
        for mechanism, nanos in saved.items():
            if nanos > 0:  # a counter only rises: what cost more is in the ledger
                metrics.SAVINGS.labels(mechanism).inc(nanos / NANOS_PER_USD)
        for doubt, answers in doubts.items():
            metrics.USAGE_DOUBTS.labels(doubt).inc(answers)
