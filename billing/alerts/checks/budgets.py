"""Budgets against their thresholds: looks at the counters that moved, within a second or two of the call that moved
them."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from django.db import connection

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import Fact
from billing.alerts.models import Alert
from billing.choices import AlertKind
from billing.spend.selectors.names import name_subject
from costhub.lib import clock, keyspace
from costhub.lib.moments import from_ms, to_ms
from costhub.lib.redis import client
from proxy.core.budgets import make_scope, rolled_over, share_of, whole_with
from proxy.ledger.changed_counters import forget_changed, list_changed_shards, note_changed, take_changed
from proxy.values.windows import Scope
from tenants.access import job_scope, org_scope
from tenants.choices import BudgetPeriod, BudgetScope
from tenants.models import Budget, Organization
from tenants.periods import period_bounds
from tenants.selectors import load_org_snapshot, read_budgets
from tenants.snapshots import BudgetSnapshot, OrgSnapshot

_log = logging.getLogger(__name__)

#: of a default for many the first subject that crosses a threshold is told of, not each
_MANY: Final = frozenset({BudgetScope.END_USER.value, BudgetScope.TAG.value, BudgetScope.SESSION.value})
#: nobody wants a mail a minute: such budgets have a day for their window
_SHORT: Final = frozenset({BudgetPeriod.MINUTE.value, BudgetPeriod.HOUR.value})


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter's name, read."""

    name: str
    budget_id: str
    starts_ms: int
    subject: str


def watch_changed() -> int:
    """Report every budget whose counter has moved. Gives how many counters that were. One at a time, see
    ``proxy.ledger.changed_counters``."""
    seen = 0
    for shard in list_changed_shards():
        counters = [found for name in take_changed(shard) if (found := _read(name))]
        failed = [counter for org_id, of_org in _by_org(counters).items() for counter in _try_to_report(org_id, of_org)]
        # One organisation's trouble must not keep the others waiting: its counters come again.
        note_changed(shard, [counter.name for counter in failed])
        forget_changed(shard)
        seen += len(counters)
    return seen


def _try_to_report(org_id: UUID, counters: list[Counter]) -> list[Counter]:
    """The counters that could not be reported."""
    try:
        _report(org_id, counters)
    except Exception:  # noqa: BLE001 - whatever it is
        _log.exception("budgets could not be looked at", extra={"org": str(org_id)})
        return counters
    return []


def list_alerted_orgs() -> list[UUID]:
    """The organisations that have an open alert of a budget."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id FROM costhub_alerted_orgs(%s)", [[AlertKind.BUDGET.value]])
        return [row[0] for row in cursor.fetchall()]


def review_open(org_id: UUID) -> None:
    """Look again at the budgets that an organisation has open alerts of: their period may be over, or their limit
    raised."""
    with org_scope(org_id):
        subjects = set(
            Alert.objects.filter(org=org_id, kind=AlertKind.BUDGET.value, ended_at=None).values_list(
                "subject", flat=True
            )
        )
    now_ms = clock.now_ms()
    org = load_org_snapshot(str(org_id))
    budgets = {budget.id: budget for budget in org.budgets} if org else {}
    counters = []
    for subject in subjects:
        budget_id, _, whose = subject.partition(":")
        if org is not None and (budget := budgets.get(budget_id)):
            scope = make_scope(org, budget, whose, now_ms)
            counters.append(Counter(scope.counter, budget_id, scope.starts_ms, whose))
    _report(org_id, counters, is_complete=True)


def _read(name: str) -> Counter | None:
    found = keyspace.read_counter(name)
    return Counter(name, *found) if found else None


def _by_org(counters: Iterable[Counter]) -> dict[UUID, list[Counter]]:
    wanted = list(counters)
    with connection.cursor() as cursor:
        ids = sorted({counter.budget_id for counter in wanted})
        cursor.execute("SELECT budget_id, org_id FROM costhub_orgs_of_budgets(%s::uuid[])", [ids])
        owners = {str(budget_id): org_id for budget_id, org_id in cursor.fetchall()}
    found: dict[UUID, list[Counter]] = defaultdict(list)
    for counter in wanted:
        # A budget that is gone has nobody to tell.
        if owner := owners.get(counter.budget_id):
            found[owner].append(counter)
    return found


def _report(org_id: UUID, counters: list[Counter], *, is_complete: bool = False) -> None:
    now = clock.now()
    snapshot = load_org_snapshot(str(org_id))
    if snapshot is None:
        return
    with job_scope(org_id) as actor:
        org = actor.org
        rows = {str(row.pk): row for row in Budget.objects.filter(org=org, is_active=True)}
        # Of a period that is over with the increases that it had.
        since = min([now, *(from_ms(each.starts_ms) for each in counters if each.starts_ms > 0)])
        budgets = {budget.id: budget for budget in read_budgets(actor, since, BudgetScope)}
        scopes = [
            _scope_of(snapshot, budgets[each.budget_id], each, to_ms(now))
            for each in counters
            if each.budget_id in rows and each.budget_id in budgets
        ]
        standings = _read_standings(scopes, to_ms(now))
        facts = [
            _make_fact(org, snapshot, rows[scope.budget_id], scope, *standing)
            for scope, standing in zip(scopes, standings, strict=True)
        ]
        report(org, AlertKind.BUDGET, _join(facts), now=now, is_complete=is_complete)


def _scope_of(org: OrgSnapshot, budget: BudgetSnapshot, counter: Counter, now_ms: int) -> Scope:
    """The counter's period with the increases of now, or of its last moment when it is over."""
    ends_ms = make_scope(org, budget, counter.subject, counter.starts_ms).ends_ms
    return make_scope(org, budget, counter.subject, min(max(now_ms, counter.starts_ms), ends_ms - 1))


