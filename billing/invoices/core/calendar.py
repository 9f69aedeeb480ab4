"""Months in parts: under which terms an organisation was when, and how much of a month that is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billing.invoices.core.lines import Span, Stretch
from billing.invoices.core.terms import Terms

Bounds = tuple[datetime, datetime]

_MICROSECOND = timedelta(microseconds=1)
#: no two time zones are further apart
ZONES_APART: Final = timedelta(hours=26)


@dataclass(frozen=True, slots=True)
class Contract:
    """Terms from one moment until another, or until further notice. A trial is free of fee, minimum and included
    usage."""

    start: datetime
    end: datetime | None
    terms: Terms
    plan: str
    trial_until: datetime | None = None


def find_unbilled(
    months: Iterable[Bounds], contracts: Sequence[tuple[datetime, datetime | None]], documents: Iterable[Bounds]
) -> list[Bounds]:
    """Those of the months in which a contract holds and that no document is over, whichever they are.

    In another time zone a month begins and ends elsewhere: it is cut where the documents beside it leave off, so that
    no hour is billed again, and none is left out."""
    known = list(documents)
    starts = {start for start, _ in known}
    found = []
    for start, end in months:
        if start in starts or any(min(last, end) - max(first, start) > ZONES_APART for first, last in known):
            continue
        before = [last for _, last in known if abs(last - start) <= ZONES_APART]
        after = [first for first, _ in known if abs(first - end) <= ZONES_APART]
        first, last = max(before, default=start), min(after, default=end)
        if any(since < last and (until is None or until > first) for since, until in contracts):
            found.append((first, last))
    return found


def find_period(moment: datetime, months: Iterable[Bounds], documents: Iterable[Bounds]) -> Bounds | None:
    """The bounds of the invoice that charges a moment: of the document over it, or else of the one that is to be made
    of one of these months, those around the moment. None where no month of them is to have one."""
    known = list(documents)
    over = next((each for each in known if each[0] <= moment < each[1]), None)
    return over or next(iter(find_unbilled(months, [(moment, moment + _MICROSECOND)], known)), None)


def cut_out(bounds: Bounds, documents: Iterable[Bounds]) -> list[Bounds]:
    """The parts of a stretch of time that no document is over, in order."""
    parts = [bounds]
    for first, last in sorted(documents):
        cut = [both for start, end in parts for both in ((start, min(end, first)), (max(start, last), end))]
        parts = [(start, end) for start, end in cut if start < end]
    return parts


def find_stretches(contracts: Sequence[Contract], start: datetime, end: datetime) -> list[Stretch]:
    """The parts of ``[start, end)`` under each contract, in order of time. Parts without a contract are left out."""
    whole = (end - start) // _MICROSECOND
    found = []
    for contract in sorted(contracts, key=lambda each: each.start):
        first, last = max(contract.start, start), min(contract.end or end, end)
        if first >= last:
            continue
        billed_from = max(first, contract.trial_until) if contract.trial_until else first
        billed = max(last - billed_from, timedelta()) // _MICROSECOND
        found.append(Stretch(first, last, billed, whole, contract.terms, contract.plan))
    return found


def billed_spans(stretches: Sequence[Stretch], *, by_rule: bool = True) -> list[Span]:
    """The stretches whose usage is billed, those that touch and bill it by the same rule as one: not those in which the
    tenant pays its upstreams itself. Without ``by_rule`` all that touch are one, under the last one's terms, as
    invoices had it once."""
    spans: list[Span] = []
    for stretch in stretches:
        if stretch.terms.pass_through:
            continue
        last = spans[-1] if spans else None
        if last and last.end == stretch.start and (not by_rule or _rule(last.terms) == _rule(stretch.terms)):
            spans[-1] = Span(last.start, stretch.end, stretch.terms)
        else:
            spans.append(Span(stretch.start, stretch.end, stretch.terms))
    return spans


def _rule(terms: Terms) -> tuple[object, ...]:
    return terms.markup, dict(terms.models), terms.tiers, terms.prepaid
