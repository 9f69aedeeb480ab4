"""Sums by token class: whatever lies in days and whatever in rows, they are what the rows say."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from billing.spend.actions.rollups import roll_up
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.usage import UsageSums, add_up_usage, find_rates
from costhub.lib.errors import InvalidField
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tenants.actions.price_adjustments import AdjustmentKind, adjust_list_price
from tenants.choices import UpstreamKind
from tenants.models import ListPrice
from tenants.price_histories import load_price_versions
from tests.billing.ledger import NOW, record_call, record_correction
from tests.world import Tenant, World, make_catalog

DAY = timedelta(days=1)
SPAN = NOW - DAY * 9, NOW + DAY * 9


def add_up(tenant: Tenant, *split: str, span: tuple[datetime, datetime] = SPAN, **filters: Any) -> list[UsageSums]:
    with org_scope(tenant.org.pk):
        return add_up_usage(tenant.owner, *span, split, LedgerFilters(**filters))


def roll_all() -> None:
    with time_machine.travel(NOW + DAY * 30):
        while roll_up():
            pass


def furnish(tenant: Tenant) -> None:
    call = record_call(
        tenant,
        NOW,
        cost=100,
        input_tokens=50,
        cache_read_input_tokens=20,
        cache_write_input_tokens=5,
        audio_input_tokens=1,
        output_tokens=9,
        audio_output_tokens=2,
        tags={"team": "search"},
    )
    record_correction(tenant, call, -40, input_tokens=-10, tags={"team": "search"})
    record_call(tenant, NOW + DAY, cost=0, cache_status="hit-l1", list_cost=30, savings={"cache": 30})
    attempts = [{"number": 1, "cost": 3}, {"number": 2, "cost": 7}]
    record_call(tenant, NOW + DAY, cost=10, attempts=attempts, request_model="large", output_tokens=1)
    record_call(tenant, NOW + DAY, status=429)


SMALL = {
    "calls": 3,
    "hits": 1,
    "billed": 1,
    "input": 14,
    "cached_input": 20,
    "cache_write": 5,
    "audio_input": 1,
    "output": 7,
    "audio_output": 2,
    "list_cost": 90,
    "effective_cost": 60,
    "retried": 0,
    "saved_by_cache": 30,
}
LARGE = {"calls": 1, "billed": 1, "output": 1, "list_cost": 10, "effective_cost": 10, "retried": 3}


def shown(rows: list[UsageSums]) -> dict[Any, dict[str, int]]:
    return {row.keys[0]: {name: amount for name, amount in row.amounts.items() if amount} for row in rows}


@pytest.mark.parametrize("rolled", ["rows", "days", "days and late rows", "another zone"])
def test_days_and_rows_say_the_same(world: World, rolled: str) -> None:
    furnish(world.acme)
    record_call(world.mallcorp, NOW, cost=999)
    late = {"small": SMALL, "large": LARGE}
    if rolled != "rows":
        roll_all()
    if rolled == "days and late rows":
        record_call(world.acme, NOW + timedelta(hours=1), cost=5, request_model="large", input_tokens=2)
        more = {"calls": 2, "billed": 2, "input": 2, "list_cost": 15, "effective_cost": 15}
        late = {"small": SMALL, "large": LARGE | more}
    if rolled == "another zone":
        with org_scope(world.acme.org.pk):
            update_organization(actor=world.acme.owner, time_zone="Asia/Kolkata")
    found = shown(add_up(world.acme, "request_model"))
    assert found == {name: {key: n for key, n in sums.items() if n} for name, sums in late.items()}


def test_a_day_that_is_cut_is_read_from_rows(world: World) -> None:
    furnish(world.acme)
    roll_all()
    found = shown(add_up(world.acme, "request_model", span=(NOW, NOW + timedelta(minutes=1))))
    assert (found["small"]["calls"], found["small"]["effective_cost"]) == (1, 60)


def test_filters_and_no_split(world: World) -> None:
    furnish(world.acme)
    roll_all()
    assert [row["effective_cost"] for row in add_up(world.acme, model="large")] == [10]
    assert [row["effective_cost"] for row in add_up(world.acme, tags={"team": "search"})] == [60]
    assert add_up(world.acme, span=(NOW - DAY * 400, NOW - DAY * 300)) == []
    assert [row["effective_cost"] for row in add_up(world.acme, keys=(uuid4(), world.acme.key.pk))] == [70]
    assert add_up(world.acme, keys=(uuid4(),)) == []
    unknowns: list[dict[str, Any]] = [{"status": "ok"}, {"request_id": "01"}, {"without": "end_user"}]
    for unknown in unknowns:
        with pytest.raises(InvalidField):
            add_up(world.acme, **unknown)


def test_a_day_is_of_the_zone_that_the_organisation_has_when_it_is_summed(world: World) -> None:
    with org_scope(world.acme.org.pk):
        update_organization(actor=world.acme.owner, time_zone="America/New_York")
    # Half an hour before and after New York's midnight at the end of November's first Sunday, which has 25 hours.
    midnight = datetime(2026, 11, 2, 5, tzinfo=UTC)
    record_call(world.acme, midnight - timedelta(minutes=30), cost=1)
    record_call(world.acme, midnight + timedelta(minutes=30), cost=2)
    roll_all()
    sunday = (datetime(2026, 11, 1, 4, tzinfo=UTC), midnight)
    assert [row["effective_cost"] for row in add_up(world.acme, span=sunday)] == [1]


def test_what_was_paid_is_the_list_price_with_the_discount_on_it(world: World) -> None:
    """A tenth less on every amount, of the default tier and of another; the list price itself beside it."""
    listed = ListPrice.objects.create(
        provider="openai",
        model="gpt-x",
        effective_from=NOW - DAY,
        source="typed by a test",
        input_per_million=Decimal(2),
        output_per_million=Decimal(8),
        service_tiers={"flex": {"input_per_million": "1", "output_per_million": "4"}},
    )
    acme = world.acme
    model = make_catalog(acme, kind=UpstreamKind.OPENAI, model="gpt-x", input_per_million=None).model
    with org_scope(acme.org.pk):
        change = adjust_list_price(actor=acme.owner, kind=AdjustmentKind.DISCOUNT, percent=Decimal(10), model=model)
    paid, gone = (listed.pk, change.pk), (listed.pk, uuid4())
    with org_scope(acme.org.pk):
        found = load_price_versions(acme.owner, [paid, (listed.pk, None), gone, (None, None)])
    assert found.keys() == {paid, (listed.pk, None)}
    rates = [find_rates(found.get(one), tier) for one in (paid, (listed.pk, None)) for tier in ("", "flex")]
    assert [(one["input"], one["output"]) for one in rates] == [
        (1_800_000, 7_200_000),
        (900_000, 3_600_000),
        (2_000_000, 8_000_000),
        (1_000_000, 4_000_000),
    ]
    assert find_rates(found[paid], "scale") == find_rates(found.get(gone), "") == {}
