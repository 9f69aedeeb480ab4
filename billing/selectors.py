"""Reads of the ledger for pages and API. Money is nano-USD, tokens are counts, moments are UTC.

Everything here takes an ``Actor``: a door has opened the organisation, and every query names it once more. Sums take
corrections in, because a correction carries differences under the moment of the call that it corrects; counts of
requests do not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import reduce
from operator import add
from typing import Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import (
    BigIntegerField,
    Count,
    DateField,
    DateTimeField,
    Exists,
    Expression,
    F,
    Func,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    TextField,
    Value,
)
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from billing.core.buckets import list_days
from billing.filters import FAILED, REFUSED, LedgerFilters
from costhub.lib import moments
from costhub.lib.errors import InvalidField, NotFound
from proxy.edges.retention import sum_carried
from proxy.models import LedgerEntry
from tenants.access import Actor
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope, Permission
from tenants.models import ApiKey, Budget, ListPrice, Price, Project, Upstream
from tenants.periods import period_bounds, previous_bounds

#: What savings are attributed to; in every row the parts sum to list cost minus effective cost.
MECHANISMS: Final = ("cache", "coalescing", "compression", "routing", "cascade", "batch", "distillation")
GROUPS: Final = ("model", "project", "key", "end_user", "upstream", "day", "hour", "status")
MAX_GROUPS: Final = 4
MAX_PAGE: Final = 200

INPUT_COLUMNS: Final = ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "audio_input_tokens")
OUTPUT_COLUMNS: Final = ("output_tokens", "audio_output_tokens")

_COLUMNS: Final = {
    "model": "request_model",
    "project": "project_id",
    "key": "key_id",
    "end_user": "end_user",
    "upstream": "upstream_id",
    "status": "status",
}
_NAMED: Final[dict[str, type[Project] | type[ApiKey] | type[Upstream]]] = {
    "project": Project,
    "key": ApiKey,
    "upstream": Upstream,
}
_CALL: Final = Q(kind="call")
_UNPRICED: Final = Q(error_code="model_not_priced")
# An answer that was delivered although no price version stands on its row: nobody can say what it should have cost.
_UNATTRIBUTED: Final = Q(status__gte=200, status__lt=400, price_id=None)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over rows of the ledger. ``savings`` holds only the mechanisms that are not zero.

    ``input_tokens`` and ``output_tokens`` are over all classes of the ledger: cached, cache-writing and audio too.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    list_cost: int = 0
    effective_cost: int = 0
    savings: Mapping[str, int] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Totals") -> "Totals":
        mechanisms = [name for name in MECHANISMS if name in self.savings or name in other.savings]
        parts = {name: self.savings.get(name, 0) + other.savings.get(name, 0) for name in mechanisms}
        return Totals(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.list_cost + other.list_cost,
            self.effective_cost + other.effective_cost,
            {name: nanos for name, nanos in parts.items() if nanos},
        )


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


@dataclass(frozen=True, slots=True)
class Call:
    """A call with its corrections, oldest first. Its amounts are net: what the call was after every correction."""

    entry: LedgerEntry
    corrections: tuple[LedgerEntry, ...] = ()

    def net(self, column: str) -> int:
        """The sum of a column of tokens or money over the call and its corrections."""
        return sum(getattr(row, column) for row in (self.entry, *self.corrections))

    @property
    def effective_cost(self) -> int:
        """What the call did cost."""
        return self.net("effective_cost")

    @property
    def list_cost(self) -> int:
        """What it would have cost without CostHub."""
        return self.net("list_cost")

    @property
    def input_tokens(self) -> int:
        """Input tokens of every class."""
        return sum(self.net(column) for column in INPUT_COLUMNS)

    @property
    def output_tokens(self) -> int:
        """Output tokens of every class; reasoning is inside them."""
        return sum(self.net(column) for column in OUTPUT_COLUMNS)

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
    """Calls, newest first. ``next_cursor`` is empty on the last page."""

    calls: tuple[Call, ...]
    next_cursor: str
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class RequestStory:
    """All that is known of one call, with the names that its ids have today."""

    call: Call
    project: str
    key: str
    upstream: str
    price: Price | ListPrice | None


@dataclass(frozen=True, slots=True)
class Change:
    """An amount and the same amount one period earlier, over the same time elapsed."""

    now: int
    before: int

    @property
    def per_mille(self) -> int | None:
        """The change in tenths of a per cent, rounded towards zero; None when there was nothing before."""
        return int((self.now - self.before) * 1000 / self.before) if self.before else None


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget and what the ledger says was spent in its current period. For the default of a scope ``subject`` is
    the subject that has used the most of it."""

    id: UUID
    name: str
    scope: str
    subject: str
    subject_name: str
    is_default: bool
    period: str
    action: str
    is_shadow: bool
    limit: int
    spent: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class DayPoint:
    """One local day of this month."""

    day: date
    spend: int
    list_cost: int
    requests: int


