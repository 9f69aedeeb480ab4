"""Billing accounts and what was agreed with them. The organisation is open."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery, Sum

from billing.invoices.choices import NOTHING, Collection, InvoiceKind, InvoiceState, LineKind
from billing.invoices.core.calendar import Contract
from billing.invoices.core.terms import Coupon, Terms, parse_coupon, parse_terms
from billing.invoices.models import BillingAccount, ExchangeRate, Invoice, Plan, Subscription
from billing.invoices.selectors.periods import load_periods
from costhub.lib import clock
from tenants.access import Actor
from tenants.models import Membership

#: what a coupon takes its share of, see ``closing_lines``
_UNDER_COUPONS: Final = (LineKind.FEE, LineKind.USAGE, LineKind.MARKUP, LineKind.INCLUDED, LineKind.MINIMUM)


def find_account(actor: Actor) -> BillingAccount | None:
    """The organisation's billing account, if it is a customer."""
    return BillingAccount.objects.filter(org=actor.org).select_related("legal_entity").first()


def find_metered(actor: Actor) -> BillingAccount | None:
    """The same, where its usage goes to a meter of Stripe's."""
    rows = BillingAccount.objects.filter(org=actor.org, collection=Collection.STRIPE.value)
    return rows.exclude(stripe_customer="").exclude(stripe_meter="").first()


def find_subscription(actor: Actor) -> Subscription | None:
    """The plan that holds now; where there is none yet, the one that is to begin."""
    rows = Subscription.objects.filter(org=actor.org).filter(Q(ends_at=None) | Q(ends_at__gt=clock.now()))
    return rows.select_related("plan").order_by("starts_at").first()


def find_last_subscription(actor: Actor, at: datetime) -> Subscription | None:
    """The last plan that has not ended by a moment: the one that holds then, or one that is to follow it."""
    rows = Subscription.objects.filter(org=actor.org).filter(Q(ends_at=None) | Q(ends_at__gt=at))
    return rows.select_related("plan").order_by("-starts_at").first()


def find_contract(actor: Actor, at: datetime) -> Contract | None:
    """The contract that holds at a moment."""
    return next(iter(list_contracts(actor, at, at + timedelta(microseconds=1))), None)


def has_left(actor: Actor, at: datetime) -> bool:
    """Whether a customer had a plan and has none at a moment: nobody would be billed for what it calls."""
    begun = Subscription.objects.filter(org=actor.org, starts_at__lte=at)
    return begun.exists() and find_contract(actor, at) is None


def is_admitted(account: BillingAccount, at: datetime) -> bool:
    """Whether calls are taken at a moment although the plan has ended."""
    return account.admitted_until is not None and account.admitted_until > at


def find_ended_subscription(actor: Actor, at: datetime) -> Subscription | None:
    """The plan that ended last before a moment."""
    rows = Subscription.objects.filter(org=actor.org, ends_at__lte=at).select_related("plan")
    return rows.order_by("-ends_at").first()


def list_public_plans() -> QuerySet[Plan]:
    """The newest version of each plan that anybody may choose."""
    newest = Plan.objects.filter(name=OuterRef("name"), is_active=True, is_public=True).order_by("-version")
    return Plan.objects.filter(pk=Subquery(newest.values("pk")[:1]))


def terms_of(subscription: Subscription) -> Terms:
    """The plan's terms with what was agreed beside them."""
    return parse_terms(subscription.overrides, parse_terms(subscription.plan.terms))


def list_contracts(actor: Actor, start: datetime, end: datetime) -> list[Contract]:
    """The contracts that hold at any moment of ``[start, end)``."""
    rows = Subscription.objects.filter(org=actor.org, starts_at__lt=end).filter(Q(ends_at=None) | Q(ends_at__gt=start))
    return [
        Contract(row.starts_at, row.ends_at, terms_of(row), row.plan.name, row.trial_until)
        for row in rows.select_related("plan").order_by("starts_at")
    ]


def find_last_terms(actor: Actor, before: datetime) -> Terms:
    """Those of the last contract that began before a moment, whether it has ended or not."""
    rows = Subscription.objects.filter(org=actor.org, starts_at__lt=before).select_related("plan")
    last = rows.order_by("-starts_at").first()
    return terms_of(last) if last else Terms()


def find_coupon(actor: Actor, start: datetime, end: datetime) -> Coupon | None:
    """The coupon that holds in the period: of the newest subscription that has one, for so many invoices from that of
    its start."""
    rows = _list_coupons(actor, end)
    if not rows:
        return None
    # Months are those of invoices: the time zone may have changed since, and what was invoiced has its month.
    periods = load_periods(actor)
    month = periods.name((start, end))
    for starts_at, coupon in rows:
        began = periods.name(periods.find(starts_at))
        if (month.year - began.year) * 12 + month.month - began.month < coupon.months:
            return coupon
    return None


