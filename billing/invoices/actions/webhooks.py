"""Webhooks of Stripe: stored raw, then applied once, in any order.

An event is only a hint that something changed. What is done about it follows from what Stripe says of the thing when it
is asked again, so that a late, repeated or forged-in-order event cannot undo a newer one. Of an invoice none is needed:
each one that is owed is asked for again every hour.
"""

import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Case, DateTimeField, DurationField, ExpressionWrapper, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Greatest, Least

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import Fact
from billing.choices import AlertKind
from billing.invoices.actions.closing import lock_documents
from billing.invoices.actions.dunning import settle_standing
from billing.invoices.actions.notes import mark_paid, mark_uncollectible, reopen_invoice, void_invoice
from billing.invoices.actions.prepayments import NANOS_A_CENT, book_payment, note_given_back
from billing.invoices.actions.top_up import end_trouble
from billing.invoices.actions.wallet import take_back_credits
from billing.invoices.choices import NOTHING, InvoiceKind, InvoiceState
from billing.invoices.models import BillingAccount, Invoice, StripeEvent
from billing.invoices.stripe_billing import hold_draft
from billing.invoices.stripe_client import (
    SignedEvent,
    Stripe,
    StripeInvoice,
    StripePayment,
    StripeRefused,
    StripeUnavailable,
    TakenBack,
    read_stored,
)
from costhub.lib import clock
from costhub.lib.database import is_lock_wait, take_turn
from costhub.lib.errors import AppError, Conflict
from tenants.access import Actor, find_uuid, job_scope, org_scope
from tenants.actions.audit import record
from tenants.actions.operators import tell_operators
from tenants.choices import Role
from tenants.models import Organization

#: so often an event is tried that fails for a reason of its own, each time later, in the end hourly
MOST_TRIES: Final = 20
#: events of what is taken out of a payment again
_TAKING_BACK: Final = ("charge.refund", "charge.dispute.", "refund.")
#: events after which somebody may be let in
_PAYMENTS: Final = (
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "invoice.paid",
    "invoice.payment_succeeded",
    "payment_intent.succeeded",
)
_LONGEST_WAIT: Final = timedelta(hours=1)
#: how long one waits at most that Stripe gave no answer to, or that others are in the way of, as long as that lasts
_LONGEST_OUTAGE_WAIT: Final = timedelta(minutes=5)
_SHORTEST_WAIT: Final = timedelta(seconds=1)
_log = logging.getLogger(__name__)


def store_event(event: SignedEvent, body: bytes) -> bool:
    """Keep an event whose signature is good; says whether it is new."""
    _, is_new = StripeEvent.objects.get_or_create(id=event.id, defaults={"kind": event.kind, "body": body})
    return is_new


def list_waiting(now: datetime, most: int = 200, *, but_not: Collection[str] = ()) -> list[StripeEvent]:
    """Events that nothing was done about yet and whose turn it is: those that were never tried first, so that no number
    of events that fail keeps a new one waiting; of these what tells of a payment, so that who pays while a month's
    invoices are announced waits for none of that; then the oldest."""
    is_payment = Case(When(kind__in=_PAYMENTS, then=0), default=1)
    rows = _due(now).exclude(pk__in=but_not)
    return list(rows.order_by(F("waits_until").asc(nulls_first=True), is_payment, "received_at", "id")[:most])


def put_off_waiting(now: datetime) -> int:
    """Where Stripe gives no answer to one event the others whose turn it is would get none either, and each would wait
    for it as long: they wait as if they had been asked for. Gives how many."""
    waited = ExpressionWrapper(Value(now, DateTimeField()) - F("received_at"), DurationField())
    wait = Least(Greatest(waited, Value(_SHORTEST_WAIT, DurationField())), Value(_LONGEST_OUTAGE_WAIT, DurationField()))
    with transaction.atomic():
        # One that somebody is at is theirs.
        rows = list(_due(now).select_for_update(skip_locked=True).values_list("pk", flat=True))
        until = ExpressionWrapper(Value(now, DateTimeField()) + wait, DateTimeField())
        return StripeEvent.objects.filter(pk__in=rows).update(waits_until=until)


