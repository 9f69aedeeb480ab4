"""Usage goes to Stripe once, to the nano, whatever happens on the way."""

import hashlib
from datetime import datetime, timedelta
from random import Random

import psycopg
import pytest
import time_machine
from django.conf import settings
from django.db import connection

from billing.alerts.models import Alert, Delivery
from billing.choices import AlertKind
from billing.invoices.actions import outbox
from billing.invoices.actions.outbox import fill_outbox, send_outbox
from billing.invoices.models import MeterDelta
from billing.invoices.reconciliation import reconcile
from billing.invoices.stripe_client import Stripe
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import NOW, record_call, record_correction
from tests.stripe_double import StripeDouble
from tests.world import Tenant, World

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def fill(tenant: Tenant, now: datetime) -> int:
    with org_scope(tenant.org.pk):
        return fill_outbox(tenant.owner, now)


def send(tenant: Tenant, gateway: Stripe, now: datetime) -> int:
    with time_machine.travel(now, tick=False):
        return send_outbox(tenant.owner, gateway, now)


def deltas(tenant: Tenant) -> list[tuple[int, str]]:
    with org_scope(tenant.org.pk):
        return list(MeterDelta.objects.order_by("hour", "sequence").values_list("value", "state"))


def test_hours_that_are_over_go_out_once_over_the_real_wire(
    world: World, double: StripeDouble, gateway: Stripe
) -> None:
    acme = world.acme
    account = make_stripe_customer(acme, gateway)
    record_call(acme, NOW - HOUR * 2, cost=5)
    record_call(acme, NOW - HOUR, cost=7)
    record_call(acme, NOW + timedelta(minutes=1), cost=11)
    record_call(world.mallcorp, NOW - HOUR, cost=99)
    now = NOW + timedelta(minutes=5)
    assert (fill(acme, now), fill(acme, now)) == (2, 0)
    assert (send(acme, gateway, now), send(acme, gateway, now)) == (2, 0)
    assert dict(double.usage) == {
        ("usage", account.stripe_customer, int((NOW - HOUR * 2).timestamp())): 5,
        ("usage", account.stripe_customer, int((NOW - HOUR).timestamp())): 7,
    }


