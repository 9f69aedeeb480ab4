"""Month-end forecasts: exact where they are exact, and what always holds."""

from calendar import monthrange
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.choices import ForecastMethod
from billing.spend.core.backtest import MAX_SCORE, find_score, find_widening, list_month_ends, run_backtest
from billing.spend.core.forecast import (
    BackTest,
    Month,
    MonthForecast,
    find_crossing,
    find_quantile,
    forecast_month,
    widen,
)
from billing.spend.core.series import Paths, is_silent, simulate
from tests.sampling import examples

USD = 1_000_000_000
UNTESTED = BackTest(None, None, 1000)
TODAY = date(2026, 11, 11)
WEEKLY = tuple((10, 11, 12, 11, 10, 3, 2)[day % 7] * USD for day in range(120))

amounts = st.integers(-(10**9), 10**14)


def crossing(made: MonthForecast, limit: int) -> date | None:
    return find_crossing(made.spent, made.first, made.running, limit)


@pytest.mark.parametrize("days", [(), (0,), (0, 0, 0, 0), (5 * USD,), (0, 0, 5 * USD, 7 * USD)])
def test_a_new_organisation_is_told_nothing_rather_than_nonsense(days: tuple[int, ...]) -> None:
    found = forecast_month(Month(days, TODAY, today_spent=USD, elapsed=500), UNTESTED)
    assert (found.method, found.expected, found.low, found.high) == (
        ForecastMethod.NOT_ENOUGH_HISTORY,
        None,
        None,
        None,
    )
    assert found.spent == sum(days) + USD
    assert crossing(found, found.spent) is None
    assert crossing(found, found.spent - 1) == TODAY


def test_a_few_days_give_a_run_rate_without_a_band() -> None:
    found = forecast_month(Month((0, 0, 2 * USD, 4 * USD, 0, 6 * USD), TODAY, 2 * USD, elapsed=250), UNTESTED)
    # 14 so far; three dollars a day over the last three quarters of the 11th and the 19 days after it.
    assert found.expected == 14 * USD + 3 * USD * 1975 // 100
    assert (found.low, found.high, found.method, found.days_of_history) == (None, None, ForecastMethod.RUN_RATE, 4)
    assert crossing(found, 14 * USD + 3 * USD) == date(2026, 11, 12)


def test_what_costs_the_same_every_day_has_no_doubt() -> None:
    found = forecast_month(Month((USD,) * 20, TODAY), UNTESTED)
    assert found.method == ForecastMethod.RECENT_WEEKS
    assert (found.spent, found.low, found.expected, found.high) == (10 * USD, 30 * USD, 30 * USD, 30 * USD)
    assert crossing(found, 30 * USD) is None
    assert crossing(found, 30 * USD - 1) == date(2026, 11, 30)
    assert crossing(found, 11 * USD) == date(2026, 11, 12)


def test_a_weekly_profile_is_carried_on() -> None:
    found = forecast_month(Month(WEEKLY, TODAY), UNTESTED)
    ahead = [(10, 11, 12, 11, 10, 3, 2)[day % 7] * USD for day in range(120, 140)]
    assert found.method == ForecastMethod.SMOOTHING
    assert found.expected == pytest.approx(found.spent + sum(ahead), rel=0.001)


