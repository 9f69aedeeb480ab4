"""An organisation's costs as rows of FOCUS 1.4."""

from datetime import datetime, timedelta
from typing import Final

from billing.spend.core.focus import Account, DayUsage, make_rows
from billing.spend.selectors.names import find_names
from billing.spend.selectors.usage import add_up_usage, find_rates
from costhub.lib.errors import InvalidField
from tenants.access import Actor
from tenants.choices import Permission
from tenants.periods import period_bounds
from tenants.price_histories import load_price_versions

#: one file holds a month and what little of others a time zone may add
MOST_DAYS: Final = 32
_SPLIT: Final = ("project_id", "request_model", "provider", "price_id", "adjustment_id", "service_tier")


def list_focus_rows(actor: Actor, start: datetime, end: datetime, *, issuer: str = "CostHub") -> list[dict[str, str]]:
    """The local days of ``[start, end)``, in order. Their costs sum to the ledger's to the nano.

    Raises Forbidden if the actor may not see money, InvalidField for more than a month.
    """
    actor.check(Permission.READ_MONEY)
    if end - start > timedelta(days=MOST_DAYS):
        raise InvalidField(f"Give at most {MOST_DAYS} days: FOCUS files are by the month.", field="to")
    zone = actor.org.time_zone
    account = Account(str(actor.org.pk), actor.org.name, issuer)
    rows: list[dict[str, str]] = []
    first = start
    while first < end:
        last = min(period_bounds("day", first, zone)[1], end)
        rows += make_rows(account, period_bounds("month", first, zone), _read_day(actor, first, last))
        first = last
    return rows


def _read_day(actor: Actor, start: datetime, end: datetime) -> list[DayUsage]:
    sums = add_up_usage(actor, start, end, _SPLIT)
    prices = load_price_versions(actor, {row.keys[3:5] for row in sums})
    names = find_names(actor.org, {row.keys[0] for row in sums})
    found = []
    for row in sums:
        project, model, provider, price_id, adjustment_id, service_tier = row.keys
        found.append(
            DayUsage(
                start=start,
                end=end,
                project=str(project),
                project_name=names.get(str(project), ""),
                model=model or "unknown",
                provider=provider,
                price=f"{price_id}/{service_tier}".rstrip("/") if price_id else "",
                calls=row["calls"],
                tokens=row.tokens,
                prices=find_rates(prices.get((price_id, adjustment_id)), service_tier),
                list_cost=row["list_cost"],
                effective_cost=row["effective_cost"],
            )
        )
    return found
