"""The FOCUS export: it lints as FOCUS 1.4, a planted error does not, and it sums to the ledger and to each document."""

import csv
import io
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from billing.invoices.actions.notes import make_note
from billing.invoices.actions.sellers import set_exchange_rate
from billing.invoices.selectors.focus import list_focus
from billing.spend.actions.rollups import roll_up
from billing.spend.selectors import focus
from tenants.access import org_scope
from tenants.actions.price_adjustments import AdjustmentKind, adjust_list_price
from tenants.choices import UpstreamKind
from tenants.models import ListPrice
from tests.billing.invoices.examples import DAY, DECEMBER, NOVEMBER, OCTOBER, SEPTEMBER, close, make_customer
from tests.billing.ledger import NOW, record_call
from tests.patience import PATIENCE_SECONDS
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World, make_catalog

Row = dict[str, str]


@pytest.fixture
def rows(world: World) -> list[Row]:
    made = make_catalog(
        world.acme, input_per_million="0.15", output_per_million="0.60", effective_from=NOW.replace(day=1)
    )
    assert made.price
    tokens = {"input_tokens": 1_001, "cache_read_input_tokens": 100, "output_tokens": 33}
    for hours in (0, 30):
        at = NOW.replace(day=20, hour=3) if hours else NOW
        record_call(world.acme, at, cost=170, price_id=made.price.pk, provider="openai", **tokens)
    record_call(world.acme, NOW, cost=0, list_cost=70, savings={"cache": 70}, cache_status="hit-l1", provider="openai")
    record_call(world.acme, NOW, status=429)
    with time_machine.travel(NOW.replace(day=23), tick=False):
        answer = Api(token=world.acme.admin_token).get("/spend/focus")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def lint(folder: Path, rows: list[Row]) -> subprocess.CompletedProcess[str]:
    path = folder / "focus.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    program = [sys.executable, "-m", "focus_data_toolkit", "validate", str(path), "--dataset", "cost-and-usage"]
    return subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def test_it_is_focus_1_4_and_a_planted_error_is_found(rows: list[Row], tmp_path: Path) -> None:
    good = lint(tmp_path, rows)
    assert good.returncode == 0, good.stdout + good.stderr
    for column, value in (("BillingCurrency", "DOLLAR"), ("EffectiveCost", ""), ("ChargePeriodStart", "2026-11-01")):
        broken = [dict(row) for row in rows]
        broken[0][column] = value
        assert lint(tmp_path, broken).returncode != 0, column


def test_it_sums_to_the_ledger_to_the_nano(rows: list[Row]) -> None:
    for column, nanos in (("EffectiveCost", 340), ("BilledCost", 340), ("ListCost", 410)):
        assert sum(Decimal(row[column]) for row in rows) * 10**9 == nanos
    for row in rows:
        if row["SkuPriceId"]:
            assert Decimal(row["ListUnitPrice"]) * int(row["PricingQuantity"]) == Decimal(row["ListCost"])
    assert sum(int(row["x_Calls"] or 0) for row in rows) == 4


def test_a_price_with_a_discount_on_it_is_another_sku_price(world: World) -> None:
    acme = world.acme
    listed = ListPrice.objects.create(
        provider="openai",
        model="gpt-x",
        effective_from=OCTOBER,
        source="typed by a test",
        input_per_million=Decimal(2),
        output_per_million=Decimal(8),
    )
    model = make_catalog(acme, kind=UpstreamKind.OPENAI, model="gpt-x", input_per_million=None).model
    with org_scope(acme.org.pk):
        change = adjust_list_price(actor=acme.owner, kind=AdjustmentKind.DISCOUNT, percent=Decimal(10), model=model)
    for adjustment, cost in ((None, 2_000_000), (change.pk, 1_800_000)):
        record_call(
            *(acme, OCTOBER + DAY),
            cost=cost,
            price_id=listed.pk,
            adjustment_id=adjustment,
            input_tokens=1_000,
            request_model="gpt-x",
            provider="openai",
        )
    with org_scope(acme.org.pk):
        rows = list(list_focus(acme.owner, OCTOBER, NOVEMBER))
    priced = [row for row in rows if row["SkuPriceId"]]
    assert {row["SkuPriceId"]: Decimal(row["ListUnitPrice"]) for row in priced} == {
        f"{listed.pk}/input": Decimal("0.000002"),
        f"{listed.pk}/{change.pk}/input": Decimal("0.0000018"),
    }


