"""What waits in Valkey: holds, ledger events that PostgreSQL does not have, messages of Celery's."""

from dataclasses import dataclass

from costhub.lib import clock, keyspace
from costhub.lib.redis import broker, client


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits. ``lag_seconds`` is the age of the oldest event."""

    holds: int
    events: int
    lag_seconds: float
    queued: int


def read_backlog() -> Backlog:
    """All of it in two round trips. Raises RedisError."""
    pipe = client().pipeline(transaction=False)
    for shard in range(keyspace.SHARDS):
        pipe.zcard(keyspace.leases_key(shard))
        pipe.xlen(keyspace.ledger_key(shard))
        pipe.xrange(keyspace.ledger_key(shard), count=1)
    answers = pipe.execute()
    queues = broker().pipeline(transaction=False)
    for queue in keyspace.QUEUES:
        queues.llen(queue)
    queued = sum(queues.execute())
    oldest = [int(events[0][0].partition(b"-")[0]) for events in answers[2::3] if events]
    return Backlog(
        holds=sum(answers[0::3]),
        events=sum(answers[1::3]),
        lag_seconds=max(0, clock.now_ms() - min(oldest)) / 1000 if oldest else 0,
        queued=queued,
    )
