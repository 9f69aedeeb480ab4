"""Where every budget stands now, a row a subject: spent, held by calls that are under way, and left.

The counters that calls are held against have the word: what is spent there is what refuses. A counter that nobody has
touched in this period is not there, and the ledger's sum stands in for it; they are the same but for the second that a
row takes to the ledger.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from redis.exceptions import RedisError

from billing.spend.core.burn import Burn, burn_of
from billing.spend.core.cubes import EACH_TAG
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.names import find_names, plain_name
from billing.spend.selectors.sums import Question, add_up
from costhub.lib.moments import from_ms, to_ms
from costhub.lib.redis import client
from proxy.core.budgets import is_lifted, limit_with, list_own, make_scope, rolled_over, whole_limit
from proxy.values.windows import Scope
from tenants.access import Actor
from tenants.choices import BudgetPeriod, BudgetScope, Permission
from tenants.periods import period_bounds
from tenants.selectors import load_org_snapshot, read_budgets, read_lineages
from tenants.snapshots import BudgetSnapshot

_log = logging.getLogger(__name__)

#: of the default of many, the subjects that have spent the most
MOST_SUBJECTS: Final = 50

_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    BudgetScope.ORGANIZATION: (),
    BudgetScope.PROJECT: ("project",),
    BudgetScope.KEY: ("key",),
    BudgetScope.END_USER: ("end_user",),
    BudgetScope.MODEL: ("model",),
    BudgetScope.TAG: (EACH_TAG,),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """One subject of one budget in its current period. Money is nano-USD; ``limit`` is from where on calls are refused,
    with increases and what rolled over. ``held`` is None while Valkey cannot be asked. An empty ``subject`` is a
    default of which nobody has spent yet, or whose subjects are not listed; ``more`` subjects were left out."""

    budget: BudgetSnapshot
    subject: str
    subject_name: str
    within_name: str
    limit: int
    spent: int
    held: int | None
    start: datetime
    end: datetime | None
    burn: Burn
    more: int = 0

    @property
    def left(self) -> int:
        """What a call may still cost; below zero where the limit was lowered, or only warns."""
        return self.limit - self.spent - (self.held or 0)

    @property
    def is_default(self) -> bool:
        """Whether the budget is for each subject of its scope."""
        return not self.budget.subject and self.budget.scope != BudgetScope.ORGANIZATION

    @property
    def per_mille(self) -> int:
        """Of the limit, spent and held."""
        return (self.spent + (self.held or 0)) * 1000 // max(self.limit, 1)


class _Place(NamedTuple):
    budget: BudgetSnapshot
    subject: str
    ledger: int
    more: int


def list_standings(actor: Actor, now: datetime, scope: str | None = None) -> tuple[Standing, ...]:
    """Every active budget, or those of one scope, the fullest subject first.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    org = load_org_snapshot(str(actor.org.pk))
    if org is None:
        return ()
    budgets = read_budgets(actor, now, [scope] if scope else list(BudgetScope))
    places = _find_places(actor, budgets, now)
    scopes = [make_scope(org, place.budget, place.subject, to_ms(now)) for place in places]
    counters = _read_counters(scopes)
    names = find_names(
        actor.org,
        [
            *(place.subject for place in places if place.budget.scope in {BudgetScope.PROJECT, BudgetScope.KEY}),
            *(place.budget.within for place in places),
        ],
    )
    found = [
        _stand(actor, place, scope, counter, names, now)
        for place, scope, counter in zip(places, scopes, counters, strict=True)
    ]
    return tuple(sorted(found, key=lambda each: (-each.per_mille, each.subject_name)))


def _stand(
    actor: Actor, place: _Place, scope: Scope, counter: "_Read", names: Mapping[str, str], now: datetime
) -> Standing:
    budget = place.budget
    is_listed = place.subject or budget.scope == BudgetScope.ORGANIZATION
    rolled = rolled_over(scope, counter.before, counter.before_held, to_ms(now)) if scope.before else 0
    limit = limit_with(scope, rolled) if is_listed else whole_limit(budget, to_ms(now))
    spent = (place.ledger if counter.spent is None else counter.spent) if is_listed else 0
    held = counter.held
    start = from_ms(scope.starts_ms)
    if budget.period == BudgetPeriod.TOTAL:
        start, end = min(from_ms(budget.created_ms), now), None
    else:
        end = from_ms(scope.ends_ms)
    left = limit - spent - (held or 0)
    return Standing(
        budget=budget,
        subject=place.subject,
        subject_name=plain_name(actor.org, budget.scope, place.subject, names),
        within_name=names.get(budget.within, budget.within),
        limit=limit,
        spent=spent,
        held=held,
        start=start,
        end=end,
        burn=burn_of(spent=spent, left=left, start=start, end=end or now + timedelta(days=3650), now=now),
        more=place.more,
    )


