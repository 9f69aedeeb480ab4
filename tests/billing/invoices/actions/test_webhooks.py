"""Webhooks: only Stripe's are taken, each is applied once, and their order does not matter."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from itertools import permutations
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.handlers.asgi import ASGIRequest
from django.core.mail import EmailMessage
from django.db import connection, transaction
from pytest_django import Settings

from billing.alerts.models import Alert, Delivery
from billing.choices import AlertKind
from billing.invoices.actions import webhooks
from billing.invoices.actions.dunning import settle_standing
from billing.invoices.actions.notes import make_note, mark_paid
from billing.invoices.actions.pushing import push_credits, push_issued
from billing.invoices.actions.top_up import set_top_up, top_up
from billing.invoices.actions.wallet import find_available
from billing.invoices.actions.webhooks import (
    MOST_TRIES,
    apply_event,
    find_org_of,
    list_given_up,
    list_waiting,
    put_off_waiting,
    refresh_collected,
    retry_event,
    store_event,
)
from billing.invoices.api.webhooks import MAX_BYTES, receive_stripe
from billing.invoices.choices import NOTHING, DunningStage, InvoiceKind
from billing.invoices.models import BillingAccount, Invoice, InvoiceLine, StripeEvent, WalletTransfer
from billing.invoices.selectors.wallet import find_balance
from billing.invoices.stripe_client import (
    BadSignature,
    Stripe,
    StripeSilent,
    StripeUnavailable,
    read_signed,
    read_stored,
)
from costhub.lib import clock
from costhub.lib.errors import Conflict
from tenants.access import org_scope
from tenants.models import AuditEntry, Budget, User
from tests.billing.invoices.at_once import apart, wait_until
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import NOW, record_call
from tests.patience import PATIENCE_SECONDS
from tests.stripe_double import ACCOUNT_KEY, WEBHOOK_SECRET, StripeDouble, sign
from tests.stripe_double.in_process import make_stripe
from tests.stripe_double.state import Answer
from tests.world import Tenant, World, make_client

USD = 10**9
SECOND = timedelta(seconds=1)
AT = NOW.timestamp()


def issue(acme: Tenant, double: StripeDouble, gateway: Stripe) -> Invoice:
    """Acme's October, issued and on its way to Stripe; its invoice there is the last one."""
    make_stripe_customer(acme, gateway, since=OCTOBER, fee="49.00", prepaid=True)
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    assert push_issued(acme.owner, gateway) == 1
    invoice.refresh_from_db()
    return invoice


def deliver(body: bytes, gateway: Stripe) -> bool:
    """Store and apply, as the view and the job do."""
    event = read_stored(body)
    store_event(event, body)
    return apply_event(StripeEvent.objects.get(pk=event.id), event, gateway, NOW)


def state_of(acme: Tenant, invoice: Invoice) -> str:
    with org_scope(acme.org.pk):
        return Invoice.objects.get(pk=invoice.pk).state


@pytest.fixture
def acme(world: World) -> Any:
    with org_scope(world.acme.org.pk), time_machine.travel(NOW, tick=False):
        yield world.acme


def test_an_issued_invoice_is_collected_by_stripe_once(acme: Tenant, double: StripeDouble, gateway: Stripe) -> None:
    invoice = issue(acme, double, gateway)
    assert push_issued(acme.owner, gateway) == 0
    (theirs,) = double.invoices.values()
    assert (theirs["status"], theirs["amount_due"], theirs["metadata"]["number"]) == ("open", 4_900, invoice.number)
    assert invoice.stripe_invoice == theirs["id"]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("trouble", ["lost", "never", "500", "500 after"])
def test_pushed_again_after_any_failure_it_is_one_invoice(
    acme: Tenant, double: StripeDouble, quick: Stripe, trouble: str, place: int
) -> None:
    make_stripe_customer(acme, quick, since=OCTOBER, fee="49.00")
    close(acme, NOVEMBER + DAY * 3)
    double.troubles = [""] * place + [trouble]
    with pytest.raises(Exception, match="Stripe gave no answer"):
        push_issued(acme.owner, quick)
    assert push_issued(acme.owner, quick) == 1
    assert [(each["status"], each["amount_due"]) for each in double.invoices.values()] == [("open", 4_900)]


