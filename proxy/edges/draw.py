"""A line's share of what its batch holds, taken out of it as the line's own hold."""

import asyncio
from typing import Final

import hiredis

from costhub.lib import clock, keyspace
from proxy.core.row import dump_row, held_row
from proxy.edges.entry import Entry
from proxy.edges.reserve import Reservations
from proxy.edges.reserve_batch import RESERVATION_LEASE_SECONDS
from proxy.edges.valkey import OutcomeUnknown, Script, Valkey, ValkeyUnavailable
from proxy.errors import GovernanceUnavailable
from proxy.values.plan import Candidate, Hold

DRAW: Final = Script("draw")
#: in the place of a hold
DRAWN_BEFORE: Final = Hold("", 0, 0, None)
#: as long as a batch may last, and a day
DRAWN_KEPT_MS: Final = 2 * 86_400_000


def draw_keys(shard: int, batch_id: str, call_id: str) -> list[str]:
    """The keys of lua/draw.lua, for a batch and the call that one of its lines is."""
    return [
        keyspace.epoch_key(shard),
        keyspace.leases_key(shard),
        keyspace.hold_key(shard, batch_id),
        keyspace.drawn_key(shard, batch_id),
        keyspace.closed_key(shard, call_id),
        keyspace.hold_key(shard, call_id),
    ]


async def draw(
    valkey: Valkey,
    reservations: Reservations,
    entry: Entry,
    candidate: Candidate,
    batch_id: str,
    *,
    number: int,
    amount: int,
    max_output: int,
) -> Hold | None:
    """The hold of a batch's line, which becomes the entry's: ``amount`` nano-USD that pay for ``max_output`` tokens a
    choice. None where the batch holds nothing any more, ``DRAWN_BEFORE`` where the line has had its share.

    Raises GovernanceUnavailable when that cannot be known.
    """
    shard = entry.org.shard
    keys = draw_keys(shard, batch_id, entry.request_id)
    now = clock.now_ms()
    row = dump_row(held_row(entry.row, candidate, entry.attempts))
    ends = now + RESERVATION_LEASE_SECONDS * 1000
    try:
        answer = await valkey.run(
            DRAW, keys, [number, amount, entry.request_id, row, now, ends, max_output, DRAWN_KEPT_MS]
        )
    except asyncio.CancelledError:
        entry.is_hold_unknown = True
        raise
    except (ValkeyUnavailable, hiredis.ReplyError) as error:
        entry.is_hold_unknown = isinstance(error, OutcomeUnknown | hiredis.ReplyError)
        raise GovernanceUnavailable("What the batch holds cannot be drawn on at the moment. Try again.") from error
    if answer[0] == 0:
        if answer[1]:
            return DRAWN_BEFORE
        entry.epoch = answer[2]
        return None
    return reservations.take_over(entry, candidate, amount, max_output, answer[1])
