"""Ranges: the shape of the draws, the same answer for the same seed, and bands that hold what they say."""

from fractions import Fraction

from billing.spend.core.roi import Batch, OtherModel, Traffic, Verdict, weigh
from billing.spend.core.roi_ranges import TRAFFIC, Band, Range, draw_curve, run_trials, summarise

USD = 10**9
DAY = Traffic(Fraction(1_000), Fraction(10**6), Fraction(10**5), Fraction(100 * USD))
HALF_PRICE = Batch(Fraction(1_000 * USD), Fraction(1), Fraction(1, 2))
PLAIN = weigh(HALF_PRICE, DAY, 30)


def whole(low: int, likely: int, high: int) -> Range:
    return Range(Fraction(low), Fraction(likely), Fraction(high))


def test_a_triangle_by_hand() -> None:
    # Between 0 and 10 with its peak at 5: an eighth lies below 2.5, half below 5, seven eighths below 7.5.
    triangle = whole(0, 5, 10)
    assert [triangle.at(Fraction(eighths, 8)) for eighths in (0, 1, 4, 7, 8)] == [
        0,
        Fraction(5, 2),
        5,
        Fraction(15, 2),
        10,
    ]
    # A peak at an end, and no width at all.
    assert whole(0, 0, 10).at(Fraction(19, 100)) == 1
    assert whole(0, 10, 10).at(Fraction(1, 100)) == 1
    assert whole(7, 7, 7).at(Fraction(1, 3)) == 7


def test_each_trial_has_a_stratum_of_its_own() -> None:
    ranges = {"discount": Range(Fraction(0), Fraction(1, 2), Fraction(1))}
    outcomes = run_trials(HALF_PRICE, DAY, 30, ranges, seed=1, trials=200)
    saved = sorted(outcome.saving for outcome in outcomes)
    bounds = [ranges["discount"].at(Fraction(step, 200)) * 100 * USD for step in range(201)]
    assert all(low - 1 <= saving <= high for low, saving, high in zip(bounds, saved, bounds[1:], strict=False))
    assert [outcome.saving for outcome in outcomes] != saved


def test_the_same_seed_is_the_same_answer_and_another_is_not() -> None:
    ranges = {TRAFFIC: Range(Fraction(1, 2), Fraction(1), Fraction(2))}
    first, again, other = (run_trials(HALF_PRICE, DAY, 30, ranges, seed=seed, trials=100) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    # Stratified: another seed moves the middle by less than a hundredth.
    middles = [summarise(outcomes).saving.middle for outcomes in (first, other)]
    assert abs(middles[0] - middles[1]) * 100 < middles[0]


def test_two_ranges_are_drawn_apart() -> None:
    change = OtherModel(Fraction(0), Fraction(1_000), Fraction(1_000))
    ranges = {name: Range(Fraction(0), Fraction(1_000), Fraction(2_000)) for name in ("input_price", "output_price")}
    outcomes = run_trials(change, Traffic(*(Fraction(1),) * 4).scale(Fraction(10**6)), 1, ranges, seed=1, trials=100)
    # Drawn alike, the sum of two prices would be twice one of them, and its least nearly nothing.
    assert min(outcome.after for outcome in outcomes) > 400_000


def test_never_is_later_than_any_day() -> None:
    ranges = {"discount": Range(Fraction(0), Fraction(0), Fraction(0)), "once": whole(0, 10**9, 2 * 10**9)}
    spread = summarise(run_trials(HALF_PRICE, DAY, 30, ranges, seed=1, trials=10))
    assert spread.break_even_days == Band(None, None, None)
    assert (spread.saving, spread.verdicts[Verdict.NEVER]) == (Band(0, 0, 0), 10)
    mixed = summarise([weigh(Batch(Fraction(USD), Fraction(share), Fraction(1)), DAY, 30) for share in (0, 1, 0, 1, 0)])
    assert mixed.break_even_days == Band(Fraction(1, 100), None, None)
    assert dict(mixed.verdicts) == {Verdict.PAYS: 2, Verdict.TOO_LATE: 0, Verdict.NEVER: 3}


def test_bands_are_by_nearest_rank() -> None:
    outcomes = [weigh(Batch(Fraction(0), Fraction(n, 100), Fraction(1)), DAY, 10) for n in range(1, 11)]
    spread = summarise(outcomes)
    assert spread.saving == Band(1 * USD, 5 * USD, 9 * USD)
    assert spread.net == Band(10 * USD, 50 * USD, 90 * USD)


def test_a_curve_begins_with_what_it_costs_and_ends_with_the_net() -> None:
    curve = draw_curve(PLAIN, [])
    assert [(point.day, point.net) for point in (curve[0], curve[-1])] == [(0, -1_000 * USD), (30, 500 * USD)]
    assert len(curve) == 13
    assert all(point.low == point.net == point.high for point in curve)
    assert [point.day for point in draw_curve(weigh(HALF_PRICE, DAY, 2), [])] == [0, 1, 2]
    outcomes = run_trials(HALF_PRICE, DAY, 30, {TRAFFIC: whole(0, 1, 3)}, seed=1, trials=100)
    last = draw_curve(PLAIN, outcomes)[-1]
    assert (last.low, last.high) == (summarise(outcomes).net.low, summarise(outcomes).net.high)
    assert last.low < last.net < last.high
