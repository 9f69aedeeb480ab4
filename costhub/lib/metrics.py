"""Every Prometheus metric, declared once. Labels are bounded: no end users, no prompts, no keys."""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter("costhub_calls", "LLM API requests that ended, by endpoint.", ["endpoint"])
ERRORS = Counter("costhub_errors", "LLM API requests that ended in an error, by its code.", ["code"])
OVERHEAD = Histogram(
    "costhub_overhead_seconds",
    "Time of a call that was not spent waiting for its upstream.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5),
)
HOLDS_OPEN = Gauge("costhub_holds_open", "Holds that are neither settled nor reaped.", ["shard"])
LEDGER_LAG = Gauge(
    "costhub_ledger_lag_seconds", "Age of the oldest event that PostgreSQL has not confirmed.", ["shard"]
)
LEDGER_UNREAD = Gauge("costhub_ledger_unread_events", "Events that PostgreSQL has not confirmed.", ["shard"])
