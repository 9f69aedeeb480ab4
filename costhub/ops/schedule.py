"""Which job runs how often: the whole schedule as one table, for beat, for workers, and for whoever watches them."""

from dataclasses import dataclass
from typing import Final

from costhub.lib.keyspace import BATCH_QUEUE, QUICK_QUEUE, SLOW_QUEUE

_HOUR: Final = 3_600


@dataclass(frozen=True, slots=True)
class Job:
    """A task of Celery's that is due again and again: every so many seconds, or each hour at a minute."""

    task: str
    every_seconds: float
    minute: int | None = None
    #: one that takes its time has a worker of its own, so that nobody waits for a mail behind a forecast
    is_slow: bool = False
    #: batches have one too: their calls may take minutes, and a forecast must not wait behind them
    is_batches: bool = False

    @property
    def name(self) -> str:
        """What people and labels call it."""
        return self.task.rpartition(".")[2]

    @property
    def queue(self) -> str:
        """Where its messages lie."""
        if self.is_batches:
            return BATCH_QUEUE
        return SLOW_QUEUE if self.is_slow else QUICK_QUEUE

    @property
    def expires_seconds(self) -> float:
        """A run that no worker has taken by then is dropped: the next one does its work."""
        return max(self.every_seconds * 2, 2) if self.minute is None else 600

    @property
    def late_after_seconds(self) -> float:
        """The age of its last success from which on somebody should look: five periods, two of the long ones. A slow
        one may have waited for others that take minutes."""
        return max(
            self.every_seconds * (5 if self.every_seconds < _HOUR else 2),
            600 if self.is_slow or self.is_batches else 60,
        )


def _hourly(task: str, *, minute: int) -> Job:
    return Job(task, _HOUR, minute=minute, is_slow=True)


def _slow(task: str, every_seconds: float) -> Job:
    return Job(task, every_seconds, is_slow=True)


JOBS: Final = (
    Job("proxy.tasks.drain_ledger", 0.5),
    Job("proxy.tasks.reap_reservations", 5),
    _slow("proxy.tasks.correct_estimates", 5),
    Job("proxy.tasks.announce_versions", 5),
    Job("billing.tasks.watch_budgets", 1),
    Job("billing.tasks.send_messages", 1),
    _slow("billing.tasks.roll_up", 10),
    Job("billing.tasks.watch_calls", 15),
    Job("billing.tasks.review_budgets", 30),
    Job("billing.invoices.tasks.apply_stripe_events", 2),
    _slow("billing.invoices.tasks.send_usage", 60),
    Job("billing.invoices.tasks.follow_plans", 30),
    _slow("billing.invoices.tasks.apply_reratings", 60),
    # A run takes as many as its time allows, 150 s: the first of a month has work for several, and what else is slow
    # has its turn in between.
    _slow("billing.invoices.tasks.close_months", 180),
    _slow("proxy.tasks.rebuild_counters", 120),
    _slow("proxy.tasks.fit_cache_gates", 120),
    Job("proxy.tasks.run_batches", 1, is_batches=True),
    _slow("proxy.tasks.train_routes", 900),
    Job("billing.tasks.keep_endpoints", 5),
    _slow("proxy.learning.tasks.store_captured", 5),
    _slow("proxy.learning.tasks.build_versions", 15),
    _slow("proxy.learning.tasks.continue_teacher_runs", 15),
    _slow("proxy.learning.tasks.continue_paid_replays", 15),
    _slow("proxy.learning.tasks.continue_tunings", 15),
    _slow("proxy.learning.tasks.forget_uncovered", 60),
    _slow("proxy.learning.tasks.compare_students", 60),
    _slow("proxy.learning.tasks.compare_tuned", 60),
    _slow("proxy.learning.tasks.settle_training", 60),
    _slow("billing.tasks.watch_standing", 300),
    _slow("billing.tasks.charge_gpu_hours", 300),
    _slow("billing.tasks.watch_drift", 600),
    Job("costhub.ops.tasks.watch_jobs", 30),
    _hourly("billing.tasks.refresh_forecasts", minute=4),
    _hourly("billing.tasks.send_summaries", minute=6),
    _hourly("proxy.tasks.make_partitions", minute=7),
    _hourly("billing.tasks.detect_anomalies", minute=9),
    _hourly("billing.invoices.tasks.fill_outbox", minute=2),
    _hourly("billing.invoices.tasks.dun", minute=14),
    _hourly("billing.tasks.fetch_bills", minute=22),
    _hourly("billing.invoices.tasks.reconcile_meters", minute=32),
    _hourly("billing.invoices.tasks.refresh_collected_invoices", minute=38),
    # Daily would do. An hour is so that a run that could not be had is not missed for a day.
    _hourly("costhub.ops.tasks.expire_keys", minute=17),
    _hourly("costhub.ops.tasks.drop_old_months", minute=27),
    _slow("costhub.ops.tasks.erase_departed", 60),
    _hourly("costhub.ops.tasks.clear_sessions", minute=37),
    _hourly("costhub.ops.tasks.prove_domains", minute=42),
    _hourly("billing.tasks.forget_old_alerts", minute=47),
    _hourly("proxy.tasks.forget_cached_answers", minute=52),
    _hourly("proxy.tasks.forget_old_files", minute=57),
    _hourly("proxy.tasks.forget_stored_answers", minute=53),
)
