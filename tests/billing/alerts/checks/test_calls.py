"""What the newest rows tell, and how few of them are no verdict."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import time_machine

from billing.alerts.checks.calls import list_active_orgs, watch_calls
from billing.alerts.checks.standing import watch_standing
from billing.alerts.models import Alert, Delivery
from tenants.access import org_scope
from tenants.actions.keys import create_key, rotate_key
from tenants.actions.pricing import create_price
from tests.billing.ledger import NOW, record_call
from tests.world import Tenant, World, make_catalog


def alerts(tenant: Tenant) -> list[Alert]:
    with org_scope(tenant.org.pk):
        return list(Alert.objects.filter(org=tenant.org).order_by("kind", "subject", "threshold"))


@pytest.fixture
def upstream(world: World) -> UUID:
    return UUID(str(make_catalog(world.acme).upstream.pk))


def call(world: World, upstream: UUID, status: int, minutes_ago: int = 1, **more: Any) -> None:
    attempts = [{"number": 1, "status": status, "certainty": "exact", "cost": 0, "error": ""}]
    error = {"error_code": "upstream_error"} if status >= 500 else {}
    record_call(
        world.acme,
        NOW - timedelta(minutes=minutes_ago),
        **{"status": status, "upstream_id": upstream, "attempts": attempts, **error, **more},
    )


def test_an_upstream_that_fails_is_told_and_so_is_its_recovery(world: World, upstream: UUID) -> None:
    for _ in range(5):
        call(world, upstream, 200)
        call(world, upstream, 503)
    watch_calls(world.acme.org.pk, NOW)
    (alert,) = alerts(world.acme)
    assert alert.facts == {
        "name": "for small",
        "calls": 10,
        "failed": 5,
        "minutes": 5,
        "error": "503 upstream_error",
    }
    assert (alert.severity, alert.ended_at) == ("critical", None)
    for _ in range(3):
        call(world, upstream, 200)
    watch_calls(world.acme.org.pk, NOW)
    assert alerts(world.acme)[0].ended_at == NOW
    with org_scope(world.acme.org.pk):
        told = Delivery.objects.filter(alert=alert.pk).order_by("created_at", "event")
        assert list(told.values_list("event", flat=True)) == ["opened", "recovered"]


def test_an_upstream_that_wavers_about_half_is_one_alert(world: World, upstream: UUID) -> None:
    """Of ten calls in each five minutes five fail, then four, and so on: it is over when three do, and another one when
    five fail again."""
    seen = []
    for round_, failed in enumerate((5, 4, 5, 4, 3, 4, 5)):
        at = 60 - 6 * round_
        for number in range(10):
            call(world, upstream, 503 if number < failed else 200, minutes_ago=at)
        watch_calls(world.acme.org.pk, NOW - timedelta(minutes=at - 1))
        seen.append(sorted(alert.ended_at is None for alert in alerts(world.acme)))
    assert seen == [[True], [True], [True], [True], [False], [False], [False, True]]
    with org_scope(world.acme.org.pk):
        assert Delivery.objects.filter(org=world.acme.org, event="opened").count() == 2


def test_nine_calls_are_no_verdict(world: World, upstream: UUID) -> None:
    for _ in range(9):
        call(world, upstream, 503)
    watch_calls(world.acme.org.pk, NOW)
    assert alerts(world.acme) == []


@pytest.mark.parametrize(("statuses", "is_over"), [((200, 200, 503), False), ((200, 200, 200), True)])
def test_of_a_few_calls_none_may_fail_for_it_to_be_over(
    world: World, upstream: UUID, statuses: tuple[int, ...], is_over: bool
) -> None:
    """A third of three is no verdict either: it would be told as over, and with the next ten as begun."""
    for _ in range(10):
        call(world, upstream, 503, minutes_ago=6)
    watch_calls(world.acme.org.pk, NOW - timedelta(minutes=5))
    for status in statuses:
        call(world, upstream, status)
    watch_calls(world.acme.org.pk, NOW)
    assert [alert.ended_at is not None for alert in alerts(world.acme)] == [is_over]


def test_while_nobody_calls_it_stands_and_after_a_while_it_is_forgotten(world: World, upstream: UUID) -> None:
    for _ in range(10):
        call(world, upstream, 503)
    watch_calls(world.acme.org.pk, NOW)
    watch_calls(world.acme.org.pk, NOW + timedelta(minutes=10))
    assert alerts(world.acme)[0].ended_at is None
    assert world.acme.org.pk in list_active_orgs(NOW + timedelta(days=1))
    watch_calls(world.acme.org.pk, NOW + timedelta(minutes=16))
    assert alerts(world.acme)[0].ended_at == NOW + timedelta(minutes=16)


@pytest.mark.parametrize("status", [400, 404, 499])
def test_a_callers_own_mistakes_are_no_failure(world: World, upstream: UUID, status: int) -> None:
    for _ in range(20):
        call(world, upstream, status)
    for _ in range(20):
        record_call(world.acme, NOW - timedelta(minutes=1), status=429, upstream_id=upstream, attempts=[])
    watch_calls(world.acme.org.pk, NOW)
    assert alerts(world.acme) == []


def test_a_model_without_a_price_is_told_once_a_day(world: World) -> None:
    for _ in range(3):
        record_call(world.acme, NOW, status=402, error_code="model_not_priced", request_model="new")
    record_call(world.acme, NOW, request_model="odd", price_id=None)
    record_call(world.acme, NOW - timedelta(days=1), status=402, error_code="model_not_priced", request_model="old")
    for _ in range(2):
        watch_calls(world.acme.org.pk, NOW)
    assert [(alert.subject, alert.facts) for alert in alerts(world.acme)] == [
        ("new", {"model": "new", "refused": 3, "answered": 0}),
        ("odd", {"model": "odd", "refused": 0, "answered": 1}),
    ]


def test_refusals_are_over_when_there_is_a_price_and_answers_without_one_are_not(world: World) -> None:
    make_catalog(world.acme, model="new", input_per_million=None)
    make_catalog(world.acme, model="odd", input_per_million=None)
    for model in ("new", "odd"):
        record_call(world.acme, NOW, status=402, error_code="model_not_priced", request_model=model, price_id=None)
    record_call(world.acme, NOW, request_model="odd", price_id=None)
    watch_calls(world.acme.org.pk, NOW)
    assert [alert.ended_at for alert in alerts(world.acme)] == [None, None]
    with org_scope(world.acme.org.pk), time_machine.travel(NOW, tick=False):
        # The price of every model that has none of its own.
        create_price(actor=world.acme.owner, model=None, input_per_million=Decimal(1), output_per_million=Decimal(2))
    watch_calls(world.acme.org.pk, NOW + timedelta(minutes=1))
    assert [(alert.subject, alert.ended_at) for alert in alerts(world.acme)] == [
        ("new", NOW + timedelta(minutes=1)),
        ("odd", None),
    ]


def test_an_overrun_is_critical_and_says_by_how_much(world: World) -> None:
    record_call(world.acme, NOW, cost=150, held=100, is_overrun=True)
    record_call(world.acme, NOW, cost=101, held=100, is_overrun=True)
    watch_calls(world.acme.org.pk, NOW)
    (alert,) = alerts(world.acme)
    assert (alert.kind, alert.severity) == ("overrun", "critical")
    assert alert.facts == {"model": "small", "calls": 2, "excess": 51}


def test_a_key_that_expires_is_told_at_fourteen_days_and_at_three(world: World) -> None:
    acme = world.acme
    with time_machine.travel(NOW, tick=False), org_scope(acme.org.pk):
        create_key(actor=acme.owner, name="old", expires_at=NOW + timedelta(days=400))
    for day, known in [(385, []), (386, [14]), (390, [14]), (397, [3, 14]), (399, [3, 14])]:
        watch_standing(acme.org.pk, NOW + timedelta(days=day))
        assert [alert.threshold for alert in alerts(acme)] == known, day
    watch_standing(acme.org.pk, NOW + timedelta(days=401))
    assert all(alert.ended_at is not None for alert in alerts(acme))


def test_a_key_that_was_rotated_may_end(world: World) -> None:
    acme = world.acme
    with time_machine.travel(NOW, tick=False), org_scope(acme.org.pk):
        key = create_key(actor=acme.owner, name="old", expires_at=NOW + timedelta(days=2)).key
        rotate_key(actor=acme.owner, key=key, grace_seconds=3600)
    watch_standing(acme.org.pk, NOW)
    with org_scope(acme.org.pk):
        key.refresh_from_db()
    assert {alert.subject for alert in alerts(acme)} == {str(key.rotated_to)}
