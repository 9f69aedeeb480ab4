"""What responses in the background say while they are made, kept in Valkey for whoever listens: so much of each, and so
much of all of a shard. Where there is no room words are not told as they are made; the end has them all."""

from contextlib import suppress
from typing import Final

from costhub.lib import clock, keyspace
from proxy.edges.valkey import Answer, Script, Valkey, ValkeyUnavailable

TELL: Final = Script("tell")
#: behind the last of its words: so long nobody has heard of its end
_KEPT_MS: Final = 2 * 3_600_000
#: behind its end: so long a listener may be away and take it up where it was
_KEPT_AFTER_MS: Final = 3_600_000
#: where nothing was told: listeners look ten times a second
_END_KEPT_MS: Final = 60_000
#: of all responses of one of the shards; nothing is evicted from this Valkey, which is full when it is full
MOST_BYTES: Final = 16 * 1024 * 1024


def send_words(valkey: Valkey, shard: int, name: str, *, by: str, first: int, events: bytes) -> Answer:
    """Keep some events of the response ``name``, which the call ``by`` asks for: the answer is 0 where there is no
    room. Raises ValkeyUnavailable."""
    return _send(valkey, shard, name, by, first, events)


def tell_end(valkey: Valkey, shard: int, name: str) -> None:
    """The response is out: who listens need not wait any more."""
    with suppress(ValkeyUnavailable):
        _send(valkey, shard, name, "", 0, b"").add_done_callback(_forget)


def forget_told(valkey: Valkey, shard: int, name: str) -> None:
    """The response was deleted: its words go, too, and their room is free with the next that come."""
    with suppress(ValkeyUnavailable):
        valkey.send(b"DEL", keyspace.told_key(shard, name)).add_done_callback(_forget)
        valkey.send(b"ZADD", keyspace.told_until_key(shard), b"XX", 0, name).add_done_callback(_forget)


def _send(valkey: Valkey, shard: int, name: str, by: str, first: int, events: bytes) -> Answer:
    keys = [keyspace.told_key(shard, name), keyspace.told_until_key(shard), keyspace.told_sizes_key(shard)]
    kept = (_KEPT_MS, _KEPT_AFTER_MS, _END_KEPT_MS, MOST_BYTES)
    return valkey.run(TELL, keys, [name, clock.now_ms(), *kept, by, first, events])


def _forget(done: Answer) -> None:
    if not done.cancelled():
        done.exception()