def find_invoiced_coupon(actor: Actor, invoice: Invoice) -> Coupon | None:
    """The coupon that an issued invoice has a line of, whatever would be counted now."""
    lines = list(invoice.lines.all())
    taken = next((-line.nanos for line in lines if line.kind == LineKind.COUPON), None)
    if taken is None:
        return None
    own = [line.nanos for line in lines if line.kind in _UNDER_COUPONS and line.start >= invoice.period_start]
    coupons = [coupon for _, coupon in _list_coupons(actor, invoice.period_end)]
    # Of several, that which takes so much.
    return next((each for each in coupons if each.off(sum(own)) == taken), next(iter(coupons), None))


def _list_coupons(actor: Actor, before: datetime) -> list[tuple[datetime, Coupon]]:
    """When they began, the newest first."""
    rows = Subscription.objects.filter(org=actor.org, starts_at__lt=before).exclude(coupon={}).order_by("-starts_at")
    return [(row.starts_at, parse_coupon(row.coupon)) for row in rows]


def find_billed_until(actor: Actor) -> datetime | None:
    """Where the organisation's last issued invoice ends: what was agreed for the time before does not change."""
    issued = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.INVOICE.value).exclude(number="")
    return issued.aggregate(last=Max("period_end"))["last"]  # type: ignore[no-any-return]


def find_credit(actor: Actor) -> dict[str, int]:
    """Cents above zero, by currency, that are the organisation's with us, for invoices to come in that currency.

    A balance over all documents: invoices below zero add to it, what later ones took of it is off it. So does what
    credit notes gave back and nobody else has: of an invoice the part that was carried to it, and what was paid by hand
    before the note. What is owed is only owed no more, and what Stripe collected is credit with Stripe.
    """
    issued = Invoice.objects.filter(org=actor.org).exclude(number="")
    notes: dict[UUID | None, list[Invoice]] = {}
    for note in issued.filter(kind=InvoiceKind.CREDIT_NOTE.value).only("corrects", "issued_at", "total_cents"):
        notes.setdefault(note.corrects, []).append(note)
    left = Counter[str]()
    columns = ("currency", "total_cents", "carried_cents", "paid_at", "stripe_invoice")
    for invoice in issued.filter(kind=InvoiceKind.INVOICE.value).only(*columns):
        left[invoice.currency] += _left_of(invoice, notes.get(invoice.pk, []))
    return {currency: cents for currency, cents in left.items() if cents > 0}


def _left_of(invoice: Invoice, notes: Sequence[Invoice]) -> int:
    """What an issued invoice and its credit notes add to the balance, or take from it."""
    if invoice.total_cents < 0:
        return sum(note.total_cents for note in notes) - invoice.total_cents
    paid_at = invoice.paid_at if invoice.stripe_invoice in {"", NOTHING} else None
    paid_back = sum(note.total_cents for note in notes if paid_at and note.issued_at and note.issued_at >= paid_at)
    before = sum(note.total_cents for note in notes) - paid_back
    return max(before - invoice.due_cents, 0) + paid_back - invoice.carried_cents


def list_unpaid(actor: Actor) -> list[tuple[Invoice, int]]:
    """Invoices and debit notes that are owed, the longest due first, and how many cents of each are: what credit notes
    took back is not."""
    kinds = [InvoiceKind.INVOICE.value, InvoiceKind.DEBIT_NOTE.value]
    rows = Invoice.objects.filter(org=actor.org, state=InvoiceState.ISSUED.value, kind__in=kinds)
    unpaid = list(rows.order_by("due_at", "id"))
    notes = Invoice.objects.filter(
        org=actor.org, kind=InvoiceKind.CREDIT_NOTE.value, corrects__in=[row.pk for row in unpaid]
    ).exclude(number="")
    taken = dict(notes.values_list("corrects").annotate(cents=Sum("total_cents")).order_by())
    return [(row, left) for row in unpaid if (left := row.due_cents - int(taken.get(row.pk, 0))) > 0]


def count_seats(actor: Actor) -> int:
    """The organisation's members: not those whom its directory has suspended, nor visits of the operator."""
    return Membership.objects.filter(org=actor.org, suspended_at=None, visit_until=None).count()


def find_rate(currency: str, day: date) -> tuple[Decimal, date, str] | None:
    """Units of a currency for one USD: the newest rate that was published by ``day``; its day and source."""
    if currency == "USD":
        return Decimal(1), day, ""
    row = ExchangeRate.objects.filter(currency=currency, day__lte=day).order_by("-day").first()
    return (row.rate, row.day, row.source) if row else None


def list_accounts() -> list[tuple[UUID, str, str]]:
    """(organisation, collection, dunning) of every customer, for jobs; their rows stay closed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id, collection, dunning FROM costhub_billing_accounts() ORDER BY org_id")
        return list(cursor.fetchall())
