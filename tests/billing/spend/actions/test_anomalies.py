"""What the job finds in the ledger, and that it finds it once."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.choices import AnomalyUnit
from billing.spend.actions.anomalies import detect_anomalies, detect_anomaly
from billing.spend.models import Anomaly
from tenants.access import org_scope
from tenants.choices import BudgetScope
from tests.billing.ledger import record_call
from tests.billing.outlook import USD
from tests.world import World

#: a Sunday, just after midnight
NOW = datetime(2026, 11, 22, 0, 9, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def steady(world: World) -> World:
    """Thirty days of ten dollars, until the day before yesterday."""
    for back in range(2, 32):
        record_call(world.acme, noon(back), cost=10 * USD, input_tokens=1000, end_user="una")
    return world


def noon(back: int) -> datetime:
    return NOW.replace(hour=12, minute=0) - DAY * back


def stored(world: World) -> list[Anomaly]:
    with org_scope(world.acme.org.pk):
        return list(Anomaly.objects.filter(org=world.acme.org).order_by("scope"))


def test_four_times_the_calls(steady: World) -> None:
    for minute in range(3):
        record_call(steady.acme, noon(1) + timedelta(minutes=minute), cost=10 * USD, input_tokens=1000, end_user="mia")
    record_call(steady.acme, noon(1), cost=10 * USD, input_tokens=1000, end_user="una")
    assert detect_anomalies(steady.acme.owner, NOW) == 4
    rows = stored(steady)
    assert [(row.scope, row.subject) for row in rows] == [
        ("key", str(steady.acme.key.pk)),
        ("model", "small"),
        ("organization", ""),
        ("project", str(steady.acme.project.pk)),
    ]
    for row in rows:
        assert (row.unit, row.starts, row.severity) == ("day", NOW.replace(minute=0) - DAY, "high")
        assert (row.actual, row.expected, row.cause) == (40 * USD, 10 * USD, "calls")
        assert (row.calls, row.tokens, row.price) == (30 * USD, 0, 0)
    assert (rows[0].driver_dimension, rows[0].driver_subject, rows[0].driver_excess) == (
        "end_user",
        "mia",
        30 * USD,
    )


def test_longer_calls_at_a_dearer_price(steady: World) -> None:
    record_call(steady.acme, noon(1), cost=60 * USD, input_tokens=3000, end_user="una")
    detect_anomalies(steady.acme.owner, NOW)
    row = stored(steady)[2]
    assert (row.calls, row.tokens, row.price, row.cause) == (0, 20 * USD, 30 * USD, "price")
    assert (row.driver_dimension, row.driver_subject) == ("key", str(steady.acme.key.pk))


def test_a_silent_day_is_one_too_of_low_severity(steady: World) -> None:
    assert detect_anomalies(steady.acme.owner, NOW) == 4
    assert {(row.severity, row.actual, row.calls) for row in stored(steady)} == {("low", 0, -10 * USD)}


def test_twice_stores_once(steady: World) -> None:
    detect_anomalies(steady.acme.owner, NOW)
    before = [row.pk for row in stored(steady)]
    assert detect_anomalies(steady.acme.owner, NOW + timedelta(hours=1)) == 0
    assert [row.pk for row in stored(steady)] == before


def test_two_workers_at_once_store_once(steady: World) -> None:
    day = NOW.replace(minute=0) - DAY, NOW.replace(minute=0)
    place = (AnomalyUnit.DAY, day, BudgetScope.ORGANIZATION, "")
    assert [detect_anomaly(steady.acme.owner, *place) for _ in range(2)] == [True, True]
    assert len(stored(steady)) == 1


def test_a_usual_day_is_none(steady: World) -> None:
    record_call(steady.acme, noon(1), cost=11 * USD, input_tokens=1000)
    assert detect_anomalies(steady.acme.owner, NOW) == 0
    assert stored(steady) == []


def test_an_unusual_hour(world: World) -> None:
    for back in range(2, 20 * 24):
        record_call(world.acme, NOW - timedelta(hours=back), cost=USD)
    record_call(world.acme, NOW - timedelta(hours=1), cost=30 * USD)
    detect_anomalies(world.acme.owner, NOW)
    hours = [row for row in stored(world) if row.unit == "hour"]
    assert [row.scope for row in hours] == ["key", "model", "organization", "project"]
    assert {(row.starts, row.actual, row.expected) for row in hours} == {
        (NOW.replace(minute=0) - timedelta(hours=1), 30 * USD, USD)
    }
