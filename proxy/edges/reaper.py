"""Holds whose worker died: charged at what was held, in the worker's name, and marked as an estimate.

A hold is never voided silently: nobody but the upstream knows how far the call got.
"""

import logging
from typing import Any, Final, cast

import orjson
import redis

from costhub.lib import clock, failpoints, keyspace
from costhub.lib.redis import client
from proxy.core.row import dump_row, orphan_row
from proxy.edges.settles import SETTLE, Settle, settle_command

_log = logging.getLogger(__name__)

_BATCH: Final = 500
POSTPONED_MS: Final = 60_000


def reap(shard: int) -> int:
    """Settle every hold of a shard whose lease has ended. Returns how many. Safe to run twice, or in two places."""
    now = clock.now_ms()
    leases = keyspace.leases_key(shard)
    reaped = 0
    # Each one is settled, gone or renewed when it has been looked at, so that none is met again.
    while expired := cast("list[bytes]", client().zrangebyscore(leases, "-inf", now, start=0, num=_BATCH)):
        for hold_id in expired:
            try:
                reaped += _reap_one(shard, hold_id.decode(), now)
            except (redis.ResponseError, ValueError, KeyError):
                # One that cannot be settled must not keep the others' money: it is met again later, and told of.
                _log.exception("a dead worker's hold cannot be settled", extra={"request_id": hold_id.decode()})
                client().zadd(leases, {hold_id: now + POSTPONED_MS}, xx=True)
    return reaped


def _reap_one(shard: int, hold_id: str, now: int) -> int:
    hold = cast("dict[bytes, bytes]", client().hgetall(keyspace.hold_key(shard, hold_id)))
    if not hold:
        # The hold is settled and its lease is left over, from data that was lost in between.
        client().zrem(keyspace.leases_key(shard), hold_id)
        return 0
    failpoints.reach("reap_found")
    amount = int(hold[b"amount"])
    row: dict[str, Any] = orjson.loads(hold[b"row"])
    event = dump_row(orphan_row(row, amount, int(hold[b"attempt"])))
    settle = Settle(hold_id, amount, event, b"", f"reaped {amount}")
    keys, arguments = settle_command(shard, [settle], now, only_before=now)
    (settled,) = client().register_script(SETTLE.source)(keys=keys, args=arguments)
    failpoints.reach("reap_settled")
    if settled == 1:
        _log.warning("a dead worker's hold was settled at its bound", extra={"request_id": hold_id, "nanos": amount})
    return 1 if settled == 1 else 0
