"""The least Celery app: one task a beat adds to a list in the broker's own database."""

import os

import redis
from celery import Celery

from costhub.lib.keyspace import CELERY_PREFIX
from costhub.ops import heartbeats as heartbeats  # as the product's app does

app = Celery("small", broker=os.environ["REDIS_URL"])
app.conf.beat_schedule = {"tick": {"task": "tests.stack.small_celery.tick", "schedule": 0.2}}
app.conf.broker_transport_options = {"global_keyprefix": CELERY_PREFIX}
app.conf.task_ignore_result = True
app.conf.costhub_pulse = os.environ.get("COSTHUB_PULSE", "")


@app.task(name="tests.stack.small_celery.tick")
def tick() -> None:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.rpush("ticks", os.getpid())


@app.task(name="tests.stack.small_celery.hold")
def hold() -> None:
    """Under way until somebody pushes to "released"."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.rpush("held", os.getpid())
        client.blpop(["released"], timeout=0)
