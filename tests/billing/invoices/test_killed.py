"""Jobs of billing that SIGKILL ends at each of their statements: the next run goes on, every number is used once, and
what is billed is the ledger."""

import os
import signal
from datetime import timedelta
from decimal import Decimal
from ipaddress import ip_network
from threading import Event
from urllib.parse import urlsplit

import pytest
import time_machine
from django.db import connections

from billing.gpu.actions import charge_hours, create_endpoint
from billing.gpu.choices import Basis
from billing.invoices.actions.closing import close_period
from billing.invoices.actions.documents import get_documents
from billing.invoices.actions.outbox import fill_outbox, send_outbox
from billing.invoices.actions.rerating import approve_rerating, carry_on, preview_rerating
from billing.invoices.models import Invoice, MeterDelta, Rerating, WalletTransfer
from billing.invoices.selectors.rerating import find_next_rerating
from billing.invoices.selectors.usage import find_cost
from billing.invoices.stripe_client import GateTransport, Stripe
from billing.invoices.tasks import _mail
from costhub.lib import clock
from costhub.lib.net import Gate
from proxy.ledger.drain import drain
from tenants.access import job_scope, org_scope
from tenants.actions.pricing import create_price
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, SEPTEMBER, make_customer, make_seller
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.killed import run_and_die
from tests.billing.ledger import NOW, record_call, record_correction
from tests.mail import MailSink
from tests.patience import PATIENCE_SECONDS
from tests.stripe_double import ACCOUNT_KEY, StripeDouble
from tests.stripe_double.server import serve
from tests.stripe_double.state import Answer, Lost
from tests.world import Tenant, World, make_catalog

CLOSED = NOVEMBER + DAY * 3
USD = 10**9


def close_all(tenants: list[Tenant]) -> None:
    """What the job does: an organisation a transaction."""
    for tenant in tenants:
        with job_scope(tenant.org.pk) as actor:
            close_period(actor, CLOSED)


def test_a_close_that_is_killed_anywhere(committed_world: World) -> None:
    seller = make_seller()
    tenants = [committed_world.acme, committed_world.mallcorp]
    make_customer(tenants[0], seller=seller, since=OCTOBER, fee="49.00", markup="10")
    make_customer(tenants[1], seller=seller, since=OCTOBER, fee="1.00", account={"emails": []})
    for tenant in tenants:
        record_call(tenant, OCTOBER + DAY, cost=5 * USD)
    deaths = 0
    while run_and_die(lambda: close_all(tenants), at=deaths + 1):
        deaths += 1
        with org_scope(*(tenant.org.pk for tenant in tenants)):
            rows = Invoice.objects.filter(org__in=[tenant.org for tenant in tenants])
            numbers = sorted(row.number for row in rows if row.number)
            # Whole or not there: an invoice that has a number has its lines and its sum.
            assert numbers == [f"{seller.prefix}{number:06d}" for number in range(1, len(numbers) + 1)]
            assert all(row.usage_nanos == 5 * USD and row.lines.exists() for row in rows if row.number)
    assert deaths > 20
    close_all(tenants)
    with org_scope(*(tenant.org.pk for tenant in tenants)):
        rows = Invoice.objects.filter(org__in=[tenant.org for tenant in tenants])
        assert sorted(row.number for row in rows) == [f"{seller.prefix}00000{number}" for number in (1, 2)]
        assert {row.org_id: row.usage_nanos for row in rows} == {tenant.org.pk: 5 * USD for tenant in tenants}
        assert not WalletTransfer.objects.filter(org__in=[tenant.org for tenant in tenants]).exists()


def test_a_mailing_that_is_killed_anywhere_repeats_one_mail_at_most(committed_world: World, sink: MailSink) -> None:
    acme = committed_world.acme
    make_customer(acme, since=SEPTEMBER, fee="49.00")
    close_all([acme])
    with org_scope(acme.org.pk):
        invoices = list(Invoice.objects.filter(org=acme.org))
        for invoice in invoices:
            get_documents(acme.owner, invoice, ["pdf", "csv"])
    assert len(invoices) == 2

    def mail_all() -> None:
        _mail(acme.owner, CLOSED)

    deaths = 0
    # At every second of its statements.
    while run_and_die(mail_all, at=2 * deaths + 1):
        deaths += 1
        with org_scope(acme.org.pk):
            unmarked = Invoice.objects.filter(org=acme.org, mailed_at=None)
            again = {f"<{pk}@localhost>" for pk in unmarked.values_list("pk", flat=True)}
            assert sum(mail["Message-ID"] in again for mail in sink.mails) <= 1
            Invoice.objects.filter(org=acme.org).update(mailed_at=None)
        sink.mails.clear()
    assert deaths > 5
    assert len(sink.mails) == 2


class Held:
    """The double on a wire on which the answer to one event of usage is held: Stripe has taken it, and whoever sent it
    has not heard of that."""

    def __init__(self, double: StripeDouble, at: int) -> None:
        self._double, self._left = double, at
        self.is_reached, self.goes_on = Event(), Event()

    def call(self, method: str, url: str, headers: dict[str, str], body: str) -> Answer:
        """As the double's."""
        answer = self._double.call(method, url, headers, body)
        if urlsplit(url).path == "/v1/billing/meter_events":
            self._left -= 1
            if self._left == 0:
                self.is_reached.set()
                assert self.goes_on.wait(PATIENCE_SECONDS)
                raise Lost
        return answer


