"""Settles of one tick in one script: calls that end together mostly have the same budgets and windows, which are then
written once for all of them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from costhub.lib import clock, failpoints, keyspace
from proxy.edges.batching import Tick
from proxy.edges.valkey import Answer, Argument, Script, Valkey

SETTLE: Final = Script("settle", shares="rates")
#: what became of a hold is remembered for so long
MARK_KEPT_MS: Final = 7 * 86_400_000


class Settle(NamedTuple):
    """The end of a hold: ``cost`` in nano-USD, its ledger event, the ``tokens`` that windows are told of, or nothing
    for those that were reserved, and the ``mark`` that is left behind."""

    hold_id: str
    cost: int
    event: bytes
    tokens: int | bytes
    mark: str = ""


class Settles:
    """Gathers a tick's settles, for each shard."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        # One that cannot be read keeps all from being settled: the others must not wait for it.
        self._tick: Tick[int, Settle] = Tick(self._send, apart=True)

    def send(self, shard: int, settle: Settle, breadth: int) -> Answer:
        """Settle one hold, which is in so many counters and windows, with this tick's others. The future has what
        settle.lua says of it, and fails as a command's, or with ValkeyUnavailable."""
        return self._tick.add(shard, settle, breadth)

    def _send(self, shard: int, settles: Sequence[Settle]) -> Answer:
        sent = self._valkey.run(SETTLE, *settle_command(shard, settles, clock.now_ms()))
        if failpoints.ARMED:
            failpoints.reach("settle_sent")
        return sent


def settle_command(
    shard: int, settles: Sequence[Settle], now_ms: int, only_before: int | str = ""
) -> tuple[list[str], list[Argument]]:
    """Keys and arguments of settle.lua. ``only_before``: holds whose lease ends later, in ms, are left alone."""
    keys = [keyspace.leases_key(shard), keyspace.ledger_key(shard)]
    arguments: list[Argument] = [now_ms, only_before, MARK_KEPT_MS]
    for hold_id, cost, event, tokens, mark in settles:
        keys += keyspace.keys_of_hold(shard, hold_id)
        arguments += (hold_id, cost, event, tokens, mark)
    return keys, arguments