@dataclass(frozen=True, slots=True)
class MonthTiles:
    """The first page's figures for the organisation's current month."""

    start: datetime
    end: datetime
    spend: Change
    today: Change
    requests: Change
    list_cost: int
    savings: Mapping[str, int]
    failed: int
    refused: int
    unpriced: int
    unattributed: int
    estimated: int
    budgets: tuple[BudgetUse, ...]
    days: tuple[DayPoint, ...]
    as_of: datetime | None

    @property
    def saved(self) -> int:
        """List cost minus effective cost; negative when CostHub made the month dearer."""
        return self.list_cost - self.spend.now


def find_spend(
    actor: Actor,
    *,
    start: datetime,
    end: datetime,
    group_by: Sequence[str] = (),
    filters: LedgerFilters | None = None,
) -> Spend:
    """Sum the ledger over ``[start, end)`` by any of ``GROUPS`` and ``tag:<name>``, in the organisation's time zone.

    Raises Forbidden if the actor may not see money, InvalidField for a group or filter that there is not.
    """
    actor.check(Permission.READ_MONEY)
    rows = _rows(actor, replace(filters or LedgerFilters(), start=start, end=end))
    zone = ZoneInfo(actor.org.time_zone)
    names = _check_groups(group_by)
    keys = {f"group_{place}": _group_expression(name, zone) for place, name in enumerate(names)}
    grouped = rows.values(**keys) if keys else rows.annotate(everything=Value(1)).values("everything")
    order = list(keys) if names[:1] in (["day"], ["hour"]) else ["-effective_cost_", *keys]
    found = [cast(dict[str, Any], row) for row in grouped.annotate(**_SUMS).order_by(*order)]
    labels = {name: _names(actor, name, (row[f"group_{place}"] for row in found)) for place, name in enumerate(names)}
    spend_rows = tuple(_spend_row(row, names, labels, zone) for row in found)
    recorded = [row["as_of_"] for row in found]
    return Spend(
        rows=spend_rows,
        total=sum((row.totals for row in spend_rows), Totals()),
        as_of=max(recorded) if recorded else None,
    )


def list_requests(actor: Actor, filters: LedgerFilters | None = None, *, cursor: str = "", limit: int = 50) -> Page:
    """Calls with their net amounts, newest first; ``cursor`` is a page's ``next_cursor``.

    Raises Forbidden if the actor may not see money, InvalidField for a bad filter or cursor.
    """
    actor.check(Permission.READ_MONEY)
    rows = _rows(actor, filters or LedgerFilters()).filter(_CALL)
    if cursor:
        started_at, request_id = _read_cursor(cursor)
        # The first condition alone can be searched in the index; the second settles calls of the same moment.
        rows = rows.filter(started_at__lte=started_at).filter(Q(started_at__lt=started_at) | Q(id__lt=request_id))
    size = max(1, min(limit, MAX_PAGE))
    entries = list(rows.order_by("-started_at", "-id")[: size + 1])
    shown = entries[:size]
    corrections = _corrections_of(actor, shown)
    return Page(
        calls=tuple(Call(entry, corrections.get(entry.id, ())) for entry in shown),
        next_cursor=_write_cursor(shown[-1]) if len(entries) > size else "",
        as_of=max((entry.recorded_at for entry in shown), default=None),
    )


def find_request_story(actor: Actor, request_id: str | UUID) -> RequestStory | None:
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
    return RequestStory(
        call=Call(entry, _corrections_of(actor, [entry]).get(entry.id, ())),
        project=_names(actor, "project", [entry.project_id]).get(entry.project_id, ""),
        key=_names(actor, "key", [entry.key_id]).get(entry.key_id, ""),
        upstream=_names(actor, "upstream", [entry.upstream_id]).get(entry.upstream_id, ""),
        price=_find_price(actor, entry.price_id),
    )


def get_request_story(actor: Actor, request_id: str | UUID) -> RequestStory:
    """``find_request_story``, or NotFound."""
    story = find_request_story(actor, request_id)
    if story is None:
        raise NotFound("There is no such request.")
    return story


