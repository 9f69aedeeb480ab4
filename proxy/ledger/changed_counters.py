"""Which budgets' counters have changed: the scripts that settle note their names, and who watches budgets takes them
from here.

What was taken is given out again until it is forgotten, so that a watcher that dies has missed nothing. One at a time:
the caller sees to that.
"""

from collections.abc import Sequence
from typing import cast

import redis

from costhub.lib import keyspace
from costhub.lib.redis import client


def take_changed(shard: int) -> list[str]:
    """The counters of a shard that changed since the last time. What changes from now on is for the next time."""
    looked_at = keyspace.looked_at_key(shard)
    try:
        # Left over from a watcher that died: those first.
        client().renamenx(keyspace.moved_key(shard), looked_at)
    except redis.ResponseError:
        if not client().exists(looked_at):
            return []
    members = cast("set[bytes]", client().smembers(looked_at))
    return sorted(member.decode() for member in members)


def note_changed(shard: int, counters: Sequence[str]) -> None:
    """These are to be looked at again."""
    if counters:
        client().sadd(keyspace.moved_key(shard), *counters)


def forget_changed(shard: int) -> None:
    """What was taken last has been looked at."""
    client().delete(keyspace.looked_at_key(shard))


def list_changed_shards() -> list[int]:
    """The shards that have something to take."""
    pipe = client().pipeline(transaction=False)
    for shard in range(keyspace.SHARDS):
        pipe.exists(keyspace.moved_key(shard), keyspace.looked_at_key(shard))
    return [shard for shard, found in enumerate(pipe.execute()) if found]