def test_half_of_today_is_left() -> None:
    whole, half = (forecast_month(Month((USD,) * 28, TODAY, USD // 2, elapsed), UNTESTED) for elapsed in (0, 500))
    assert whole.expected is not None
    assert half.expected is not None
    assert whole.expected - half.expected == pytest.approx(USD // 2, rel=1e-6)


@pytest.mark.parametrize(
    ("today", "before", "left"),
    [(date(2026, 11, 1), 0, 30), (date(2026, 11, 30), 29, 1), (date(2028, 2, 29), 28, 1), (date(2026, 12, 31), 30, 1)],
)
def test_first_and_last_days_of_months(today: date, before: int, left: int) -> None:
    month = Month((USD,) * 40, today, today_spent=5)
    assert (month.spent, month.days_left) == (before * USD + 5, left)
    found = forecast_month(month, UNTESTED)
    assert len(found.running) == left
    assert found.first == today


def test_silent_days_are_not_smoothed() -> None:
    days = (USD, 0, USD, 0, 0, 0, USD) * 8
    assert is_silent(days)
    found = forecast_month(Month(days, TODAY), UNTESTED)
    assert found.method == ForecastMethod.RECENT_WEEKS
    # The same week every week: all drawn weeks are this one.
    assert found.low == found.expected == found.high == found.spent + sum((days * 2)[:20])


def test_the_band_is_one_of_the_sum() -> None:
    """A band of a sum of independent days is narrower than the sum of their bands."""
    days = tuple((10 + (day * 7919) % 11) * USD for day in range(105))
    one, ten = simulate(days, 1).totals, simulate(days, 10).totals
    width_of_one, width_of_ten = (find_quantile(each, 900) - find_quantile(each, 100) for each in (one, ten))
    assert 0 < width_of_ten < 10 * width_of_one


def test_the_same_days_give_the_same_forecast() -> None:
    month = Month(WEEKLY[:90], TODAY, 3, 100)
    assert forecast_month(month, run_backtest(month)) == forecast_month(month, run_backtest(month))


@settings(max_examples=examples(25))
@given(
    days=st.lists(amounts, max_size=60),
    today=st.dates(date(2026, 1, 1), date(2028, 12, 31)),
    spent=st.integers(0, 10**14),
    elapsed=st.integers(0, 999),
    widening=st.integers(0, MAX_SCORE),
)
def test_low_expected_high_in_order_and_never_below_what_is_spent(
    days: list[int], today: date, spent: int, elapsed: int, widening: int
) -> None:
    found = forecast_month(Month(tuple(days), today, spent, elapsed), BackTest(None, None, widening))
    assert list(found.running) == sorted(found.running)
    if found.expected is not None:
        assert found.spent <= found.expected
        assert crossing(found, found.running[-1]) is None
    if found.low is not None and found.expected is not None and found.high is not None:
        assert found.spent <= found.low <= found.expected <= found.high
    assert len(found.running) in {0, monthrange(today.year, today.month)[1] - today.day + 1}


@given(st.lists(st.integers(0, 100), max_size=31), st.integers(0, 100), st.integers(0, 100))
def test_the_day_of_crossing(steps: list[int], spent: int, limit: int) -> None:
    running = [spent + sum(steps[: day + 1]) for day in range(len(steps))]
    crossed = find_crossing(spent, TODAY, running, limit)
    over = [day for day, nanos in enumerate(running) if nanos > limit]
    expected = TODAY if spent > limit else TODAY + timedelta(days=over[0]) if over else None
    assert crossed == expected


def test_past_months_are_forecast_from_the_same_day() -> None:
    # 71 whole days before 11 November: from 1 September on.
    assert list_month_ends(71, TODAY) == [(40, 30, 61)]
    # September's origin has two weeks before it only when a few more days are known.
    assert list_month_ends(75, TODAY) == [(44, 34, 65), (14, 4, 34)]
    # The 31st of a month that has none is its last day.
    assert list_month_ends(60, date(2026, 12, 31))[0] == (29, 0, 30)


def test_a_series_without_surprise_is_tested_to_nothing_missed() -> None:
    tested = run_backtest(Month((USD,) * 100, TODAY))
    assert (tested.error, tested.coverage) == (0, 1000)
    assert run_backtest(Month((USD,) * 20, TODAY)).error is None


def test_scores_and_widening() -> None:
    paths = Paths(tuple(range(1, 1001)), (), is_smoothed=True)
    assert widen(paths, 1000) == (100, 500, 900)
    assert widen(paths, 2000) == (0, 500, 1300)
    assert [find_score(paths, truth) for truth in (500, 900, 100, 700, 10**9)] == [0, 1000, 1000, 500, MAX_SCORE]
    assert find_score(Paths((7, 7), (), is_smoothed=True), 7) == 0
    assert find_score(Paths((7, 7), (), is_smoothed=True), 8) == MAX_SCORE
    # Without scores of its own, a series has the fourth of the usual four; many zeros pull it in.
    assert find_widening([]) == 1690
    assert find_widening([0] * 16) == 280
    assert find_widening([5000] * 16) == 5000