def month_tiles(actor: Actor, now: datetime) -> MonthTiles:
    """The current month and day so far, each against the one before over the same time elapsed.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    zone = actor.org.time_zone
    start, end = period_bounds("month", now, zone)
    before, _ = previous_bounds("month", start, zone)
    today, _ = period_bounds("day", now, zone)
    yesterday, _ = previous_bounds("day", today, zone)
    this_month = Q(started_at__gte=start, started_at__lt=now)
    last_month = Q(started_at__lt=min(before + (now - start), start))
    last_day = Q(started_at__gte=yesterday, started_at__lt=min(yesterday + (now - today), today))

    rows = _rows(actor, LedgerFilters(start=min(before, yesterday), end=now))
    sums = rows.aggregate(
        spend_before=_sum("effective_cost", last_month),
        yesterday=_sum("effective_cost", last_day),
        requests_before=Count("id", filter=_CALL & last_month),
        failed=Count("id", filter=_CALL & this_month & FAILED),
        refused=Count("id", filter=_CALL & this_month & REFUSED),
        unpriced=Count("id", filter=_CALL & this_month & _UNPRICED),
        unattributed=Count("id", filter=_CALL & this_month & _UNATTRIBUTED),
    )
    corrected = LedgerEntry.objects.filter(org_id=actor.org.pk, corrects=OuterRef("id"))
    spend = find_spend(actor, start=start, end=now, group_by=["day"])
    by_day = {row.group["day"]: row.totals for row in spend.rows}
    days = [(day, by_day.get(day.isoformat(), Totals())) for day in list_days(start, now, ZoneInfo(zone))]
    this_day = sum((totals for day, totals in days if day == now.astimezone(ZoneInfo(zone)).date()), Totals())
    return MonthTiles(
        start=start,
        end=end,
        spend=Change(spend.total.effective_cost, sums["spend_before"]),
        today=Change(this_day.effective_cost, sums["yesterday"]),
        requests=Change(spend.total.requests, sums["requests_before"]),
        list_cost=spend.total.list_cost,
        savings=spend.total.savings,
        failed=sums["failed"],
        refused=sums["refused"],
        unpriced=sums["unpriced"],
        unattributed=sums["unattributed"],
        estimated=rows.filter(_CALL, this_month, ~Exists(corrected), is_estimated=True).count(),
        budgets=list_budget_uses(actor, now),
        days=tuple(DayPoint(day, totals.effective_cost, totals.list_cost, totals.requests) for day, totals in days),
        as_of=spend.as_of,
    )


def list_budget_uses(actor: Actor, now: datetime) -> tuple[BudgetUse, ...]:
    """The active budgets of the organisation, its projects and keys with what was spent, the fullest first.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    columns = {BudgetScope.ORGANIZATION: "org_id", BudgetScope.PROJECT: "project_id", BudgetScope.KEY: "key_id"}
    budgets = list(Budget.objects.filter(org=actor.org, is_active=True, scope__in=columns).order_by("created_at", "id"))
    spent: dict[tuple[str, str], dict[str, int]] = {}
    for scope, period in {(budget.scope, budget.period) for budget in budgets}:
        start, end = period_bounds(period, now, actor.org.time_zone)
        column = columns[BudgetScope(scope)]
        sums = _rows(actor, LedgerFilters(start=start, end=end)).values(column).annotate(spent=_sum("effective_cost"))
        found = spent[scope, period] = {str(row[column]): row["spent"] for row in sums.order_by(column)}
        if period == BudgetPeriod.TOTAL:
            for subject, nanos in sum_carried(actor.org.pk, column).items():
                found[subject] = found.get(subject, 0) + nanos
    # Who has a hard budget of its own is not held by the default.
    own = {
        (budget.scope, budget.period, budget.subject)
        for budget in budgets
        if budget.subject and budget.action == BudgetAction.BLOCK and not budget.is_shadow
    }
    uses = []
    for budget in budgets:
        place = (budget.scope, budget.period)
        others = {subject: amount for subject, amount in spent[place].items() if (*place, subject) not in own}
        uses.append(_budget_use(actor, budget, spent[place] if budget.subject else others, now))
    names = {scope: _names(actor, scope, {use.subject for use in uses if use.scope == scope}) for scope in _NAMED}
    named = [replace(use, subject_name=_subject_name(actor, use, names)) for use in uses]
    # Whole millionths, so that no float decides which budget is the fullest.
    return tuple(sorted(named, key=lambda use: -(use.spent * 10**6 // max(use.limit, 1))))


def _budget_use(actor: Actor, budget: Budget, spent: dict[str, int], now: datetime) -> BudgetUse:
    start, end = period_bounds(budget.period, now, actor.org.time_zone)
    subject = str(actor.org.pk) if budget.scope == BudgetScope.ORGANIZATION else budget.subject
    if not subject:
        subject = max(spent, key=lambda each: spent[each], default="")
    return BudgetUse(
        id=budget.id,
        name=budget.name,
        scope=budget.scope,
        subject=subject,
        subject_name="",
        is_default=not budget.subject and budget.scope != BudgetScope.ORGANIZATION,
        period=budget.period,
        action=budget.action,
        is_shadow=budget.is_shadow,
        limit=budget.limit_nanos,
        spent=spent.get(subject, 0),
        start=start,
        end=end,
    )


def _subject_name(actor: Actor, use: BudgetUse, names: Mapping[str, Mapping[Any, str]]) -> str:
    if use.scope == BudgetScope.ORGANIZATION:
        return actor.org.name
    return names[use.scope].get(use.subject, use.subject)


def _rows(actor: Actor, filters: LedgerFilters) -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.filter(org_id=actor.org.pk).filter(filters.condition())


def _sum(column: str | Combinable, condition: Q | None = None) -> Coalesce:
    return Coalesce(Sum(column, filter=condition), Value(0), output_field=BigIntegerField())


def _sum_saving(mechanism: str) -> Coalesce:
    nanos = Cast(KeyTextTransform(mechanism, "savings"), BigIntegerField())
    return Coalesce(Sum(nanos), Value(0), output_field=BigIntegerField())


# The names end in an underscore because an annotation may not be called like a column.
_SUMS: Final[dict[str, Expression]] = {
    "requests_": Count("id", filter=_CALL),
    "input_tokens_": _sum(reduce(add, map(F, INPUT_COLUMNS))),
    "output_tokens_": _sum(reduce(add, map(F, OUTPUT_COLUMNS))),
    "list_cost_": _sum("list_cost"),
    "effective_cost_": _sum("effective_cost"),
    "as_of_": Max("recorded_at"),
    **{f"saved_by_{mechanism}": _sum_saving(mechanism) for mechanism in MECHANISMS},
}


def _check_groups(group_by: Sequence[str]) -> list[str]:
    for name in group_by:
        if name not in GROUPS and not (name.startswith("tag:") and len(name) > 4 and "\x00" not in name):
            raise InvalidField(f"group_by: give some of {', '.join(GROUPS)} or tag:<name>.", field="group_by")
    names = list(dict.fromkeys(group_by))
    if len(names) > MAX_GROUPS:
        raise InvalidField(f"group_by: give at most {MAX_GROUPS} groups.", field="group_by")
    return names


def _group_expression(name: str, zone: ZoneInfo) -> Expression | F:
    if name in _COLUMNS:
        return F(_COLUMNS[name])
    if name == "day":
        # A date, not the instant of its midnight: where midnight comes twice, both hours are of the one day.
        local = Func(Value(zone.key), F("started_at"), function="timezone", output_field=DateTimeField())
        return Cast(local, DateField())
    if name == "hour":
        # The form with a zone keeps the two hours apart that autumn gives one name.
        return Func(
            Value("hour"), F("started_at"), Value(zone.key), function="date_trunc", output_field=DateTimeField()
        )
    tag = Func(F("tags"), Value(name[4:]), function="jsonb_extract_path_text", output_field=TextField())
    return Coalesce(tag, Value(""), output_field=TextField())


def _spend_row(
    row: Mapping[str, Any], names: Sequence[str], labels: Mapping[str, Mapping[Any, str]], zone: ZoneInfo
) -> SpendRow:
    keys = {name: row[f"group_{place}"] for place, name in enumerate(names)}
    savings = {name: row[f"saved_by_{name}"] for name in MECHANISMS}
    return SpendRow(
        group={name: _group_text(key, zone) for name, key in keys.items()},
        labels={name: labels[name][key] for name, key in keys.items() if key in labels[name]},
        totals=Totals(
            requests=row["requests_"],
            input_tokens=row["input_tokens_"],
            output_tokens=row["output_tokens_"],
            list_cost=row["list_cost_"],
            effective_cost=row["effective_cost_"],
            savings={name: nanos for name, nanos in savings.items() if nanos},
        ),
    )


def _group_text(key: Any, zone: ZoneInfo) -> str:
    if isinstance(key, datetime):
        return key.astimezone(zone).isoformat()
    if isinstance(key, date):
        return key.isoformat()
    return "" if key is None else str(key)


def _names(actor: Actor, group: str, ids: Iterable[UUID | str | None]) -> dict[Any, str]:
    """Names by id (in the type given) of projects, keys or upstreams; empty for any other group."""
    if group not in _NAMED:
        return {}
    wanted = {one for one in ids if one}
    found = _NAMED[group]._default_manager.filter(org=actor.org, pk__in=[one for one in wanted if _is_uuid(one)])
    names = {str(row.pk): row.name for row in found}
    return {one: names[str(one)] for one in wanted if str(one) in names}


def _is_uuid(text: UUID | str) -> bool:
    try:
        UUID(str(text))
    except ValueError:
        return False
    return True


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


def _find_price(actor: Actor, price_id: UUID | None) -> Price | ListPrice | None:
    if price_id is None:
        return None
    own = Price.objects.filter(org=actor.org, pk=price_id).first()
    return own or ListPrice.objects.filter(pk=price_id).first()


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
