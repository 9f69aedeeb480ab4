"""The Celery app. What is due when is one table, ``costhub.ops.schedule``."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")

from celery import Celery, Task
from celery.schedules import crontab
from celery.signals import worker_process_init
from django.conf import settings

from costhub.lib.broker import broker_options
from costhub.ops import heartbeats as heartbeats  # connects them
from costhub.ops import schedule
from costhub.ops.jobs import remember_success

#: a task that is not acknowledged within this is given to another worker; every task is shorter, and idempotent
VISIBILITY_TIMEOUT_SECONDS = 300
_VISIBLE = {"visibility_timeout": VISIBILITY_TIMEOUT_SECONDS}
_BROKER = broker_options(settings.BROKER_URL)


@worker_process_init.connect
def _watch_keys(**_: Any) -> None:
    """Each process that runs tasks lets go of data keys by itself, to its end."""
    # Django's apps are loaded by now, and not when this module is.
    from proxy.edges.key_watch import watch_keys  # noqa: PLC0415

    watch_keys(settings.REDIS_URL)


class RememberedTask(Task):  # type: ignore[type-arg]
    """A task whose last success is remembered, so that one that stays away is noticed."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Called in the worker's process, after the task and before its message is acknowledged."""
        remember_success(self.name)


app = Celery("costhub", task_cls=RememberedTask)
app.conf.update(
    # It must be set in three places for Redis, or the smallest default wins.
    **_BROKER | {"broker_transport_options": _BROKER["broker_transport_options"] | _VISIBLE},
    costhub_broker=settings.BROKER_URL,
    costhub_pulse=settings.PULSE,
    result_backend_transport_options=_VISIBLE,
    visibility_timeout=VISIBILITY_TIMEOUT_SECONDS,
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=240,
    task_soft_time_limit=200,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_max_tasks_per_child=2_000,
    timezone="UTC",
    enable_utc=True,
)


def _when(job: schedule.Job) -> float | crontab:
    return job.every_seconds if job.minute is None else crontab(minute=job.minute)


app.conf.beat_schedule = {
    job.task: {
        "task": job.task,
        "schedule": _when(job),
        "options": {"expires": job.expires_seconds, "queue": job.queue},
    }
    for job in schedule.JOBS
}
app.autodiscover_tasks(["costhub.ops", "proxy", "proxy.learning", "billing", "billing.invoices"])
