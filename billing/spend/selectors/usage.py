"""Exact sums by token class and price version: whole days where their sums stand, else the ledger's rows.

One statement and so one view of the data, as in ``sums``: a day with a mark is read from its rows.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.backends.utils import CursorWrapper

from billing.spend.core.tiling import Tiling, tile
from billing.spend.filters import LedgerFilters
from costhub.lib.database import planned_once
from costhub.lib.errors import InvalidField
from tenants.access import Actor
from tenants.price_snapshots import DEFAULT_TIER, INPUT_CLASSES, OUTPUT_CLASSES, UNIT_CLASSES, PriceSnapshot

#: the classes that a row's tokens fall into, disjoint
TOKEN_CLASSES: Final = (*INPUT_CLASSES, *OUTPUT_CLASSES)
#: what may be split by
SPLITS: Final = (
    "project_id",
    "key_id",
    "request_model",
    "response_model",
    "upstream_id",
    "provider",
    "price_id",
    "adjustment_id",
    "service_tier",
)
SAVED: Final = ("cache", "coalescing", "compression", "routing", "cascade", "batch", "distillation")
_MEASURES: Final = (
    "calls",
    "hits",
    "billed",
    *TOKEN_CLASSES,
    *UNIT_CLASSES,
    "list_cost",
    "effective_cost",
    "retried",
    *(f"saved_by_{name}" for name in SAVED),
)
_NO_SPAN: Final = "SELECT NULL::timestamptz, NULL::timestamptz WHERE false"


@dataclass(frozen=True, slots=True)
class UsageSums:
    """Calls that are alike in what was split by. Money is nano-USD; ``amounts`` has every measure by name."""

    keys: tuple[Any, ...]
    amounts: dict[str, int]

    def __getitem__(self, measure: str) -> int:
        return self.amounts[measure]

    @property
    def tokens(self) -> dict[str, int]:
        """By class, without zeros."""
        return {name: self.amounts[name] for name in TOKEN_CLASSES if self.amounts[name]}

    @property
    def units(self) -> dict[str, int]:
        """What is billed by the piece, by class, without zeros."""
        return {name: self.amounts[name] for name in UNIT_CLASSES if self.amounts[name]}

    @property
    def saved(self) -> dict[str, int]:
        """Nano-USD by mechanism, without zeros."""
        return {name: self.amounts[f"saved_by_{name}"] for name in SAVED if self.amounts[f"saved_by_{name}"]}


def add_up_usage(
    actor: Actor, start: datetime, end: datetime, split: Sequence[str], filters: LedgerFilters | None = None
) -> list[UsageSums]:
    """Sum the organisation's usage over ``[start, end)`` by some of ``SPLITS``, in the order of their keys; and by
    ``tags`` (as JSON), which only rows know.

    The caller has checked who is asking. Raises InvalidField for a filter by status, request id or what calls are
    without, which sums of days do not know.
    """
    zone = ZoneInfo(actor.org.time_zone)
    columns, values = _condition(filters or LedgerFilters())
    rows_only = "tags" in split or any("line." in column for column in columns)
    tiling = tile(start, end, zone, by_day=not rows_only, by_quarter=False)
    sql, arguments = _statement(actor.org.pk, zone.key, tiling, split, columns, values)
    # Of days there are few rows, and planning is most of the time: of many organisations' months it is done once.
    opened: Callable[[], AbstractContextManager[CursorWrapper]] = connection.cursor
    if tiling.days and not columns:
        opened = planned_once
    with opened() as cursor:
        cursor.execute(sql, arguments)
        rows = cursor.fetchall()
    width = len(split)
    return [UsageSums(row[:width], dict(zip(_MEASURES, row[width:], strict=True))) for row in rows]


def add_up_marked(actor: Actor, start: datetime, end: datetime, split: Sequence[str], reason: str) -> list[UsageSums]:
    """The same sums over those rows of ``[start, end)`` alone whose ``route_reason`` is this one."""
    sums = ", ".join(
        [*(f"line.{name}" for name in split), *(f"costhub_whole(coalesce(sum({n}), 0))" for n in _MEASURES)]
    )
    groups = ", ".join(f"line.{name}" for name in split)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT {sums} FROM billing_usageline AS line
                JOIN (SELECT started_at, id FROM proxy_ledgerentry
                      WHERE org_id = %s AND started_at >= %s AND started_at < %s AND route_reason = %s) AS marked
                    USING (started_at, id)
                WHERE line.org_id = %s AND started_at >= %s AND started_at < %s
                GROUP BY {groups} ORDER BY {groups}""",  # noqa: S608 - made of names
            [actor.org.pk, start, end, reason, actor.org.pk, start, end],
        )
        rows = cursor.fetchall()
    width = len(split)
    return [UsageSums(row[:width], dict(zip(_MEASURES, row[width:], strict=True))) for row in rows]


def add_up_findings(actor: Actor, start: datetime, end: datetime, upstream: UUID | None) -> dict[tuple[date, str], int]:
    """What finding answers by meaning cost over ``[start, end)``, by UTC's day and the model that had answered, in
    nano-USD: part of the ledger, and of no upstream's bill. The caller has checked who is asking."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT (started_at AT TIME ZONE 'UTC')::date, response_model, sum(effective_cost)::bigint
               FROM proxy_ledgerentry
               WHERE org_id = %s AND started_at >= %s AND started_at < %s AND kind = 'call'
                 AND cache_status = 'hit-semantic' AND effective_cost <> 0 AND (%s::uuid IS NULL OR upstream_id = %s)
               GROUP BY 1, 2""",
            [actor.org.pk, start, end, upstream, upstream],
        )
        return {(day, model): nanos for day, model, nanos in cursor.fetchall()}