@pytest.mark.parametrize("hours", [0, 25], ids=["at once", "when Stripe has forgotten"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_sender_that_is_killed_in_the_middle_is_followed_by_one_that_sends_nothing_twice(
    committed_world: World, double: StripeDouble, quick: Stripe, at: int, hours: int
) -> None:
    """Four deltas, two of them of one hour. As long as the first sender lives nobody else sends; in the end each is
    there once, in its order."""
    acme = committed_world.acme
    with time_machine.travel(NOW, tick=False) as travel:
        make_stripe_customer(acme, quick)
        calls = [record_call(acme, NOW - timedelta(hours=back), cost=10**back) for back in (3, 2, 1)]
        fill(acme)
        record_correction(acme, calls[0], -40)
        fill(acme)
        held = Held(double, at)
        with serve(held) as url:
            child = send_in_a_process(acme, url)
            assert held.is_reached.wait(PATIENCE_SECONDS)
            assert send_outbox(acme.owner, quick, NOW) == 0, "there is a sender"
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            held.goes_on.set()
        travel.shift(timedelta(hours=hours))
        ends, sent = clock.ends_in(PATIENCE_SECONDS), 0
        # PostgreSQL gives its lock back when it finds that it is gone.
        while not sent and clock.monotonic_ns() < ends:
            sent = send_outbox(acme.owner, quick, NOW + timedelta(hours=hours))
        with org_scope(acme.org.pk):
            rows = list(MeterDelta.objects.filter(org=acme.org).order_by("hour", "sequence"))
    assert [(row.value, row.state) for row in rows] == [(1_000, "sent"), (-40, "sent"), (100, "sent"), (10, "sent")]
    assert list(double.identifiers) == [row.identifier for row in rows]
    assert list(double.usage.values()) == [960, 100, 10]


def fill(tenant: Tenant) -> None:
    with org_scope(tenant.org.pk):
        assert fill_outbox(tenant.owner, NOW)


def send_in_a_process(tenant: Tenant, url: str) -> int:
    """The process that sends what is in the outbox."""
    connections.close_all()
    if (child := os.fork()) == 0:
        try:
            gate = Gate(allowed=[(ip_network("127.0.0.1/32"), None)])
            gateway = Stripe(api_key=ACCOUNT_KEY, url=url, transport=GateTransport(gate))
            send_outbox(tenant.owner, gateway, NOW)
        finally:
            os._exit(0)
    return child


def re_rate_all(tenant: Tenant) -> None:
    """What the job does: a batch a transaction."""
    while True:
        with job_scope(tenant.org.pk) as actor:
            if (found := find_next_rerating(actor)) is None:
                return
            carry_on(actor, found, CLOSED)


@pytest.mark.soak
def test_a_re_rating_that_is_killed_anywhere(committed_world: World) -> None:
    acme = committed_world.acme
    made = make_catalog(acme, input_per_million="1", output_per_million="1", effective_from=SEPTEMBER)
    assert made.price
    attempt = {"certainty": "exact", "model": "small", "cost": USD, "usage": {"input": 10**6}}
    for day in range(2):
        record_call(
            acme,
            OCTOBER + DAY * day,
            cost=USD,
            price_id=made.price.pk,
            input_tokens=10**6,
            attempts=[attempt],
        )
    make_customer(acme, since=OCTOBER, markup="10")
    close_all([acme])
    with org_scope(acme.org.pk):
        create_price(
            actor=acme.owner,
            model=made.model,
            input_per_million=Decimal(3),
            output_per_million=Decimal(1),
            effective_from=SEPTEMBER + DAY,
        )
        row = preview_rerating(actor=acme.owner, model="small", start=OCTOBER, end=NOVEMBER, reason="Mistyped")
        approve_rerating(actor=acme.owner, rerating=row, change_nanos=row.change_nanos)
    deaths = 0
    while run_and_die(lambda: re_rate_all(acme), at=deaths + 1):
        deaths += 1
        drain(acme.org.shard)
    assert deaths > 20
    with org_scope(acme.org.pk):
        row = Rerating.objects.get(pk=row.pk)
        (note,) = Invoice.objects.filter(org=acme.org, kind="debit_note")
        assert (row.state, row.posted, row.posted_nanos, row.notes) == ("applied", 2, 4 * USD, [note.pk])
        assert (find_cost(acme.owner, OCTOBER, NOVEMBER), note.net_nanos) == (6 * USD, 4_400_000_000)


@pytest.mark.soak
def test_hours_of_gpus_that_are_killed_anywhere(committed_world: World) -> None:
    acme = committed_world.acme
    made = make_catalog(acme, input_per_million="0", output_per_million="0", effective_from=OCTOBER)
    with org_scope(acme.org.pk):
        create_endpoint(
            actor=acme.owner,
            name="llama",
            upstream=made.upstream,
            project=acme.project,
            gpus=Decimal(1),
            hour_nanos=4 * USD,
            basis=Basis.ALLOCATION,
            starts_at=OCTOBER,
        )
    record_call(acme, OCTOBER, upstream_id=made.upstream.pk, duration_us=900 * 10**6)

    def charge() -> None:
        with job_scope(acme.org.pk) as actor:
            charge_hours(actor, OCTOBER + timedelta(hours=2, minutes=20))

    deaths = 0
    while run_and_die(charge, at=deaths + 1):
        deaths += 1
        drain(acme.org.shard)
    assert deaths > 10
    drain(acme.org.shard)
    with org_scope(acme.org.pk):
        assert find_cost(acme.owner, OCTOBER, NOVEMBER) == 8 * USD
