"""Which invoice charges a moment, wherever a tenant moves: no gap, no overlap, and what is said before an invoice is
made is what it is."""

import csv
import io
import json
import zipfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.actions.accounts import subscribe
from billing.invoices.actions.packs import make_pack
from billing.invoices.core.calendar import Bounds, find_unbilled
from billing.invoices.selectors.due import _list_months
from billing.invoices.selectors.focus import list_focus
from billing.invoices.selectors.periods import Periods, load_periods
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tests.billing.invoices.examples import (
    DAY,
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    close,
    lines_of,
    make_customer,
    make_plan,
)
from tests.billing.ledger import record_call
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, Tenant, World

ZONES = st.sampled_from(["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Pago_Pago"])
HOUR = timedelta(hours=1)
#: hours of two years, the zone that holds then, and of the months that nobody has billed how many are left for later
RUNS = st.lists(st.tuples(st.integers(0, 2 * 365 * 24), ZONES, st.integers(0, 2)), min_size=1, max_size=6)


def bill(runs: list[tuple[int, str, int]]) -> tuple[list[Bounds], str, datetime]:
    """The documents that closing makes, the last zone and its moment."""
    documents: list[Bounds] = []
    zone, now = "UTC", OCTOBER
    for hour, zone, left in sorted(runs):
        now = OCTOBER + timedelta(hours=hour)
        found = find_unbilled(_list_months(OCTOBER, now, zone), [(OCTOBER, None)], documents)
        documents += found[: max(len(found) - left, 0)]
    return documents, zone, now


@given(RUNS, st.lists(st.integers(0, 900 * 24), min_size=1, max_size=8))
def test_a_moment_has_the_period_of_the_invoice_that_it_gets(runs: list[tuple[int, str, int]], at: list[int]) -> None:
    documents, zone, _ = bill(runs)
    periods = Periods(documents, zone)
    told = {moment: periods.find(moment) for moment in (OCTOBER + timedelta(hours=hour) for hour in at)}
    later = find_unbilled(_list_months(OCTOBER, OCTOBER + DAY * 1000, zone), [(OCTOBER, None)], documents)
    for moment, (start, end) in told.items():
        assert [each for each in (*documents, *later) if each[0] <= moment < each[1]] == [(start, end)]


@given(RUNS)
def test_periods_tile_and_each_is_a_months(runs: list[tuple[int, str, int]]) -> None:
    documents, zone, _ = bill(runs)
    periods = Periods(documents, zone)
    found = [periods.find(OCTOBER)]
    while found[-1][1] < OCTOBER + DAY * 800:
        found.append(periods.find(found[-1][1]))
    assert all(earlier[1] == later[0] for earlier, later in pairwise(found))
    months = [periods.name(each) for each in found]
    assert all((later - earlier).days in range(28, 32) for earlier, later in pairwise(months))
    assert [periods.of_month(month) for month in months] == found


def move(tenant: Tenant, zone: str) -> None:
    with org_scope(tenant.org.pk):
        update_organization(actor=tenant.owner, time_zone=zone)


@pytest.mark.parametrize(
    ("before", "after", "november"),
    [
        # Westwards: ten hours of the old October's evening are charged with November.
        ("Pacific/Kiritimati", "UTC", OCTOBER + DAY * 30 + HOUR * 10),
        # Eastwards: November begins where October's invoice ends, not where the calendar says.
        ("America/Los_Angeles", "Asia/Kolkata", NOVEMBER + HOUR * 7),
    ],
)
def test_each_row_is_in_the_period_of_the_invoice_that_charged_it(
    world: World, before: str, after: str, november: datetime
) -> None:
    acme = world.acme
    move(acme, before)
    make_customer(acme, since=OCTOBER - DAY, fee="49.00", markup="10", grace_days=0)
    costs = {
        OCTOBER + DAY * 9: 1_000_000_000,
        november - HOUR: 20_000_000,
        november + HOUR: 300_000_000,
        DECEMBER - DAY: 4_000_000,
        DECEMBER + DAY: 50_000_000,
    }
    for at, cost in costs.items():
        record_call(acme, at, cost=cost)
    close(acme, NOVEMBER + DAY * 2)
    move(acme, after)

    def show() -> dict[str, tuple[str, str]]:
        with org_scope(acme.org.pk):
            rows = [
                row
                for start, end in ((OCTOBER - DAY, NOVEMBER - DAY * 5), (NOVEMBER - DAY * 5, NOVEMBER + DAY * 20))
                for row in list_focus(acme.owner, start, end)
            ]
            rows += list_focus(acme.owner, NOVEMBER + DAY * 20, DECEMBER + DAY * 3)
        usage = [row for row in rows if row["ChargeCategory"] == "Usage" and row["x_LedgerCost"]]
        assert len(usage) == len(costs)
        return {row["x_LedgerCost"]: (row["BillingPeriodStart"], row["BillingPeriodEnd"]) for row in usage}

    told = show()
    late = close(acme, DECEMBER + DAY * 2)
    with org_scope(acme.org.pk):
        periods = load_periods(acme.owner)
    # What was told of November before it was invoiced is what its invoice says.
    assert show() == told
    assert late[0].period_start == november
    for at, cost in costs.items():
        start, end = periods.find(at)
        assert told[f"{Decimal(cost).scaleb(-9):.12f}"] == (f"{start:%Y-%m-%dT%H:%M:%SZ}", f"{end:%Y-%m-%dT%H:%M:%SZ}")
    # A month's papers are of its invoice's time: all of its usage, and nothing of its neighbours'.
    for month, nanos in ((date(2026, 10, 1), 1_020_000_000), (date(2026, 11, 1), 304_000_000)):
        with org_scope(acme.org.pk):
            archive, _ = make_pack(acme.owner, month, DECEMBER + DAY * 2, None)
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            wanted = ("reconciliation.json", "focus.csv", "manifest.json")
            papers = {name: opened.read(name).decode() for name in wanted}
        found = json.loads(papers["reconciliation.json"])
        usd = f"{Decimal(nanos).scaleb(-9):.9f}"
        assert found == {
            "ledger": usd,
            "billed": usd,
            "late": "0.000000000",
            "focus": usd,
            "chargeback": usd,
            "to_meter": None,
            "metered": None,
            "agrees": True,
        }
        rows = list(csv.DictReader(io.StringIO(papers["focus.csv"])))
        (manifest,) = json.loads(papers["manifest.json"])["documents"]
        assert {row["InvoiceId"] for row in rows} == {manifest["number"]}
        billed = sum(Decimal(row["BilledCost"]) for row in rows)
        assert billed * 100 == int(manifest["total_cents"])


