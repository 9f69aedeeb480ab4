"""The FOCUS export: it lints as FOCUS 1.4, a planted error does not, and it sums to the ledger."""

import csv
import io
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import time_machine

from tests.billing.ledger import NOW, record_call
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
    return subprocess.run(program, capture_output=True, text=True, timeout=120)


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


def test_more_than_a_month_is_too_much(world: World) -> None:
    answer = Api(token=world.acme.admin_token).get("/spend/focus", **{"from": "2026-01-01", "to": "2026-03-01"})
    assert check_problem(answer)["errors"][0]["field"] == "to"
