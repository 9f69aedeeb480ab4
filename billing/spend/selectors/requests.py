"""Calls with their corrections: the list, one page at a time, and one call's detail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from billing.spend.filters import LedgerFilters
from billing.spend.selectors.names import find_names
from billing.spend.selectors.ranked import rank_calls
from costhub.lib import moments
from costhub.lib.errors import InvalidField, NotFound
from proxy.core.row import add_usage, read_usage
from proxy.models import LedgerEntry
from proxy.values.attempt import Usage
from tenants.access import Actor
from tenants.choices import Permission
from tenants.price_histories import find_price_version
from tenants.price_snapshots import PriceSnapshot

MAX_PAGE: Final = 200
#: in which order calls may be listed; with a minus the newest, dearest or longest first
ORDERS: Final = ("-time", "time", "-cost", "cost", "-duration", "duration")

_CALL: Final = Q(kind="call")


@dataclass(frozen=True, slots=True)
class Call:
    """A call with its corrections, oldest first. Its amounts are net: what the call was after every correction."""

    entry: LedgerEntry
    corrections: tuple[LedgerEntry, ...] = ()

    def net(self, column: str) -> int:
        """The sum of a column of tokens or money over the call and its corrections."""
        return sum(getattr(row, column) for row in (self.entry, *self.corrections))

    @property
    def used(self) -> Usage:
        """What it was billed for, in disjoint classes."""
        return add_usage([read_usage(vars(row)) for row in (self.entry, *self.corrections)])

    @property
    def effective_cost(self) -> int:
        """What the call did cost."""
        return self.net("effective_cost")

    @property
    def list_cost(self) -> int:
        """What it would have cost at the model that was asked for; of a route, at its baseline model. Nano-USD."""
        return self.net("list_cost")

    @property
    def input_tokens(self) -> int:
        """Input tokens of every class."""
        return self.net("input_tokens")

    @property
    def output_tokens(self) -> int:
        """Output tokens of every class; reasoning is inside them."""
        return self.net("output_tokens")

    @property
    def savings(self) -> dict[str, int]:
        """By mechanism, without zeros. Together they are list cost minus effective cost."""
        total: dict[str, int] = {}
        for row in (self.entry, *self.corrections):
            for name, nanos in row.savings.items():
                total[name] = total.get(name, 0) + nanos
        return {name: nanos for name, nanos in total.items() if nanos}

    @property
    def is_estimate(self) -> bool:
        """Whether the amounts still wait for the truth."""
        return self.entry.is_estimated and not self.corrections


@dataclass(frozen=True, slots=True)
class Page:
    """Calls in their order. ``next_cursor`` is empty on the last page. ``since``: by cost or duration, how far back
    calls were looked at, if there may be older ones that match."""

    calls: tuple[Call, ...]
    next_cursor: str
    as_of: datetime | None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class RequestDetail:
    """All that is known of one call, with the names that its ids have today."""

    call: Call
    project: str
    key: str
    upstream: str
    price: PriceSnapshot | None


def has_calls(actor: Actor) -> bool:
    """Whether there is any call that the actor may see, however old. Raises Forbidden if they may not see money."""
    actor.check(Permission.READ_MONEY)
    return _rows(actor, LedgerFilters()).filter(_CALL).exists()


def list_requests(
    actor: Actor, filters: LedgerFilters | None = None, *, cursor: str = "", limit: int = 50, order: str = ORDERS[0]
) -> Page:
    """Calls with their net amounts, newest first; ``cursor`` is a page's ``next_cursor``. By cost or duration there is
    one page, of all that match, or the newest ``ranked.MOST`` of them.

    Raises Forbidden if the actor may not see money, InvalidField for a bad filter, order or cursor.
    """
    actor.check(Permission.READ_MONEY)
    if order not in ORDERS:
        raise InvalidField(f"sort: give one of {', '.join(ORDERS)}.", field="sort")
    filters = filters or LedgerFilters()
    rows, size = _rows(actor, filters).filter(_CALL), max(1, min(limit, MAX_PAGE))
    if order.removeprefix("-") != "time":
        if cursor:
            raise InvalidField("Calls by cost or duration have one page: leave the cursor out.", field="cursor")
        return _rank(actor, rows, filters, order, size)
    is_rising = order == "time"
    if cursor:
        started_at, request_id = _read_cursor(cursor)
        # The first condition alone can be searched in the index; the second settles calls of the same moment.
        if is_rising:
            rows = rows.filter(started_at__gte=started_at).filter(Q(started_at__gt=started_at) | Q(id__gt=request_id))
        else:
            rows = rows.filter(started_at__lte=started_at).filter(Q(started_at__lt=started_at) | Q(id__lt=request_id))
    entries = list(rows.order_by(*(("started_at", "id") if is_rising else ("-started_at", "-id")))[: size + 1])
    shown = entries[:size]
    corrections = _corrections_of(actor, shown)
    return Page(
        calls=tuple(Call(entry, corrections.get(entry.id, ())) for entry in shown),
        next_cursor=_write_cursor(shown[-1]) if len(entries) > size else "",
        as_of=max((entry.recorded_at for entry in shown), default=None),
    )


def sum_asides(actor: Actor, filters: LedgerFilters) -> int:
    """Nano-USD of what the filters choose that no call has cost, and is in all sums: hours of GPUs, training, and what
    was asked beside calls. Raises Forbidden if the actor may not see money."""
    actor.check(Permission.READ_MONEY)
    # In these words an index has just them.
    rows = _rows(actor, filters).exclude(kind="call").exclude(kind="correction")
    return int(rows.aggregate(total=Sum("effective_cost"))["total"] or 0)


def _rank(actor: Actor, rows: QuerySet[LedgerEntry], filters: LedgerFilters, order: str, size: int) -> Page:
    ranked = rank_calls(actor.org.pk, rows, filters, order, size)
    # Their moments say in which partitions they are.
    moments_of = {started_at for started_at, _ in ranked.calls}
    wanted = LedgerEntry.objects.filter(org_id=actor.org.pk, started_at__in=moments_of)
    entries = {entry.id: entry for entry in wanted.filter(id__in=[call_id for _, call_id in ranked.calls])}
    corrections = _corrections_of(actor, list(entries.values()))
    calls = tuple(Call(entries[call_id], corrections.get(call_id, ())) for _, call_id in ranked.calls)
    as_of = max((call.entry.recorded_at for call in calls), default=None)
    return Page(calls=calls, next_cursor="", as_of=as_of, since=ranked.since)


def find_request_detail(actor: Actor, request_id: str | UUID) -> RequestDetail | None:
    """One call whole, by its request id, or None: for a malformed, unknown or foreign id alike.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    try:
        wanted = UUID(str(request_id))
        # The id carries the millisecond of admission, which says in which partition the row is.
        admitted = moments.from_ms(wanted.int >> 80)
    except (ValueError, OverflowError):
        return None
    entry = (
        _rows(actor, LedgerFilters(start=admitted, end=admitted + timedelta(milliseconds=1)))
        .filter(_CALL, id=wanted)
        .first()
    )
    if entry is None:
        return None
    names = find_names(actor.org, [entry.project_id, entry.key_id, entry.upstream_id])
    return RequestDetail(
        call=Call(entry, _corrections_of(actor, [entry]).get(entry.id, ())),
        project=names.get(str(entry.project_id), ""),
        key=names.get(str(entry.key_id), ""),
        upstream=names.get(str(entry.upstream_id), ""),
        price=find_price_version(str(actor.org.pk), entry.price_id, entry.adjustment_id) if entry.price_id else None,
    )


