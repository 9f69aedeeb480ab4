"""Which buckets of a stretch of time can be taken whole: local days, quarters of an hour, and what is left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

QUARTER: Final = timedelta(minutes=15)
#: From here on every zone changes its clock at a quarter of an hour, so that quarters tile every local hour and day.
#: What is older is read from rows.
FIRST: Final = datetime(2023, 1, 1, tzinfo=UTC)

Span = tuple[datetime, datetime]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """The local days from ``first`` until before ``last``; ``span`` is what they are in UTC."""

    first: date
    last: date
    span: Span


@dataclass(frozen=True, slots=True)
class Tiling:
    """A stretch of time without gap or overlap: ``days``, ``quarters`` (each span whole quarters) and ``rows``."""

    days: Days | None
    quarters: tuple[Span, ...]
    rows: tuple[Span, ...]

    @property
    def whole(self) -> Span | None:
        """From the first whole bucket to the last."""
        spans = (*self.quarters, *((self.days.span,) if self.days else ()))
        return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None


@dataclass(frozen=True, slots=True)
class Block:
    """So many days, from ``first`` on."""

    first: date
    length: int


def pack_days(days: Days, lengths: Sequence[int]) -> tuple[Block, ...]:
    """The days as few blocks, in order: of these ``lengths`` (rising), each at a multiple of itself since 1970, and
    single days."""
    place, last = (day.toordinal() - _EPOCH.toordinal() for day in (days.first, days.last))
    blocks = []
    while place < last:
        length = next((each for each in reversed(lengths) if place % each == 0 and place + each <= last), 1)
        blocks.append(Block(date.fromordinal(place + _EPOCH.toordinal()), length))
        place += length
    return tuple(blocks)


def cut_parts(spans: Iterable[Span], length: timedelta) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Take spans apart: pieces of ``length`` that begin at multiples of it since 1970, and what is left."""
    parts: list[Span] = []
    rest: list[Span] = []
    for start, end in spans:
        low = start + (_EPOCH - start) % length
        high = end - (end - _EPOCH) % length
        if low >= high:
            rest.append((start, end))
            continue
        parts += [(low + length * place, low + length * (place + 1)) for place in range((high - low) // length)]
        rest += _spans(start, low, high, end)
    return tuple(parts), tuple(rest)


def tile(start: datetime, end: datetime, zone: ZoneInfo, *, by_day: bool = True, by_quarter: bool = True) -> Tiling:
    """Take ``[start, end)`` apart: as many whole days as there are, then quarters, then rows.

    ``by_day`` and ``by_quarter`` say which buckets may be used at all.
    """
    low, high = _next_quarter(max(start, FIRST)), _floor_quarter(end)
    if high <= low:
        return Tiling(None, (), _spans(start, end))
    days = _whole_days(low, high, zone) if by_day else None
    low_day, high_day = days.span if days else (high, high)
    if by_quarter:
        return Tiling(days, _spans(low, low_day, high_day, high), _spans(start, low, high, end))
    return Tiling(days, (), _spans(start, low_day, high_day, end))


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The first moment, in UTC, at which the calendar shows ``day``.

    Where midnight comes twice and the clock goes back into the day before, that is the second one.
    """
    readings = [datetime.combine(day, time(fold=fold), zone).astimezone(UTC) for fold in (0, 1)]
    return min((moment for moment in readings if moment.astimezone(zone).date() == day), default=max(readings))


def _whole_days(low: datetime, high: datetime, zone: ZoneInfo) -> Days | None:
    first, last = low.astimezone(zone).date(), high.astimezone(zone).date()
    if start_of(first, zone) < low:
        first += _DAY
    span = start_of(first, zone), start_of(last, zone)
    return Days(first, last, span) if first < last and span[0] < span[1] else None


def _spans(*bounds: datetime) -> tuple[Span, ...]:
    """Pairs of bounds, without the empty ones."""
    pairs = zip(bounds[::2], bounds[1::2], strict=True)
    return tuple((start, end) for start, end in pairs if start < end)


def _floor_quarter(moment: datetime) -> datetime:
    return moment - (moment - _EPOCH) % QUARTER


def _next_quarter(moment: datetime) -> datetime:
    return moment + (_EPOCH - moment) % QUARTER
