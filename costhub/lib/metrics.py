"""Every Prometheus metric, declared once. Labels are bounded: no end users, no prompts, no keys.

What happens in a proxy process is counted there and summed over the processes when it is read (prometheus_client's
multi-process mode, whose directory ``PROMETHEUS_MULTIPROC_DIR`` names). A process counts on in the files of a dead one,
so that there are never more of them than processes at a time. What Valkey knows is read from it then.
"""

from pathlib import Path

from django.conf import settings
from prometheus_client import Counter, Gauge, Histogram, values

from costhub.lib.seats import Seats

if settings.METRICS_DIR:
    # Before the first metric is made: each makes its file when it is declared.
    values.ValueClass = values.MultiProcessValue(Seats(Path(settings.METRICS_DIR)).number)  # type: ignore[no-untyped-call]

CALLS = Counter("costhub_calls", "LLM API calls that ended, by endpoint and status.", ["endpoint", "status"])
ERRORS = Counter("costhub_errors", "LLM API requests that ended in an error, by its code.", ["code"])
COST = Counter("llm_cost_dollars", "What calls cost, as settled.", ["org", "model"])
SAVINGS = Counter("llm_savings_dollars", "What calls cost less than as they were asked for.", ["mechanism"])
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
QUEUED = Gauge(
    "costhub_queued_tasks", "Tasks in Celery's queue that no worker has taken.", multiprocess_mode="mostrecent"
)
JOB_AGE = Gauge(
    "costhub_job_age_seconds",
    "Time since a job last succeeded; infinite for one that was never scheduled.",
    ["task"],
    multiprocess_mode="mostrecent",
)
