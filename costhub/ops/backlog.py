"""What waits in Valkey: holds, ledger events that PostgreSQL does not have, messages of Celery's."""

from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from costhub.lib import clock, keyspace
from costhub.lib.redis import ask_shards, broker


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits. ``lag_seconds`` is the age of the oldest event. Of the shards that are ``away`` nothing is known:
    no Valkey answers for them."""

    holds: int
    events: int
    lag_seconds: float
    away: frozenset[int] = frozenset()


def read_backlog() -> Backlog:
    """All of it in one round trip, while all is well. Where no Valkey answers, every shard is away."""
    shards = frozenset(range(keyspace.SHARDS))
    try:
        found = ask_shards(shards, _ask)
    except RedisError:
        found = {}
    oldest = [int(events[0][0].partition(b"-")[0]) for _, _, events in found.values() if events]
    return Backlog(
        holds=sum(holds for holds, _, _ in found.values()),
        events=sum(events for _, events, _ in found.values()),
        lag_seconds=max(0, clock.now_ms() - min(oldest)) / 1000 if oldest else 0,
        away=shards - found.keys(),
    )


def count_queued() -> int:
    """How many tasks no worker has taken yet. Raises RedisError where the queue's Valkey does not answer."""
    queues = broker().pipeline(transaction=False)
    for queue in keyspace.QUEUES:
        queues.llen(queue)
    return sum(queues.execute())


def _ask(pipe: Any, shard: int) -> None:
    pipe.zcard(keyspace.leases_key(shard))
    pipe.xlen(keyspace.ledger_key(shard))
    pipe.xrange(keyspace.ledger_key(shard), count=1)