def _due(now: datetime) -> QuerySet[StripeEvent]:
    rows = StripeEvent.objects.filter(applied_at=None, tries__lt=MOST_TRIES)
    return rows.filter(Q(waits_until=None) | Q(waits_until__lte=now))


def date_given_up() -> int:
    """Say of events that a process of the version before gave up, beside this one, that they are: it knows of no such
    moment. Gives how many."""
    rows = StripeEvent.objects.filter(applied_at=None, tries__gte=MOST_TRIES, given_up_at=None)
    return rows.update(given_up_at=Coalesce("waits_until", "received_at"))


def list_given_up() -> QuerySet[StripeEvent]:
    """Events that were given up and that nothing was done about since, whether they are being tried again or not; the
    longest first."""
    return StripeEvent.objects.filter(applied_at=None).exclude(given_up_at=None).order_by("given_up_at", "id")


def find_given_up(name: str) -> StripeEvent | None:
    """One of these by its id at Stripe, be it applied since; None where no such event was given up."""
    # PostgreSQL takes no other text.
    if not name.isascii() or not name.isprintable():
        return None
    return StripeEvent.objects.exclude(given_up_at=None).filter(pk=name).first()


def find_org_of(row: StripeEvent) -> UUID | None:
    """The organisation that an event is about, as far as it is known without asking Stripe."""
    return find_orgs_of([row]).get(row.pk)


def find_orgs_of(rows: Iterable[StripeEvent]) -> dict[str, UUID]:
    """The same of many events, by event."""
    customers = {row.pk: row.customer or read_stored(bytes(row.body)).customer for row in rows}
    found = _find_orgs({customer for customer in customers.values() if customer})
    return {event: found[customer] for event, customer in customers.items() if customer in found}


def retry_event(*, row: StripeEvent, by: str) -> StripeEvent:
    """Have an event that was given up tried again, at once, and then as often as a new one. Whose it is reads in its
    audit log ``by`` whom. One that is being tried already stays as it is. Raises Conflict for one that was not given
    up, or that is applied."""
    with transaction.atomic():
        locked = StripeEvent.objects.select_for_update().get(pk=row.pk)
        if locked.given_up_at is None or locked.applied_at is not None:
            raise Conflict("Only an event that was given up, and that nothing was done about since, is tried again.")
        if locked.tries < MOST_TRIES:
            return locked
        locked.tries, locked.waits_until = 0, None
        locked.save(update_fields=["tries", "waits_until"])
        _log.info("a Stripe event that was given up is tried again", extra={"event": locked.pk, "by": by})
        org_id = find_org_of(locked)
        if org_id is not None:
            with org_scope(org_id):
                org = Organization.objects.get(pk=org_id)
                record(Actor(org, Role.OWNER, by), "retried", locked, kind=locked.kind)
    return locked


def apply_event(row: StripeEvent, event: SignedEvent, gateway: Stripe, now: datetime) -> bool:
    """Do what an event tells of, once; says whether it is done. One that fails, for whatever reason, is tried again
    later; after ``MOST_TRIES`` it is given up, with an alert. One that somebody else is at is left to them, and one
    that waited for others' locks in vain uses up no try. Raises StripeUnavailable where Stripe gives no answer: that
    uses up no try, however long it lasts."""
    try:
        with transaction.atomic():
            locked = StripeEvent.objects.select_for_update(skip_locked=True).filter(pk=row.pk).first()
            if locked is None or locked.applied_at is not None:
                return locked is not None
            org_id = _apply(event, gateway, now)
            locked.applied_at, locked.error, locked.tries = now, "", locked.tries + 1
            locked.save(update_fields=["applied_at", "error", "tries"])
            if locked.given_up_at is not None:
                _report_applied(locked, org_id or find_org_of(locked), now)
    except StripeUnavailable as error:
        _keep_waiting(row, error.message)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the next event has done nothing wrong
        if is_lock_wait(error):
            _keep_waiting(row, "Somebody else is at work on the same: it is tried again.")
        else:
            _count_failure(row, event, gateway, error)
        return False
    return True


