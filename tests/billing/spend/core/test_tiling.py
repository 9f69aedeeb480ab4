"""Every moment of a stretch is in one tile, and days are the calendar's, whatever clocks do."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.spend.core.tiling import FIRST, QUARTER, Block, Days, Span, Tiling, cut_parts, pack_days, start_of, tile
from tenants.periods import END_OF_TIME, EPOCH

MICROSECOND: Final = timedelta(microseconds=1)
#: clocks that turn at midnight and back into the day before, that turn by half an hour, that are 45 minutes off
ZONES: Final = (
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "America/Santiago",
    "America/Havana",
    "Australia/Lord_Howe",
)
zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.datetimes(datetime(2022, 12, 25), datetime(2027, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(moments, st.timedeltas(timedelta(), timedelta(days=40)), zones, st.booleans(), st.booleans())
def test_tiles_cover_the_stretch_once(
    start: datetime, length: timedelta, zone: ZoneInfo, by_day: bool, by_quarter: bool
) -> None:
    end = start + length
    tiling = tile(start, end, zone, by_day=by_day, by_quarter=by_quarter)
    days: tuple[Span, ...] = (tiling.days.span,) if tiling.days else ()
    spans = sorted([*days, *tiling.quarters, *tiling.rows])
    bounds = [start, *(bound for span in spans for bound in span), end]
    assert all(low < high for low, high in spans)
    assert bounds[::2] == bounds[1::2]
    for low, high in (*days, *tiling.quarters):
        assert low >= FIRST
        assert not (low - EPOCH) % QUARTER
        assert not (high - EPOCH) % QUARTER


@given(moments, st.timedeltas(timedelta(days=2), timedelta(days=40)), zones)
def test_days_are_whole_and_no_further_one_would_fit(start: datetime, length: timedelta, zone: ZoneInfo) -> None:
    end = start + length
    days = tile(start, end, zone).days
    if start < FIRST and end < FIRST + timedelta(days=3):
        return
    assert days is not None
    low, high = days.span
    assert (low.astimezone(zone).date(), high.astimezone(zone).date()) == (days.first, days.last)
    assert (low - MICROSECOND).astimezone(zone).date() < days.first
    assert (high - MICROSECOND).astimezone(zone).date() < days.last
    assert start_of(days.first - timedelta(days=1), zone) < max(start, FIRST)
    assert start_of(days.last + timedelta(days=1), zone) > end


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("UTC", date(2026, 11, 22), "2026-11-22T00:00"),
        # 24:00 is 23:00 again: Friday begins the second time.
        ("Africa/Cairo", date(2026, 10, 30), "2026-10-29T22:00"),
        # 0:00 is 1:00.
        ("Africa/Cairo", date(2026, 4, 24), "2026-04-23T22:00"),
        # 1:00 is 0:00 again: Sunday begins the first time.
        ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00"),
    ],
)
def test_a_day_begins_when_the_calendar_shows_it(zone: str, day: date, expected: str) -> None:
    assert start_of(day, ZoneInfo(zone)) == at(expected)


def test_a_stretch_is_days_quarters_and_rows() -> None:
    start, end = at("2026-11-20T22:50:01"), at("2026-11-23T01:31")
    assert tile(start, end, ZoneInfo("Europe/Berlin")) == Tiling(
        Days(date(2026, 11, 21), date(2026, 11, 23), (at("2026-11-20T23:00"), at("2026-11-22T23:00"))),
        ((at("2026-11-22T23:00"), at("2026-11-23T01:30")),),
        ((start, at("2026-11-20T23:00")), (at("2026-11-23T01:30"), end)),
    )


def test_a_stretch_without_a_whole_quarter_is_rows() -> None:
    start, end = at("2026-11-20T22:46"), at("2026-11-20T23:14")
    assert tile(start, end, ZoneInfo("UTC")) == Tiling(None, (), ((start, end),))


@pytest.mark.parametrize("zone", ZONES)
def test_all_of_time_is_whole_days_since_the_first(zone: str) -> None:
    tiling = tile(EPOCH, END_OF_TIME, ZoneInfo(zone))
    assert tiling.days is not None
    assert (tiling.days.first - date(2023, 1, 1)).days in (0, 1)
    assert tiling.rows[0][0] == EPOCH


@given(st.dates(date(2023, 1, 1), date(2027, 1, 1)), st.integers(1, 400))
def test_blocks_hold_every_day_once_and_no_two_would_be_one(first: date, length: int) -> None:
    lengths = (2, 4, 8, 16)
    days = Days(first, first + timedelta(days=length), (EPOCH, EPOCH))
    blocks = pack_days(days, lengths)
    held = [block.first + timedelta(days=place) for block in blocks for place in range(block.length)]
    assert held == [first + timedelta(days=place) for place in range(length)]
    assert all((block.first - date(1970, 1, 1)).days % block.length == 0 for block in blocks)
    pairs = [(one.first, one.length) for one, other in pairwise(blocks) if one.length == other.length < 16]
    assert not [each for each in pairs if (each[0] - date(1970, 1, 1)).days % (2 * each[1]) == 0]


def test_a_month_of_days_is_a_few_blocks() -> None:
    days = Days(date(2026, 11, 1), date(2026, 11, 25), (EPOCH, EPOCH))
    assert [(block.first.day, block.length) for block in pack_days(days, (2, 4, 8, 16))] == [
        (1, 2),
        (3, 8),
        (11, 8),
        (19, 4),
        (23, 2),
    ]
    assert pack_days(Days(date(2026, 11, 1), date(2026, 11, 2), (EPOCH, EPOCH)), (2,)) == (Block(date(2026, 11, 1), 1),)


@given(st.lists(st.tuples(moments, moments).map(sorted), max_size=3))
def test_parts_and_what_is_left_are_the_spans(given_spans: list[list[datetime]]) -> None:
    spans = [(start, end) for start, end in given_spans if start < end]
    parts, rest = cut_parts(spans, timedelta(hours=4))
    assert all(end - start == timedelta(hours=4) and not (start - EPOCH) % timedelta(hours=4) for start, end in parts)
    for start, end in spans:
        inside = sorted(span for span in (*parts, *rest) if start <= span[0] and span[1] <= end)
        assert sum((high - low for low, high in inside), timedelta()) >= end - start
    assert sum((high - low for low, high in (*parts, *rest)), timedelta()) == sum(
        (end - start for start, end in spans), timedelta()
    )
    assert all(high - low < timedelta(hours=8) for low, high in rest)
