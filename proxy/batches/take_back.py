"""Lines whose worker died. Those that it was about to ask, and had not drawn their money yet, are as if nobody had
claimed them; the others may have been asked, and are asked again as calls of their own. Those whose answers were noted
are settled by what was noted with them."""

from collections.abc import Iterable, Sequence
from typing import Final, cast

import orjson

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from proxy.batches import results, store
from proxy.batches.model import Batch, BatchLine
from proxy.edges.settle_batch import SETTLE, Settle, settle_command
from proxy.edges.valkey import Script

ASKED: Final = Script("asked")


def take_back_all(batches: Iterable[Batch], shard: int) -> None:
    """Have all of them wait again. Only who has their organisation's lock may say so."""
    for batch in batches:
        if batch.is_remote:
            continue  # its upstream has them
        lines = store.list_running(batch)
        if not lines:
            continue
        have_drawn = _have_drawn(batch, lines, shard)
        store.take_back(batch, [line.number for line, is_drawn in zip(lines, have_drawn, strict=True) if is_drawn])
        if unasked := [line for line, is_drawn in zip(lines, have_drawn, strict=True) if not is_drawn]:
            store.give_back(batch, unasked)


def mark_asked(lines: Sequence[BatchLine], shard: int) -> list[BatchLine]:
    """Deferred calls go to an upstream together: their holds say so, for the reaper. Gives those that have one: the
    others were settled, as one whose caller was told that it could not be taken, and nobody may be asked with them."""
    keys = [keyspace.hold_key(shard, line.custom_id) for line in lines]
    are_held = cast("list[int]", client().register_script(ASKED.source)(keys=keys))
    return [line for line, is_held in zip(lines, are_held, strict=True) if is_held]


def settle_saved(batches: Iterable[Batch], shard: int) -> int:
    """Settle the calls whose answers are noted and that hold money still. Gives how many there were. Before their lines
    are forgotten with the batch."""
    settled, held = 0, list[str]()
    for batch in batches:
        if batch.is_remote:
            continue  # its lines are settled first, and noted then
        if not held:
            held = [hold.decode() for hold in cast("list[bytes]", client().zrange(keyspace.leases_key(shard), 0, -1))]
        for call_id, event in results.list_saved(batch, held).items() if held else ():
            gone = int(cast("bytes | None", client().hget(keyspace.hold_key(shard, call_id), "gone")) or 0)
            settle = Settle(call_id, orjson.loads(event)["effective_cost"] - gone, event, b"")
            keys, arguments = settle_command(shard, [settle], clock.now_ms())
            settled += client().register_script(SETTLE.source)(keys=keys, args=arguments)[0]
    return settled


def _have_drawn(batch: Batch, lines: Sequence[BatchLine], shard: int) -> list[bool]:
    pipe = client().pipeline(transaction=False)
    for line in lines:
        if not batch.is_pool:
            pipe.getbit(keyspace.drawn_key(shard, str(batch.pk)), line.number)
        else:
            pipe.hexists(keyspace.hold_key(shard, line.custom_id), "drawn")
    answers = cast("list[int]", pipe.execute())
    if not batch.is_pool:
        # One that was asked before has had its share.
        return [bool(answer) or line.tries > 1 for answer, line in zip(answers, lines, strict=True)]
    holds = client().pipeline(transaction=False)
    for line in lines:
        holds.exists(keyspace.hold_key(shard, line.custom_id))
    there = cast("list[int]", holds.execute())
    # Without its hold it was asked, and settled or reaped.
    return [bool(answer) or not is_there for answer, is_there in zip(answers, there, strict=True)]