def _keep_waiting(row: StripeEvent, reason: str) -> None:
    """As long again as it has waited already: from now on, whenever the run began that tried it."""
    now = clock.now()
    wait = min(max(now - row.received_at, _SHORTEST_WAIT), _LONGEST_OUTAGE_WAIT)
    _put_off(row, row.tries, reason, now + wait)


def _count_failure(row: StripeEvent, event: SignedEvent, gateway: Stripe, error: Exception) -> None:
    reason = error.message if isinstance(error, AppError) else f"{type(error).__name__}: {error}"
    now, tries = clock.now(), row.tries + 1
    until = now + min(timedelta(seconds=2**tries), _LONGEST_WAIT)
    _log.warning(
        "a Stripe event could not be applied",
        extra={"event": row.pk, "reason": reason},
        exc_info=None if isinstance(error, AppError) else error,
    )
    # What no person was meant to read is for the log alone.
    told = reason if isinstance(error, AppError) else "CostHub failed: its operator's log has why."
    try:
        with transaction.atomic():
            # In one: whoever dies before it has told leaves an event that is tried again, and told of then.
            _put_off(row, tries, reason, until)
            if tries >= MOST_TRIES:
                _report_given_up(row, event, gateway, reason, told, now)
    except Exception:  # noqa: BLE001 - as above
        _log.exception("of a Stripe event that is given up nobody could be told yet", extra={"event": row.pk})
        _put_off(row, row.tries, reason, until)


def refresh_collected(actor: Actor, gateway: Stripe, now: datetime) -> int:
    """Ask Stripe for every invoice that it collects and that is owed, whatever events have told of it. Gives how many.

    Not within a transaction: each has its own. One that Stripe does not tell of, or that cannot follow, keeps no other
    waiting. Raises StripeUnavailable.
    """
    with org_scope(actor.org.pk):
        owed = Invoice.objects.filter(org=actor.org, state=InvoiceState.ISSUED.value)
        there = list(owed.exclude(stripe_invoice__in=["", NOTHING]).values_list("stripe_invoice", flat=True))
    for stripe_invoice in there:
        try:
            with org_scope(actor.org.pk):
                refresh_invoice_state(actor, stripe_invoice, gateway, now)
        except (StripeRefused, Conflict) as error:
            _log.warning(
                "an invoice cannot be brought to what Stripe says of it",
                extra={"org": str(actor.org.pk), "invoice": stripe_invoice, "reason": error.message},
            )
    return len(there)


def refresh_invoice_state(
    actor: Actor, stripe_invoice: str, gateway: Stripe, now: datetime, *, is_taken_back: bool = False
) -> None:
    """Bring our invoice to what Stripe says of its own: paid, given up, or void; and the organisation to what an unpaid
    one has come to by now. Only where its payment ``is_taken_back``, and the caller has its row locked, is a paid one
    owed again: many a one that is open at Stripe was paid by hand."""
    found = gateway.read_invoice(stripe_invoice)
    if found.subscription and found.status == "draft" and not found.ours:
        _hold(actor, found, gateway)
        return
    wanted = find_uuid(found.ours)
    invoice = Invoice.objects.filter(org=actor.org, pk=wanted).first() if wanted else None
    if invoice is None or not invoice.number:
        return
    if found.status in {"paid", "uncollectible", "void"} and not is_taken_back and invoice.state != found.status:
        # Somebody may have acted on something newer since: it is read again where nobody else acts.
        lock_documents(actor)
        invoice = Invoice.objects.select_for_update().get(pk=invoice.pk)
        found = gateway.read_invoice(stripe_invoice)
    if found.status == "paid" and invoice.state in {InvoiceState.ISSUED, InvoiceState.UNCOLLECTIBLE}:
        mark_paid(actor=actor, invoice=invoice, now=now, reference=found.id, is_by_hand=False)
    elif found.status == "uncollectible" and invoice.state == InvoiceState.ISSUED:
        mark_uncollectible(actor=actor, invoice=invoice, now=now, is_by_hand=False)
    elif found.status == "void" and invoice.state == InvoiceState.ISSUED and found.id == invoice.stripe_invoice:
        # A copy that names ours, too, may be voided because it is one.
        _void(actor, invoice, now)
    elif (
        is_taken_back
        and found.status == "open"
        and invoice.state == InvoiceState.PAID
        and invoice.due_cents
        and not invoice.is_untold
    ):
        reopen_invoice(actor=actor, invoice=invoice, now=now, reference=found.id)
    elif found.status == "open":
        settle_standing(actor, now)
    # One that was paid by hand before, and now at Stripe: who tells Stripe of the first payment finds the second.


