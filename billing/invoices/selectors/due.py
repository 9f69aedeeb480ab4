"""Of many customers those for whom there is something to do, by a few statements for hundreds of them: looking at each
costs as much as doing it would."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Max, Q, QuerySet

from billing.invoices.choices import NOTHING, Collection, InvoiceKind, InvoiceState, OutboxState, PackTo
from billing.invoices.core.calendar import Bounds, find_unbilled
from billing.invoices.core.packs import is_due
from billing.invoices.models import BillingAccount, FinancePack, Invoice, MeterDelta, Subscription
from billing.invoices.selectors.accounts import list_accounts
from tenants.access import Actor, org_scope
from tenants.models import Organization
from tenants.periods import period_bounds, previous_bounds

#: organisations whose rows are open at once
_TOGETHER: Final = 500
#: an invoice ends with its month, in whatever time zone
_HALF_A_MONTH: Final = timedelta(days=15)
#: so long before an invoice a row may have been made that it did not see
_ON_ITS_WAY: Final = timedelta(hours=1)
#: an invoice was issued since the last run, however long jobs stood still
NEWLY_ISSUED: Final = timedelta(days=3)
#: for so long after a plan begins or ends each run looks at it
_FOLLOWED: Final = timedelta(minutes=10)
_MICROSECOND: Final = timedelta(microseconds=1)


def list_to_close(org_ids: Sequence[UUID], now: datetime) -> list[UUID]:
    """Those with a draft whose days of grace are over, of whatever month; those with a contract in a month that is
    over, in their time zone, of which there is neither an invoice nor a draft; and those who have left and have had
    usage since their last invoice that may be of a month that it billed."""
    return _in_batches(org_ids, lambda batch: _to_close(batch, now))


def list_to_tax(org_ids: Sequence[UUID]) -> list[UUID]:
    """Those whose seller has Stripe Tax asked."""
    return _in_batches(org_ids, _to_tax)


def list_to_mail(org_ids: Sequence[UUID]) -> list[UUID]:
    """Those with a document that has a number and was not mailed, and an address that it can go to."""
    return _in_batches(org_ids, _to_mail)


def list_to_pack(org_ids: Sequence[UUID], now: datetime) -> list[UUID]:
    """Those who want finance packs and are owed one whose turn it is: of a month that was invoiced since the last run,
    or one that could not be delivered then."""
    return _in_batches(org_ids, lambda batch: _to_pack(batch, now))


def list_to_follow(org_ids: Sequence[UUID], now: datetime) -> list[UUID]:
    """Those whose plan has begun or ended a while ago: of dated changes nobody else tells. The hourly round looks at
    all."""
    return _in_batches(org_ids, lambda batch: _to_follow(batch, now))


def find_number_at(currency: str, day: date) -> str:
    """A document of anybody's that was issued at the exchange rate of a day; empty where there is none."""
    for batch in _cut([org_id for org_id, _, _ in list_accounts()]):
        with org_scope(*batch):
            rows = Invoice.objects.filter(org__in=batch, currency=currency, rate_day=day).exclude(number="")
            if number := rows.values_list("number", flat=True).first():
                return number
    return ""


def list_to_collect(org_ids: Sequence[UUID]) -> list[UUID]:
    """Those for whom Stripe may have something else to do than to take usage: who are not its customers yet, have a
    subscription, have credits bought by themselves, have a document that it is to be told of, or were refused
    something."""
    return _in_batches(org_ids, _to_collect)


def list_to_send(org_ids: Sequence[UUID]) -> list[UUID]:
    """Those whose outbox holds usage."""
    return _in_batches(org_ids, _to_send)


def _in_batches(org_ids: Sequence[UUID], find: Callable[[Sequence[UUID]], set[UUID]]) -> list[UUID]:
    """Those that ``find`` gives, each once, in their order."""
    found: list[UUID] = []
    for batch in _cut(list(dict.fromkeys(org_ids))):
        with org_scope(*batch):
            chosen = find(batch)
        found += (org_id for org_id in batch if org_id in chosen)
    return found


