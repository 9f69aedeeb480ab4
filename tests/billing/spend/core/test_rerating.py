"""One call rated again: what it comes to, which rows say so, and which calls are left alone."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.spend.core.rerating import Change, LeftOut, rerate, row_id
from proxy.core.row import add_usage, correction_row, read_usage, usage_columns
from proxy.values.attempt import Usage
from tenants.price_snapshots import PriceSnapshot, Rates

MODEL = "small"
CALL = "019ab000-0000-7000-8000-000000000001"


def make_price(name: str, input_picos: int, output_picos: int, fee: int = 0) -> PriceSnapshot:
    rates = Rates(*(input_picos if "output" not in field else output_picos for field in Rates._fields))
    return PriceSnapshot(id=name, effective_from_ms=0, rates=rates, per_request=fee)


def make_call(used: Usage, cost: int, *, price_id: str | None = "old", **options: Any) -> dict[str, Any]:
    attempt = {"number": 1, "status": 200, "certainty": "exact", "model": MODEL, "cost": cost, "usage": used.to_row()}
    row = {
        "id": CALL,
        "started_at_ms": 1_000,
        "kind": "call",
        "corrects": None,
        "route_reason": "direct",
        "request_model": MODEL,
        "response_model": MODEL,
        "attempts": [attempt],
        "price_id": price_id,
        "adjustment_id": None,
        "service_tier": "",
        "list_cost": cost,
        "effective_cost": cost,
        "is_estimated": False,
        **usage_columns(used),
    }
    return row | options


def again(rows: list[dict[str, Any]], price: PriceSnapshot | None, mark: str = "m") -> Any:
    return rerate(rows, MODEL, lambda _at_ms, _name: price, mark)


def test_a_call_goes_from_one_version_to_the_other_with_tokens_and_money() -> None:
    call = make_call(Usage(input=1_000, output=10), 1_020)
    found = again([call], make_price("new", 3_000, 2_000))
    assert isinstance(found, Change)
    assert (found.before, found.after) == (1_020, 3_020)
    shown = [
        (row["kind"], row["price_id"], row["input_tokens"], row["output_tokens"], row["effective_cost"])
        for row in found.rows
    ]
    assert shown == [("correction", "old", -1_000, -10, -1_020), ("correction", "new", 1_000, 10, 3_020)]
    assert {row["corrects"] for row in found.rows} == {CALL}


def test_a_call_that_had_no_price_has_one() -> None:
    found = again([make_call(Usage(input=1_000), 0, price_id=None)], make_price("new", 3_000, 1))
    assert isinstance(found, Change)
    assert [(row["price_id"], row["effective_cost"]) for row in found.rows] == [(None, 0), ("new", 3_000)]


def test_what_costs_what_it_should_is_left_alone() -> None:
    call = make_call(Usage(input=1_000, output=10), 1_020, price_id="now")
    assert again([call], make_price("now", 1_000, 2_000)) is None


def test_without_a_price_of_that_moment_it_is_left_alone() -> None:
    assert again([make_call(Usage(input=1), 1)], None) is LeftOut.UNPRICED


def test_an_estimate_waits_for_its_truth_and_is_rated_with_it() -> None:
    call = make_call(Usage(), 9_999, is_estimated=True)
    call["attempts"][0]["certainty"] = "bound"
    price = make_price("new", 3_000, 1)
    assert again([call], price) is LeftOut.ESTIMATE
    truth = correction_row(call, "019ab000-0000-8000-8000-000000000001", Usage(input=100), 100, overrun=False)
    found = again([call, truth], price)
    assert isinstance(found, Change)
    assert (found.before, found.after) == (100, 300)


def test_each_attempt_is_rounded_up_as_it_was() -> None:
    call = make_call(Usage(input=1), 1)
    call["attempts"].append({**call["attempts"][0], "number": 2})
    call |= {"effective_cost": 2, **usage_columns(Usage(input=2))}
    found = again([call], make_price("new", 1_500, 1))
    assert isinstance(found, Change)
    assert found.after == 4


@pytest.mark.parametrize("asked", [MODEL, "route"])
def test_calls_that_were_asked_as_one_have_one_fee_together(asked: str) -> None:
    """Of four: 100 tokens at 2 nano-USD each, and a quarter of a fee of 8,000."""
    call = make_call(Usage(input=100), 1_100, request_model=asked)
    call["attempts"][0]["packed"] = 4
    found = again([call], make_price("new", 2_000, 1, fee=8_000_000))
    assert isinstance(found, Change)
    assert (found.before, found.after) == (1_100, 2_200)


def test_a_part_of_a_call_that_other_models_answered_too_is_money_alone() -> None:
    call = make_call(Usage(input=100), 100)
    other = {"number": 2, "status": 200, "certainty": "exact", "model": "large", "cost": 700, "usage": {"input": 100}}
    call["attempts"].append(other)
    call |= {"effective_cost": 800, **usage_columns(Usage(input=200))}
    found = rerate([call], "large", lambda _at_ms, _name: make_price("new", 9_000, 1), "m")
    assert isinstance(found, Change)
    (row,) = found.rows
    assert (row["effective_cost"], row["input_tokens"]) == (200, 0)
    assert row["attempts"] == [{"model": "large", "cost": 200}]


def test_whose_correction_a_mixed_calls_is_nobody_knows() -> None:
    call = make_call(Usage(input=100), 100)
    call["attempts"].append({**call["attempts"][0], "number": 2, "model": "large"})
    truth = correction_row(call, "019ab000-0000-8000-8000-000000000001", Usage(input=100), 70, overrun=False)
    assert again([call, truth], make_price("new", 1, 1)) is LeftOut.MIXED


def test_ids_are_of_the_calls_moment_and_of_one_re_rating() -> None:
    keys = [("old", None, ""), ("new", None, ""), ("new", "x", "flex")]
    ids = {row_id(CALL, key, mark) for key in keys for mark in ("a", "b")}
    assert len(ids) == 6
    assert all(each.startswith("019ab000-0000-8") and len(each) == 36 for each in ids)
    assert row_id(CALL, keys[0], "a") in ids


amounts = st.integers(min_value=0, max_value=10**6)


@given(
    used=st.tuples(amounts, amounts, amounts).map(
        lambda each: Usage(input=each[0], cached_input=each[1], output=each[2])
    ),
    cost=amounts,
    prices=st.lists(st.tuples(amounts, amounts, amounts), min_size=1, max_size=4),
)
def test_however_often_prices_are_corrected_the_rows_sum_to_the_last_one(
    used: Usage, cost: int, prices: list[tuple[int, int, int]]
) -> None:
    rows = [make_call(used, cost)]
    for number, (input_picos, output_picos, fee) in enumerate(prices):
        price = make_price(f"v{number}", input_picos, output_picos, fee)
        found = again(rows, price, str(number))
        rows += found.rows if isinstance(found, Change) else ()
        assert again(rows, price, "again") is None
        if any(used) or cost:
            expected = -(-((used.input + used.cached_input) * input_picos + used.output * output_picos + fee) // 1_000)
            assert sum(row["effective_cost"] for row in rows) == expected
            by_version = Counter[str]()
            for row in rows:
                by_version[row["price_id"]] += row["effective_cost"]
            assert +by_version == Counter({price.id: expected} if expected else {})
        assert add_usage([read_usage(row) for row in rows]) == used
