"""The Celery app, and the whole schedule as one table."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")

from celery import Celery
from celery.schedules import crontab
from django.conf import settings

from costhub.lib.keyspace import CELERY_PREFIX

#: a task that is not acknowledged within this is given to another worker; every task is shorter, and idempotent
VISIBILITY_TIMEOUT_SECONDS = 300

app = Celery("costhub")
app.conf.update(
    broker_url=settings.REDIS_URL,
    # It must be set in three places for Redis, or the smallest default wins.
    broker_transport_options={"visibility_timeout": VISIBILITY_TIMEOUT_SECONDS, "global_keyprefix": CELERY_PREFIX},
    result_backend_transport_options={"visibility_timeout": VISIBILITY_TIMEOUT_SECONDS},
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

#: (task, how often in seconds or a crontab). A run that was not taken before the next is due expires.
_SCHEDULE: list[tuple[str, Any]] = [
    ("proxy.tasks.drain_ledger", 0.5),
    ("proxy.tasks.reap_reservations", 5),
    ("proxy.tasks.correct_estimates", 5),
    ("proxy.tasks.announce_versions", 5),
    ("billing.tasks.roll_up", 10),
    ("proxy.tasks.rebuild_counters", 120),
    ("proxy.tasks.make_partitions", crontab(minute=7)),
    ("billing.tasks.watch_budgets", 1),
    ("billing.tasks.send_messages", 1),
    ("billing.tasks.watch_calls", 15),
    ("billing.tasks.review_budgets", 30),
    ("billing.tasks.watch_standing", 300),
    ("billing.tasks.watch_drift", 600),
    ("billing.tasks.forget_old_alerts", crontab(hour=3, minute=17)),
    ("billing.tasks.refresh_forecasts", crontab(minute=4)),
    ("billing.tasks.detect_anomalies", crontab(minute=9)),
]
app.conf.beat_schedule = {
    task: {
        "task": task,
        "schedule": when,
        "options": {"expires": max(when * 2, 2) if isinstance(when, int | float) else 600},
    }
    for task, when in _SCHEDULE
}
app.autodiscover_tasks(["proxy", "billing"])
