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
from costhub.lib.database import keep_connection
from costhub.lib.moments import from_ms
from costhub.lib.redis import client
from proxy.core.limits import ADMISSION_MS, make_scope
from proxy.edges import drain
from proxy.edges.valkey import Script
from proxy.types import Scope
from tenants.access import list_orgs, org_scope
from tenants.choices import BudgetPeriod, BudgetScope
from tenants.selectors import load_org_snapshot
from tenants.snapshots import BudgetSnapshot, OrgSnapshot

_log = logging.getLogger(__name__)

REBUILD: Final = Script("rebuild")
_COUNTERS_A_CALL: Final = 500

#: matches no event: no organisation has this id
_NOTHING: Final = {"org_id": ""}
#: a budget's scope -> (the ledger's column, the name in an event)
_COLUMNS: Final = {
    BudgetScope.PROJECT: "project_id",
    BudgetScope.KEY: "key_id",
    BudgetScope.END_USER: "end_user",
    BudgetScope.MODEL: "request_model",
    BudgetScope.SESSION: "session",
}


class RecountFailed(Exception):
    """PostgreSQL or Valkey could not be asked, or the drain is too far behind."""


@dataclass(frozen=True, slots=True)
class Count:
    """A counter and what it should be made of."""

    scope: Scope
    settled: int
    match: dict[str, Any]


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
            orgs = () if scopes else tuple((org, tuple(counts)) for org, counts in _count_shard(shard))
            counts = _count_scopes(org_id, scopes) if scopes else [one for _, counts in orgs for one in counts]
            return Recount(_set_counters(shard, counts, first_unread, opens_epoch=not scopes), orgs)
    except (DatabaseError, redis.RedisError) as error:
        _log.warning("a recount failed", extra={"shard": shard, "error": type(error).__name__})
        raise RecountFailed from error
    finally:
        # The thread that runs this lives long: a broken connection must not outlive the failure.
        keep_connection()


def find_drift(shard: int) -> list[tuple[str, int, int]]:
    """(counter, settled in Valkey, settled in the ledger) of every counter of a shard that does not agree, once quiet."""
    with transaction.atomic():
        drain.wait_for_lock(shard)
        first_unread = _drain_within(shard)
        if client().xrange(keyspace.ledger_key(shard), min=first_unread, count=1):
            return []
        differing = []
        for count in (one for _, counts in _count_shard(shard) for one in counts):
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
        if taken > drain.MAX_UNREAD:
            raise RecountFailed
    return first


def _is_known(shard: int, scopes: Sequence[Scope]) -> bool:
    """Whether another process has counted meanwhile."""
    if not scopes:
        return client().exists(keyspace.epoch_key(shard)) == 1
    return all(client().exists(scope.counter, keyspace.mark_key(scope.counter)) for scope in scopes)


def _count_scopes(org_id: str, scopes: Sequence[Scope]) -> list[Count]:
    """These scopes' counts; of a budget that is the default of many, those of all who have spent from it: the next one
    who is new to it need not ask."""
    org = load_org_snapshot(org_id)
    defaults = {budget.id: budget for budget in org.budgets if _is_default(budget)} if org is not None else {}
    counts: dict[str, Count] = {}
    with org_scope(org_id):
        for scope in scopes:
            budget = defaults.get(scope.budget_id)
            # The budget may have begun anew since the call was planned: its counters have other names then.
            if (
                org is None
                or budget is None
                or make_scope(org, budget, scope.subject, scope.starts_ms).counter != scope.counter
            ):
                counts[scope.counter] = _count(org_id, scope)
                continue
            counts |= {one.scope.counter: one for one in _count_all(org, budget, scope)}
            counts.setdefault(scope.counter, Count(scope, 0, _match_of(org_id, scope)))
    return list(counts.values())


def _count_shard(shard: int) -> Iterable[tuple[OrgSnapshot, list[Count]]]:
    """Every organisation's counts in the periods that matter, for all who have spent in them."""
    for org_id, of_shard, _ in list_orgs():
        org = load_org_snapshot(str(org_id)) if of_shard == shard else None
        if org is not None:
            with org_scope(org_id):
                yield org, list(_count_org(org, clock.now_ms()))


