"""Settles of one tick in one script: calls that end together mostly have the same budgets and windows, which are then
written once for all of them. At full speed that is seven or eight calls at a time; a call that ends alone is settled
alone, and no later.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import hiredis

from costhub.lib import clock, failpoints, keyspace
from proxy.edges.valkey import Answer, Argument, Script, Valkey, ValkeyUnavailable

SETTLE: Final = Script("settle", shares="rates")
#: what became of a hold is remembered for so long
MARK_KEPT_MS: Final = 7 * 86_400_000
#: no script keeps the others waiting for longer than these take: so many calls, and about so many counters of theirs
_MOST_TOGETHER: Final = 16
_MOST_COUNTERS: Final = 500


class Settle(NamedTuple):
    """The end of a hold: ``cost`` in nano-USD, its ledger event, the ``tokens`` that windows are told of, or nothing
    for those that were reserved, the ``mark`` that is left behind, and how many ``counters`` the hold is in."""

    hold_id: str
    cost: int
    event: bytes
    tokens: int | bytes
    mark: str = ""
    counters: int = 0


_Gathered = tuple[Settle, Answer]


class Settles:
    """Gathers a tick's settles, for each shard."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self._gathered: dict[int, list[_Gathered]] = {}

    def send(self, shard: int, settle: Settle) -> Answer:
        """Settle one hold with this tick's others. The future has what settle.lua says of it, and fails as a command's.

        Raises ValkeyUnavailable when there is no connection.
        """
        if not self._valkey.is_connected:
            raise ValkeyUnavailable
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        gathered = self._gathered.setdefault(shard, [])
        gathered.append((settle, answer))
        if len(gathered) == 1:
            loop.call_soon(self._flush, shard)
        if len(gathered) == _MOST_TOGETHER or len(gathered) * settle.counters >= _MOST_COUNTERS:
            self._flush(shard)
        return answer

    def _flush(self, shard: int) -> None:
        gathered = self._gathered.pop(shard, None)
        if gathered:
            self._run(shard, gathered)

    def _run(self, shard: int, gathered: Sequence[_Gathered]) -> None:
        keys, arguments = settle_command(shard, [settle for settle, _ in gathered], clock.now_ms())
        try:
            sent = self._valkey.run(SETTLE, keys, arguments)
            failpoints.reach("settle_sent")
        except ValkeyUnavailable as error:
            for _, answer in gathered:
                answer.set_exception(error)
            return
        sent.add_done_callback(lambda done: self._tell(shard, gathered, done))

    def _tell(self, shard: int, gathered: Sequence[_Gathered], done: Answer) -> None:
        error = done.exception()
        failpoints.reach("settle_answered")
        if error is None:
            for (_, answer), settled in zip(gathered, done.result(), strict=True):
                answer.set_result(settled)
        elif isinstance(error, hiredis.ReplyError) and len(gathered) > 1:
            # One of them cannot be read, so that nothing was written: the others must not wait for it.
            for one in gathered:
                self._run(shard, [one])
        else:
            for _, answer in gathered:
                answer.set_exception(error)


def settle_command(
    shard: int, settles: Sequence[Settle], now_ms: int, only_before: int | str = ""
) -> tuple[list[str], list[Argument]]:
    """Keys and arguments of settle.lua. ``only_before``: holds whose lease ends later, in ms, are left alone."""
    keys = [keyspace.leases_key(shard), keyspace.ledger_key(shard)]
    arguments: list[Argument] = [now_ms, only_before, MARK_KEPT_MS]
    for hold_id, cost, event, tokens, mark, _ in settles:
        keys += (keyspace.closed_key(shard, hold_id), keyspace.hold_key(shard, hold_id))
        arguments += (hold_id, cost, event, tokens, mark)
    return keys, arguments
