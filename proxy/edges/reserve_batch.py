"""Reserves of one tick in one script: what calls of one path share is then read and written once for all of them."""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from costhub.lib import clock, keyspace
from proxy.core.layout import pack_numbers
from proxy.edges.batching import Tick
from proxy.edges.valkey import Answer, Argument, Script, Valkey
from proxy.values.plan import Bound
from proxy.values.windows import NO_LIMIT, Bands, Layout
from tenants.snapshots import OrgSnapshot

RESERVE: Final = Script("reserve", shares="rates")
#: how long a hold outlives its worker; a living worker renews its own
RESERVATION_LEASE_SECONDS: Final = 45
#: an answer shorter than this is not worth starting when a budget is nearly spent
FEWEST_OUTPUT_TOKENS: Final = 16
#: a call's numbers, as ``pack_numbers`` writes so many
_pack: Final = struct.Struct("<8d").pack


class Reserve(NamedTuple):
    """What one attempt of a call asks for: at most ``bound``, and no more than ``max_cost`` nano-USD, where the caller
    says so. ``row`` is its ledger row as it stands, for whoever finds the hold alone."""

    hold_id: str
    attempt: int
    bound: Bound
    max_cost: int | None
    row: bytes


#: what is the same for reserves that go together: the shard, the budgets, the organisation, and the version by which
#: they were found
_Path = tuple[int, Layout, Bands, str, int]


class Reserves:
    """Gathers a tick's reserves, for each path."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        # A script that failed may have written a part: then nothing is sent again.
        self._tick: Tick[_Path, Reserve] = Tick(self._send, apart=False)

    def send(self, org: OrgSnapshot, layout: Layout, bands: Bands, reserve: Reserve) -> Answer:
        """Reserve with this tick's others. The future has what reserve.lua says of it, and fails as a command's, or
        with ValkeyUnavailable."""
        return self._tick.add((org.shard, layout, bands, org.id, org.version), reserve, layout.breadth)

    def _send(self, path: _Path, reserves: Sequence[Reserve]) -> Answer:
        return self._valkey.run(RESERVE, *reserve_command(*path, reserves, clock.now_ms()))


def reserve_command(
    shard: int,
    layout: Layout,
    bands: Bands,
    org_id: str,
    version: int,
    reserves: Sequence[Reserve],
    now_ms: int,
) -> tuple[list[Argument], list[Argument]]:
    """Keys and arguments of reserve.lua."""
    keys: list[Argument] = [
        keyspace.epoch_key(shard),
        keyspace.leases_key(shard),
        keyspace.oldest_version_key(shard, org_id),
        *layout.keys,
    ]
    ends = now_ms + RESERVATION_LEASE_SECONDS * 1000
    numbers = pack_numbers(
        [now_ms, ends, len(layout.scopes), layout.rolling, FEWEST_OUTPUT_TOKENS, version, len(layout.counters)]
    )
    numbers += layout.numbers
    if bands:
        numbers += pack_numbers([number for band in bands for number in band])
    arguments: list[Argument] = [numbers, layout.windows]
    for hold_id, attempt, (input_tokens, fixed, per_token, choices, most, is_exact, _), max_cost, row in reserves:
        keys += keyspace.keys_of_hold(shard, hold_id)
        limit = NO_LIMIT if max_cost is None else max_cost
        arguments += (hold_id, row, _pack(attempt, fixed, per_token, most, is_exact, limit, input_tokens, choices))
    return keys, arguments