def _find_places(actor: Actor, budgets: Sequence[BudgetSnapshot], now: datetime) -> list[_Place]:
    """Whose standing is looked at: of a default, those who have spent under it."""
    spent = _sum_spent(actor, budgets, now)
    own = list_own(budgets)
    places = []
    for budget in budgets:
        sums = spent.get(budget.id, Counter())
        if budget.scope == BudgetScope.ORGANIZATION:
            places.append(_Place(budget, str(actor.org.pk), sums[str(actor.org.pk)], 0))
        elif budget.subject:
            places.append(_Place(budget, budget.subject, sums[budget.subject], 0))
        else:
            held = [(each, nanos) for each, nanos in sums.most_common() if each and not is_lifted(budget, each, own)]
            more = max(len(held) - MOST_SUBJECTS, 0)
            places += [_Place(budget, each, nanos, more) for each, nanos in held[:MOST_SUBJECTS]]
            if not held:
                places.append(_Place(budget, "", 0, 0))
    return places


def _sum_spent(actor: Actor, budgets: Sequence[BudgetSnapshot], now: datetime) -> dict[str, Counter[str]]:
    """What the ledger says was spent in the period, by budget and subject. Runs are not summed there."""
    asked: dict[tuple[str, ...], Question] = {}
    wanted: dict[str, tuple[str, ...]] = {}
    for budget in budgets:
        if budget.scope == BudgetScope.SESSION:
            continue
        tag = budget.subject if budget.scope == BudgetScope.TAG else ""
        key = wanted[budget.id] = (budget.scope, budget.period, budget.within_scope, budget.within, tag)
        if key not in asked:
            asked[key] = Question(_filters(budget, tag, now, actor.org.time_zone), () if tag else _GROUPS[budget.scope])
    sums = add_up(actor, asked.values())
    lineages = read_lineages(str(actor.org.pk)) if any(key[0] == BudgetScope.KEY for key in asked) else {}
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for budget_id, asking in wanted.items():
        for each in sums[asked[asking]]:
            subject = str(each.keys[0]) if each.keys else asking[-1] or str(actor.org.pk)
            found[budget_id][lineages.get(subject, subject)] += each.amounts["effective_cost"]
    return found


def _filters(budget: BudgetSnapshot, tag: str, now: datetime, zone: str) -> LedgerFilters:
    start, end = period_bounds(budget.period, now, zone)
    place = UUID(budget.within) if budget.within else None
    name, _, value = tag.partition("=")
    return LedgerFilters(
        start=start,
        end=end,
        project=place if budget.within_scope == BudgetScope.PROJECT else None,
        key=place if budget.within_scope == BudgetScope.KEY else None,
        tags={name: value} if tag else {},
    )


class _Read(NamedTuple):
    """A counter: ``spent`` is None where nobody has touched it; ``before`` is that of the period before."""

    spent: int | None
    held: int | None
    before: int = 0
    before_held: int = 0


def _read_counters(scopes: Iterable[Scope]) -> list[_Read]:
    wanted = list(scopes)
    try:
        pipe = client().pipeline(transaction=False)
        for scope in wanted:
            pipe.hmget(scope.counter, "s", "h")
            pipe.hmget((scope.before or scope).counter, "s", "h")
        answers = pipe.execute()
    except RedisError:
        _log.warning("counters_not_read", exc_info=True)
        return [_Read(None, None)] * len(wanted)
    return [
        _Read(
            int(spent) if spent is not None else None,
            int(held or 0),
            int(before or 0),
            int(before_held or 0),
        )
        for (spent, held), (before, before_held) in zip(answers[::2], answers[1::2], strict=True)
    ]
