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


def test_a_wrong_price_says_by_how_much() -> None:
    (match,) = reconcile_bill({(DAY, "m"): Used(5 * USD, 9, 9)}, {(DAY, "m"): Used(4 * USD, 9, 9)}).matches
    text = "The same tokens, and the bill is 25.0 % higher: correct the price from that day on, and re-rate its calls."
    assert (match.drift, match.text) == (-USD, text)


def test_coverage_is_what_both_have() -> None:
    theirs = {(DAY, "a"): Used(6 * USD), (DAY, "b"): Used(4 * USD)}
    found = reconcile_bill(theirs, {(DAY, "a"): Used(5 * USD), (DAY, "c"): Used(9 * USD)})
    assert (found.coverage, found.drift) == (500, 4 * USD)
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


@pytest.mark.parametrize("text", ["", "a,b\n1,2", "day,model,cost\nx,m,1", "day,model,cost\n2026-10-31,m,NaN"])
def test_so_is_a_table_that_is_none(text: str) -> None:
    with pytest.raises(InvalidField):
        read_table(text)
