"""Counters are a cache of the ledger: this sets them to what it says, plus what is still on its way to it.

Used when a counter is missing (a new budget in the middle of its period), when a shard lost its data, and by a job now
and then, so that any drift ends.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final, cast

import orjson
import redis
from django.db import DatabaseError, connection, transaction

from costhub.lib import clock, keyspace
from costhub.lib.moments import from_ms
from costhub.lib.redis import client
from proxy.core.limits import make_scope
from proxy.edges import drain
from proxy.edges.valkey import Script
from proxy.types import Scope
from tenants.access import list_org_ids, org_scope
from tenants.choices import BudgetScope
from tenants.selectors import load_org_snapshot
from tenants.snapshots import OrgSnapshot

_log = logging.getLogger(__name__)

REBUILD: Final = Script("rebuild")
#: more unread events than this are drained first: the script reads them all while nothing else runs
MAX_UNREAD: Final = 20_000
_COUNTERS_A_CALL: Final = 500
#: a call belongs to the period in which it came, and may still be sending its body when that is over
ADMISSION_MS: Final = 60_000

#: a budget's scope -> (the ledger's column, the name in an event)
_COLUMNS: Final = {
    BudgetScope.PROJECT: "project_id",
    BudgetScope.KEY: "key_id",
    BudgetScope.END_USER: "end_user",
    BudgetScope.MODEL: "request_model",
}


class RecountFailed(Exception):
    """PostgreSQL or Valkey could not be asked, or the drain is too far behind."""


@dataclass(frozen=True, slots=True)
class Count:
    """A counter and what it should be made of."""

    scope: Scope
    settled: int
    match: dict[str, Any]


def recount(shard: int, org_id: str, scopes: Sequence[Scope], *, only_missing: bool = False) -> None:
    """Set the counters of these scopes of one organisation; with no scopes, every counter of the shard, and open it.

    ``only_missing``: leave it when another process has done so meanwhile. Raises RecountFailed.
    """
    try:
        with transaction.atomic():
            drain.wait_for_lock(shard)
            wanted = [scope.counter for scope in scopes] or [keyspace.epoch_key(shard)]
            if only_missing and client().exists(*wanted) == len(wanted):
                return
            first_unread = _drain_within(shard)
            if scopes:
                with org_scope(org_id):
                    counts = [_count(org_id, scope) for scope in scopes]
            else:
                counts = list(_count_shard(shard))
            _set_counters(shard, counts, first_unread, opens_epoch=not scopes)
    except (DatabaseError, redis.RedisError) as error:
        _log.warning("a recount failed", extra={"shard": shard, "error": type(error).__name__})
        raise RecountFailed from error
    finally:
        # The thread that runs this lives long: a broken connection must not outlive the failure.
        connection.close_if_unusable_or_obsolete()


def find_drift(shard: int) -> list[tuple[str, int, int]]:
    """(counter, settled in Valkey, settled in the ledger) of every counter of a shard that does not agree, once quiet."""
    with transaction.atomic():
        drain.wait_for_lock(shard)
        first_unread = _drain_within(shard)
        if client().xrange(keyspace.ledger_key(shard), min=first_unread, count=1):
            return []
        differing = []
        for count in _count_shard(shard):
            found = client().hget(count.scope.counter, "s")
            if found is None and not count.scope.is_whole:
                continue  # nobody has spent from it since the budget was made: it is counted when somebody does
            settled = int(cast("bytes", found)) if found is not None else 0
            if settled != count.settled:
                differing.append((count.scope.counter, settled, count.settled))
        return differing


def _drain_within(shard: int) -> str:
    """Insert every event that is in the stream now, in the current transaction. Returns the id of the first after them.

    They are not cut off: until this transaction commits, the stream is where they are safe.
    """
    first = "-"
    taken = 0
    while events := cast(
        "drain.Events", client().xrange(keyspace.ledger_key(shard), min=first, count=drain.BATCH_EVENTS)
    ):
        drain.append(shard, events)
        first = drain.after(events[-1][0])
        taken += len(events)
        if taken > MAX_UNREAD:
            raise RecountFailed
    return first


def _count_shard(shard: int) -> Iterable[Count]:
    now_ms = clock.now_ms()
    for org_id, of_shard, _ in list_org_ids():
        if of_shard != shard:
            continue
        org = load_org_snapshot(str(org_id))
        if org is None:
            continue
        with org_scope(org_id):
            for scope in _current_scopes(org, now_ms):
                yield _count(org.id, scope)


def _current_scopes(org: OrgSnapshot, now_ms: int) -> Iterable[Scope]:
    """Each budget's scope in the periods that calls may still reserve in, for every subject that has spent in it."""
    for budget in org.budgets:
        periods = (make_scope(org, budget, "", at_ms) for at_ms in (now_ms - ADMISSION_MS, now_ms))
        for period in {scope.starts_ms: scope for scope in periods}.values():
            if budget.scope == BudgetScope.ORGANIZATION:
                subjects = [org.id]
            else:
                subjects = [budget.subject] if budget.subject else _spenders(org.id, period)
            for subject in subjects:
                yield make_scope(org, budget, subject, period.starts_ms)


def _spenders(org_id: str, scope: Scope) -> list[str]:
    kind = BudgetScope(scope.kind)
    with connection.cursor() as cursor:
        if kind is BudgetScope.TAG:
            what = "tag.key || '=' || tag.value"
            source = "proxy_ledgerentry CROSS JOIN LATERAL jsonb_each_text(tags) AS tag"
        else:
            what, source = f"{_COLUMNS[kind]}::text", "proxy_ledgerentry"
        cursor.execute(
            f"SELECT DISTINCT {what} FROM {source}"  # noqa: S608 - names from the table above
            " WHERE org_id = %s AND started_at >= %s AND started_at < %s",
            [org_id, from_ms(scope.starts_ms), from_ms(scope.ends_ms)],
        )
        return [subject for (subject,) in cursor.fetchall() if subject]


def _count(org_id: str, scope: Scope) -> Count:
    match: dict[str, Any] = {"org_id": org_id}
    condition, values = "", []
    kind = BudgetScope(scope.kind)
    if kind is BudgetScope.TAG:
        name, _, value = scope.subject.partition("=")
        match["tag"] = {"name": name, "value": value}
        condition, values = " AND tags @> %s::jsonb", [orjson.dumps({name: value}).decode()]
    elif kind in _COLUMNS:
        match[_COLUMNS[kind]] = scope.subject
        condition, values = f" AND {_COLUMNS[kind]} = %s", [scope.subject]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(sum(effective_cost), 0)::bigint FROM proxy_ledgerentry"  # noqa: S608 - as above
            " WHERE org_id = %s AND started_at >= %s AND started_at < %s" + condition,
            [org_id, from_ms(scope.starts_ms), from_ms(scope.ends_ms), *values],
        )
        return Count(scope, int(cast("tuple[int]", cursor.fetchone())[0]), match)


def _set_counters(shard: int, counts: Sequence[Count], first_unread: str, *, opens_epoch: bool) -> None:
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
                count.scope.ends_ms + keyspace.COUNTER_KEPT_MS,
                orjson.dumps(count.match),
            )
        script(keys=keys, args=arguments)
