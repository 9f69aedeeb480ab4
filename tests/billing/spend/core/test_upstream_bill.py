"""An upstream's bill against the ledger: coverage, drift, and what explains it."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billing.spend.core.upstream_bill import Finding, Used, read_openai, read_table, reconcile_bill
from costhub.lib.errors import InvalidField

DAY = date(2026, 10, 31)
START = 1_793_404_800
USD = 10**9


@pytest.mark.parametrize(
    ("theirs", "ours", "finding"),
    [
        (Used(5 * USD, 100, 10), Used(5 * USD, 100, 10), Finding.AGREES),
        (Used(5 * USD), Used(5 * USD + 1, 7, 7), Finding.AGREES),
        (Used(None, 1_000, 0), Used(1, 996, 0), Finding.AGREES),
        (Used(5 * USD, 100, 10), None, Finding.MISSING_CALLS),
        (None, Used(5 * USD, 100, 10), Finding.NOT_ON_THE_BILL),
        (Used(5 * USD, 1_000, 0), Used(4 * USD, 800, 0), Finding.MISSING_TOKENS),
        # Class by class: what is too much of one is not too little of another.
        (Used(5 * USD, 900, 200), Used(5 * USD, 1_000, 100), Finding.MISSING_TOKENS),
        (Used(5 * USD, 500, 50), Used(10 * USD, 1_000, 100), Finding.EXTRA_TOKENS),
        # Of a class that the bill does not tell nothing is compared.
        (Used(5 * USD, 1_000), Used(5 * USD, 1_000, 900), Finding.AGREES),
        (Used(5 * USD, 1_000), Used(4 * USD, 1_000, 900), Finding.UNEXPLAINED),
        (Used(5 * USD, 1_000), Used(4 * USD, 1_000, 0), Finding.WRONG_PRICE),
        (Used(5 * USD, images=5), Used(4 * USD, images=4), Finding.MISSING_TOKENS),
        (Used(5 * USD, images=5), Used(5 * USD, 100, 10), Finding.AGREES),
        # Nothing is compared.
        (Used(images=5), Used(5 * USD, 100, 10), Finding.UNEXPLAINED),
        (Used(5 * USD, 100, 10), Used(0, 100, 10), Finding.UNPRICED),
        (Used(5 * USD, 100, 10), Used(4 * USD, 100, 10), Finding.WRONG_PRICE),
        (Used(5 * USD), Used(4 * USD, 100, 10), Finding.UNEXPLAINED),
    ],
)
def test_what_explains_a_row(theirs: Used | None, ours: Used | None, finding: Finding) -> None:
    there, here = ({(DAY, "m"): used} if used else {} for used in (theirs, ours))
    (match,) = reconcile_bill(there, here).matches
    assert match.finding is finding
    assert bool(match.text) == (finding is not Finding.AGREES)


@pytest.mark.parametrize(
    ("theirs", "ours", "text"),
    [
        (
            Used(5 * USD, 9, 9),
            Used(4 * USD, 9, 9),
            "As much was used, and the bill is 25.0 % higher: correct the price from that day on, and re-rate its calls.",
        ),
        (
            Used(4 * USD, 9, 9),
            Used(5 * USD, 9, 9),
            "As much was used, and the bill is 20.0 % lower: correct the price from that day on, and re-rate its calls.",
        ),
        (
            Used(5 * USD, 1_000, 50),
            Used(5 * USD, 2_000, 100),
            "The ledger has 2,000 input tokens, 1,000 more than the bill."
            " The ledger has 100 output tokens, 50 more than the bill.",
        ),
        (
            Used(5 * USD, 1_000, 200),
            Used(5 * USD, 2_000, 100),
            "The ledger has 2,000 input tokens, 1,000 more than the bill."
            " 100 of 200 output tokens on the bill are not in the ledger.",
        ),
        (
            Used(5 * USD, 1_000),
            Used(4 * USD, 1_000, 900),
            "The money differs; give the bill's output tokens too to find out why.",
        ),
    ],
)
def test_a_row_says_what_differs_and_by_how_much(theirs: Used, ours: Used, text: str) -> None:
    (match,) = reconcile_bill({(DAY, "m"): theirs}, {(DAY, "m"): ours}).matches
    assert match.text == text


def test_coverage_is_what_both_have() -> None:
    theirs = {(DAY, "a"): Used(6 * USD), (DAY, "b"): Used(4 * USD)}
    found = reconcile_bill(theirs, {(DAY, "a"): Used(5 * USD), (DAY, "c"): Used(9 * USD)})
    assert (found.coverage, found.drift, found.apart) == (500, 4 * USD, 14 * USD)
    assert [(match.model, match.coverage) for match in found.matches] == [("a", 833), ("b", 0), ("c", None)]
    assert reconcile_bill({}, {}).coverage is None


def test_openais_costs_and_usage_are_read() -> None:
    costs = {
        "data": [
            {
                "start_time": START,
                "results": [
                    {"amount": {"value": Decimal("0.06"), "currency": "usd"}, "line_item": "gpt-4o, input"},
                    {"amount": {"value": Decimal("0.0000000015"), "currency": "usd"}, "line_item": "gpt-4o, output"},
                ],
            }
        ]
    }
    assert read_openai(costs) == {(DAY, "gpt-4o"): Used(cost=60_000_002)}
    usage = {"data": [{"start_time": START, "results": [{"model": "gpt-4o", "input_tokens": 7, "output_tokens": 3}]}]}
    assert read_openai(usage) == {(DAY, "gpt-4o"): Used(None, 7, 3)}


def test_any_table_is_read() -> None:
    text = "day,model,cost,input_tokens,output_tokens\n2026-10-31,m,0.5,,\n2026-10-31,m,0.25,10,2\n"
    assert read_table(text) == {(DAY, "m"): Used(750_000_000, 10, 2)}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"data": [1]},
        {"data": [{"start_time": "x", "results": []}]},
        {"data": [{"start_time": 2**70, "results": []}]},
        {"data": [{"start_time": START, "results": [1]}]},
        {"data": [{"start_time": START, "results": [{"amount": {"value": "x"}}]}]},
        {"data": [{"start_time": START, "results": [{"amount": {"value": "1e99"}}]}]},
        {"data": [{"start_time": START, "results": [{"amount": {"value": 1, "currency": "eur"}}]}]},
        {"data": [{"start_time": START, "results": [{"input_tokens": -1}]}]},
        {"data": [{"start_time": START, "results": [{"input_tokens": True}]}]},
    ],
)
def test_what_is_no_bill_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(InvalidField):
        read_openai(data)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffday,model,cost\r\n2026-10-31,m,0.5\r\n",
        "day;model;cost\n2026-10-31;m;0,5\n",
        "\ufeffday;model;cost\r\n2026-10-31;m;0.5\r\n",
        "day,model,cost\r2026-10-31,m,0.5\r",
        "day;model;cost\r2026-10-31;m;0,5\r",
        " day , model,cost\n2026-10-31T09:00:00Z, m, 0.5 \n",
    ],
    ids=["spreadsheet", "semicolons", "both", "old ends of lines", "both of old", "moments"],
)
def test_a_table_is_read_as_programs_write_it(text: str) -> None:
    assert read_table(text) == {(DAY, "m"): Used(500_000_000)}


def test_a_provider_calls_its_columns_as_it_likes() -> None:
    text = "Usage Date,cost,Product,Amount,In\n2026-10-31,x,m,0.5,7\n"
    columns = {"day": "Usage Date", "model": "Product", "cost": "Amount", "input_tokens": "In"}
    assert read_table(text, columns) == {(DAY, "m"): Used(500_000_000, 7)}


@pytest.mark.parametrize(
    ("text", "columns", "field"),
    [
        ("day,model\n2026-10-31,m", {"price": "day"}, "columns"),
        ("day,model\n2026-10-31,m", {"cost": "Amount"}, "columns.cost"),
        ("Date,model\n2026-10-31,m", {}, "csv"),
        ("day,model,Amount\n2026-10-31,m,1", {"cost": "Amount", "input_tokens": "Amount"}, "columns"),
        ("day,model,cost,cost\n2026-10-31,m,1,2", {}, "csv"),
        ("day,model,Amount,Amount\n2026-10-31,m,1,2", {"cost": "Amount"}, "csv"),
        ('day,model,cost\n2026-10-31,m,1\n2026-10-31,"m' + "x" * 140_000, {}, "csv line 3"),
        ("day,model,cost\n2026-10-31,m,1\n\n2026-10-3\r1,m,1", {}, "csv line 4"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(text: str, columns: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        read_table(text, columns)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2",
        "day,model,cost\nx,m,1",
        "day,model,cost\n0001-01-01,m,1",
        "day,model,cost\n9999-12-31,m,1",
        "day,model,cost\n2026-10-31,m,NaN",
    ],
)
def test_so_is_a_table_that_is_none(text: str) -> None:
    with pytest.raises(InvalidField):
        read_table(text)
