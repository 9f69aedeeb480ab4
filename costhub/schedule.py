"""Which job runs how often: the whole schedule as one table, for beat, for workers, and for whoever watches them."""

from dataclasses import dataclass
from typing import Final

from costhub.lib.keyspace import QUICK_QUEUE, SLOW_QUEUE

_HOUR: Final = 3_600


@dataclass(frozen=True, slots=True)
class Job:
    """A task of Celery's that is due again and again: every so many seconds, or each hour at a minute."""

    task: str
    every_seconds: float
    minute: int | None = None
    #: one that takes its time has a worker of its own, so that nobody waits for a mail behind a forecast
    is_slow: bool = False

    @property
    def name(self) -> str:
        """What people and labels call it."""
        return self.task.rpartition(".")[2]

    @property
    def queue(self) -> str:
        """Where its messages lie."""
        return SLOW_QUEUE if self.is_slow else QUICK_QUEUE

    @property
    def expires_seconds(self) -> float:
        """A run that no worker has taken by then is dropped: the next one does its work."""
        return max(self.every_seconds * 2, 2) if self.minute is None else 600

    @property
    def late_after_seconds(self) -> float:
        """The age of its last success from which on somebody should look: five periods, two of the long ones. A slow
        one may have waited for others that take minutes."""
        return max(self.every_seconds * (5 if self.every_seconds < _HOUR else 2), 600 if self.is_slow else 60)


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
    _slow("proxy.tasks.rebuild_counters", 120),
    _slow("billing.tasks.watch_standing", 300),
    _slow("billing.tasks.watch_drift", 600),
    Job("costhub.tasks.watch_jobs", 30),
    _hourly("billing.tasks.refresh_forecasts", minute=4),
    _hourly("proxy.tasks.make_partitions", minute=7),
    _hourly("billing.tasks.detect_anomalies", minute=9),
    # Daily would do. An hour is so that a run that could not be had is not missed for a day.
    _hourly("costhub.tasks.expire_keys", minute=17),
    _hourly("costhub.tasks.drop_old_months", minute=27),
    _hourly("costhub.tasks.clear_sessions", minute=37),
    _hourly("billing.tasks.forget_old_alerts", minute=47),
)