def test_calls_are_told_apart_by_their_tags(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = world.acme
    at, price = OCTOBER + DAY * 9, uuid4()
    for day, tags in ((0, {"team": "search", "env": "prod"}), (0, {"team": "ads"}), (0, {}), (1, {}), (2, {})):
        record_call(acme, at + DAY * day, cost=10, tags=tags, price_id=price)

    def show() -> list[tuple[str, str, str]]:
        with org_scope(acme.org.pk):
            rows = list(list_focus(acme.owner, OCTOBER, NOVEMBER))
        return [(row["ChargePeriodStart"][:10], row["Tags"], row["x_LedgerCost"]) for row in rows]

    by_tags = [
        ("2026-10-10", "{}", "0.000000010000"),
        ("2026-10-10", '{"team": "ads"}', "0.000000010000"),
        ("2026-10-10", '{"env": "prod", "team": "search"}', "0.000000010000"),
        ("2026-10-11", "{}", "0.000000010000"),
        ("2026-10-12", "{}", "0.000000010000"),
    ]
    assert sorted(show()) == sorted(by_tags)
    # Whether rows or the sums of days say so; what comes late is in rows alone.
    while roll_up():
        pass
    assert sorted(show()) == sorted(by_tags)
    record_call(acme, at + DAY, cost=7, tags={"team": "late"}, price_id=price)
    late = ("2026-10-11", '{"team": "late"}', "0.000000007000")
    assert sorted(show()) == sorted([*by_tags, late])
    # A day with too many sets of tags says of none that it has no tags.
    monkeypatch.setattr(focus, "MOST_TAG_SETS", 2)
    assert [row for row in show() if row[0] == "2026-10-10"] == [("2026-10-10", "", "0.000000030000")]


def total_of(rows: list[Row], column: str, **wanted: str) -> Decimal:
    return sum((Decimal(row[column] or 0) for row in rows if wanted.items() <= row.items()), Decimal(0))


@pytest.mark.parametrize(("currency", "rate"), [("USD", Decimal(1)), ("EUR", Decimal("0.87654321"))])
def test_what_is_billed_of_a_document_is_its_total(world: World, tmp_path: Path, currency: str, rate: Decimal) -> None:
    acme = world.acme
    if currency != "USD":
        set_exchange_rate(currency=currency, day=(NOVEMBER - DAY).date(), rate=rate, source="ECB")
    account = {"country": "DE", "tax_id": ""}
    terms: dict[str, Any] = {"fee": "49.99", "markup": "12.5", "included": "1", "grace_days": 0, "currency": currency}
    made = make_catalog(acme, input_per_million="0.15", output_per_million="0.60", effective_from=SEPTEMBER)
    assert made.price
    make_customer(acme, since=OCTOBER, account=account, coupon={"percent_off": "10"}, **terms)
    tokens = {"input_tokens": 1_000_001, "output_tokens": 333_333}
    record_call(acme, OCTOBER + DAY, cost=350_000_001, price_id=made.price.pk, provider="openai", **tokens)
    record_call(acme, OCTOBER + DAY * 2, cost=2_000_000_007, tags={"team": "search"})
    (october,) = close(acme, NOVEMBER)
    record_call(acme, OCTOBER + DAY * 3, cost=777_777_777)
    record_call(acme, NOVEMBER + DAY, cost=123_456_789)
    (november,) = close(acme, DECEMBER)
    with org_scope(acme.org.pk):
        note = make_note(actor=acme.owner, invoice=october, amounts={1: 10**9}, reason="Goodwill", now=DECEMBER)
        rows = [
            list(list_focus(acme.owner, start, end))
            for start, end in ((OCTOBER, NOVEMBER), (NOVEMBER, DECEMBER), (DECEMBER, DECEMBER + DAY))
        ]
        # By whatever pieces a month is fetched.
        pieces = [
            row
            for start, end in ((OCTOBER, OCTOBER + DAY * 9), (OCTOBER + DAY * 9, NOVEMBER))
            for row in list_focus(acme.owner, start, end)
        ]
    for document, there in ((october, rows[0]), (november, rows[1])):
        assert total_of(there, "BilledCost", InvoiceId=document.number) * 100 == document.total_cents
        assert {row["BillingCurrency"] for row in there} == {currency}
    assert total_of(rows[0], "BilledCost", InvoiceId=note.number) * 100 == -note.total_cents
    assert {row["ChargeClass"] for row in rows[0] if row["InvoiceId"] == note.number} == {"Correction"}
    ledger = [3_127_777_785, 123_456_789]
    for nanos, there in zip(ledger, rows, strict=False):
        assert total_of(there, "x_LedgerCost") * 10**9 == nanos
        usage = [row for row in there if row["x_LedgerCost"]]
        assert total_of(usage, "EffectiveCost") == Decimal(nanos).scaleb(-9) * rate
    # Over both months nothing of the usage is billed twice, or effective twice.
    late = [row for row in rows[0] + rows[1] if row["ChargeDescription"].startswith(("Usage that", "small: request"))]
    assert total_of(late, "BilledCost") == total_of(late, "EffectiveCost") == 0
    assert sorted(map(str, pieces)) == sorted(map(str, rows[0]))
    good = lint(tmp_path, rows[0] + rows[1])
    assert good.returncode == 0, good.stdout + good.stderr
    assert rows[2] == []


def test_more_than_a_month_is_too_much(world: World) -> None:
    answer = Api(token=world.acme.admin_token).get("/spend/focus", **{"from": "2026-01-01", "to": "2026-03-01"})
    assert check_problem(answer)["errors"][0]["field"] == "to"
