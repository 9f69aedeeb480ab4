"""What calls of a cascade would have cost with another confidence that is enough."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.routes.core.thresholds import Point, Rung, draw_points, is_calibrated, read_rungs, replay_call
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


def test_each_confidence_has_its_cost_and_its_right_answers() -> None:
    sure = ([Rung("small", 90, 0.85, (10, 20))], True)
    doubtful = ([Rung("small", 90, 0.5, (10, 20)), Rung("middle", 360, 0.9, (10, 20))], True)
    points = draw_points([sure] * 20 + [doubtful] * 10, ORDER, price, USUAL, 0.95)
    assert [point.confidence_percent for point in points] == list(range(1, 101))
    # 20 answers that are right in 85 of 100 cases, 10 in 50 of 100.
    assert points[49] == Point(50, Band(30 * 90, 30 * 90), 0, 733)
    assert points[50] == Point(51, Band(20 * 90 + 10 * 450, 20 * 90 + 10 * 450), 10, 867)
    # All go up: the sure ones to the middle model at the least, to the large one at the most; and there it ends.
    assert points[99].then == Band(20 * 450 + 10 * (450 + 1_000), 20 * (90 + 680 + 1_800) + 10 * (450 + 1_800))
    assert (points[99].went_up, points[99].right_per_mille) == (30, 950)


def test_without_labels_nothing_is_said_of_right_answers() -> None:
    call = [Rung("small", 90, 0.85, (10, 20))]
    for calls, strong in (([(call, True)] * 29, 0.95), ([(call, False)] * 40, 0.95), ([(call, True)] * 40, None)):
        assert {point.right_per_mille for point in draw_points(calls, ORDER, price, USUAL, strong)} == {None}


def test_a_confidence_is_calibrated_where_it_was_learned() -> None:
    assert is_calibrated([attempt("small", 1, confidence="0.900", judged="0.900 sure, 0.80 is enough")])
    for judged in ("0.900 sure, uncalibrated, 0.80 is enough", "0.667 sure, 2 of 3 samples agree, below 0.80"):
        assert not is_calibrated([attempt("small", 1, confidence="0.900", judged=judged)])
    assert not is_calibrated([attempt("large", 1)])


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 10_000), st.none() | st.floats(0, 1)), max_size=3).map(
            lambda drawn: [Rung(ORDER[place], cost, sure, (10, 20)) for place, (cost, sure) in enumerate(drawn)]
        ),
        max_size=3,
    )
)
def test_the_points_are_what_each_call_comes_to(calls: list[list[Rung]]) -> None:
    for percent, point in enumerate(draw_points([(rungs, True) for rungs in calls], ORDER, price, USUAL, 0.9), 1):
        bands = [replay_call(rungs, ORDER, percent / 100, price, USUAL) for rungs in calls]
        assert point.then == Band(sum(band.low for band in bands), sum(band.high for band in bands))