def _void(actor: Actor, invoice: Invoice, now: datetime) -> None:
    """Somebody has voided it at Stripe, where nobody can pay it any more: nobody owes it here either. A note that asks
    for more has no note over itself: that one is given up."""
    if invoice.kind == InvoiceKind.INVOICE:
        void_invoice(actor=actor, invoice=invoice, reason="Void at Stripe", now=now)
    else:
        mark_uncollectible(actor=actor, invoice=invoice, now=now, is_by_hand=False)


def _hold(actor: Actor, found: StripeInvoice, gateway: Stripe) -> None:
    """A draft of the customer's subscription waits for our invoice of that month."""
    account = BillingAccount.objects.filter(org=actor.org).first()
    if account is not None and account.stripe_subscription == found.subscription:
        hold_draft(gateway, found.id)


def _put_off(row: StripeEvent, tries: int, reason: str, until: datetime) -> None:
    waiting = StripeEvent.objects.filter(pk=row.pk, applied_at=None)
    waiting.update(tries=tries, error=reason[:300], waits_until=until)


def _report_given_up(
    row: StripeEvent, event: SignedEvent, gateway: Stripe, reason: str, told: str, now: datetime
) -> None:
    """Whose it is hears what may be ``told`` of it, and operators where it is nobody's; the log has the ``reason`` in
    any case."""
    _log.error("a Stripe event was given up", extra={"event": row.pk, "kind": event.kind, "reason": reason})
    StripeEvent.objects.filter(pk=row.pk).update(given_up_at=now)
    customer = event.customer
    if not customer and event.kind.startswith(_TAKING_BACK):
        try:
            customer = gateway.find_payer(event.object_kind, event.object_id)
        except AppError:
            _log.exception("nobody knows whose event of Stripe's was given up", extra={"event": row.pk})
    StripeEvent.objects.filter(pk=row.pk).update(customer=customer[:64])
    org_id = _find_org(customer) if customer else None
    if org_id is None:
        try:
            words = f"The event {row.pk} ({event.kind}): {reason}\n\nIt can be tried again on the page of customers."
            tell_operators("CostHub: a Stripe event was given up", words)
        except (OSError, SMTPException):
            _log.warning("operators could not be told", exc_info=True)
        return
    with job_scope(org_id) as actor:
        details = {"event": row.pk, "kind": event.kind, "object": event.object_id, "reason": told[:300]}
        fact = Fact(AlertKind.STRIPE_EVENT, row.pk, 1, details, window_start=row.received_at)
        report(actor.org, AlertKind.STRIPE_EVENT, [fact], now=now, is_complete=False)


def _report_applied(row: StripeEvent, org_id: UUID | None, now: datetime) -> None:
    """Who heard that an event was given up hears that it is over."""
    if org_id is None:
        return
    with job_scope(org_id) as actor:
        fact = Fact(AlertKind.STRIPE_EVENT, row.pk, 0, {}, window_start=row.received_at)
        report(actor.org, AlertKind.STRIPE_EVENT, [fact], now=now, is_complete=False)