def test_the_api_gives_a_month_as_its_invoice_has_it(world: World) -> None:
    acme = world.acme
    move(acme, "Pacific/Kiritimati")
    make_customer(acme, since=OCTOBER, fee="49.00", grace_days=0)
    evening = OCTOBER + DAY * 30 + HOUR * 12
    for at, cost in ((OCTOBER + DAY, 1_000), (evening, 20_000), (NOVEMBER + DAY, 300_000)):
        record_call(acme, at, cost=cost)
    close(acme, NOVEMBER + DAY * 2)
    move(acme, "UTC")
    close(acme, DECEMBER + DAY * 2)
    api = Api(token=acme.admin_token)

    def costs(month: str) -> list[str]:
        rows = csv.DictReader(io.StringIO(api.get("/spend/focus", month=month).content.decode()))
        return [row["x_LedgerCost"] for row in rows if row["x_LedgerCost"]]

    # Ten hours of the old October are November's, and each call is in one file.
    assert costs("2026-10") == ["0.000001000000"]
    assert sorted(costs("2026-11")) == ["0.000020000000", "0.000300000000"]
    for wrong in ({"month": "2026-13"}, {"month": "x"}, {"month": "2026-10", "from": "2026-10-01"}):
        assert check_problem(api.get("/spend/focus", **wrong))["errors"][0]["field"] == "month"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_a_coupon_of_one_month_is_on_one_invoice(world: World, zone: str) -> None:
    acme = world.acme
    move(acme, zone)
    coupon = {"percent_off": "50", "months": 1}
    make_customer(acme, since=OCTOBER + DAY * 14, fee="31.00", grace_days=0, coupon=coupon)
    october, november = (close(acme, moment)[0] for moment in (NOVEMBER + DAY * 2, DECEMBER + DAY * 2))
    fee, taken = lines_of(acme, october)
    assert (fee.kind, taken.kind, taken.nanos) == ("fee", "coupon", -(fee.nanos // 2))
    assert [(line.kind, line.nanos) for line in lines_of(acme, november)] == [("fee", 31_000_000_000)]


@pytest.mark.parametrize(
    ("before", "after", "november"),
    [
        ("Asia/Tokyo", "UTC", NOVEMBER - HOUR * 9),
        ("America/Los_Angeles", "Asia/Tokyo", NOVEMBER + HOUR * 7),
        ("UTC", "Pacific/Kiritimati", NOVEMBER),
    ],
)
def test_a_move_takes_no_coupon_away_and_adds_none(world: World, before: str, after: str, november: datetime) -> None:
    acme = world.acme
    move(acme, before)
    make_customer(acme, since=OCTOBER - DAY, fee="31.00", grace_days=0)
    close(acme, NOVEMBER + DAY * 2)
    with org_scope(acme.org.pk):
        plan = make_plan(fee="31.00", grace_days=0)
        subscribe(actor=acme.owner, plan=plan, at=november, coupon={"percent_off": "50", "months": 1})
    move(acme, after)
    invoices = [close(acme, moment)[-1] for moment in (DECEMBER + DAY * 2, DECEMBER + DAY * 33)]
    assert invoices[0].period_start == november
    kinds = [[line.kind for line in lines_of(acme, invoice)] for invoice in invoices]
    assert kinds == [["fee", "coupon"], ["fee"]]
