"""An organisation's costs as rows of FOCUS 1.4."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.db import connection

from billing.spend.core.focus import Account, Bill, DayUsage, make_charges, make_rows
from billing.spend.selectors.names import find_names
from billing.spend.selectors.usage import add_up_usage, find_rates, name_price
from costhub.lib.errors import InvalidField
from tenants.access import Actor
from tenants.choices import Permission
from tenants.periods import period_bounds
from tenants.price_histories import load_price_versions

#: one file holds a month, and what a change of the time zone adds to it at either end
MOST_DAYS: Final = 34
#: a day with more sets of tags is not told apart by them: whoever tags each call by itself has as many as calls
MOST_TAG_SETS: Final = 500
#: so many calls of a day are told apart by their tags
MOST_TAGGED_CALLS: Final = 50_000
_SPLIT: Final = ("project_id", "request_model", "provider", "price_id", "adjustment_id", "service_tier")


def list_focus_rows(
    actor: Actor, start: datetime, end: datetime, bills: Sequence[Bill], *, issuer: str
) -> Iterator[dict[str, str]]:
    """The local days of ``[start, end)``, in order, and what the documents that end in it have beside usage. The days'
    costs sum to the ledger's to the nano. ``bills`` cover the time.

    Raises Forbidden if the actor may not see money, InvalidField for more than a month.
    """
    actor.check(Permission.READ_MONEY)
    if end - start > timedelta(days=MOST_DAYS):
        raise InvalidField(f"Give at most {MOST_DAYS} days: FOCUS files are by the month.", field="to")
    return _list_rows(actor, start, end, bills, Account(str(actor.org.pk), actor.org.name, issuer))


def _list_rows(
    actor: Actor, start: datetime, end: datetime, bills: Sequence[Bill], account: Account
) -> Iterator[dict[str, str]]:
    """A day at a time: a month with many tags has tens of thousands."""
    zone = actor.org.time_zone
    without_tags = _list_days_without_tags(actor, start, end)
    first = start
    while first < end:
        bill = next(bill for bill in bills if not bill.is_note and bill.start <= first < bill.end)
        # Where the time zone was changed a document may end within a day.
        last = min(period_bounds("day", first, zone)[1], end, bill.end)
        day = first.astimezone(ZoneInfo(zone)).date()
        has_tags = day not in without_tags and _are_few_tags(actor, first, last)
        usage = _read_day(actor, first, last, by_tags=has_tags, tags={} if day in without_tags else None)
        yield from make_rows(account, bill, usage)
        first = last
    for bill in bills:
        if start < bill.end <= end:
            yield from make_charges(account, bill)


def _list_days_without_tags(actor: Actor, start: datetime, end: datetime) -> set[date]:
    """The local days whose sums are up to date and say that no call had any."""
    zone = actor.org.time_zone
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT day FROM billing_dayrollup AS total
               WHERE org_id = %s AND cube = 'total' AND day >= %s AND day <= %s
                   AND EXISTS (SELECT FROM billing_rollupzone AS z WHERE z.org_id = total.org_id AND z.time_zone = %s)
                   AND NOT EXISTS (SELECT FROM billing_dayrollup AS tags
                                   WHERE tags.org_id = total.org_id AND tags.cube = 'tags' AND tags.day = total.day)
               EXCEPT
               SELECT (quarter AT TIME ZONE %s)::date
               FROM (SELECT quarter FROM billing_quartermark WHERE org_id = %s AND quarter >= %s AND quarter < %s
                     UNION ALL
                     SELECT quarter FROM billing_daymark WHERE org_id = %s AND quarter >= %s AND quarter < %s) AS marks""",
            [
                actor.org.pk,
                start.astimezone(ZoneInfo(zone)).date(),
                end.astimezone(ZoneInfo(zone)).date(),
                zone,
                zone,
                actor.org.pk,
                start,
                end,
                actor.org.pk,
                start,
                end,
            ],
        )
        return {day for (day,) in cursor.fetchall()}


def _are_few_tags(actor: Actor, start: datetime, end: datetime) -> bool:
    """Whether the ledger still has the rows of this time, no more than can be read while somebody waits, and no more
    sets of tags than a file can hold."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT costhub_ledger_floor() <= %s AND (
                   SELECT count(*) FROM (SELECT DISTINCT tags FROM proxy_ledgerentry
                                         WHERE org_id = %s AND started_at >= %s AND started_at < %s LIMIT %s) AS sets
               ) <= %s AND (
                   SELECT count(*) FROM (SELECT FROM proxy_ledgerentry
                                         WHERE org_id = %s AND started_at >= %s AND started_at < %s LIMIT %s) AS calls
               ) <= %s""",
            [
                *(start, actor.org.pk, start, end, MOST_TAG_SETS + 1, MOST_TAG_SETS),
                *(actor.org.pk, start, end, MOST_TAGGED_CALLS + 1, MOST_TAGGED_CALLS),
            ],
        )
        found: tuple[bool] | None = cursor.fetchone()
    return found == (True,)


def _read_day(
    actor: Actor, start: datetime, end: datetime, *, by_tags: bool, tags: Mapping[str, str] | None
) -> list[DayUsage]:
    """Told apart by tags, from the day's rows; else from its sums, as having ``tags``."""
    sums = add_up_usage(actor, start, end, (*_SPLIT, "tags") if by_tags else _SPLIT)
    prices = load_price_versions(actor, {row.keys[3:5] for row in sums})
    names = find_names(actor.org, {row.keys[0] for row in sums})
    found = []
    for row in sums:
        project, model, provider, price_id, adjustment_id, service_tier = row.keys[: len(_SPLIT)]
        found.append(
            DayUsage(
                start=start,
                end=end,
                project=str(project),
                project_name=names.get(str(project), ""),
                model=model or "unknown",
                provider=provider,
                price=name_price(price_id, adjustment_id, service_tier) if price_id else "",
                calls=row["calls"],
                tokens=row.tokens,
                prices=find_rates(prices.get((price_id, adjustment_id)), service_tier),
                list_cost=row["list_cost"],
                effective_cost=row["effective_cost"],
                tags=json.loads(row.keys[-1]) if by_tags else tags,
            )
        )
    return found