def _read_standings(scopes: Sequence[Scope], now_ms: int) -> list[tuple[int, int, int]]:
    """(spent, limit with increases and what was left of the period before, the limit at which it refused a call last)
    of each, in nano-USD."""
    pipe = client().pipeline(transaction=False)
    for scope in scopes:
        pipe.hmget(scope.counter, "s", "r")
        pipe.hmget((scope.before or scope).counter, "s", "h")
    answers = [[int(each or 0) for each in answer] for answer in pipe.execute()]
    found = []
    for scope, (spent, refused), (before, held) in zip(scopes, answers[::2], answers[1::2], strict=True):
        rolled = rolled_over(scope, before, held, now_ms)
        found.append((spent, whole_with(scope, rolled), refused))
    return found


def _make_fact(
    org: Organization, snapshot: OrgSnapshot, row: Budget, scope: Scope, spent: int, limit: int, refused: int
) -> Fact:
    percent = spent * 100 // limit
    # A ladder's block may come earlier than the whole, or later.
    bar = share_of(limit, scope.share)
    has_refused = scope.is_hard and refused == bar
    is_many = not row.subject and row.scope in _MANY
    details: dict[str, Any] = {
        "budget": scope.budget_id,
        "name": row.name,
        "scope": row.scope,
        "subject": scope.subject,
        "who": name_subject(org, row.scope, scope.subject),
        "within": name_subject(org, row.within_scope, row.within) if row.within else "",
        "period": row.period,
        "spent": spent,
        "limit": limit,
        "percent": percent,
        "starts": from_ms(scope.starts_ms).isoformat(),
        "ends": from_ms(scope.ends_ms).isoformat() if row.period != BudgetPeriod.TOTAL else "",
        "action": row.action,
        "refuses": has_refused or (scope.is_hard and spent >= bar),
        "is_shadow": row.is_shadow,
        "is_default": not row.subject and row.scope != BudgetScope.ORGANIZATION,
    }
    return Fact(
        AlertKind.BUDGET,
        f"{scope.budget_id}:{'*' if is_many else scope.subject}"[:300],
        # A hard budget ends before its last nano: as soon as a call does not fit any more.
        max(percent, 100) if has_refused else percent,
        details,
        window_start=_window(row.period, scope.starts_ms, snapshot.time_zone),
        thresholds=tuple(row.thresholds),
        budget=scope.budget_id,
        is_group=is_many or row.period in _SHORT,
    )


def _window(period: str, starts_ms: int, time_zone: str) -> datetime:
    start = from_ms(starts_ms)
    return period_bounds("day", start, time_zone)[0] if period in _SHORT else start


def _join(facts: list[Fact]) -> list[Fact]:
    """One fact a subject and window, the fullest; older windows first."""
    fullest: dict[tuple[str, int], Fact] = {}
    for fact in facts:
        key = (fact.subject, to_ms(cast("datetime", fact.window_start)))
        if key not in fullest or fact.value > fullest[key].value:
            fullest[key] = fact
    return [fullest[key] for key in sorted(fullest, key=lambda key: key[1])]