def test_what_an_event_says_is_asked_again(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    invoice = issue(acme, double, quick)
    theirs = double.invoices[invoice.stripe_invoice]
    # It says paid, and Stripe knows of no payment.
    assert deliver(double.make_event("invoice.paid", theirs | {"status": "paid"}), quick)
    assert state_of(acme, invoice) == "issued"
    double.pay(invoice.stripe_invoice)
    assert deliver(double.make_event("invoice.updated", theirs), quick)
    assert state_of(acme, invoice) == "paid"


@pytest.mark.parametrize("by", ["event", "hour"])
def test_what_was_voided_at_stripe_nobody_owes_here(acme: Tenant, double: StripeDouble, quick: Stripe, by: str) -> None:
    """With a note over all of it, of which Stripe is told nothing: it takes none of what is void."""
    invoice = issue(acme, double, quick)
    assert settle_standing(acme.owner, NOVEMBER + DAY * 50) is DunningStage.SUSPENDED
    theirs = double.void(invoice.stripe_invoice)
    for _ in range(2):
        if by == "event":
            assert deliver(double.make_event("invoice.voided", theirs), quick)
        else:
            refresh_collected(acme.owner, quick, NOW)
    assert state_of(acme, invoice) == "void"
    note = Invoice.objects.get(corrects=invoice.pk)
    assert (note.total_cents, note.reason) == (4_900, "Void at Stripe")
    assert settle_standing(acme.owner, NOVEMBER + DAY * 50) is DunningStage.NONE
    assert (push_credits(acme.owner, quick), double.billing.credit_notes) == (1, {})
    note.refresh_from_db()
    assert (note.stripe_invoice, note.refusal) == (NOTHING, "")


def test_a_copy_that_is_voided_at_stripe_takes_nothing_from_what_is_owed(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    invoice = issue(acme, double, quick)
    double.invoices["in_copy"] = double.invoices[invoice.stripe_invoice] | {"id": "in_copy"}
    assert deliver(double.make_event("invoice.voided", double.void("in_copy")), quick)
    assert (state_of(acme, invoice), Invoice.objects.filter(corrects=invoice.pk).count()) == ("issued", 0)


def test_of_what_notes_have_given_back_before_there_is_no_further_note(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    invoice = issue(acme, double, quick)
    make_note(actor=acme.owner, invoice=invoice, amounts=None, reason="All of it", now=NOW)
    assert deliver(double.make_event("invoice.voided", double.void(invoice.stripe_invoice)), quick)
    assert (state_of(acme, invoice), Invoice.objects.filter(corrects=invoice.pk).count()) == ("void", 1)


def test_a_debit_note_that_was_voided_at_stripe_is_given_up(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    invoice = issue(acme, double, quick)
    more = make_note(
        actor=acme.owner, invoice=invoice, amounts={1: USD}, reason="More", now=NOW, kind=InvoiceKind.DEBIT_NOTE
    )
    assert push_issued(acme.owner, quick) == 1
    more.refresh_from_db()
    assert deliver(double.make_event("invoice.voided", double.void(more.stripe_invoice)), quick)
    assert (state_of(acme, more), state_of(acme, invoice)) == ("uncollectible", "issued")


def test_one_that_cannot_follow_what_stripe_says_keeps_no_other_waiting(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    """Its calls were re-rated: a person has to say what is taken back."""
    invoice = issue(acme, double, quick)
    note = make_note(actor=acme.owner, invoice=invoice, amounts={1: USD}, reason="Less", now=NOW)
    note.pk, note.number, note.state = uuid4(), "", "grace"
    note.save(force_insert=True)
    InvoiceLine.objects.create(
        org=acme.org, invoice=note, position=1, kind="rerated", nanos=1, start=OCTOBER, end=NOVEMBER, text="small"
    )
    more = make_note(
        actor=acme.owner, invoice=invoice, amounts={1: USD}, reason="More", now=NOW, kind=InvoiceKind.DEBIT_NOTE
    )
    push_issued(acme.owner, quick)
    more.refresh_from_db()
    double.void(invoice.stripe_invoice)
    double.pay(more.stripe_invoice)
    assert refresh_collected(acme.owner, quick, NOW) == 2
    assert (state_of(acme, invoice), state_of(acme, more)) == ("issued", "paid")


def test_an_event_that_stripe_does_not_answer_to_is_tried_again(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    invoice = issue(acme, double, quick)
    double.pay(invoice.stripe_invoice)
    body = double.make_event("invoice.paid", double.invoices[invoice.stripe_invoice])
    double.troubles = ["500"]
    with pytest.raises(StripeUnavailable):
        deliver(body, quick)
    row = StripeEvent.objects.get(pk=json.loads(body)["id"])
    assert (row.tries, row.applied_at) == (0, None)
    # It waits a second first.
    assert (list_waiting(NOW), list_waiting(NOW + SECOND)) == ([], [row])
    assert deliver(body, quick)
    assert state_of(acme, invoice) == "paid"


def test_after_two_days_without_stripe_who_paid_is_let_in_within_minutes(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    invoice = issue(acme, double, quick)
    double.pay(invoice.stripe_invoice)
    body = double.make_event("invoice.paid", double.invoices[invoice.stripe_invoice])
    event = read_stored(body)
    store_event(event, body)
    now, waits = NOW, []
    with time_machine.travel(now, tick=False) as travel:
        while now < NOW + DAY * 2:
            (row,) = list_waiting(now)
            double.troubles = ["500"]
            with pytest.raises(StripeUnavailable):
                apply_event(row, event, quick, now)
            row.refresh_from_db()
            assert row.waits_until is not None
            assert row.tries == 0
            waits.append(row.waits_until - now)
            now = row.waits_until
            travel.move_to(now)
        assert waits[:10] == [SECOND * each for each in (1, 1, 2, 4, 8, 16, 32, 64, 128, 256)]
        assert set(waits[10:]) == {SECOND * 300}
        (row,) = list_waiting(now)
        assert apply_event(row, event, quick, now)
    assert state_of(acme, invoice) == "paid"


@dataclass
class Hanging(StripeDouble):
    """Gives no answer, for as long as one is waited for."""

    travel: Any = None

    def call(self, method: str, url: str, headers: dict[str, str], body: str) -> Answer:
        """One request."""
        if self.is_down:
            self.travel.shift(SECOND * 20)
        return super().call(method, url, headers, body)


def test_waits_are_counted_from_when_stripe_was_given_up(acme: Tenant) -> None:
    """It was waited for for 20 seconds: the next second is over by then. Who waits for its turn waits, too."""
    double = Hanging(now=lambda: clock.now().timestamp())
    quick = make_stripe(double)
    invoice = issue(acme, double, quick)
    theirs = double.pay(invoice.stripe_invoice)
    with time_machine.travel(NOW, tick=False) as double.travel:
        bodies = [double.make_event(kind, theirs) for kind in ("invoice.paid", "invoice.updated")]
        for body in bodies:
            store_event(read_stored(body), body)
        double.travel.shift(SECOND)
        late = double.make_event("invoice.sent", theirs)
        store_event(read_stored(late), late)
        double.is_down = True
        with pytest.raises(StripeSilent):
            deliver(bodies[0], quick)
        assert put_off_waiting(clock.now()) == 2
        ids = [read_stored(body).id for body in (*bodies, late)]
        waits = dict(StripeEvent.objects.values_list("pk", "waits_until"))
        assert [waits[each] for each in ids] == [NOW + SECOND * seconds for seconds in (42, 42, 41)]
        assert set(StripeEvent.objects.filter(pk__in=ids).values_list("tries", flat=True)) == {0}
        assert put_off_waiting(clock.now()) == 0


def test_what_others_have_a_payment_remember_is_not_read(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    theirs = double._take(account.stripe_customer, 500, "usd", {"metadata": {"credits": "of the film"}})
    assert deliver(double.make_event("payment_intent.succeeded", theirs), quick)
    assert find_balance(acme.owner) == 0


def test_an_event_that_fails_for_its_own_reason_is_given_up_with_an_alert(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    issue(acme, double, quick)
    session_id, _ = quick.open_checkout(
        customer=next(iter(double.customers)),
        org_id=acme.org_id,
        cents=2_000,
        currency="EUR",
        back_to="https://costhub.example",
        key="k",
    )
    double.sessions[session_id] |= {"payment_status": "paid", "status": "complete"}
    body = double.make_event("checkout.session.completed", double.sessions[session_id])
    event = read_stored(body)
    store_event(event, body)
    now, tries = NOW, 0
    while rows := list_waiting(now):
        with time_machine.travel(now, tick=False):
            assert not apply_event(rows[0], event, quick, now)
        rows[0].refresh_from_db()
        tries += 1
        assert Alert.objects.filter(kind=AlertKind.STRIPE_EVENT.value).count() == (tries == MOST_TRIES)
        now = rows[0].waits_until or now
    # The first try, eleven that wait twice as long each time, and then one an hour.
    assert (tries, now - NOW) == (20, SECOND * (2**12 - 2) + DAY / 24 * 9)
    alert = Alert.objects.get(kind=AlertKind.STRIPE_EVENT.value)
    reason = f"Credits are in USD, and {session_id} was paid in EUR."
    assert (alert.subject, alert.facts["object"], alert.facts["reason"]) == (event.id, session_id, reason)


def store_last_try(body: bytes) -> StripeEvent:
    """An event that has failed as often as it may but for once."""
    event = read_stored(body)
    store_event(event, body)
    StripeEvent.objects.filter(pk=event.id).update(tries=MOST_TRIES - 1)
    return StripeEvent.objects.get(pk=event.id)


@contextmanager
def lacking(theirs: dict[str, Any], name: str) -> Iterator[None]:
    """Stripe says nothing of ``name``, which we read, of what is theirs."""
    said = theirs.pop(name)
    yield
    theirs[name] = said


def give_up(body: bytes, gateway: Stripe) -> StripeEvent:
    """An event that fails at its last try, and is given up."""
    row = store_last_try(body)
    assert not deliver(body, gateway)
    row.refresh_from_db()
    return row


def test_an_event_that_was_given_up_is_tried_again_by_hand_and_its_alert_ends(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    terms: dict[str, Any] = {"customer": account.stripe_customer, "org_id": acme.org_id, "cents": 2_000}
    session_id, _ = quick.open_checkout(**terms, currency="USD", back_to="https://x.example", key="s")
    body = double.make_event("checkout.session.completed", double.pay_session(session_id))
    with lacking(double.sessions[session_id], "amount_total"):
        row = give_up(body, quick)
    assert (list_waiting(NOW + DAY), row in list_given_up(), row.given_up_at) == ([], True, NOW)
    alert = Alert.objects.get(kind=AlertKind.STRIPE_EVENT.value)
    assert alert.ended_at is None
    for _ in range(2):
        retry_event(row=row, by="operator olga@costhub.example")
    entry = AuditEntry.objects.get(org=acme.org, action="stripe_event.retried")
    assert (entry.actor, entry.target_id, entry.changes) == (
        "operator olga@costhub.example",
        row.pk,
        {"kind": "checkout.session.completed"},
    )
    # It has all of its tries again, and the first of them at once.
    (again,) = list_waiting(NOW)
    assert (again.tries, again.waits_until) == (0, None)
    assert apply_event(again, read_stored(body), quick, NOW + SECOND)
    assert (find_balance(acme.owner), row in list_given_up()) == (20 * USD, False)
    alert.refresh_from_db()
    assert alert.ended_at == NOW + SECOND
    told = Delivery.objects.filter(alert=alert.pk).order_by("created_at", "event")
    assert list(told.values_list("event", flat=True)) == ["opened", "recovered"]
    with pytest.raises(Conflict, match="Only an event that was given up"):
        retry_event(row=row, by="operator")


def test_one_that_is_given_up_again_stands_as_it_did(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    """A refund names no customer: whose it is was found out when it was given up."""
    account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    bought = {"metadata": {"purpose": "credits", "org": acme.org_id}}
    payment = double._take(account.stripe_customer, 500, "eur", bought)
    (charge,) = double.charges.values()
    double.refund(charge["id"], 500)
    body = double.make_event("refund.created", next(iter(double.refunds.values())))
    for times in (1, 2):
        row = give_up(body, quick)
        assert (row.customer, find_org_of(row)) == (account.stripe_customer, acme.org.pk)
        alert = Alert.objects.get(kind=AlertKind.STRIPE_EVENT.value)
        reason = f"Credits are in USD, and {payment['id']} was paid in EUR."
        assert (alert.ended_at, alert.facts["reason"]) == (None, reason)
        retry_event(row=row, by="operator")
        assert AuditEntry.objects.filter(org=acme.org, action="stripe_event.retried").count() == times


def test_an_event_of_nobodys_is_tried_again_too(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    double._take("cus_unknown", 500, "usd", {})
    (charge,) = double.charges.values()
    double.refund(charge["id"], 500)
    body = double.make_event("refund.created", next(iter(double.refunds.values())))
    with lacking(charge, "amount_refunded"):
        row = give_up(body, quick)
    retry_event(row=row, by="operator")
    assert apply_event(list_waiting(NOW)[0], read_stored(body), quick, NOW)
    assert row not in list_given_up()
    fresh = double.make_event("invoice.paid", {"id": "in_2", "object": "invoice"})
    store_event(read_stored(fresh), fresh)
    with pytest.raises(Conflict, match="Only an event that was given up"):
        retry_event(row=StripeEvent.objects.get(pk=json.loads(fresh)["id"]), by="operator")


@pytest.mark.parametrize("kind", ["dispute", "refund"])
@pytest.mark.parametrize("whose", ["acme", "nobody"])
def test_a_dispute_or_refund_that_is_given_up_is_told_too(
    acme: Tenant, double: StripeDouble, quick: Stripe, mailoutbox: list[EmailMessage], kind: str, whose: str
) -> None:
    """These name no customer: Stripe is asked whose charge it is."""
    User.objects.filter(is_platform_operator=True).update(is_platform_operator=False)
    operator = User.objects.create_user(email="operator@costhub.example", is_platform_operator=True)
    account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    double._take(account.stripe_customer if whose == "acme" else "cus_unknown", 500, "usd", {})
    (charge,) = double.charges.values()
    if kind == "dispute":
        body = double.make_event("charge.dispute.created", double.dispute(charge["id"]))
    else:
        double.refund(charge["id"], 500)
        body = double.make_event("refund.created", next(iter(double.refunds.values())))
    with lacking(charge, "amount_refunded"):
        row = give_up(body, quick)
    mails = [(mail.to, mail.subject, mail.body) for mail in mailoutbox]
    facts = [alert.facts["reason"] for alert in Alert.objects.filter(kind=AlertKind.STRIPE_EVENT.value)]
    if whose == "acme":
        assert (facts, mails) == (["CostHub failed: its operator's log has why."], [])
    else:
        words = (
            f"The event {row.pk} ({row.kind}): AttributeError: amount_refunded\n\n"
            "It can be tried again on the page of customers.\n"
        )
        assert (facts, mails) == ([], [([operator.email], "CostHub: a Stripe event was given up", words)])


class Died(BaseException):
    """A worker is killed."""


@pytest.mark.parametrize("end", [Died, KeyError])
def test_who_dies_before_it_has_told_of_an_event_that_is_given_up_leaves_it_to_be_tried_again(
    acme: Tenant, double: StripeDouble, quick: Stripe, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    theirs = double.invoices[issue(acme, double, quick).stripe_invoice]
    body = double.make_event("invoice.paid", theirs)
    row = store_last_try(body)

    def die(*_: Any, **__: Any) -> None:
        raise end

    with lacking(theirs, "status"):
        with monkeypatch.context() as patch:
            patch.setattr(webhooks, "report", die)
            with suppress(Died):
                assert not deliver(body, quick)
        # What else goes wrong with telling of it keeps nobody else's event waiting behind this one.
        (waiting,) = list_waiting(NOW + DAY)
        assert (waiting, waiting.tries) == (row, MOST_TRIES - 1)
        assert waiting.waits_until == (None if end is Died else NOW + SECOND * 3_600)
        assert not deliver(body, quick)
    assert Alert.objects.filter(kind=AlertKind.STRIPE_EVENT.value).count() == 1
    assert list_waiting(NOW + DAY) == []


def test_a_refund_of_no_charge_takes_nothing_back(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    refund = double._keep(double.refunds, "re", "refund", {"charge": None, "amount": 5, "status": "succeeded"})
    assert deliver(double.make_event("refund.created", refund), quick)
    assert double.calls[-1] == ("GET", f"/v1/refunds/{refund['id']}")


def test_an_invoice_that_was_paid_by_hand_stays_so_whatever_is_open_at_stripe(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    invoice = issue(acme, double, quick)
    # As it is in books from before Stripe was told of it.
    mark_paid(actor=acme.owner, invoice=invoice, now=NOW)
    Invoice.objects.update(is_untold=False)
    theirs = double.invoices[invoice.stripe_invoice]
    assert theirs["status"] == "open"
    assert deliver(double.make_event("invoice.updated", theirs), quick)
    assert state_of(acme, invoice) == "paid"


def test_whatever_else_goes_wrong_with_an_event_is_counted_too(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    invoice = issue(acme, double, quick)
    theirs = double.pay(invoice.stripe_invoice)
    body = double.make_event("invoice.paid", theirs)
    with lacking(theirs, "amount_paid"):
        assert not deliver(body, quick)
    row = StripeEvent.objects.get(pk=json.loads(body)["id"])
    assert (row.tries, row.error, row.waits_until) == (1, "AttributeError: amount_paid", NOW + SECOND * 2)
    assert deliver(body, quick)
    assert state_of(acme, invoice) == "paid"


def test_an_invoice_is_asked_for_although_its_event_was_lost(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    invoice = issue(acme, double, quick)
    assert refresh_collected(acme.owner, quick, NOW) == 1
    assert state_of(acme, invoice) == "issued"
    double.pay(invoice.stripe_invoice)
    assert refresh_collected(acme.owner, quick, NOW) == 1
    assert state_of(acme, invoice) == "paid"
    assert refresh_collected(acme.owner, quick, NOW) == 0


def test_events_that_fail_keep_no_new_one_waiting(acme: Tenant) -> None:
    for number in range(3):
        StripeEvent.objects.create(id=f"evt_{number}", kind="invoice.paid", body=b"{}", tries=1, waits_until=NOW)
    fresh = StripeEvent.objects.create(id="evt_new", kind="invoice.paid", body=b"{}")
    assert list_waiting(NOW + DAY, most=1) == [fresh]


def test_who_pays_waits_for_nothing_that_lets_nobody_in(acme: Tenant) -> None:
    kinds = ("invoice.created", "invoice.sent", "invoice.paid", "checkout.session.completed")
    made = [
        StripeEvent.objects.create(id=f"evt_{kind}", kind=kind, body=b"{}", received_at=NOW + SECOND * place)
        for place, kind in enumerate(kinds)
    ]
    StripeEvent.objects.create(id="evt_failed", kind="invoice.paid", body=b"{}", tries=1, waits_until=NOW)
    ours = [f"evt_{kind}" for kind in ("invoice.paid", "checkout.session.completed", "invoice.created", "invoice.sent")]
    first = [row.pk for row in list_waiting(NOW + DAY) if row in made]
    # Of two payments the one that came first.
    assert first == ours
    last = list_waiting(NOW + DAY, but_not=ours)
    assert [row.pk for row in last if row.pk.startswith("evt_f")] == ["evt_failed"]


def test_a_hundred_duplicates_are_one(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    issue(acme, double, quick)
    session_id, _ = quick.open_checkout(
        customer=next(iter(double.customers)),
        org_id=acme.org_id,
        cents=2_000,
        currency="USD",
        back_to="https://costhub.example",
        key="k",
    )
    double.sessions[session_id] |= {"payment_status": "paid", "status": "complete"}
    body = double.make_event("checkout.session.completed", double.sessions[session_id])
    assert [deliver(body, quick) for _ in range(100)] == [True] * 100
    assert WalletTransfer.objects.get().amount_nanos == 20 * USD
    assert (StripeEvent.objects.filter(pk=json.loads(body)["id"]).count(), find_available(acme.owner)) == (1, 20 * USD)


@dataclass
class Crowded(StripeDouble):
    """Answers who asks about a session once all others have left without an answer, or one asks about it, too."""

    readers: int = 0
    is_crowd: Event = field(default_factory=Event)

    def call(self, method: str, url: str, headers: dict[str, str], body: str) -> Answer:
        """One request."""
        if method.upper() == "GET" and "/checkout/sessions/" in url:
            self.readers += 1
            if self.readers > 1:
                self.is_crowd.set()
            assert self.is_crowd.wait(PATIENCE_SECONDS)
        return super().call(method, url, headers, body)


@dataclass
class Interrupted(StripeDouble):
    """While the first answer to a path is on its way back, ``meanwhile`` is done by somebody else, until it is over or
    waits for a lock."""

    path: str = ""
    meanwhile: Callable[[], Any] | None = None
    is_over: "Future[Any] | None" = None

    def call(self, method: str, url: str, headers: dict[str, str], body: str) -> Answer:
        """One request."""
        answer = super().call(method, url, headers, body)
        if self.meanwhile is not None and method.upper() == "GET" and self.path in url:
            work, self.meanwhile = self.meanwhile, None
            pool = ThreadPoolExecutor(1)
            self.is_over = pool.submit(apart, work)
            pool.shutdown(wait=False)
            wait_until(self.is_over.done)
        return answer


def test_of_two_that_read_what_is_given_back_the_later_one_counts(committed_world: World) -> None:
    """One reads 5 dollars; before it has booked them 15 are given back, and another one reads and books these."""
    acme, double = committed_world.acme, Interrupted(now=lambda: clock.now().timestamp(), path="/charges/")
    quick = make_stripe(double)
    account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    payment = quick.charge(
        customer=account.stripe_customer, org_id=acme.org_id, cents=2_000, currency="USD", key="top-up"
    )
    (charge,) = double.charges.values()
    first = double.make_event("charge.refunded", double.refund(charge["id"], 500))

    def give_back_more() -> bool:
        return deliver(double.make_event("charge.refunded", double.refund(charge["id"], 1_000)), quick)

    double.meanwhile = give_back_more
    assert deliver(first, quick)
    assert double.is_over is not None
    assert double.is_over.result(timeout=PATIENCE_SECONDS)
    with org_scope(acme.org.pk):
        assert find_balance(acme.owner) == 5 * USD
        booked = WalletTransfer.objects.filter(reference__startswith=f"{payment.id}:").order_by("reference")
        assert list(booked.values_list("debit", "amount_nanos")) == [("credits", 5 * USD), ("credits", 10 * USD)]


def test_what_was_read_of_a_payment_before_it_was_given_back_pays_no_invoice(committed_world: World) -> None:
    """The hourly look has read that an invoice is paid; before it acts on that the money is given back."""
    acme, double = committed_world.acme, Interrupted(now=lambda: clock.now().timestamp(), path="/invoices/in_")
    quick = make_stripe(double)
    with org_scope(acme.org.pk):
        invoice = issue(acme, double, quick)
    theirs = double.pay(invoice.stripe_invoice)
    (charge,) = double.charges.values()

    def give_back() -> bool:
        paid = double.make_event("invoice.paid", theirs)
        theirs["status"] = "open"
        return deliver(paid, quick) and deliver(
            double.make_event("charge.refunded", double.refund(charge["id"], 4_900)), quick
        )

    double.meanwhile = give_back
    assert refresh_collected(acme.owner, quick, NOW) == 1
    assert double.is_over is not None
    assert double.is_over.result(timeout=PATIENCE_SECONDS)
    assert state_of(acme, invoice) == "issued"


def test_who_waits_for_a_lock_in_vain_uses_up_no_try(committed_world: World) -> None:
    """And knows of an event that somebody else is at that this is so."""
    acme, double = committed_world.acme, StripeDouble(now=lambda: clock.now().timestamp())
    quick = make_stripe(double)
    make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    session_id, _ = quick.open_checkout(
        customer=next(iter(double.customers)), org_id=acme.org_id, cents=500, currency="USD", back_to="x", key="k"
    )
    body = double.make_event("checkout.session.completed", double.pay_session(session_id))
    store_event(read_stored(body), body)
    row = StripeEvent.objects.get(pk=read_stored(body).id)

    def try_it() -> tuple[bool, int]:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 100")
        with time_machine.travel(NOW, tick=False):
            is_done = deliver(body, quick)
        row.refresh_from_db()
        return is_done, row.tries

    with ThreadPoolExecutor(1) as pool:
        with org_scope(acme.org.pk):
            BillingAccount.objects.select_for_update().get()
            assert pool.submit(apart, try_it).result(timeout=PATIENCE_SECONDS) == (False, 0)
        assert row.waits_until is not None
        double.calls.clear()
        with transaction.atomic():
            StripeEvent.objects.select_for_update().get(pk=row.pk)
            assert pool.submit(apart, try_it).result(timeout=PATIENCE_SECONDS) == (False, 0)
        assert double.calls == []
        assert pool.submit(apart, try_it).result(timeout=PATIENCE_SECONDS) == (True, 1)


def test_a_hundred_duplicates_at_once_are_asked_about_once(committed_world: World) -> None:
    acme, double = committed_world.acme, Crowded(now=lambda: clock.now().timestamp())
    quick = make_stripe(double)
    make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    session_id, _ = quick.open_checkout(
        customer=next(iter(double.customers)),
        org_id=acme.org_id,
        cents=2_000,
        currency="USD",
        back_to="https://costhub.example",
        key="k",
    )
    body = double.make_event("checkout.session.completed", double.pay_session(session_id))
    double.calls.clear()

    left: list[int] = []

    def deliver_apart(number: int) -> bool:
        if apart(lambda: deliver(body, quick)):
            return True
        left.append(number)
        if len(left) == 99:
            double.is_crowd.set()
        return False

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(deliver_apart, range(100))) == 1
    assert double.calls == [("GET", f"/v1/checkout/sessions/{session_id}")]
    with org_scope(acme.org.pk):
        assert WalletTransfer.objects.get().amount_nanos == 20 * USD
    assert StripeEvent.objects.get(pk=json.loads(body)["id"]).tries == 1


def told(kind: AlertKind = AlertKind.TAKEN_BACK) -> list[tuple[Any, ...]]:
    rows = Alert.objects.filter(kind=kind.value).order_by("created_at", "id")
    return [(row.facts["cents"], row.facts["number"], row.facts["is_disputed"]) for row in rows]


@pytest.mark.parametrize("by", ["page", "itself"])
def test_credits_that_were_given_back_or_disputed_at_stripe_are_gone_in_any_order(
    acme: Tenant, double: StripeDouble, quick: Stripe, by: str
) -> None:
    account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    terms: dict[str, Any] = {"customer": account.stripe_customer, "org_id": acme.org_id, "cents": 2_000}
    if by == "page":
        session_id, _ = quick.open_checkout(**terms, currency="USD", back_to="https://x.example", key="s")
        bodies = [double.make_event("checkout.session.completed", double.pay_session(session_id))]
    else:
        payment = quick.charge(**terms, currency="USD", key="k")
        bodies = [double.make_event("payment_intent.succeeded", double.intents[payment.id])]
    (charge,) = double.charges.values()
    bodies.append(double.make_event("charge.refunded", double.refund(charge["id"], 300)))
    bodies.append(double.make_event("refund.created", next(iter(double.refunds.values()))))
    bodies.append(double.make_event("charge.dispute.created", double.dispute(charge["id"])))
    for order in permutations(bodies):
        with transaction.atomic():
            for body in order:
                assert deliver(body, quick)
            # No more than was paid.
            assert (find_balance(acme.owner), told()) == (0, [(2_000, "", True)])
            transaction.set_rollback(True)


def test_a_payment_that_was_disputed_stops_calls_and_buys_no_more_until_it_is_won(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    set_top_up(actor=acme.owner, account=account, below=5 * USD, amount=20 * USD)
    assert top_up(acme.owner, quick) == 1
    record_call(acme, NOW - DAY, cost=12 * USD)
    (charge,) = double.charges.values()
    dispute = double.dispute(charge["id"])
    seen = []
    for status in ("warning_needs_response", "needs_response", "needs_response", "won"):
        dispute["status"] = status
        assert deliver(double.make_event("charge.dispute.updated", dispute), quick)
        limit = Budget.objects.get(is_managed=True).limit_nanos
        seen.append((find_available(acme.owner) // USD, limit // USD, BillingAccount.objects.get().top_up_nanos))
    assert seen == [(8, 20, 20 * USD), (-12, 0, None), (-12, 0, None), (8, 20, None)]
    assert told() == [(2_000, "", True)]
    assert top_up(acme.owner, quick) == 0


@pytest.mark.parametrize("status", ["paid", "open"])
def test_an_invoice_whose_payment_was_given_back_is_as_stripe_says(
    acme: Tenant, double: StripeDouble, quick: Stripe, status: str
) -> None:
    invoice = issue(acme, double, quick)
    theirs = double.pay(invoice.stripe_invoice)
    assert deliver(double.make_event("invoice.paid", theirs), quick)
    (charge,) = double.charges.values()
    theirs["status"] = status
    for _ in range(2):
        assert deliver(double.make_event("charge.refunded", double.refund(charge["id"], 0)), quick)
    assert told() == []
    double.refund(charge["id"], 4_900)
    for _ in range(2):
        assert deliver(double.make_event("charge.refunded", charge), quick)
    assert state_of(acme, invoice) == {"paid": "paid", "open": "issued"}[status]
    assert told() == [(4_900, invoice.number, False)]
    noted = AuditEntry.objects.get(action="invoice.taken_back")
    assert (noted.target_id, noted.changes["cents"]) == (str(invoice.pk), 4_900)
    assert AuditEntry.objects.filter(action="invoice.reopened").count() == (status == "open")
    assert find_balance(acme.owner) == 0


def test_another_ones_charge_takes_nothing_back(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
    for customer in ("cus_unknown", account.stripe_customer):
        made = double._take(customer, 500, "usd", {})
        charge = next(row for row in double.charges.values() if row["payment_intent"] == made["id"])
        assert deliver(double.make_event("charge.refunded", double.refund(charge["id"], 500)), quick)
    assert (told(), WalletTransfer.objects.count()) == ([], 0)


def six_events(acme: Tenant, double: StripeDouble, gateway: Stripe) -> tuple[Invoice, list[bytes]]:
    """The story of an invoice that failed and was paid, and of credits bought beside it."""
    invoice = issue(acme, double, gateway)
    theirs = double.invoices[invoice.stripe_invoice]
    bodies = [double.make_event("invoice.created", theirs | {"status": "draft"})]
    bodies.append(double.make_event("invoice.finalized", theirs))
    bodies.append(double.make_event("invoice.payment_failed", theirs))
    customer = theirs["customer"]
    session_id, _ = gateway.open_checkout(
        customer=customer, org_id=acme.org_id, cents=500, currency="USD", back_to="https://x.example", key="s"
    )
    session = double.sessions[session_id]
    bodies.append(double.make_event("checkout.session.async_payment_failed", session))
    session |= {"payment_status": "paid"}
    bodies.append(double.make_event("checkout.session.completed", session))
    bodies.append(double.make_event("invoice.paid", double.pay(invoice.stripe_invoice)))
    return invoice, bodies


def check_every(orders: list[tuple[bytes, ...]], acme: Tenant, invoice: Invoice, gateway: Stripe) -> None:
    for order in orders:
        with transaction.atomic():
            for body in order:
                assert deliver(body, gateway)
            assert (state_of(acme, invoice), find_available(acme.owner)) == ("paid", 5 * USD)
            assert StripeEvent.objects.filter(applied_at=None).count() == 0
            transaction.set_rollback(True)


def test_some_orders_of_six_events_end_alike(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    invoice, bodies = six_events(acme, double, quick)
    check_every(list(permutations(bodies))[::31], acme, invoice, quick)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_all_720_orders_of_six_events_end_alike(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    invoice, bodies = six_events(acme, double, quick)
    orders = list(permutations(bodies))
    assert len(orders) == 720
    check_every(orders, acme, invoice, quick)


def body_of(**more: Any) -> bytes:
    event = {"id": "evt_1", "object": "event", "type": "invoice.paid", "livemode": False, "data": {"object": {}}}
    return json.dumps(event | more).encode()


GOOD = body_of()


@pytest.mark.parametrize(
    ("body", "signature", "words"),
    [
        (GOOD, None, "not signed"),
        (GOOD, "", "not signed"),
        (GOOD, "t=x,v1=y", "not signed"),
        (GOOD, sign(GOOD, AT, "whsec_other"), "not signed"),
        (GOOD, sign(GOOD, AT)[:-1], "not signed"),
        (GOOD, f"t={int(AT)},v1=\xe9", "not signed"),
        (GOOD + b" ", sign(GOOD, AT), "not signed"),
        (GOOD, sign(GOOD, AT - 301), "not signed"),
        (GOOD, sign(GOOD, AT + 3_600), "a time to come"),
        (b"{", sign(b"{", AT), "not signed"),
        (b"[]", sign(b"[]", AT), "not signed"),
        (b'{"id": 1}', sign(b'{"id": 1}', AT), "not signed"),
        (body_of(livemode=True), sign(body_of(livemode=True), AT), "the other mode"),
        (body_of(account="acct_2"), sign(body_of(account="acct_2"), AT), "another account"),
    ],
)
def test_what_stripe_did_not_sign_for_us_now_is_refused(body: bytes, signature: str | None, words: str) -> None:
    with time_machine.travel(NOW, tick=False), pytest.raises(BadSignature, match=words):
        read_signed(body, signature, secret=WEBHOOK_SECRET, now=NOW, is_live=False)


def test_an_empty_secret_takes_nothing() -> None:
    with time_machine.travel(NOW, tick=False), pytest.raises(BadSignature):
        read_signed(GOOD, sign(GOOD, AT, ""), secret="", now=NOW, is_live=False)


def test_the_view_stores_what_is_signed_and_nothing_else(db: None, settings: Settings) -> None:
    settings.STRIPE_API_KEY, settings.STRIPE_WEBHOOK_SECRET = ACCOUNT_KEY, WEBHOOK_SECRET
    client = make_client()
    # Events are the installation's: a test with connections of its own may have left some.
    others = list(StripeEvent.objects.values_list("pk", flat=True))

    def post(body: bytes, signature: str) -> int:
        with time_machine.travel(NOW, tick=False):
            return client.generic(
                "POST",
                "/api/v1/stripe/webhook",
                body,
                content_type="application/json",
                headers={"Stripe-Signature": signature},
            ).status_code

    assert [post(GOOD, sign(GOOD, AT)) for _ in range(3)] == [200, 200, 200]
    assert post(GOOD, "t=1,v1=0") == 400
    assert post(b"\xff", sign(GOOD, AT)) == 400
    (row,) = StripeEvent.objects.exclude(pk__in=others)
    assert (row.id, row.kind, bytes(row.body)) == ("evt_1", "invoice.paid", GOOD)
    settings.STRIPE_API_KEY = ""
    assert post(GOOD, sign(GOOD, AT)) == 404


def test_a_body_in_chunks_is_measured_when_it_has_come(settings: Settings) -> None:
    """It announces no length; no signature is looked at."""
    settings.STRIPE_API_KEY, settings.STRIPE_WEBHOOK_SECRET = ACCOUNT_KEY, WEBHOOK_SECRET
    scope = {"type": "http", "method": "POST", "path": "/api/v1/stripe/webhook", "query_string": b"", "headers": []}
    statuses = [
        receive_stripe(ASGIRequest(scope, BytesIO(b"x" * size))).status_code for size in (MAX_BYTES, MAX_BYTES + 1)
    ]
    assert statuses == [400, 413]
