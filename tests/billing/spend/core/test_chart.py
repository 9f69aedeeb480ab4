"""The chart's places: whole, inside the area, and the amounts as they were."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.spend.core.chart import Label, Marks, Series, make_chart, make_gain_chart, make_sparkline, per_cent
from billing.spend.core.ranking import REST
from billing.spend.core.roi_ranges import Point

CENT = 10_000_000


def number(text: str) -> float:
    return float(text.removesuffix("%"))


def test_a_small_chart_whole() -> None:
    chart = make_chart(
        [("d1", "1 Nov"), ("d2", "2 Nov")],
        {("d1", "a"): 30 * CENT, ("d1", "b"): 10 * CENT, ("d2", "a"): 20 * CENT},
        {"a": "large", "b": "small"},
        "d2",
    )
    assert [(series.name, series.total) for series in chart.series] == [("large", 50 * CENT), ("small", 10 * CENT)]
    assert [(tick.y, tick.text) for tick in chart.ticks] == [
        ("100%", "$0.00"),
        ("75%", "$0.10"),
        ("50%", "$0.20"),
        ("25%", "$0.30"),
        ("0%", "$0.40"),
    ]
    first, second = chart.bars
    assert [(block.series, block.y, block.height) for block in first.blocks] == [(0, "25%", "75%"), (1, "0%", "25%")]
    assert (first.x, first.width, first.left, first.step) == ("7%", "36%", "0%", "50%")
    assert (second.top, second.height, second.total, second.is_unfinished) == ("50%", "50%", 20 * CENT, True)
    assert chart.labels == (Label("25%", "1 Nov", False), Label("75%", "2 Nov", True))
    assert chart.total == 60 * CENT


def test_what_is_to_come_stands_on_top_and_the_budget_is_a_line() -> None:
    marks = Marks({"d2": 10 * CENT, "d3": 30 * CENT}, {"d1": "Model large: $0.40, usually $0.10"}, 20 * CENT)
    chart = make_chart(
        [("d1", "1 Nov"), ("d2", "2 Nov"), ("d3", "3 Nov")],
        {("d1", "a"): 40 * CENT, ("d2", "a"): 20 * CENT},
        {},
        "d2",
        marks,
    )
    first, second, third = chart.bars
    assert (first.expected, first.unusual, first.unusual_top) == (0, "Model large: $0.40, usually $0.10", "0%")
    assert (second.expected, second.expected_top, second.expected_height) == (10 * CENT, "25%", "25%")
    assert (third.total, third.expected_top, third.expected_height) == (0, "25%", "75%")
    assert (chart.line, chart.line_y, chart.has_expected, chart.has_unusual) == (20 * CENT, "50%", True, True)


def test_a_budget_far_above_the_bars_is_said_and_not_drawn() -> None:
    def draw(line: int) -> tuple[str, str]:
        chart = make_chart([("d", "today")], {("d", "a"): 10 * CENT}, {}, "", Marks(line=line))
        return chart.line_y, chart.bars[0].height

    assert draw(30 * CENT) == ("0%", "33.34%")
    assert draw(31 * CENT) == ("", "100%")


def test_more_than_seven_series_share_the_eighth_colour() -> None:
    amounts = {("d", str(place)): 100 - place for place in range(10)}
    chart = make_chart([("d", "today")], amounts, {}, "")
    assert [(series.name, series.total) for series in chart.series][6:] == [("6", 94), ("Other", 93 + 92 + 91)]
    assert chart.bars[0].parts[-1] == (7, 93 + 92 + 91)


def test_what_comes_as_others_together_is_no_series_of_its_own() -> None:
    amounts = {("d", REST): 500, ("d", "a"): 3, ("d", "b"): 2, ("e", "a"): 4}
    chart = make_chart([("d", "today"), ("e", "then")], amounts, {"a": "large"}, "")
    assert [(series.place, series.name, series.total) for series in chart.series] == [
        (0, "large", 7),
        (1, "b", 2),
        (7, "Other", 500),
    ]
    assert chart.bars[0].parts == ((0, 3), (1, 2), (7, 500))
    many = {("d", str(place)): 100 - place for place in range(10)} | {("d", REST): 1_000}
    assert make_chart([("d", "today")], many, {}, "").series[7:] == (Series(7, "Other", 93 + 92 + 91 + 1_000),)


def test_a_negative_amount_is_counted_and_not_drawn() -> None:
    chart = make_chart([("d", "today")], {("d", "a"): -5, ("d", "b"): 8}, {}, "")
    assert ([block.series for block in chart.bars[0].blocks], chart.bars[0].total, chart.total) == ([0], 3, 3)


@given(
    amounts=st.dictionaries(
        st.tuples(st.sampled_from(["d1", "d2", "d3"]), st.sampled_from("abcdefghij")),
        st.integers(-(10**9), 9 * 10**15),
    )
)
def test_nothing_leaves_the_area_and_nothing_is_lost(amounts: dict[tuple[str, str], int]) -> None:
    chart = make_chart([("d1", ""), ("d2", ""), ("d3", "")], amounts, {}, "")
    assert chart.total == sum(amounts.values()) == sum(bar.total for bar in chart.bars)
    assert 2 <= len(chart.ticks) <= 6
    for bar in chart.bars:
        for block in bar.blocks:
            assert 0 <= number(block.y) <= number(block.y) + number(block.height) <= 100.001


def test_a_sparkline_spans_its_box_and_nothing_is_no_line() -> None:
    assert make_sparkline([0, 5, 10]) == "0,22 50,12 100,2"
    assert (make_sparkline([0, 0]), make_sparkline([7]), make_sparkline([])) == ("", "", "")


def test_a_share_stays_between_nothing_and_all() -> None:
    assert [per_cent(*pair) for pair in ((1, 3), (5, 3), (-1, 3), (1, 0))] == ["33.33%", "100%", "0%", "0%"]


def dollars(day: int, net: int, low: int | None = None, high: int | None = None) -> Point:
    return Point(day, *(usd * 10**9 for usd in (net, net if low is None else low, net if high is None else high)))


def test_a_gain_begins_below_zero_and_is_marked_where_nothing_is_lost_any_more() -> None:
    chart = make_gain_chart([dollars(0, -500), dollars(5, 0, -250, 250), dollars(10, 500, 0, 1_000)], Fraction(5))
    assert chart is not None
    assert [(tick.y, tick.text) for tick in chart.ticks] == [
        ("0%", "$1k"),
        ("33.33%", "$500"),
        ("66.66%", "$0"),
        ("100%", "-$500"),
    ]
    assert chart.zero == "66.66%"
    assert chart.line == "0,1000 500,666.66 1000,333.33"
    assert chart.band == "0,1000 500,500 1000,0 1000,666.66 500,833.33 0,1000"
    assert (chart.mark, chart.is_late) == ("50%", False)
    assert [(label.x, label.text) for label in chart.days] == [("0%", "0"), ("50%", "5"), ("100%", "10")]
    assert [(step.left, step.width, step.middle) for step in chart.steps] == [
        ("0%", "25%", "0%"),
        ("25%", "50%", "50%"),
        ("75%", "25%", "100%"),
    ]


def test_a_gain_that_never_comes_has_no_mark_and_a_sure_one_no_band() -> None:
    chart = make_gain_chart([dollars(0, -1), dollars(365, -2)], None)
    assert chart is not None
    assert (chart.mark, chart.band) == (None, "")
    assert (chart.ticks[0].text, chart.ticks[-1].text) == ("$0.00", "-$2.00")
    late = make_gain_chart([dollars(0, -1), dollars(10, 0)], Fraction(10))
    assert late is not None
    assert (late.mark, late.is_late) == ("100%", True)
    too_late = make_gain_chart([dollars(0, -2), dollars(10, -1)], Fraction(11))
    assert too_late is not None
    assert too_late.mark is None
    assert make_gain_chart([dollars(0, 0), dollars(365, 0)], None) is None


def test_amounts_of_an_axis_are_short() -> None:
    chart = make_gain_chart([dollars(0, -2_500_000), dollars(365, 2_500_000)], None)
    assert chart is not None
    assert [tick.text for tick in chart.ticks] == ["$3M", "$2M", "$1M", "$0", "-$1M", "-$2M", "-$3M"]
