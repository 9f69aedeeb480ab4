"""The made-up history: the same each time, and as a real one is."""

from collections import Counter
from datetime import timedelta

import pytest

from billing.demo.calls import ANOMALY_DAY, DemoBudget, DemoModel, DemoRoute, Habit, make_events
from proxy.core.pricing import cost
from proxy.core.row import Row, read_usage
from tenants.price_snapshots import PriceSnapshot, make_rates
from tenants.snapshots import KeySnapshot
from tests.billing.ledger import NOW

KEY = KeySnapshot("k", "o", "p", 1, None, None, None, is_revoked=False)
DEAR = PriceSnapshot("11111111-0000-7000-8000-000000000000", 0, make_rates({"input": 2_500_000, "output": 10_000_000}))
CHEAP = PriceSnapshot("22222222-0000-7000-8000-000000000000", 0, make_rates({"input": 150_000, "output": 600_000}))
MODELS = {"dear": DemoModel("dear", "u", "openai", [DEAR]), "cheap": DemoModel("cheap", "u", "openai", [CHEAP])}
ROUTE = DemoRoute("smart", "dear", "cheap")
HABITS = [Habit(KEY, 1, {"dear": 1, "cheap": 1}, 1_000, 200, 10, 50, [{"team": "a"}], 20, "user", 20)]


@pytest.fixture(scope="module")
def history() -> list[Row]:
    return list(make_events(HABITS, MODELS, ROUTE, DemoBudget("b", "day", 5 * 10**8), NOW))


def test_it_is_the_same_each_time(history: list[Row]) -> None:
    again = make_events(HABITS, MODELS, ROUTE, DemoBudget("b", "day", 5 * 10**8), NOW)
    assert list(again) == history
    assert len({row["id"] for row in history}) == len(history)


def test_savings_are_what_calls_cost_less(history: list[Row]) -> None:
    for row in history:
        assert sum(row["savings"].values()) == row["list_cost"] - row["effective_cost"]
        if row["status"] == 200 and row["attempts"]:
            asked = "dear" if row["request_model"] == "smart" else row["request_model"]
            saved = row["savings"].get("compression", 0)
            assert row["list_cost"] == cost(read_usage(row), MODELS[asked].prices[0]) + saved
            paid = DEAR if row["price_id"] == DEAR.id else CHEAP
            assert row["effective_cost"] == cost(read_usage(row), paid)
        elif row["status"] == 200:
            assert (row["cache_status"], row["effective_cost"], row["input_tokens"]) == ("hit-l2", 0, 0)
            assert row["savings"] == ({"cache": row["list_cost"]} if row["list_cost"] else {})
    by_route = Counter(row["route_reason"].split(":")[0] for row in history if row["request_model"] == "smart")
    assert set(by_route) >= {"route smart v1 router", "route smart v1 held out"}
    assert sum(row["route_reason"].endswith("compressed") for row in history) > 100


def test_working_days_are_busier_and_one_afternoon_is_unusual(history: list[Row]) -> None:
    spent: Counter[int] = Counter()
    for row in history:
        spent[
            (NOW.date() - (NOW + timedelta(milliseconds=row["started_at_ms"] - NOW.timestamp() * 1000)).date()).days
        ] += row["effective_cost"]
    assert len(spent) == 91
    usual = sorted(spent[day] for day in range(3, 33))
    # NOW is a Sunday: two days ago was a working day.
    assert spent[ANOMALY_DAY] > 2 * usual[-1]
    assert usual[0] * 2 < usual[-1]
    assert Counter(row["status"] for row in history).keys() == {200, 402, 502}
    refused = next(row for row in history if row["status"] == 402)
    assert (refused["refused_by"]["limit"], refused["effective_cost"]) == ("0.500000000", 0)