def _cut(org_ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(org_ids), _TOGETHER):
        yield org_ids[start : start + _TOGETHER]


def find_open_periods(actor: Actor, now: datetime) -> tuple[list[Bounds], Bounds | None]:
    """The months of the open organisation that are over and have neither an invoice nor a draft, oldest first: however
    long ago a contract began in them, or whether it has ended since. And of who has left, and has had all its invoices,
    the last month that is over, for an invoice of what came late: no other one follows that it would be on."""
    contracts = list(Subscription.objects.filter(org=actor.org).values_list("starts_at", "ends_at"))
    if not contracts:
        return [], None
    months = _list_months(min(since for since, _ in contracts), now, actor.org.time_zone)
    rows = _periods().filter(org=actor.org).values_list("period_start", "period_end", "number", "state")
    documents = [(start, end) for start, end, _, _ in rows]
    found = find_unbilled(months, contracts, documents)
    last = months[-1]
    has_left = all(until is not None and until <= last[0] for _, until in contracts)
    if found or not has_left or any(not number and state == InvoiceState.GRACE for _, _, number, state in rows):
        return found, None
    return [], next(iter(find_unbilled([last], [(last[0], None)], documents)), None)


def _to_close(batch: Sequence[UUID], now: datetime) -> set[UUID]:
    zones = dict(Organization.objects.filter(pk__in=batch).values_list("pk", "time_zone"))
    contracts: dict[UUID, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    firsts: dict[str, datetime] = {}
    for org_id, since, until in Subscription.objects.filter(org__in=batch).values_list("org", "starts_at", "ends_at"):
        contracts[org_id].append((since, until))
        firsts[zones[org_id]] = min(since, firsts.get(zones[org_id], since))
    documents: dict[UUID, list[Bounds]] = defaultdict(list)
    issued: dict[UUID, Bounds] = {}
    found: set[UUID] = set()
    waiting: set[UUID] = set()
    fields = ("period_start", "period_end", "number", "state", "grace_until", "issued_at")
    for org_id, start, end, number, state, grace_until, issued_at in (
        _periods().filter(org__in=batch).values_list("org", *fields)
    ):
        documents[org_id].append((start, end))
        if number:
            issued[org_id] = max(issued.get(org_id, (end, issued_at)), (end, issued_at))
        elif state == InvoiceState.GRACE:
            (found if grace_until <= now else waiting).add(org_id)
    months = {zone: _list_months(first, now, zone) for zone, first in firsts.items()}
    left = {}
    for org_id, held in contracts.items():
        theirs = months[zones[org_id]]
        if find_unbilled(theirs, held, documents[org_id]):
            found.add(org_id)
        elif org_id in issued and all(until is not None and until <= theirs[-1][0] for _, until in held):
            end, issued_at = issued[org_id]
            last_day = (end - _MICROSECOND).astimezone(ZoneInfo(zones[org_id])).date()
            left[org_id] = (last_day, issued_at - _ON_ITS_WAY)
    return found | _with_rows_since({org_id: left[org_id] for org_id in left.keys() - waiting - found})


def _with_rows_since(asked: Mapping[UUID, tuple[date, datetime]]) -> set[UUID]:
    """Those that have rows in days up to one that were recorded after a moment. The sums of days know, some minutes
    after the rows."""
    if not asked:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT org_id FROM unnest(%s::uuid[], %s::date[], %s::timestamptz[]) AS asked (org_id, last_day, since)
               WHERE EXISTS (SELECT FROM billing_dayrollup AS sums
                             WHERE sums.org_id = asked.org_id AND sums.cube = 'total' AND sums.day <= last_day
                                 AND sums.recorded_at > since)""",
            [list(asked), *(list(column) for column in zip(*asked.values(), strict=True))],
        )
        return {org_id for (org_id,) in cursor.fetchall()}


def _periods() -> QuerySet[Invoice]:
    return Invoice.objects.filter(kind=InvoiceKind.INVOICE.value).order_by()


def _list_months(since: datetime, now: datetime, zone: str) -> list[Bounds]:
    """The months that are over, from the one on in which ``since`` is, oldest first; the last one in any case."""
    months = [_last_month(now, zone)]
    while months[0][0] > since:
        months.insert(0, previous_bounds("month", months[0][0], zone))
    return months


def _last_month(now: datetime, zone: str) -> Bounds:
    start, _ = period_bounds("month", now, zone)
    return previous_bounds("month", start, zone)


def _to_follow(batch: Sequence[UUID], now: datetime) -> set[UUID]:
    recent = (now - _FOLLOWED, now)
    rows = Subscription.objects.filter(Q(starts_at__range=recent) | Q(ends_at__range=recent), org__in=batch)
    return set(rows.values_list("org", flat=True))


def _to_tax(batch: Sequence[UUID]) -> set[UUID]:
    asking = BillingAccount.objects.filter(org__in=batch, legal_entity__uses_stripe_tax=True)
    return set(asking.values_list("org", flat=True))


def _to_mail(batch: Sequence[UUID]) -> set[UUID]:
    waiting = Invoice.objects.filter(org__in=batch, mailed_at=None).exclude(number="")
    reached = BillingAccount.objects.filter(org__in=batch).exclude(emails=[])
    return set(waiting.values_list("org", flat=True)) & set(reached.values_list("org", flat=True))


def _to_collect(batch: Sequence[UUID]) -> set[UUID]:
    accounts = BillingAccount.objects.filter(org__in=batch, collection=Collection.STRIPE.value)
    concerned = accounts.filter(
        Q(stripe_customer="") | ~Q(stripe_subscription="") | Q(top_up_nanos__isnull=False) | ~Q(refusal="")
    )
    documents = Invoice.objects.filter(org__in=accounts.values("org"))
    owed = Q(state=InvoiceState.ISSUED.value, kind__in=[InvoiceKind.INVOICE.value, InvoiceKind.DEBIT_NOTE.value])
    # A note on what Stripe does not collect is none of its business.
    corrects = Q(corrects__in=documents.exclude(stripe_invoice="").values("pk"))
    given = Q(kind=InvoiceKind.CREDIT_NOTE.value, total_cents__gt=0) & ~Q(number="") & corrects
    paid = Q(is_untold=True) & ~Q(stripe_invoice__in=["", NOTHING])
    untold = documents.filter(Q(owed | given, stripe_invoice="") | paid)
    return {*concerned.values_list("org", flat=True), *untold.values_list("org", flat=True)}


def _to_send(batch: Sequence[UUID]) -> set[UUID]:
    waiting = MeterDelta.objects.filter(org__in=batch, state=OutboxState.PENDING.value)
    return set(waiting.values_list("org", flat=True).distinct())


def _to_pack(batch: Sequence[UUID], now: datetime) -> set[UUID]:
    wanted = set(
        BillingAccount.objects.filter(org__in=batch).exclude(pack_to=PackTo.NOBODY.value).values_list("org", flat=True)
    )
    if not wanted:
        return wanted
    rows = FinancePack.objects.filter(org__in=wanted).values_list(
        "org", "month", "created_at", "tried_at", "delivered_at"
    )
    known: dict[UUID, set[date]] = defaultdict(set)
    found: set[UUID] = set()
    for org_id, month, since, tried_at, delivered_at in rows:
        known[org_id].add(month)
        if delivered_at is None and is_due(now, since, tried_at):
            found.add(org_id)
    issued = Invoice.objects.filter(org__in=wanted - found, kind=InvoiceKind.INVOICE.value).exclude(number="")
    new = issued.filter(issued_at__gt=now - NEWLY_ISSUED).values_list("org", "period_end")
    last = issued.values_list("org").annotate(ends=Max("period_end")).order_by()
    return found | {org_id for org_id, ends in (*new, *last) if _month_before(ends) not in known[org_id]}


def _month_before(end: datetime) -> date:
    return (end - _HALF_A_MONTH).date().replace(day=1)
