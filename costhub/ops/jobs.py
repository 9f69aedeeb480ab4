"""How long ago each job last succeeded. Kept in Valkey, so that it can be read while every worker is dead."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Final, cast

from redis.exceptions import RedisError

from costhub.lib import clock, keyspace
from costhub.lib.redis import broker
from costhub.ops.schedule import JOBS, Job

_log = logging.getLogger(__name__)

_BY_TASK: Final = {job.task: job for job in JOBS}


@dataclass(frozen=True, slots=True)
class JobAge:
    """A job, and the seconds since it last succeeded: since it was first scheduled where it never has, and infinite
    where it never was."""

    job: Job
    seconds: float

    @property
    def is_unseen(self) -> bool:
        """Whether it was never scheduled."""
        return self.seconds == inf

    @property
    def is_late(self) -> bool:
        """Whether somebody should look."""
        return self.seconds > self.job.late_after_seconds


def remember_success(task: str) -> None:
    """A run of a task has succeeded just now. Tasks that are not in the schedule are nobody's concern."""
    if task not in _BY_TASK:
        return
    try:
        broker().hset(keyspace.JOBS, task, clock.now_ms())
    except RedisError:
        _log.warning("a job's success could not be noted", extra={"task": task})


def read_ages() -> list[JobAge]:
    """Every job of the schedule, in its order. Raises RedisError."""
    succeeded = cast("list[bytes | None]", broker().hmget(keyspace.JOBS, [job.task for job in JOBS]))
    return list(_ages(succeeded, clock.now_ms()))


def _ages(succeeded: Iterable[bytes | None], now_ms: int) -> Iterable[JobAge]:
    for job, moment in zip(JOBS, succeeded, strict=True):
        yield JobAge(job, max(0, now_ms - int(moment)) / 1000 if moment else inf)
