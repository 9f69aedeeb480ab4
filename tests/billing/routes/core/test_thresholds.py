"""What calls of a cascade would have cost with another confidence that is enough."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.routes.core.thresholds import Rung, read_rungs, replay_call
from billing.routes.core.what_if import Band

ORDER = ("small", "middle", "large")
USUAL = {"middle": 40, "large": 10}


def price(model: str, into: int, out: int) -> int:
    times = {"small": 1, "middle": 4, "large": 20}[model]
    return times * (into + 4 * out)


def attempt(model: str, cost: int, **more: Any) -> dict[str, Any]:
    return {"model": model, "cost": cost, "status": 200, "input_tokens": 10, "output_tokens": 20} | more


def test_a_rows_rungs_are_its_models_with_tries_and_samples() -> None:
    rows = [
        attempt("small", 0, status=400, input_tokens=0, output_tokens=0),
        attempt("small", 90, confidence="0.667"),
        attempt("small", 80, is_sample=True, output_tokens=5),
        attempt("large", 1_800),
    ]
    assert read_rungs(rows) == [Rung("small", 170, 0.667, (10, 20)), Rung("large", 1_800, None, (10, 20))]
    assert read_rungs([]) == []


def test_a_lower_floor_spares_what_was_asked_further_up() -> None:
    rungs = [Rung("small", 90, 0.55, (10, 20)), Rung("middle", 360, 0.9, (10, 20))]
    assert replay_call(rungs, ORDER, 0.8, price, USUAL) == Band(450, 450)
    assert replay_call(rungs, ORDER, 0.5, price, USUAL) == Band(90, 90)


def test_a_higher_floor_asks_further_for_what_nobody_knows_exactly() -> None:
    rungs = [Rung("small", 90, 0.85, (10, 20))]
    # The middle one costs 360 for as long an answer and 680 for one of its usual length; the large one 1,800 at most.
    assert replay_call(rungs, ORDER, 0.9, price, USUAL) == Band(90 + 360, 90 + 680 + 1_800)
    assert replay_call(rungs, ORDER, 0.85, price, USUAL) == Band(90, 90)


def test_what_was_not_judged_stays_what_it_was() -> None:
    assert replay_call([], ORDER, 0.9, price, USUAL) == Band(0, 0)
    for rung in (Rung("large", 1_800, None, (10, 20)), Rung("gone", 90, 0.1, (10, 20))):
        assert replay_call([rung], ORDER, 0.9, price, USUAL) == Band(rung.cost, rung.cost)


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.none() | st.floats(0, 1)), max_size=3),
    st.floats(0.01, 0.99),
    st.floats(0.01, 0.99),
)
def test_a_band_is_one_and_a_higher_floor_is_never_cheaper(
    drawn: list[tuple[int, float | None]], one: float, other: float
) -> None:
    rungs = [Rung(ORDER[place], cost, sure, (10, 20)) for place, (cost, sure) in enumerate(drawn)]
    low, high = (replay_call(rungs, ORDER, floor, price, USUAL) for floor in sorted((one, other)))
    assert low.low <= low.high
    assert high.low <= high.high
    assert low.low <= high.low
    assert low.high <= high.high
