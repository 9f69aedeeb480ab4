"""What every counter should be made of by the ledger: what was spent, and what an event of its scope looks like."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

import orjson
from django.db import connection

from costhub.lib import clock
from costhub.lib.moments import from_ms
from proxy.core.budgets import ADMISSION_MS, make_scope
from proxy.values.windows import Scope
from tenants.access import list_orgs, org_scope
from tenants.choices import BudgetPeriod, BudgetScope
from tenants.selectors import load_org_snapshot, read_lineages
from tenants.snapshots import BudgetSnapshot, OrgSnapshot

#: a budget's scope -> (the ledger's column, the name in an event)
_COLUMNS: Final = {
    BudgetScope.PROJECT: "project_id",
    # in an event; in the ledger ``key_id`` is one of its line
    BudgetScope.KEY: "lineage",
    BudgetScope.END_USER: "end_user",
    # what each attempt of a row cost is its model's
    BudgetScope.MODEL: "model",
    BudgetScope.SESSION: "session",
}

_BY_MODEL: Final = " CROSS JOIN LATERAL costhub_spent_on(attempts, request_model, effective_cost) AS spent"


@dataclass(frozen=True, slots=True)
class Count:
    """A counter and what it should be made of."""

    scope: Scope
    settled: int
    match: dict[str, Any]


def count_scopes(org_id: str, scopes: Sequence[Scope]) -> list[Count]:
    """These scopes' counts; of a budget that is the default of many, those of all who have spent from it: the next one
    who is new to it need not ask."""
    org = load_org_snapshot(org_id)
    defaults = {budget.id: budget for budget in org.budgets if _is_default(budget)} if org is not None else {}
    counts: dict[str, Count] = {}
    with org_scope(org_id):
        lineages = read_lineages(org_id)
        for scope in scopes:
            budget = defaults.get(scope.budget_id)
            # The budget may have begun anew since the call was planned: its counters have other names then.
            if (
                org is None
                or budget is None
                or make_scope(org, budget, scope.subject, scope.starts_ms).counter != scope.counter
            ):
                counts[scope.counter] = _count(org_id, scope, lineages)
                continue
            counts |= {one.scope.counter: one for one in _count_all(org, budget, scope, lineages)}
            counts.setdefault(scope.counter, Count(scope, 0, _match_of(org_id, scope)))
    return list(counts.values())


def count_shard(shard: int) -> Iterable[tuple[OrgSnapshot, list[Count]]]:
    """Every organisation's counts in the periods that matter, for all who have spent in them."""
    for org_id, of_shard, _ in list_orgs():
        org = load_org_snapshot(str(org_id)) if of_shard == shard else None
        if org is not None:
            with org_scope(org_id):
                yield org, list(_count_org(org, clock.now_ms()))


def _count_org(org: OrgSnapshot, now_ms: int) -> Iterable[Count]:
    lineages = read_lineages(org.id)
    for budget in org.budgets:
        for period in _list_periods(org, budget, now_ms):
            if _is_default(budget):
                yield from _count_all(org, budget, period, lineages)
            else:
                scope = make_scope(org, budget, budget.subject or org.id, period.starts_ms)
                yield _count(org.id, scope, lineages)


def _list_periods(org: OrgSnapshot, budget: BudgetSnapshot, now_ms: int) -> list[Scope]:
    """The periods of a budget that calls may still reserve in, and the one before where what is left of it is added."""
    periods = [make_scope(org, budget, "", at_ms) for at_ms in (now_ms - ADMISSION_MS, now_ms)]
    periods += [scope.before for scope in periods if scope.before is not None]
    return list({scope.starts_ms: scope for scope in periods}.values())


def _is_default(budget: BudgetSnapshot) -> bool:
    return not budget.subject and budget.scope != BudgetScope.ORGANIZATION


