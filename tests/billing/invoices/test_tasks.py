"""The jobs of invoices as the worker runs them: usage of customers goes out side by side, and a run has one end."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from ipaddress import ip_network
from threading import Barrier
from typing import Any

import pytest
import time_machine
from django.db import connections
from django.test import override_settings

from billing.invoices import tasks
from billing.invoices.actions.mails import mail_invoice
from billing.invoices.actions.outbox import fill_outbox
from billing.invoices.actions.webhooks import MOST_TRIES, list_given_up, store_event
from billing.invoices.models import Invoice, StripeEvent
from billing.invoices.stripe_client import TIMEOUT_SECONDS, Stripe, read_stored, stripe_from_settings
from costhub.lib import clock
from costhub.lib.errors import Conflict
from tenants.access import Actor, org_scope
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, SEPTEMBER, close, make_customer, make_seller
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import NOW, record_call
from tests.patience import PATIENCE_SECONDS
from tests.stripe_double import ACCOUNT_KEY, StripeDouble
from tests.stripe_double.in_process import make_stripe
from tests.stripe_double.server import serve
from tests.world import Tenant, World

HOUR = timedelta(hours=1)
LATER = NOW + timedelta(minutes=5)


class Together(StripeDouble):
    """Answers the first event of each of two customers when both are there, and nobody before."""

    barrier: Barrier
    expected: set[str]

    def call(self, method: str, url: str, headers: dict[str, str], body: str) -> tuple[int, dict[str, Any]]:
        """One request."""
        if url.endswith("meter_events") and (mine := next((name for name in self.expected if name in body), None)):
            self.expected.discard(mine)
            self.barrier.wait(PATIENCE_SECONDS)
        return super().call(method, url, headers, body)


@pytest.fixture
def together() -> Together:
    made = Together(now=lambda: clock.now().timestamp())
    made.add_meter("usage")
    made.barrier, made.expected = Barrier(2), set()
    return made


@pytest.fixture
def reached(together: Together) -> Iterator[None]:
    """Stripe, as the settings have it, is the double."""
    with (
        serve(together) as url,
        override_settings(
            STRIPE_API_KEY=ACCOUNT_KEY,
            STRIPE_API_URL=url,
            ALLOWED_PRIVATE_NETWORKS=[(ip_network("127.0.0.1/32"), None)],
        ),
    ):
        yield


def spend(tenant: Tenant, gateway: Stripe, *costs: int) -> str:
    """A customer of Stripe's with so much usage in the hours before now; Stripe's name for it."""
    account = make_stripe_customer(tenant, gateway)
    for place, cost in enumerate(costs, start=1):
        record_call(tenant, NOW - HOUR * place, cost=cost)
    with org_scope(tenant.org.pk):
        fill_outbox(tenant.owner, LATER)
    return account.stripe_customer


@pytest.mark.usefixtures("reached")
def test_usage_of_two_customers_goes_out_side_by_side_and_once(
    committed_world: World, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = stripe_from_settings()
    assert gateway is not None
    sent = {
        spend(committed_world.acme, gateway, 5, 7): 12,
        spend(committed_world.mallcorp, gateway, 11, 13): 24,
    }
    together.expected |= sent.keys()
    ours = [committed_world.acme.org.pk, committed_world.mallcorp.org.pk]
    monkeypatch.setattr(tasks, "_on_stripe", lambda: ours)
    with time_machine.travel(LATER, tick=True):
        assert tasks.send_usage() == 4
        assert tasks.send_usage() == 0
    found = {
        customer: sum(value for (_, of, _), value in together.usage.items() if of == customer) for customer in sent
    }
    assert found == sent


@pytest.mark.usefixtures("reached")
def test_whoever_has_only_usage_is_looked_at_for_nothing_else_and_who_has_none_not_at_all(
    committed_world: World, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, mallcorp = committed_world.acme, committed_world.mallcorp
    gateway, send = stripe_from_settings(), tasks._send
    assert gateway is not None
    spend(acme, gateway, 5)
    make_stripe_customer(mallcorp, gateway, since=OCTOBER, fee="49.00")
    looked: list[tuple[str, int]] = []

    def send_and_tell(actor: Actor, gateway: Stripe, now: datetime, steps: Any) -> int:
        looked.append((actor.org.slug, len(steps)))
        return send(actor, gateway, now, steps)

    monkeypatch.setattr(tasks, "_on_stripe", lambda: [acme.org.pk, mallcorp.org.pk])
    monkeypatch.setattr(tasks, "_send", send_and_tell)
    with time_machine.travel(LATER, tick=True):
        assert [tasks.send_usage() for _ in range(2)] == [1, 0]
        assert looked == [(acme.org.slug, 0)]
        (invoice,) = close(mallcorp, LATER)
        assert [tasks.send_usage() for _ in range(2)] == [1, 0]
    assert looked[1:] == [(mallcorp.org.slug, 6)]
    assert [each["metadata"]["number"] for each in together.invoices.values()] == [invoice.number]


@pytest.mark.usefixtures("reached")
def test_when_time_is_up_no_sender_takes_another_customer(
    committed_world: World, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = stripe_from_settings()
    assert gateway is not None
    spend(committed_world.acme, gateway, 5)
    monkeypatch.setattr(tasks, "_on_stripe", lambda: [committed_world.acme.org.pk])
    monkeypatch.setattr(tasks, "RUN_SECONDS", -1)
    with time_machine.travel(LATER, tick=True):
        assert tasks.send_usage() == 0
    assert not together.usage


def test_what_follows_closing_has_half_of_a_run_left(committed_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seller, both = make_seller(), [committed_world.acme, committed_world.mallcorp]
    for tenant in both:
        make_customer(tenant, seller=seller, since=OCTOBER, fee="1.00")
    monkeypatch.setattr(tasks, "list_accounts", lambda: [(tenant.org.pk, "manual", "none") for tenant in both])
    close, began, closed = tasks._close, clock.monotonic_ns(), []

    def close_for_long(actor: Any, now: Any) -> int:
        closed.append(close(actor, now))
        monkeypatch.setattr(clock, "monotonic_ns", lambda: began + tasks.RUN_SECONDS * 600_000_000)
        return closed[-1]

    monkeypatch.setattr(clock, "monotonic_ns", lambda: began)
    monkeypatch.setattr(tasks, "_close", close_for_long)
    with time_machine.travel(NOVEMBER + DAY * 3, tick=False):
        assert tasks.close_months() == 1
    assert closed == [1], "the second customer is the next run's"
    with org_scope(*(tenant.org.pk for tenant in both)):
        assert Invoice.objects.get().mailed_at is not None


def test_all_steps_of_closing_share_the_time_of_a_run(committed_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = committed_world.acme
    make_customer(acme, since=OCTOBER, fee="1.00")
    monkeypatch.setattr(tasks, "list_accounts", lambda: [(acme.org.pk, "manual", "none")])

    def show() -> list[tuple[str, bool]]:
        with org_scope(acme.org.pk):
            return [(row.state, row.mailed_at is not None) for row in Invoice.objects.all()]

    close = tasks._close

    def close_for_long(actor: Any, now: Any) -> int:
        found = close(actor, now)
        monkeypatch.setattr(clock, "monotonic_ns", lambda: 2**62)
        return found

    with time_machine.travel(NOVEMBER + DAY * 3, tick=False), monkeypatch.context() as patch:
        patch.setattr(tasks, "_close", close_for_long)
        assert tasks.close_months() == 1
        # Its mail waits for the next run.
        assert show() == [("issued", False)]
    monkeypatch.undo()
    monkeypatch.setattr(tasks, "list_accounts", lambda: [(acme.org.pk, "manual", "none")])
    with time_machine.travel(NOVEMBER + DAY * 3, tick=False):
        assert tasks.close_months() == 0
        assert show() == [("issued", True)]


def test_a_document_in_trouble_undoes_no_mail_of_another(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = committed_world.acme
    make_customer(acme, since=SEPTEMBER, fee="1.00")
    first, second = close(acme, NOVEMBER + DAY * 3)
    monkeypatch.setattr(tasks, "list_accounts", lambda: [(acme.org.pk, "manual", "none")])

    def fail(actor: Any, invoice: Invoice, now: Any) -> bool:
        if invoice.pk == second.pk:
            raise RuntimeError("it cannot be typeset")
        return mail_invoice(actor, invoice, now)

    def show() -> set[Any]:
        with org_scope(acme.org.pk):
            return set(Invoice.objects.exclude(mailed_at=None).values_list("pk", flat=True))

    with time_machine.travel(NOVEMBER + DAY * 3, tick=False), monkeypatch.context() as patch:
        patch.setattr(tasks, "mail_invoice", fail)
        tasks.close_months()
        assert show() == {first.pk}
    with time_machine.travel(NOVEMBER + DAY * 3, tick=False):
        tasks.close_months()
        assert show() == {first.pk, second.pk}


def test_neither_trouble_with_credits_nor_mails_that_take_long_keep_who_owes_from_being_suspended(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = committed_world.acme
    make_customer(acme, since=OCTOBER, fee="1.00")
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    assert invoice.due_at
    monkeypatch.setattr(tasks, "list_accounts", lambda: [(acme.org.pk, "manual", "none")])
    done: list[str] = []

    def fail(_: Any) -> None:
        done.append("credits")
        raise Conflict("There is no room.")

    def mail(_: Any, __: Any) -> int:
        with org_scope(acme.org.pk):
            acme.org.refresh_from_db()
        done.append("suspended" if acme.org.is_suspended else "mailed first")
        return 0

    monkeypatch.setattr(tasks, "follow_wallet", fail)
    monkeypatch.setattr(tasks, "remind", mail)
    with time_machine.travel(invoice.due_at + DAY * 22, tick=False):
        tasks.dun()
    assert done == ["credits", "suspended"]


class Asked(StripeDouble):
    """While it is asked about an invoice the job runs once more, beside the run that asks."""

    second: Any = None

    def call(self, method: str, url: str, headers: dict[str, str], body: str) -> tuple[int, dict[str, Any]]:
        """One request."""
        answer = super().call(method, url, headers, body)
        if self.second is None and "/invoices/" in url:
            with ThreadPoolExecutor(1) as pool:
                self.second = pool.submit(_run_apart)
                self.second.result(timeout=PATIENCE_SECONDS)
        return answer


def _run_apart() -> int:
    try:
        return tasks.apply_stripe_events()
    finally:
        connections.close_all()


def _keep(double: StripeDouble, *kinds: str) -> list[StripeEvent]:
    """Events of an invoice that is nobody's, stored."""
    invoice = {"id": "in_1", "object": "invoice", "customer": next(iter(double.customers))}
    bodies = [double.make_event(kind, invoice) for kind in kinds]
    for body in bodies:
        store_event(read_stored(body), body)
    return [StripeEvent.objects.get(pk=read_stored(body).id) for body in bodies]


