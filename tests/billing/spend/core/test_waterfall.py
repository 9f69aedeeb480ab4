"""The bill bridge as a picture."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.spend.core.bridge import Bridge, Cause, Driver, Part
from billing.spend.core.bridge_texts import describe_part
from billing.spend.core.waterfall import lay_down, make_waterfall

BRIDGE = Bridge(
    1_000, 1_300, (Part(Cause.VOLUME, 500), Part(Cause.CACHE, -250), Part(Cause.RETRIES, 0), Part(Cause.PRICE, 50))
)


def test_each_step_begins_where_the_one_before_it_ended() -> None:
    picture = make_waterfall(BRIDGE, "October", "November")
    assert [(step.title, step.kind, step.nanos) for step in picture.steps] == [
        ("October", "bill", 1_000),
        ("Number of calls", "more", 500),
        ("Prices", "more", 50),
        ("Cache hits", "less", -250),
        ("November", "bill", 1_300),
    ]
    assert sum(step.nanos for step in picture.steps[1:-1]) == picture.change == 300
    # The highest point is 8 % below the top; 1,550 nano-USD are 84 % of the height.
    assert picture.steps[2].y == "8%"
    assert picture.steps[1].end == "10.7%"
    assert (picture.steps[1].y, picture.steps[1].height) == ("10.7%", "27.1%")


def test_a_step_says_why_and_not_its_own_name_again() -> None:
    driver = Driver("small", 500, Fraction(100), Fraction(120))
    part = Part(Cause.VOLUME, 500, driver)
    picture = make_waterfall(Bridge(1_000, 1_500, (part,)), "October", "November")
    assert [step.text for step in picture.steps] == ["", "120 calls after 100.", ""]
    assert describe_part(part) == "Number of calls: < $0.01 more. 120 calls after 100."


def test_two_bills_of_nothing_are_a_picture_too() -> None:
    picture = make_waterfall(Bridge(0, 0, ()), "a", "b")
    assert [step.nanos for step in picture.steps] == [0, 0]


def test_a_bill_below_zero_lies_below_the_line() -> None:
    picture = make_waterfall(Bridge(100, -100, (Part(Cause.OTHER, -200),)), "a", "b")
    assert [step.y for step in picture.steps] == ["8%", "8%", "50%"]
    assert picture.steps[1].height == "84%"


def test_lying_bars_begin_where_the_one_before_ended() -> None:
    bars = lay_down(BRIDGE, "October", "November")
    assert [(bar.title, bar.nanos, bar.free_before, bar.length, bar.free_after) for bar in bars] == [
        ("October", 1_000, 0, 64, 36),
        ("Number of calls", 500, 64, 32, 4),
        ("Prices", 50, 96, 4, 0),
        ("Cache hits", -250, 83, 17, 0),
        ("November", 1_300, 0, 83, 17),
    ]


@given(st.lists(st.integers(min_value=-(10**12), max_value=10**12), max_size=8), st.integers(0, 10**12))
def test_every_lying_bar_is_seen_and_fills_its_row(parts: list[int], before: int) -> None:
    causes = list(Cause)
    made = tuple(Part(causes[place], nanos) for place, nanos in enumerate(parts))
    for bar in lay_down(Bridge(before, before + sum(parts), made), "a", "b"):
        assert bar.length >= 1
        assert min(bar.free_before, bar.free_after) >= 0
        assert bar.free_before + bar.length + bar.free_after == 100
