"""What is unusual, and why: to the nano."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.choices import AnomalySeverity, AnomalyUnit, Cause
from billing.spend.core.anomalies import (
    FLOOR_NANOS,
    MIN_BUCKETS,
    Driver,
    Excess,
    Volume,
    detect,
    find_driver,
    is_worth_it,
    split_excess,
)

USD = 1_000_000_000
WEEK = (10, 11, 12, 11, 10, 3, 2)


def make_days(count: int) -> list[int]:
    drawn = random.Random(4)
    return [round(WEEK[day % 7] * USD * drawn.uniform(0.9, 1.1)) for day in range(count)]


def make_hours(days: int) -> list[int]:
    drawn = random.Random(5)
    return [
        round(WEEK[hour // 24 % 7] * USD * (1 + hour % 24 // 8) * drawn.uniform(0.9, 1.1)) for hour in range(days * 24)
    ]


def test_a_usual_day_is_none() -> None:
    days = make_days(60)
    assert all(detect(AnomalyUnit.DAY, days[:place], days[place]) is None for place in range(50, 60))


@pytest.mark.parametrize(("factor", "severity"), [(4, AnomalySeverity.HIGH), (0, AnomalySeverity.LOW)])
def test_an_unusual_day_in_both_directions(factor: int, severity: AnomalySeverity) -> None:
    days = make_days(60)
    found = detect(AnomalyUnit.DAY, days[:57], days[57] * factor)
    assert found is not None
    assert found.severity == severity
    assert found.usual.expected == pytest.approx(WEEK[57 % 7] * USD, rel=0.1)
    assert found.usual.low <= found.usual.expected <= found.usual.high


def test_a_working_day_s_spend_is_unusual_on_a_sunday() -> None:
    days = make_days(62)
    assert days[61] < days[58]
    assert detect(AnomalyUnit.DAY, days[:61], days[58]) is not None
    assert detect(AnomalyUnit.DAY, days[:58], days[58]) is None


def test_an_unusual_hour_and_a_usual_one() -> None:
    hours = make_hours(28)
    assert detect(AnomalyUnit.HOUR, hours[:-1], hours[-1]) is None
    found = detect(AnomalyUnit.HOUR, hours[:-1], hours[-1] * 8)
    assert found is not None
    assert found.severity == AnomalySeverity.HIGH
    assert found.usual.expected == pytest.approx(hours[-1], rel=0.35)


@pytest.mark.parametrize("unit", list(AnomalyUnit))
def test_without_history_nothing_is_unusual(unit: AnomalyUnit) -> None:
    assert detect(unit, [USD] * (MIN_BUCKETS[unit] - 1), 100 * USD) is None
    assert detect(unit, [0] * 100 + [USD] * (MIN_BUCKETS[unit] - 1), 100 * USD) is None
    assert detect(unit, [USD] * MIN_BUCKETS[unit], 100 * USD) is not None
    assert detect(unit, [], USD) is None


def test_cents_alarm_nobody() -> None:
    assert detect(AnomalyUnit.DAY, [1000] * 30, FLOOR_NANOS) is None
    assert detect(AnomalyUnit.DAY, [1000] * 30, FLOOR_NANOS + 1000) is not None
    assert not is_worth_it(119 * USD, 100 * USD)
    assert is_worth_it(120 * USD, 100 * USD)
    assert is_worth_it(80 * USD, 100 * USD)


@pytest.mark.parametrize(
    ("actual", "parts", "cause"),
    [
        (Volume(20, 2000, 2000), Excess(1000, 0, 0), Cause.CALLS),
        (Volume(10, 2000, 2000), Excess(0, 1000, 0), Cause.TOKENS),
        (Volume(10, 1000, 2000), Excess(0, 0, 1000), Cause.PRICE),
        (Volume(0, 0, 0), Excess(-1000, 0, 0), Cause.CALLS),
        (Volume(20, 1000, 3000), Excess(1000, -1000, 2000), Cause.PRICE),
    ],
)
def test_what_made_the_difference(actual: Volume, parts: Excess, cause: Cause) -> None:
    found = split_excess(actual, Volume(100, 10_000, 10_000), 1000)
    assert found == parts
    assert found.cause == cause


counts = st.integers(0, 10**12)
volumes = st.builds(Volume, counts, counts, st.integers(0, 10**15))


@given(volumes, volumes, st.integers(0, 10**15))
def test_the_parts_are_the_whole_to_the_nano(actual: Volume, usual: Volume, expected: int) -> None:
    found = split_excess(actual, usual, expected)
    assert found.calls + found.tokens + found.price == actual.cost - expected == found.total
    sign = 1 if found.total >= 0 else -1
    parts = {Cause.CALLS: found.calls, Cause.TOKENS: found.tokens, Cause.PRICE: found.price}
    assert sign * parts[found.cause] == max(sign * part for part in parts.values())


def test_the_key_that_did_it_and_not_the_project_around_it() -> None:
    children = {
        ("project", "p"): (Volume(cost=5000), Volume(cost=1000)),
        ("key", "loud"): (Volume(cost=4500), Volume(cost=500)),
        ("key", "calm"): (Volume(cost=500), Volume(cost=500)),
        ("model", "m"): (Volume(cost=5000), Volume(cost=1000)),
    }
    assert find_driver(children, Volume(cost=5000), Volume(cost=1000), 1000) == Driver("key", "loud", 4000)
    assert find_driver(children, Volume(cost=0), Volume(cost=1000), 100_000) is not None
    assert find_driver({}, Volume(cost=1), Volume(cost=1), 0) is None


@given(st.dictionaries(st.tuples(st.sampled_from(["key", "model"]), st.text(max_size=3)), st.tuples(volumes, volumes)))
def test_any_order_of_children_gives_the_same_driver(
    children: dict[tuple[str, str], tuple[Volume, Volume]],
) -> None:
    totals = Volume(cost=10**6), Volume(cost=10**6), 10
    forwards = find_driver(children, *totals)
    assert forwards == find_driver(dict(reversed(children.items())), *totals)