def _count_all(org: OrgSnapshot, budget: BudgetSnapshot, period: Scope, lineages: Mapping[str, str]) -> Iterable[Count]:
    """The count of everybody who has spent from a default budget in a period, and then its mark."""
    kind = BudgetScope(budget.scope)
    source = _source_of(period)
    if kind is BudgetScope.TAG:
        what = "tag.key || '=' || tag.value"
        source += " CROSS JOIN LATERAL jsonb_each_text(tags) AS tag"
    else:
        what = f"{_column_of(kind)}::text"
    cost = "effective_cost"
    if kind is BudgetScope.MODEL:
        source += _BY_MODEL
        what, cost = "spent.model", "spent.cost"
    condition, values = _condition_of(org.id, period, lineages)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {what}, costhub_whole(sum({cost})) FROM {source}"  # noqa: S608 - names from the table above
            f" WHERE {condition} GROUP BY 1",
            values,
        )
        spent: Counter[str] = Counter()
        for subject, settled in cursor.fetchall():
            spent[lineages.get(subject, subject) if kind is BudgetScope.KEY else subject] += settled
    for subject, settled in spent.items():
        if subject:
            scope = make_scope(org, budget, subject, period.starts_ms)
            yield Count(scope, settled, _match_of(org.id, scope))
    # Last: it says that the others are there, and they are written in this order.
    mark = make_scope(org, budget, "", period.starts_ms)
    yield Count(mark, 0, _match_of(org.id, mark))


def _source_of(period: Scope) -> str:
    """What to sum: the ledger, and for a budget of all time what was spent in months that are gone as well."""
    return "proxy_spendever" if period.period == BudgetPeriod.TOTAL else "proxy_ledgerentry"


def _match_of(org_id: str, scope: Scope) -> dict[str, Any]:
    """What an event must hold to be of this scope; of the mark of many, to be of any of them (see rebuild.lua)."""
    kind = BudgetScope(scope.kind)
    match: dict[str, Any] = {"org_id": org_id}
    if scope.within:
        match[_COLUMNS[BudgetScope(scope.within_scope)]] = scope.within
    if not scope.subject:
        match["each"] = _COLUMNS.get(kind, "tag")
    elif kind is BudgetScope.TAG:
        name, _, value = scope.subject.partition("=")
        match["tag"] = {"name": name, "value": value}
    elif kind in _COLUMNS:
        match[_COLUMNS[kind]] = scope.subject
    return match


def _column_of(kind: BudgetScope) -> str:
    return "key_id" if kind is BudgetScope.KEY else _COLUMNS[kind]


def _list_rows(kind: BudgetScope, subject: str, lineages: Mapping[str, str]) -> list[Any]:
    """What the ledger's column holds of a subject: of a key the ids of all in its line."""
    if kind in {BudgetScope.KEY, BudgetScope.PROJECT}:
        line = [key for key, first in lineages.items() if first == subject] if kind is BudgetScope.KEY else []
        return [UUID(one) for one in (subject, *line)]
    return [subject]


def _condition_of(org_id: str, scope: Scope, lineages: Mapping[str, str]) -> tuple[str, list[Any]]:
    """The rows of a scope's period, of everybody whom its budget counts."""
    condition = "org_id = %s AND started_at >= %s AND started_at < %s"
    values: list[Any] = [org_id, from_ms(scope.starts_ms), from_ms(scope.ends_ms)]
    if scope.within:
        within_scope = BudgetScope(scope.within_scope)
        condition += f" AND {_column_of(within_scope)} = ANY(%s)"
        values.append(_list_rows(within_scope, scope.within, lineages))
    return condition, values


def _count(org_id: str, scope: Scope, lineages: Mapping[str, str]) -> Count:
    condition, values = _condition_of(org_id, scope, lineages)
    kind = BudgetScope(scope.kind)
    source, cost = _source_of(scope), "effective_cost"
    if kind is BudgetScope.MODEL:
        source += _BY_MODEL
        cost = "spent.cost"
        condition += " AND (request_model = %s OR attempts @> %s::jsonb) AND spent.model = %s"
        values += [scope.subject, orjson.dumps([{"model": scope.subject}]).decode(), scope.subject]
    elif kind is BudgetScope.TAG:
        name, _, value = scope.subject.partition("=")
        condition += " AND tags @> %s::jsonb"
        values.append(orjson.dumps({name: value}).decode())
    elif kind in _COLUMNS:
        condition += f" AND {_column_of(kind)} = ANY(%s)"
        values.append(_list_rows(kind, scope.subject, lineages))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT costhub_whole(COALESCE(sum({cost}), 0)) FROM {source}"  # noqa: S608 - as above
            f" WHERE {condition}",
            values,
        )
        return Count(scope, int(cast("tuple[int]", cursor.fetchone())[0]), _match_of(org_id, scope))
