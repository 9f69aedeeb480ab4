"""Holds whose worker died: charged at what was held, in the worker's name, and marked as an estimate.

A hold is never voided silently: nobody but the upstream knows how far the call got. Of a batch's line whose answer was
noted before its worker died it is known, and that is charged. What was set aside while a limit is lowered is no call's.
"""

import logging
from collections.abc import Callable
from typing import Any, Final, cast

import orjson
import redis
from django.db import DatabaseError

from costhub.lib import clock, failpoints, keyspace
from costhub.lib.redis import client
from proxy.core.row import BATCHES, DEFERRED, SET_ASIDE, dump_row, orphan_row
from proxy.edges.settle_batch import SETTLE, Settle, settle_command
from proxy.ledger.set_aside import give_back

_log = logging.getLogger(__name__)

_BATCH: Final = 500
POSTPONED_MS: Final = 60_000
#: what was noted as a call's ledger event before its worker died, by the organisation's id and its own
FindSaved = Callable[[str, str], bytes | None]


def _nothing_saved(org_id: str, call_id: str) -> bytes | None:
    return None


def reap(shard: int, find_saved: FindSaved = _nothing_saved) -> int:
    """Settle every hold of a shard whose lease has ended. Returns how many. Safe to run twice, or in two places."""
    now = clock.now_ms()
    leases = keyspace.leases_key(shard)
    reaped = 0
    # Each one is settled, gone or renewed when it has been looked at, so that none is met again.
    while expired := cast("list[bytes]", client().zrangebyscore(leases, "-inf", now, start=0, num=_BATCH)):
        for hold_id in expired:
            try:
                reaped += _reap_one(shard, hold_id.decode(), now, find_saved)
            except (redis.ResponseError, ValueError, KeyError):
                # One that cannot be settled must not keep the others' money: it is met again later, and told of.
                _log.exception("a dead worker's hold cannot be settled", extra={"request_id": hold_id.decode()})
                client().zadd(leases, {hold_id: now + POSTPONED_MS}, xx=True)
    return reaped


def _reap_one(shard: int, hold_id: str, now: int, find_saved: FindSaved = _nothing_saved) -> int:
    hold = cast("dict[bytes, bytes]", client().hgetall(keyspace.hold_key(shard, hold_id)))
    if not hold:
        # The hold is settled and its lease is left over, from data that was lost in between.
        client().zrem(keyspace.leases_key(shard), hold_id)
        return 0
    failpoints.reach("reap_found")
    amount = int(hold[b"amount"])
    row: dict[str, Any] = orjson.loads(hold[b"row"])
    if row.get("endpoint") == SET_ASIDE:
        return int(give_back(shard, hold_id))
    if row.get("endpoint") == BATCHES:
        # Nobody was asked for anything with it: it is what the batch's lines had yet to draw.
        settle = Settle(hold_id, 0, dump_row(row | {"held": amount, "status": 200}), b"", "reaped 0")
    elif row.get(DEFERRED) and b"drawn" not in hold and b"asked" not in hold:
        # It waited until nobody wanted the answer any more, or its process died before it had promised one.
        missed = {"held": amount, "status": 504, "error_code": "deadline_missed"}
        settle = Settle(hold_id, 0, dump_row(row | missed), 0, "reaped 0")
    elif (saved := _find(find_saved, row, hold_id)) is not None:
        cost = orjson.loads(saved)["effective_cost"] - int(hold.get(b"gone", 0))
        # As its worker would have: should that one wake up, it finds its call settled.
        settle = Settle(hold_id, cost, saved, b"")
    else:
        event = dump_row(orphan_row(row, amount, int(hold[b"attempt"]), int(hold.get(b"gone", 0))))
        settle = Settle(hold_id, amount, event, b"", f"reaped {amount}")
    keys, arguments = settle_command(shard, [settle], now, only_before=now)
    (settled,) = client().register_script(SETTLE.source)(keys=keys, args=arguments)
    failpoints.reach("reap_settled")
    if settled == 1:
        _log.warning("a hold that nobody renewed was settled", extra={"request_id": hold_id, "nanos": settle.cost})
    return 1 if settled == 1 else 0


def _find(find_saved: FindSaved, row: dict[str, Any], hold_id: str) -> bytes | None:
    org_id = row.get("org_id")
    try:
        return find_saved(org_id, hold_id) if org_id else None
    except DatabaseError:
        _log.warning("what was noted of a dead worker's call cannot be read", extra={"request_id": hold_id})
        return None
