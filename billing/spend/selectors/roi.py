"""An average day of the ledger, for what may pay on it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from billing.spend.core.roi import ZERO, Traffic
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.usage import UsageSums, add_up_usage
from tenants.access import Actor
from tenants.choices import Permission
from tenants.price_snapshots import INPUT_CLASSES, OUTPUT_CLASSES

#: days; whole weeks, so that each has its Sunday
WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class FoundTraffic:
    """An average day, the weeks that it is the average of, and how the quietest and the busiest of them compare with
    it: factors, or None of fewer than two weeks."""

    day: Traffic
    start: datetime
    end: datetime
    quietest: Fraction | None = None
    busiest: Fraction | None = None


def find_traffic(actor: Actor, *, end: datetime, weeks: int, filters: LedgerFilters) -> FoundTraffic:
    """The average day of up to so many weeks of seven times 24 hours before ``end``; those before the first call are
    left out. Refusals and hits of the cache are not counted.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    length = timedelta(days=WEEK)
    found = [_week(add_up_usage(actor, end - length * (n + 1), end - length * n, (), filters)) for n in range(weeks)]
    while len(found) > 1 and found[-1] == Traffic(ZERO, ZERO, ZERO, ZERO):
        found.pop()
    day = Traffic(
        *(sum((getattr(week, name) for week in found), ZERO) / len(found) for name in Traffic.__dataclass_fields__)
    )
    start = end - length * len(found)
    if len(found) == 1 or day.cost <= 0:
        return FoundTraffic(day, start, end)
    costs = [week.cost for week in found]
    return FoundTraffic(day, start, end, max(ZERO, min(costs) / day.cost), max(costs) / day.cost)


def _week(rows: list[UsageSums]) -> Traffic:
    """Its average day. Corrections of earlier weeks may be more than a week cost: that is no negative traffic."""
    row = rows[0] if rows else None
    tokens = row.tokens if row else {}
    amounts = (
        row["billed"] if row else 0,
        sum(tokens.get(name, 0) for name in INPUT_CLASSES),
        sum(tokens.get(name, 0) for name in OUTPUT_CLASSES),
        row["effective_cost"] if row else 0,
    )
    return Traffic(*(Fraction(max(0, amount), WEEK) for amount in amounts))
