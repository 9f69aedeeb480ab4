"""The blocking client of Valkey, for jobs, pages and commands. The hot path has its own: ``proxy.edges.valkey``."""

from functools import cache

import redis
from django.conf import settings

from costhub.lib.keyspace import CHANGES, SHARDS, VERSIONS, key_snapshot_key, org_snapshot_key, shard_of  # noqa: F401


@cache
def client() -> redis.Redis:
    """One client a process; it answers in bytes."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=2, health_check_interval=30, protocol=3
    )
