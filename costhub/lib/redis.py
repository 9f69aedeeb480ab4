"""The blocking client of Valkey, for jobs, pages and commands. The hot path has its own: ``proxy.edges.valkey``."""

from functools import cache

import redis
from django.conf import settings


@cache
def client() -> redis.Redis:
    """One client a process; it answers in bytes."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=2, health_check_interval=30, protocol=3
    )