def _count_org(org: OrgSnapshot, now_ms: int) -> Iterable[Count]:
    for budget in org.budgets:
        for period in _list_periods(org, budget, now_ms):
            if _is_default(budget):
                yield from _count_all(org, budget, period)
            else:
                yield _count(org.id, make_scope(org, budget, budget.subject or org.id, period.starts_ms))


def _list_periods(org: OrgSnapshot, budget: BudgetSnapshot, now_ms: int) -> list[Scope]:
    """The periods of a budget that calls may still reserve in, and the one before where what is left of it is added."""
    periods = [make_scope(org, budget, "", at_ms) for at_ms in (now_ms - ADMISSION_MS, now_ms)]
    periods += [scope.before for scope in periods if scope.before is not None]
    return list({scope.starts_ms: scope for scope in periods}.values())


def _is_default(budget: BudgetSnapshot) -> bool:
    return not budget.subject and budget.scope != BudgetScope.ORGANIZATION


def _count_all(org: OrgSnapshot, budget: BudgetSnapshot, period: Scope) -> Iterable[Count]:
    """The count of everybody who has spent from a default budget in a period, and then its mark."""
    kind = BudgetScope(budget.scope)
    source = _source_of(period)
    if kind is BudgetScope.TAG:
        what = "tag.key || '=' || tag.value"
        source += " CROSS JOIN LATERAL jsonb_each_text(tags) AS tag"
    else:
        what = f"{_COLUMNS[kind]}::text"
    condition, values = _condition_of(org.id, period)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {what}, costhub_whole(sum(effective_cost)) FROM {source}"  # noqa: S608 - names from the table above
            f" WHERE {condition} GROUP BY 1",
            values,
        )
        spent = cursor.fetchall()
    for subject, settled in spent:
        if subject:
            scope = make_scope(org, budget, subject, period.starts_ms)
            yield Count(scope, settled, _match_of(org.id, scope))
    # Last: it says that the others are there, and they are written in this order.
    yield Count(make_scope(org, budget, "", period.starts_ms), 0, _NOTHING)


def _source_of(period: Scope) -> str:
    """What to sum: the ledger, and for a budget of all time what was spent in months that are gone as well."""
    return "proxy_spendever" if period.period == BudgetPeriod.TOTAL else "proxy_ledgerentry"


def _match_of(org_id: str, scope: Scope) -> dict[str, Any]:
    """What an event must hold to be of this scope."""
    kind = BudgetScope(scope.kind)
    match: dict[str, Any] = {"org_id": org_id}
    if scope.within:
        match[_COLUMNS[BudgetScope(scope.within_scope)]] = scope.within
    if kind is BudgetScope.TAG:
        name, _, value = scope.subject.partition("=")
        match["tag"] = {"name": name, "value": value}
    elif kind in _COLUMNS:
        match[_COLUMNS[kind]] = scope.subject
    return match


def _condition_of(org_id: str, scope: Scope) -> tuple[str, list[Any]]:
    """The rows of a scope's period, of everybody whom its budget counts."""
    condition = "org_id = %s AND started_at >= %s AND started_at < %s"
    values: list[Any] = [org_id, from_ms(scope.starts_ms), from_ms(scope.ends_ms)]
    if scope.within:
        condition += f" AND {_COLUMNS[BudgetScope(scope.within_scope)]} = %s"
        values.append(scope.within)
    return condition, values


def _count(org_id: str, scope: Scope) -> Count:
    condition, values = _condition_of(org_id, scope)
    kind = BudgetScope(scope.kind)
    if kind is BudgetScope.TAG:
        name, _, value = scope.subject.partition("=")
        condition += " AND tags @> %s::jsonb"
        values.append(orjson.dumps({name: value}).decode())
    elif kind in _COLUMNS:
        condition += f" AND {_COLUMNS[kind]} = %s"
        values.append(scope.subject)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT costhub_whole(COALESCE(sum(effective_cost), 0)) FROM {_source_of(scope)}"  # noqa: S608 - as above
            f" WHERE {condition}",
            values,
        )
        return Count(scope, int(cast("tuple[int]", cursor.fetchone())[0]), _match_of(org_id, scope))


def _set_counters(shard: int, counts: Sequence[Count], first_unread: str, *, opens_epoch: bool) -> int:
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
            )
        drift += int(script(keys=keys, args=arguments)[1])
    return drift
