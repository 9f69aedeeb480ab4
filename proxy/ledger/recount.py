"""Counters are a cache of the ledger: this sets them to what it says, plus what is still on its way to it.

Used when a counter is missing (a new budget in the middle of its period), when a shard lost its data, and by a job now
and then, so that any drift ends.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from secrets import token_hex
from typing import Final, cast

import orjson
import redis
from django.db import DatabaseError, connections, transaction

from costhub.lib import clock, keyspace
from costhub.lib.database import keep_connection
from costhub.lib.redis import client
from proxy.core.budgets import ADMISSION_MS
from proxy.edges.valkey import Script
from proxy.ledger import drain
from proxy.ledger.counts import Count, count_scopes, count_shard
from proxy.values.windows import Scope
from tenants.access import list_orgs
from tenants.selectors import read_version
from tenants.snapshots import OrgSnapshot

_log = logging.getLogger(__name__)

REBUILD: Final = Script("rebuild")
_COUNTERS_A_CALL: Final = 500


class RecountFailed(Exception):
    """PostgreSQL or Valkey could not be asked, or the drain is too far behind."""


@dataclass(frozen=True, slots=True)
class Recount:
    """What a recount found: by how many nanos counters were wrong, and of a whole shard what everybody has spent."""

    drift: int = 0
    orgs: tuple[tuple[OrgSnapshot, tuple[Count, ...]], ...] = ()


def recount(shard: int, org_id: str, scopes: Sequence[Scope], *, only_missing: bool = False) -> Recount:
    """Set the counters of these scopes of one organisation; with no scopes, every counter of the shard, and open it.

    ``only_missing``: leave it when another process has done so meanwhile. Raises RecountFailed.
    """
    try:
        with transaction.atomic():
            drain.wait_for_lock(shard)
            if only_missing and _is_known(shard, scopes):
                return Recount()
            first_unread = _drain_within(shard)
            orgs = () if scopes else tuple((org, tuple(counts)) for org, counts in count_shard(shard))
            counts = count_scopes(org_id, scopes) if scopes else [one for _, counts in orgs for one in counts]
            # After the budgets were read: no plan of this version or a later one is without any of them.
            versions = _read_versions(shard) if not scopes else {org_id: read_version(org_id)}
            return Recount(_set_counters(shard, counts, versions, first_unread, opens_epoch=not scopes), orgs)
    except (DatabaseError, redis.RedisError) as error:
        _log.warning("a recount failed", extra={"shard": shard, "error": type(error).__name__})
        raise RecountFailed from error
    finally:
        # The thread that runs this lives long: a broken connection must not outlive the failure.
        keep_connection()


def recount_apart(shard: int, org_id: str, scopes: Sequence[Scope]) -> bool:
    """Count what Valkey does not know of these, over a connection of its own: the caller's may be in a transaction.
    Says whether it could be done."""

    def count() -> bool:
        try:
            recount(shard, org_id, scopes, only_missing=True)
        except RecountFailed:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="recount") as executor:
        return executor.submit(count).result()


def find_drift(shard: int) -> list[tuple[str, int, int]]:
    """(counter, settled in Valkey, settled in the ledger) of every counter of a shard that does not agree, once
    quiet."""
    with transaction.atomic():
        drain.wait_for_lock(shard)
        first_unread = _drain_within(shard)
        if client().xrange(keyspace.ledger_key(shard), min=first_unread, count=1):
            return []
        differing = []
        for count in (one for _, counts in count_shard(shard) for one in counts):
            found = client().hget(count.scope.counter, "s")
            is_over = count.scope.ends_ms <= clock.now_ms() - ADMISSION_MS
            if (
                found is None
                and (is_over or not count.scope.is_whole)
                and not client().exists(keyspace.mark_key(count.scope.counter))
            ):
                continue  # nobody has asked for it since the budget was made: it is counted when somebody does
            settled = int(cast("bytes", found)) if found is not None else 0
            if settled != count.settled:
                differing.append((count.scope.counter, settled, count.settled))
        # What was settled meanwhile has moved counters, and is on the stream: then nobody can tell.
        has_moved = client().xrange(keyspace.ledger_key(shard), min=first_unread, count=1)
        return [] if has_moved else differing


def _drain_within(shard: int) -> str:
    """Bring the ledger up to date in the current transaction. Raises RecountFailed."""
    try:
        return drain.append_unread(shard)
    except drain.TooManyUnread as error:
        raise RecountFailed from error


def _is_known(shard: int, scopes: Sequence[Scope]) -> bool:
    """Whether another process has counted meanwhile."""
    if not scopes:
        return client().exists(keyspace.epoch_key(shard)) == 1
    return all(client().exists(scope.counter, keyspace.mark_key(scope.counter)) for scope in scopes)


def _read_versions(shard: int) -> dict[str, int]:
    return {str(org_id): version for org_id, of_shard, version in list_orgs() if of_shard == shard}


def _set_counters(
    shard: int, counts: Sequence[Count], versions: Mapping[str, int], first_unread: str, *, opens_epoch: bool
) -> int:
    """Gives the nanos by which counters were wrong."""
    drift = 0
    script = client().register_script(REBUILD.source)
    groups = [counts[start : start + _COUNTERS_A_CALL] for start in range(0, len(counts), _COUNTERS_A_CALL)] or [[]]
    for place, group in enumerate(groups):
        keys: list[str] = [keyspace.epoch_key(shard), keyspace.ledger_key(shard), keyspace.leases_key(shard)]
        is_last = place == len(groups) - 1
        arguments: list[str | int | bytes] = [token_hex(8) if opens_epoch and is_last else "", first_unread]
        for count in group:
            keys.append(count.scope.counter)
            arguments += (
                count.settled,
                count.scope.starts_ms,
                count.scope.ends_ms,
                count.scope.kept_until_ms,
                orjson.dumps(count.match),
                int(count.scope.is_whole),
                keyspace.oldest_version_key(shard, count.match["org_id"]),
                versions.get(count.match["org_id"], 0),
            )
        drift += int(script(keys=keys, args=arguments)[1])
    return drift
