"""Every Prometheus metric, declared once. Labels are bounded: no end users, no prompts, no keys.

What happens in a proxy process is counted there and summed over the processes when it is read (prometheus_client's
multi-process mode, whose directory ``PROMETHEUS_MULTIPROC_DIR`` names). A process counts on in the files of a dead one,
so that there are never more of them than processes at a time; what a dead one said of itself goes with the next scrape.
What Valkey knows is read from it then.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from django.conf import settings
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from costhub.lib.money import NANOS_PER_USD
from costhub.lib.process_slots import ProcessSlots

if settings.METRICS_DIR:
    # Before the first metric is made: each makes its file when it is declared.
    values.ValueClass = values.MultiProcessValue(ProcessSlots(Path(settings.METRICS_DIR)).number)  # type: ignore[no-untyped-call]

CALLS = Counter("costhub_calls", "LLM API calls that ended, by endpoint and status.", ["endpoint", "status"])
ERRORS = Counter("costhub_errors", "LLM API requests that ended in an error, by its code.", ["code"])
COST = Counter("llm_cost_dollars", "What calls cost, as settled.", ["org", "model"])
SAVINGS = Counter("llm_savings_dollars", "What calls cost less than as they were asked for.", ["mechanism"])
TOKENS = Counter("llm_tokens", "Tokens as the upstream billed them.", ["org", "model", "direction"])
OVERRUNS = Counter("costhub_overruns", "Calls that cost more than was held for them.", ["org"])
OVERHEAD = Histogram(
    "costhub_overhead_seconds",
    "Time of a call that was not spent waiting for its upstream or its caller.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5),
)
CACHE_LOOKUPS = Counter(
    "costhub_cache_lookups", "Calls that were looked up in the cache, by what was found.", ["status"]
)
CACHE_FAILURES = Counter(
    "costhub_cache_failures", "Look-ups of the cache that failed, each a miss, by the part that failed.", ["part"]
)
COOL_DOWNS = Counter("costhub_upstream_cool_downs", "Times that an upstream was left alone after repeated failures.")
COMPRESSION_FAILURES = Counter(
    "costhub_compression_failures",
    "Prompts that were sent as long as they were, because there were no vectors in time.",
)
ESCALATIONS = Counter("costhub_escalations", "Answers of a cascade's rung that were judged, and the next rung asked.")
ROUTE_LABELS_LOST = Counter("costhub_route_labels_lost", "Calls of routes that could not be learned from.")
COMPARISONS_LEFT_OUT = Counter(
    "costhub_comparisons_left_out", "Calls of routes that chance had chosen to be compared, and that were not."
)
FALLBACKS = Counter("costhub_fallbacks", "Calls that another model was asked for, because one did not answer.")
MERGED_CALLS = Counter("costhub_merged_calls", "Embeddings calls that were asked together with others.")
HABITS_LEARNED = Counter(
    "costhub_habits_learned", "Refusals of what CostHub itself had written into a request, by the habit.", ["habit"]
)
USAGE_DOUBTS = Counter(
    "costhub_usage_doubts",
    "Answers whose cost is no exact one although the upstream reported usage, by the doubt.",
    ["doubt"],
)
STANDING_FAULTS = Counter(
    "costhub_standing_faults",
    "Turns of what a process does for as long as it lives that failed by a fault of CostHub's, by its name.",
    ["task"],
)
SPANS = Counter("costhub_spans", "Spans of traces, exported or dropped.", ["outcome"])
HOLDS_OPEN = Gauge("costhub_holds_open", "Holds that are neither settled nor reaped.", multiprocess_mode="mostrecent")
LOOP_TASKS = Gauge(
    "costhub_loop_tasks", "Tasks on the event loops of the processes that take calls.", multiprocess_mode="livesum"
)
LEDGER_LAG = Gauge(
    "costhub_ledger_lag_seconds",
    "Age of the oldest event that PostgreSQL has not confirmed.",
    multiprocess_mode="mostrecent",
)
LEDGER_UNREAD = Gauge(
    "costhub_ledger_unread_events", "Events that PostgreSQL has not confirmed.", multiprocess_mode="mostrecent"
)
SHARDS_AWAY = Gauge(
    "costhub_shards_away",
    "Shards for which no Valkey answers, of whose holds and events nothing is known.",
    multiprocess_mode="mostrecent",
)
QUEUE_AWAY = Gauge(
    "costhub_queue_away",
    "1 where the Valkey of Celery's queue does not answer, so that no job runs.",
    multiprocess_mode="mostrecent",
)
QUEUED = Gauge(
    "costhub_queued_tasks", "Tasks in Celery's queue that no worker has taken.", multiprocess_mode="mostrecent"
)
JOB_AGE = Gauge(
    "costhub_job_age_seconds",
    "Time since a job last succeeded; infinite for one that was never scheduled.",
    ["task"],
    multiprocess_mode="mostrecent",
)
JOB_LATE_AFTER = Gauge(
    "costhub_job_late_after_seconds",
    "The age of a job's last success from which on somebody should look.",
    ["task"],
    multiprocess_mode="mostrecent",
)
ARCHIVE_AGE = Gauge(
    "costhub_archive_age_seconds",
    "Time since the embedded PostgreSQL's log, or a base backup of it, was kept last.",
    ["kept"],
    multiprocess_mode="mostrecent",
)

DAILY_COST: Final = "llm_daily_cost_dollars"
BUDGET_REMAINING: Final = "llm_budget_remaining_dollars"
COUNTER_DRIFT: Final = "costhub_counter_drift_dollars"


def collect_processes(folder: Path) -> CollectorRegistry:
    """What the processes that share a folder of metrics have counted, the dead ones too, and what the living ones say
    of themselves: who was killed could not take back how many tasks it had."""
    for number in ProcessSlots(folder).find_free():
        mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry


class LedgerFigures(Collector):
    """What the last recount showed, in nano-USD: one scrape's, because it is the same in every process."""

    def __init__(
        self, day_costs: Mapping[str, int], remaining: Mapping[tuple[str, str], int], drift: int | None
    ) -> None:
        self._day_costs = day_costs
        self._remaining = remaining
        self._drift = drift

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The families that Prometheus reads."""
        days = GaugeMetricFamily(DAILY_COST, "Spent today so far, in the organisation's time zone.", labels=["org"])
        for org, nanos in self._day_costs.items():
            days.add_metric([org], nanos / NANOS_PER_USD)
        left = GaugeMetricFamily(
            BUDGET_REMAINING, "The least that is left in a hard budget of a scope.", labels=["org", "scope"]
        )
        for (org, scope), nanos in self._remaining.items():
            left.add_metric([org, scope], nanos / NANOS_PER_USD)
        drift = GaugeMetricFamily(COUNTER_DRIFT, "By how much counters were wrong when they were last counted again.")
        if self._drift is not None:
            drift.add_metric([], self._drift / NANOS_PER_USD)
        return days, left, drift
