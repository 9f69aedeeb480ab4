"""Lowering a budget's limit without any call passing it.

What the limit is lowered by is held in the budget's counter first, as a call's money is, where it fits beside what is
spent and held. It is let go when the new limit is in force, and no call can be planned by the one before. Whoever dies
in between leaves a hold of which nothing is spent: the reaper gives it back.
"""

import logging
from typing import Final, cast
from uuid import uuid4

from redis.exceptions import RedisError

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from proxy.core.row import SET_ASIDE, dump_row
from proxy.edges.reserve import GIVE_BACK
from proxy.edges.reserve_batch import RESERVATION_LEASE_SECONDS
from proxy.edges.valkey import Script
from proxy.errors import GovernanceUnavailable

_log = logging.getLogger(__name__)

HOLD: Final = Script("set_aside")
_HELD, _UNKNOWN = 1, -1
_SINCE_KEPT_MS: Final = 86_400_000
#: KEYS[1] the oldest version that calls may be planned by; ARGV a later one, ms to keep it for
_FORWARD: Final = """
local known = redis.call('GET', KEYS[1])
if not known or tonumber(known) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
"""


class NoRoom(Exception):
    """It does not fit: ``left`` nano-USD are neither spent nor held."""

    def __init__(self, left: int) -> None:
        super().__init__(f"{left} nano-USD are left")
        self.left = left


def set_aside(shard: int, counter: str, nanos: int, *, limit: int) -> str:
    """Keep so many nano-USD of a limit from calls; gives the hold's id, empty where the counter is not known: then it
    is to be counted first. Raises NoRoom, GovernanceUnavailable."""
    hold_id = str(uuid4())
    ends = clock.now_ms() + RESERVATION_LEASE_SECONDS * 1000
    keys = [counter, keyspace.leases_key(shard), keyspace.hold_key(shard, hold_id)]
    row = dump_row({"endpoint": SET_ASIDE})
    try:
        answer, left = client().register_script(HOLD.source)(keys=keys, args=[nanos, limit, ends, hold_id, row])
    except RedisError as error:
        raise GovernanceUnavailable(
            "What calls under way hold cannot be read at the moment, so nothing was changed. Try again."
        ) from error
    if answer == _UNKNOWN:
        return ""
    if answer != _HELD:
        raise NoRoom(int(left))
    return hold_id


def let_go(shard: int, org_id: str, version: int, hold_id: str) -> None:
    """The lower limit is in force since this ``version`` of the organisation: by an older one no call is planned from
    here on, and what was set aside is free. Where Valkey is away the reaper does the rest."""
    try:
        client().eval(_FORWARD, 1, keyspace.oldest_version_key(shard, org_id), str(version), str(_SINCE_KEPT_MS))
        give_back(shard, hold_id)
    except RedisError:
        _log.warning("what was set aside is not let go yet", extra={"org": org_id}, exc_info=True)


def give_back(shard: int, hold_id: str) -> bool:
    """What was set aside is free; says whether it was there."""
    keys = [keyspace.hold_key(shard, hold_id), keyspace.leases_key(shard)]
    return cast("int", client().register_script(GIVE_BACK.source)(keys=keys, args=[hold_id])) == 1
