"""Every Prometheus metric, declared once. Labels are bounded: no end users, no prompts, no keys.

What happens in a proxy process is counted there and summed over the processes when it is read (prometheus_client's
multi-process mode, whose directory ``PROMETHEUS_MULTIPROC_DIR`` names). What Valkey knows is read from it then.
"""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter("costhub_calls", "LLM API calls that ended, by endpoint and status.", ["endpoint", "status"])
ERRORS = Counter("costhub_errors", "LLM API requests that ended in an error, by its code.", ["code"])
COST = Counter("llm_cost_dollars", "What calls cost, as settled.", ["org", "model"])
TOKENS = Counter("llm_tokens", "Tokens as the upstream billed them.", ["org", "model", "direction"])
OVERRUNS = Counter("costhub_overruns", "Calls that cost more than was held for them.", ["org"])
OVERHEAD = Histogram(
    "costhub_overhead_seconds",
    "Time of a call that was not spent waiting for its upstream.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5),
)
HOLDS_OPEN = Gauge("costhub_holds_open", "Holds that are neither settled nor reaped.", multiprocess_mode="mostrecent")
LEDGER_LAG = Gauge(
    "costhub_ledger_lag_seconds",
    "Age of the oldest event that PostgreSQL has not confirmed.",
    multiprocess_mode="mostrecent",
)
LEDGER_UNREAD = Gauge(
    "costhub_ledger_unread_events", "Events that PostgreSQL has not confirmed.", multiprocess_mode="mostrecent"
)
