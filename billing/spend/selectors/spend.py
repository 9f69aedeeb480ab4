"""Sums of the ledger by any grouping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from billing.spend.core.ranking import REST
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.groups import check_groups
from billing.spend.selectors.names import NAMED, find_names
from billing.spend.selectors.sums import Question, Sums, add_up, newest
from billing.spend.selectors.totals import MEASURES, Totals, read_totals
from tenants.access import Actor
from tenants.choices import Permission


@dataclass(frozen=True, slots=True)
class SpendRow:
    """One group. ``group`` holds ids, days as ``2026-11-22`` and hours as ISO 8601 with the local offset; ``labels``
    holds the names of projects, keys and upstreams that still exist."""

    group: Mapping[str, str]
    labels: Mapping[str, str]
    totals: Totals

    @property
    def is_rest(self) -> bool:
        """Whether it is all groups together that are not told apart."""
        return REST in self.group.values()


@dataclass(frozen=True, slots=True)
class Spend:
    """Groups, dearest first (in order of time where time is the first group), and their exact sum.

    ``as_of`` is when the newest of these rows was recorded, or None without rows. ``groups``: how many there are of the
    last group, of which only the dearest may be told apart.
    """

    rows: tuple[SpendRow, ...]
    total: Totals
    as_of: datetime | None
    groups: int


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
    question = ask_spend(actor, start=start, end=end, group_by=group_by, filters=filters, measures=measures)
    return read_spend(actor, question, add_up(actor, [question])[question])


def ask_spend(
    actor: Actor,
    *,
    start: datetime,
    end: datetime,
    group_by: Sequence[str] = (),
    filters: LedgerFilters | None = None,
    measures: Sequence[str] = MEASURES,
    top: int = 0,
    among: tuple[str, ...] = (),
) -> Question:
    """What is to be summed for ``read_spend``; as ``find_spend``. ``top`` and ``among`` are a ``Question``'s."""
    actor.check(Permission.READ_MONEY)
    narrowed = replace(filters or LedgerFilters(), start=start, end=end)
    return Question(narrowed, check_groups(group_by), measures, top, among)


def read_spend(actor: Actor, question: Question, found: Sequence[Sums]) -> Spend:
    """The spend from its sums, with the names that ids have today."""
    named = [place for place, name in enumerate(question.groups) if name in NAMED]
    names = find_names(actor.org, (sums.keys[place] for sums in found for place in named))
    zone = ZoneInfo(actor.org.time_zone)
    rows = tuple(_spend_row(sums, question.groups, names, zone) for sums in found)
    total = {name: sum(sums.amounts[name] for sums in found) for name in question.measures}
    return Spend(
        rows=rows,
        total=read_totals(total),
        as_of=newest(found),
        groups=next((sums.groups for sums in found if sums.groups), len({sums.keys[-1:] for sums in found})),
    )


def _spend_row(sums: Sums, groups: Sequence[str], names: Mapping[str, str], zone: ZoneInfo) -> SpendRow:
    group = {name: _group_text(key, zone) for name, key in zip(groups, sums.keys, strict=True)}
    labels = {name: names[text] for name, text in group.items() if name in NAMED and text in names}
    return SpendRow(group, labels, read_totals(sums.amounts))


def _group_text(key: Any, zone: ZoneInfo) -> str:
    if isinstance(key, datetime):
        return key.astimezone(zone).isoformat()
    if isinstance(key, date):
        return key.isoformat()
    return "" if key is None else str(key)