def test_late_rows_and_corrections_are_deltas_of_their_hour(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    make_stripe_customer(acme, quick)
    call = record_call(acme, NOW - HOUR, cost=100)
    fill(acme, NOW)
    send(acme, quick, NOW)
    record_correction(acme, call, -40)
    assert (fill(acme, NOW), send(acme, quick, NOW)) == (1, 1)
    assert deltas(acme) == [(100, "sent"), (-40, "sent")]
    assert sum(double.usage.values()) == 60


@pytest.mark.parametrize("trouble", ["500", "429", "never", "lost"])
def test_a_call_that_fails_is_repeated_and_counts_once(
    world: World, double: StripeDouble, quick: Stripe, trouble: str
) -> None:
    acme = world.acme
    make_stripe_customer(acme, quick)
    record_call(acme, NOW - HOUR, cost=5)
    fill(acme, NOW)
    double.troubles = [trouble]
    assert (send(acme, quick, NOW), deltas(acme)) == (0, [(5, "pending")])
    assert send(acme, quick, NOW + timedelta(minutes=1)) == 1
    assert sum(double.usage.values()) == 5


@pytest.mark.parametrize("trouble", ["never", "lost"])
def test_after_25_hours_without_an_answer_the_meter_is_asked_first(
    world: World, double: StripeDouble, quick: Stripe, trouble: str
) -> None:
    acme = world.acme
    make_stripe_customer(acme, quick)
    record_call(acme, NOW - HOUR, cost=5)
    fill(acme, NOW)
    double.troubles = [trouble]
    send(acme, quick, NOW)
    double.is_down = True
    for hour in range(1, 25):
        send(acme, quick, NOW + HOUR * hour)
    double.is_down, double.calls = False, []
    # By now Stripe has forgotten the identifier: sent again blindly, it would count twice.
    assert send(acme, quick, NOW + HOUR * 25) == 1
    assert ("GET", "/v1/billing/meters") in double.calls
    assert (sum(double.usage.values()), deltas(acme)) == (5, [(5, "sent")])


def test_where_the_meter_says_neither_it_waits_with_its_reason(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    account = make_stripe_customer(acme, quick)
    record_call(acme, NOW - HOUR, cost=5)
    fill(acme, NOW)
    double.troubles = ["never"]
    send(acme, quick, NOW)
    double.usage["usage", account.stripe_customer, int((NOW - HOUR).timestamp())] = 3
    assert send(acme, quick, NOW + HOUR * 24) == 0
    with org_scope(acme.org.pk):
        assert "is 3, which is neither 0 nor 5" in MeterDelta.objects.get().error


def test_nothing_older_than_35_days_goes_out(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    make_stripe_customer(acme, quick)
    record_call(acme, NOW - HOUR, cost=5)
    fill(acme, NOW)
    double.is_down = True
    send(acme, quick, NOW)
    double.is_down = False
    assert send(acme, quick, NOW + DAY * 36) == 0
    assert (deltas(acme), dict(double.usage)) == ([(5, "noted")], {})


def test_what_arrived_before_it_was_35_days_old_is_sent_and_not_noted(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    make_stripe_customer(acme, quick)
    record_call(acme, NOW - HOUR, cost=5)
    fill(acme, NOW)
    double.troubles = ["lost"]
    send(acme, quick, NOW)
    double.is_down = True
    assert (send(acme, quick, NOW + DAY * 36), deltas(acme)) == (0, [(5, "pending")])
    double.is_down = False
    assert send(acme, quick, NOW + DAY * 37) == 1
    assert (deltas(acme), sum(double.usage.values())) == ([(5, "sent")], 5)


def test_one_sender_for_a_customer_and_meter(committed_world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = committed_world.acme
    account = make_stripe_customer(acme, quick)
    record_call(acme, NOW - HOUR, cost=5)
    fill(acme, NOW)
    name = f"meter:{account.stripe_customer}:usage"
    lock = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    values = settings.DATABASES["default"]
    with psycopg.connect(
        host=str(values["HOST"]),
        port=str(values["PORT"]),
        user=str(values["USER"]),
        password=str(values["PASSWORD"]),
        dbname=str(values["NAME"]),
    ) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [lock])
        assert send(acme, quick, NOW) == 0
    assert send(acme, quick, NOW) == 1


def test_an_hour_is_utcs_also_where_clocks_are_half_an_hour_off(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    with org_scope(acme.org.pk):
        update_organization(actor=acme.owner, time_zone="Asia/Kolkata")
    account = make_stripe_customer(acme, quick)
    for minutes in (5, 40):
        record_call(acme, NOW - HOUR + timedelta(minutes=minutes), cost=1)
    fill(acme, NOW)
    send(acme, quick, NOW)
    assert dict(double.usage) == {("usage", account.stripe_customer, int((NOW - HOUR).timestamp())): 2}


def test_through_any_weather_the_meter_is_the_ledger_to_the_nano(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme, random = world.acme, Random(15)
    make_stripe_customer(acme, quick)
    calls = []
    now = NOW
    for _ in range(60):
        for _ in range(random.randrange(3)):
            at = now - timedelta(minutes=random.randrange(1, 600))
            calls.append(record_call(acme, at, cost=random.randrange(1, 10**9)))
        if calls and random.random() < 0.3:
            record_correction(acme, random.choice(calls), -random.randrange(1, 1000))
        double.troubles = [random.choice(["", "", "500", "lost", "never", "429"]) for _ in range(4)]
        double.is_down = random.random() < 0.2
        fill(acme, now)
        send(acme, quick, now)
        now += timedelta(minutes=random.choice([10, 45, 200]))
    double.troubles, double.is_down = [], False
    with org_scope(acme.org.pk), time_machine.travel(now + HOUR * 2, tick=False):
        reconcile(acme.owner, quick, now + HOUR * 2)
        send_outbox(acme.owner, quick, now + HOUR * 2)
        assert reconcile(acme.owner, quick, now + HOUR * 2 + timedelta(minutes=20)) == []
        with connection.cursor() as cursor:
            cursor.execute("SELECT sum(effective_cost) FROM proxy_ledgerentry WHERE org_id = %s", [acme.org.pk])
            assert sum(double.usage.values()) == cursor.fetchone()[0]


def test_a_meter_that_differs_is_an_alert_until_it_does_not(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    account = make_stripe_customer(acme, quick)
    record_call(acme, NOW - HOUR, cost=5)
    fill(acme, NOW)
    send(acme, quick, NOW)
    key = ("usage", account.stripe_customer, int((NOW - HOUR).timestamp()))
    later = NOW + timedelta(minutes=20)
    for held, ended in ((6, None), (5, later)):
        double.usage[key] = held
        with org_scope(acme.org.pk), time_machine.travel(later, tick=False):
            found = reconcile(acme.owner, quick, later)
            alert = Alert.objects.get(kind=AlertKind.METER.value)
        assert [(each.ledger, each.sent, each.stripe) for each in found] == ([(5, 5, 6)] if held == 6 else [])
        assert alert.ended_at == ended
    with org_scope(acme.org.pk):
        told = Delivery.objects.filter(alert=alert.pk).order_by("created_at", "event")
        assert list(told.values_list("event", flat=True)) == ["opened", "recovered"]


def test_an_alert_of_a_meter_stands_while_the_hour_that_differs_is_not_looked_at(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    account = make_stripe_customer(acme, quick)
    record_call(acme, NOW - HOUR, cost=5)
    fill(acme, NOW)
    send(acme, quick, NOW)
    double.usage["usage", account.stripe_customer, int((NOW - HOUR).timestamp())] = 9
    later = NOW + timedelta(minutes=20)
    with org_scope(acme.org.pk), time_machine.travel(later, tick=False):
        assert len(reconcile(acme.owner, quick, later)) == 1
        # Something more of the hour is sent.
        MeterDelta.objects.filter(org=acme.org).update(sent_at=later)
        assert reconcile(acme.owner, quick, later) == []
        assert Alert.objects.get(kind=AlertKind.METER.value).ended_at is None


def test_what_a_meter_cannot_know_yet_is_no_difference(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    account = make_stripe_customer(acme, quick)
    for hours in (1, 2):
        record_call(acme, NOW - HOUR * hours, cost=5)
    fill(acme, NOW)
    send(acme, quick, NOW)
    # The meter has not added it up; of the hour before it never will.
    for key in double.usage:
        double.usage[key] = 0
    with org_scope(acme.org.pk), time_machine.travel(NOW, tick=False):
        assert reconcile(acme.owner, quick, NOW + timedelta(minutes=10)) == []
        double.usage["usage", account.stripe_customer, int((NOW - HOUR).timestamp())] = 5
        found = reconcile(acme.owner, quick, NOW + timedelta(minutes=20))
    assert [(each.hour, each.sent, each.stripe) for each in found] == [(NOW - HOUR * 2, 5, 0)]


def test_what_comes_behind_one_without_an_answer_has_not_been_tried(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    make_stripe_customer(acme, quick)
    for hours in range(1, 5):
        record_call(acme, NOW - HOUR * hours, cost=hours)
    fill(acme, NOW)
    double.troubles = ["", "lost"]
    assert send(acme, quick, NOW) == 1
    with org_scope(acme.org.pk):
        rows = list(MeterDelta.objects.order_by("hour"))
    assert [(row.value, row.state, row.tries, row.first_tried_at) for row in rows] == [
        (4, "sent", 1, NOW),
        (3, "pending", 1, NOW),
        (2, "pending", 0, None),
        (1, "pending", 0, None),
    ]
    assert send(acme, quick, NOW + HOUR) == 3
    assert sum(double.usage.values()) == 10


def test_whoever_dies_before_writing_down_what_arrived_sends_it_again_and_it_counts_once(
    world: World, double: StripeDouble, quick: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = world.acme
    make_stripe_customer(acme, quick)
    for hours in (1, 2, 2):
        call = record_call(acme, NOW - HOUR * hours, cost=hours)
    fill(acme, NOW)
    record_correction(acme, call, -1)
    fill(acme, NOW)

    def die(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as dying:
        dying.setattr(outbox, "_keep_arrived", die)
        for _ in range(2):
            with pytest.raises(MemoryError):
                send(acme, quick, NOW)
    # Of one hour only one delta can be in doubt, so that the meter's sum tells.
    assert deltas(acme) == [(4, "pending"), (-1, "pending"), (1, "pending")]
    assert send(acme, quick, NOW + HOUR * 25) == 3
    assert (sum(double.usage.values()), {state for _, state in deltas(acme)}) == (4, {"sent"})


def test_no_number_of_refused_deltas_keeps_new_ones_waiting(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    make_stripe_customer(acme, quick)
    with org_scope(acme.org.pk):
        for hours in range(2, 32):
            MeterDelta.objects.create(
                org=acme.org,
                customer="cus_1",
                meter="gone",
                hour=NOW - HOUR * hours,
                sequence=1,
                value=1,
                identifier=f"{acme.org_id}:{hours}",
            )
    record_call(acme, NOW - HOUR, cost=7)
    with time_machine.travel(NOW, tick=False):
        assert send_outbox(acme.owner, quick, NOW, most=10) == 0
        fill(acme, NOW)
        assert sum(send_outbox(acme.owner, quick, NOW, most=10) for _ in range(4)) == 1
    assert sum(double.usage.values()) == 7
    with org_scope(acme.org.pk):
        # and they are tried in turn
        assert {row.tries for row in MeterDelta.objects.filter(meter="gone")} <= {1, 2}