def test_while_one_run_asks_stripe_the_next_one_leaves(committed_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    double = Asked(now=lambda: clock.now().timestamp())
    double.add_meter("usage")
    make_stripe_customer(committed_world.acme, make_stripe(double), since=OCTOBER)
    _keep(double, "invoice.paid", "invoice.updated")
    monkeypatch.setattr(tasks, "stripe_from_settings", lambda **_: make_stripe(double))
    double.invoices["in_1"] = {"id": "in_1", "status": "open", "customer": "", "amount_paid": 0, "metadata": {}}
    double.invoices["in_1"]["object"] = "invoice"
    asked = len(double.calls)
    assert tasks.apply_stripe_events() == 2
    assert double.second.result() == 0
    assert double.calls[asked:] == [("GET", "/v1/invoices/in_1")] * 2


@pytest.mark.parametrize("waits_until", [None, NOW - HOUR])
@pytest.mark.django_db
def test_what_a_process_of_the_version_before_has_given_up_is_listed(
    monkeypatch: pytest.MonkeyPatch, waits_until: datetime | None
) -> None:
    """It runs beside this one during an upgrade, and says of none that it is."""
    double = StripeDouble(now=lambda: clock.now().timestamp())
    double.customers["cus_1"] = {}
    (row,) = _keep(double, "invoice.paid")
    StripeEvent.objects.update(tries=MOST_TRIES, waits_until=waits_until, received_at=NOW - DAY)
    monkeypatch.setattr(tasks, "stripe_from_settings", lambda **_: make_stripe(double))
    assert row not in list_given_up()
    assert tasks.apply_stripe_events() == 0
    assert [each.given_up_at for each in list_given_up() if each.pk == row.pk] == [waits_until or NOW - DAY]


def test_while_stripe_is_silent_one_event_is_asked_for_and_the_others_wait(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = StripeDouble(now=lambda: clock.now().timestamp())
    make_stripe_customer(committed_world.acme, make_stripe(double), since=OCTOBER)
    waited: list[float] = []

    def connect(timeout_seconds: float) -> Stripe:
        waited.append(timeout_seconds)
        return make_stripe(double)

    monkeypatch.setattr(tasks, "stripe_from_settings", connect)
    with time_machine.travel(NOW, tick=False) as travel:
        rows = _keep(double, "invoice.paid", "invoice.updated", "invoice.sent")
        travel.shift(timedelta(seconds=8))
        double.is_down = True
        asked = len(double.calls)
        for seconds in (0, 4, 3, 1):
            travel.shift(timedelta(seconds=seconds))
            assert tasks.apply_stripe_events() == 0
        # At once, and when they have waited as long again.
        assert len(double.calls) - asked == 2
        assert [StripeEvent.objects.get(pk=row.pk).tries for row in rows] == [0, 0, 0]
    # Others wait behind this job: it waits for no answer as long as a job that buys something.
    assert waited[0] < TIMEOUT_SECONDS
