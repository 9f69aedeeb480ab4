"""Sums of the ledger by any grouping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from billing.filters import LedgerFilters
from billing.selectors.groups import check_groups
from billing.selectors.names import find_names
from billing.selectors.sums import Sums, add_up
from billing.selectors.totals import MEASURES, Totals, read_totals
from tenants.access import Actor
from tenants.choices import Permission


@dataclass(frozen=True, slots=True)
class SpendRow:
    """One group. ``group`` holds ids, days as ``2026-11-22`` and hours as ISO 8601 with the local offset; ``labels``
    holds the names of projects, keys and upstreams that still exist."""

    group: Mapping[str, str]
    labels: Mapping[str, str]
    totals: Totals


@dataclass(frozen=True, slots=True)
class Spend:
    """Groups, dearest first (in order of time where time is the first group), and their exact sum.

    ``as_of`` is when the newest of these rows was recorded, or None without rows.
    """

    rows: tuple[SpendRow, ...]
    total: Totals
    as_of: datetime | None

    def regroup(self, name: str) -> "Spend":
        """The same spend by one of its groups alone, dearest first."""
        labels: dict[str, Mapping[str, str]] = {}
        totals: dict[str, Totals] = {}
        for row in self.rows:
            key = row.group[name]
            totals[key] = totals.get(key, Totals()) + row.totals
            labels[key] = {name: row.labels[name]} if name in row.labels else {}
        order = sorted(totals, key=lambda key: (-totals[key].effective_cost, key))
        return replace(self, rows=tuple(SpendRow({name: key}, labels[key], totals[key]) for key in order))


def find_spend(
    actor: Actor,
    *,
    start: datetime,
    end: datetime,
    group_by: Sequence[str] = (),
    filters: LedgerFilters | None = None,
    measures: Sequence[str] = MEASURES,
) -> Spend:
    """Sum the ledger over ``[start, end)`` by any of ``GROUPS`` and ``tag:<name>``, in the organisation's time zone.

    ``measures`` are those that the caller will look at: the others stay zero, and the answer comes sooner.

    Raises Forbidden if the actor may not see money, InvalidField for a group or filter that there is not.
    """
    actor.check(Permission.READ_MONEY)
    names = check_groups(group_by)
    found = add_up(actor, replace(filters or LedgerFilters(), start=start, end=end), names, measures)
    labels = {name: find_names(actor, name, (sums.keys[place] for sums in found)) for place, name in enumerate(names)}
    zone = ZoneInfo(actor.org.time_zone)
    rows = tuple(_spend_row(sums, names, labels, zone) for sums in found)
    return Spend(
        rows=rows,
        total=sum((row.totals for row in rows), Totals()),
        as_of=max((sums.recorded_at for sums in found), default=None),
    )


def _spend_row(sums: Sums, names: Sequence[str], labels: Mapping[str, Mapping[Any, str]], zone: ZoneInfo) -> SpendRow:
    keys = dict(zip(names, sums.keys, strict=True))
    return SpendRow(
        group={name: _group_text(key, zone) for name, key in keys.items()},
        labels={name: labels[name][key] for name, key in keys.items() if key in labels[name]},
        totals=read_totals(sums.amounts),
    )


def _group_text(key: Any, zone: ZoneInfo) -> str:
    if isinstance(key, datetime):
        return key.astimezone(zone).isoformat()
    if isinstance(key, date):
        return key.isoformat()
    return "" if key is None else str(key)