def get_request_detail(actor: Actor, request_id: str | UUID) -> RequestDetail:
    """``find_request_detail`` of a call that must be there. Raises NotFound where it is not."""
    detail = find_request_detail(actor, request_id)
    if detail is None:
        raise NotFound("There is no such request.")
    return detail


def _rows(actor: Actor, filters: LedgerFilters) -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.filter(org_id=actor.org.pk).filter(filters.condition())


def _corrections_of(actor: Actor, entries: Sequence[LedgerEntry]) -> dict[UUID, tuple[LedgerEntry, ...]]:
    if not entries:
        return {}
    admitted = [entry.started_at for entry in entries]
    rows = LedgerEntry.objects.filter(
        org_id=actor.org.pk,
        kind="correction",
        corrects__in=[entry.id for entry in entries],
        # A correction stands under the moment of its call: the bounds spare every other partition.
        started_at__gte=min(admitted),
        started_at__lte=max(admitted),
    )
    found: dict[UUID, tuple[LedgerEntry, ...]] = {}
    for row in rows.order_by("recorded_at", "id"):
        if row.corrects:
            found[row.corrects] = (*found.get(row.corrects, ()), row)
    return found


def _write_cursor(entry: LedgerEntry) -> str:
    return f"{entry.started_at.isoformat().replace('+00:00', 'Z')}_{entry.id}"


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    moment, _, request_id = cursor.partition("_")
    try:
        started_at, found = datetime.fromisoformat(moment), UUID(request_id)
    except ValueError:
        started_at = None
    if started_at is None or started_at.tzinfo is None:
        raise InvalidField("cursor: give the next_cursor of the page before, unchanged.", field="cursor")
    return started_at, found