def _apply(event: SignedEvent, gateway: Stripe, now: datetime) -> UUID | None:
    """Gives the organisation that it was about."""
    if event.kind.startswith(_TAKING_BACK):
        charge = gateway.find_charge(event.object_kind, event.object_id)
        if not charge:
            return None
        # Events of one payment take turns, and read in theirs: what Stripe says is never older than what is booked.
        take_turn(f"charge {charge}")
        taken = gateway.read_taken_back(charge)
        org_id = _find_org(taken.payment.customer) if taken is not None and taken.payment.customer else None
        if taken is not None and org_id is not None:
            with job_scope(org_id) as actor:
                _take_back(actor, taken, gateway, now)
        return org_id
    if event.object_kind not in {"invoice", "checkout.session", "payment_intent"} or not event.customer:
        return None
    org_id = _find_org(event.customer)
    if org_id is None:
        return None
    with job_scope(org_id) as actor:
        if event.object_kind == "invoice":
            refresh_invoice_state(actor, event.object_id, gateway, now)
        else:
            _take_payment(actor, gateway.read_payment(event.object_id), now)
    return org_id


def _take_payment(actor: Actor, payment: StripePayment, now: datetime) -> None:
    """Credits for a payment of them, under its id: however often it is told, they are there once. With new ones a
    decline of the card is over: who pays at Stripe's page gives a means of payment that is charged from then on."""
    if not _is_of_credits(actor, payment) or not payment.is_paid:
        return
    if payment.currency != "USD":
        raise StripeRefused(f"Credits are in USD, and {payment.id} was paid in {payment.currency}.")
    if book_payment(actor, payment, now):
        end_trouble(actor, "declined")


def _is_of_credits(actor: Actor, payment: StripePayment) -> bool:
    account = BillingAccount.objects.get(org=actor.org)
    return payment.purpose == "credits" and (payment.org, payment.customer) == (
        str(actor.org.pk),
        account.stripe_customer,
    )


def _take_back(actor: Actor, taken: TakenBack, gateway: Stripe, now: datetime) -> None:
    """What of a payment was given back or is disputed: its credits go, whichever of its events comes first; an invoice
    that it had paid is what Stripe says that it is. Finance is told once of each amount."""
    # Locked before Stripe is read: what it says then is no older than ours.
    lock_documents(actor)
    rows = Invoice.objects.select_for_update().filter(org=actor.org, stripe_invoice=taken.invoice)
    invoice = rows.first() if taken.invoice else None
    if _is_of_credits(actor, taken.payment):
        _take_payment(actor, taken.payment, now)
        sale, payment = taken.payment.sale, taken.payment.id
        nanos = sale.share_of(taken.cents) if sale is not None else taken.cents * NANOS_A_CENT
        take_back_credits(actor, payment=payment, nanos=nanos)
        note_given_back(actor, taken, now)
    elif invoice is not None:
        refresh_invoice_state(actor, taken.invoice, gateway, now, is_taken_back=True)
    else:
        return
    if not taken.cents:
        return
    details = {
        "payment": taken.payment.id,
        "cents": taken.cents,
        "currency": taken.payment.currency,
        "number": invoice.number if invoice is not None else "",
        "is_disputed": taken.is_disputed,
    }
    # Its window is the payment's, so that each amount is told once.
    fact = Fact(AlertKind.TAKEN_BACK, f"{taken.payment.id}:{taken.cents}", 1, details, window_start=taken.at)
    if report(actor.org, AlertKind.TAKEN_BACK, [fact], now=now, is_complete=False) and invoice is not None:
        record(actor, "taken_back", invoice, **details)


def _find_org(customer: str) -> UUID | None:
    return _find_orgs({customer}).get(customer)


def _find_orgs(customers: Collection[str]) -> dict[str, UUID]:
    """Organisations by Stripe's customer, of those that are one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT asked.customer, found.org_id FROM unnest(%s::text[]) AS asked (customer)"
            " CROSS JOIN LATERAL costhub_org_of_customer(asked.customer) AS found",
            [list(customers)],
        )
        return dict(cursor.fetchall())