def find_rates(price: PriceSnapshot | None, service_tier: str) -> dict[str, int]:
    """Pico-USD by class of usage at one version, with what is on it, and tier, for calls without a long context.

    Empty where that is not known: what calls cost in a tier that the version has no price for, only their rows say.
    """
    tier = price.find_tier(service_tier or DEFAULT_TIER) if price else None
    return tier.rates._asdict() if tier else {}


def _condition(filters: LedgerFilters) -> tuple[list[str], list[Any]]:
    """Conditions on a source's columns; those that only rows know are of ``line``."""
    if filters.status or filters.request_id or filters.without:
        raise InvalidField("Filter by model, project, key, upstream, end_user or tag.", field="status")
    equal: list[tuple[str, str | UUID | None]] = [
        ("request_model", filters.model),
        ("project_id", filters.project),
        ("key_id", filters.key),
        ("upstream_id", filters.upstream),
        ("line.end_user", filters.end_user),
    ]
    columns = [f"{name} = %s" for name, value in equal if value is not None]
    values: list[Any] = [value for _, value in equal if value is not None]
    if filters.keys:
        columns.append("key_id = ANY (%s)")
        values.append(list(filters.keys))
    for name, value in filters.tags.items():
        columns.append("line.tags ->> %s = %s")
        values += [name, value]
    return columns, values


def _statement(
    org_id: UUID, zone: str, tiling: Tiling, split: Sequence[str], conditions: Sequence[str], values: Sequence[Any]
) -> tuple[str, list[Any]]:
    names = [*split, *_MEASURES]
    chosen = ", ".join(names)
    narrowed = "".join(f" AND {condition}" for condition in conditions)
    arguments: list[Any] = []
    gaps = []
    for span in tiling.rows:
        gaps.append("SELECT %s::timestamptz, %s::timestamptz")
        arguments += span
    marks, days = "", ""
    if tiling.days:
        first, last, (starts, ends) = tiling.days.first, tiling.days.last, tiling.days.span
        marks = """kept AS MATERIALIZED (
            SELECT EXISTS (SELECT FROM billing_rollupzone WHERE org_id = %s AND time_zone = %s)
                AND (%s::timestamptz AT TIME ZONE %s)::date = %s
                AND ((%s::timestamptz - interval '1 microsecond') AT TIME ZONE %s)::date < %s AS are_current
        ), stale AS MATERIALIZED (
            SELECT DISTINCT (quarter AT TIME ZONE %s)::date AS day
            FROM (SELECT quarter FROM billing_quartermark WHERE org_id = %s AND quarter >= %s AND quarter < %s
                  UNION ALL
                  SELECT quarter FROM billing_daymark WHERE org_id = %s AND quarter >= %s AND quarter < %s) AS marks
        ), """
        arguments = [
            *(org_id, zone, starts, zone, first, ends, zone, last, zone),
            *(org_id, starts, ends, org_id, starts, ends),
            *arguments,
        ]
        gaps.append("SELECT %s::timestamptz, %s::timestamptz FROM kept WHERE NOT are_current")
        gaps.append(
            """SELECT bounds.starts, bounds.ends FROM kept, stale CROSS JOIN LATERAL (
                   SELECT min(quarter) AS starts, max(quarter) + interval '15 minutes' AS ends
                   FROM generate_series((day::timestamp AT TIME ZONE %s) - interval '3 hours',
                                        (day::timestamp AT TIME ZONE %s) + interval '30 hours',
                                        interval '15 minutes') AS quarter
                   WHERE (quarter AT TIME ZONE %s)::date = day) AS bounds
               WHERE are_current"""
        )
        arguments += [starts, ends, zone, zone, zone]
        days = f"""SELECT {chosen} FROM kept, billing_usageday
            WHERE are_current AND org_id = %s AND day >= %s AND day < %s AND day NOT IN (SELECT day FROM stale){narrowed}
            UNION ALL """  # noqa: S608 - made of names
        arguments += [org_id, first, last, *values]
    sums = ", ".join([*split, *(f"costhub_whole(coalesce(sum({name}), 0))" for name in _MEASURES)])
    groups = f"GROUP BY {', '.join(split)} ORDER BY {', '.join(split)}" if split else "HAVING count(*) > 0"
    arguments += [org_id, *values]
    sql = f"""WITH {marks}gaps (starts, ends) AS ({" UNION ALL ".join(gaps) or _NO_SPAN})
        SELECT {sums} FROM ({days}
            SELECT found.* FROM gaps CROSS JOIN LATERAL (
                SELECT {chosen} FROM billing_usageline AS line
                WHERE org_id = %s AND started_at >= starts AND started_at < ends{narrowed} OFFSET 0) AS found
        ) AS every {groups}"""  # noqa: S608
    return sql, arguments


def name_price(price_id: UUID | None, adjustment_id: UUID | None, service_tier: str) -> str:
    """A price version with all that decides what it asks: ``version``, ``version/adjustment`` or ``version//tier``."""
    parts = [str(part) if part else "" for part in (price_id, adjustment_id, service_tier)]
    return "/".join(parts).rstrip("/")
