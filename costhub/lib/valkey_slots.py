"""The slots of a Valkey Cluster, and which master should have which for CostHub's shards to be spread evenly.

The hash tags of the shards lie close together in places: masters with equal parts of the slots have unequal parts of
the organisations, and of six masters two would have none.
"""

from binascii import crc_hqx
from functools import lru_cache
from typing import Final

from costhub.lib.keyspace import SHARDS, tag

SLOTS: Final = 16_384


# A shard's few keys come with every call; those of one call alone go by.
@lru_cache(maxsize=1_024)
def slot_of(key: bytes | str | int) -> int:
    """The slot of a key, by its hash tag where it has one."""
    raw = key if isinstance(key, bytes) else str(key).encode()
    start = raw.find(b"{")
    if start >= 0:
        end = raw.find(b"}", start)
        if end > start + 1:
            raw = raw[start + 1 : end]
    return crc_hqx(raw, 0) & (SLOTS - 1)


def even_ranges(masters: int) -> list[tuple[int, int]]:
    """(first, last) slot of each master, so that none has more than one shard more than another: from 1 to 16
    masters."""
    shards = sorted(slot_of(tag(shard)) for shard in range(SHARDS))
    firsts = [0, *(shards[place * SHARDS // masters] for place in range(1, masters))]
    return [(first, after - 1) for first, after in zip(firsts, [*firsts[1:], SLOTS], strict=True)]
