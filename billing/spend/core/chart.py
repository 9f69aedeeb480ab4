"""A stacked bar chart as places in per cent of its area: all that a template needs to draw it. No float, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final

from billing.spend.core.ranking import REST
from billing.spend.core.roi_ranges import Point
from costhub.lib.money import NANOS_PER_USD

#: so many series have a colour of their own; the rest is one more, called "Other"
TOP_SERIES: Final = 7
OTHER: Final = "Other"
#: the grid has at most so many lines above nothing
_MAX_LINES: Final = 5
_LABELS: Final = 7
#: days are named at the ends and at so many quarters between
_DAYS: Final = 4
#: the share of its step that a bar fills, in per mille
_FILL: Final = 720
_STEPS: Final = (10, 20, 25, 50, 100)
_UNITS: Final = (("M", 10**6), ("k", 10**3))
#: a budget's line so many times as high as the highest bar would make the bars too small to read
_MOST_TIMES: Final = 3


@dataclass(frozen=True, slots=True)
class Series:
    """One colour. ``total`` in nano-USD over the whole chart."""

    place: int
    name: str
    total: int


@dataclass(frozen=True, slots=True)
class Block:
    """One series in one bar, in per cent from the top left."""

    series: int
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Marks:
    """What is drawn over the bars, by bucket's key: ``expected`` nano-USD on top of what a bucket has cost, and in
    words what was unusual. ``line``: nano-USD a bucket that a budget allows, if one does."""

    expected: Mapping[str, int] = field(default_factory=dict)
    unusual: Mapping[str, str] = field(default_factory=dict)
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One bucket. The unfinished one is still growing; ``expected`` nano-USD are to come, and stand on top of it."""

    key: str
    label: str
    x: str
    width: str
    middle: str
    left: str
    step: str
    top: str
    height: str
    total: int
    parts: tuple[tuple[int, int], ...]
    blocks: tuple[Block, ...]
    is_unfinished: bool
    expected: int = 0
    expected_top: str = ""
    expected_height: str = ""
    unusual: str = ""
    unusual_top: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid and what it stands for."""

    y: str
    text: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word under the bars. Minor ones go first where it is narrow."""

    x: str
    text: str
    is_minor: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars in order of time, the dearest series at the bottom. ``line`` is the budget's; ``line_y`` is empty where it
    lies far above the bars."""

    series: tuple[Series, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    labels: tuple[Label, ...]
    total: int
    line: int | None = None
    line_y: str = ""

    @property
    def has_expected(self) -> bool:
        """Whether anything is to come."""
        return any(bar.expected for bar in self.bars)

    @property
    def has_unusual(self) -> bool:
        """Whether a bucket was."""
        return any(bar.unusual for bar in self.bars)


_NO_MARKS: Final = Marks()


@dataclass(frozen=True, slots=True)
class GainStep:
    """A day that can be read, and the strip of the chart in which it is."""

    point: Point
    left: str
    width: str
    middle: str


@dataclass(frozen=True, slots=True)
class GainChart:
    """What is gained or lost from a day on. ``line`` and ``band`` are the points of a polyline and a polygon in a box
    of 1000 by 1000; ``band`` is empty where nothing is uncertain. ``mark`` is where nothing is lost any more, which
    comes in the later half where it ``is_late``."""

    ticks: tuple[Tick, ...]
    days: tuple[Label, ...]
    zero: str
    band: str
    line: str
    steps: tuple[GainStep, ...]
    mark: str | None
    is_late: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A strip of a chart that can be read."""

    left: str
    width: str
    middle: str


@dataclass(frozen=True, slots=True)
class BandChart:
    """Between what amounts lie, place by place, with a line of shares over it: a polygon, its upper ``edge`` and a
    polyline in a box of 1000 by 1000."""

    ticks: tuple[Tick, ...]
    band: str
    edge: str
    line: str
    places: tuple[Place, ...]


def make_chart(
    buckets: Sequence[tuple[str, str]],
    amounts: Mapping[tuple[str, str], int],
    names: Mapping[str, str],
    unfinished: str,
    marks: Marks = _NO_MARKS,
) -> Chart:
    """Draw ``amounts`` of nano-USD by (bucket, series) over ``buckets`` of (key, label), in order.

    ``names`` are the labels of series; ``unfinished`` is the key of the bucket that is still growing. A negative
    amount (a correction of a day without calls) is drawn as nothing and counted in full. What comes as ``REST`` is of
    others already. ``marks`` are drawn over the bars.
    """
    totals: dict[str, int] = {}
    for (_, series), nanos in amounts.items():
        totals[series] = totals.get(series, 0) + nanos
    ranked = sorted(totals, key=lambda name: (name == REST, -totals[name], name))
    place = {name: TOP_SERIES if name == REST else min(rank, TOP_SERIES) for rank, name in enumerate(ranked)}
    stacks: dict[str, dict[int, int]] = {key: {} for key, _ in buckets}
    for (bucket, series), nanos in amounts.items():
        if bucket in stacks:
            stacks[bucket][place[series]] = stacks[bucket].get(place[series], 0) + nanos
    highest = max((_visible(stack) + marks.expected.get(key, 0) for key, stack in stacks.items()), default=0)
    is_near = marks.line is not None and marks.line <= highest * _MOST_TIMES
    ceiling, ticks = _scale(max(highest, marks.line or 0) if is_near else highest)
    bars = [
        _mark(
            _bar(index, len(buckets), (key, label), stacks[key], ceiling, is_unfinished=key == unfinished),
            _visible(stacks[key]),
            marks,
            ceiling,
        )
        for index, (key, label) in enumerate(buckets)
    ]
    shown = [name for name in ranked if place[name] < TOP_SERIES]
    colours = [Series(rank, names.get(name, name), totals[name]) for rank, name in enumerate(shown)]
    if len(ranked) > len(shown):
        colours.append(Series(TOP_SERIES, OTHER, sum(totals[name] for name in ranked[len(shown) :])))
    return Chart(
        tuple(colours),
        tuple(bars),
        ticks,
        _labels([label for _, label in buckets]),
        sum(totals.values()),
        marks.line,
        per_cent(ceiling - marks.line, ceiling) if marks.line is not None and is_near else "",
    )


def make_sparkline(values: Sequence[int]) -> str:
    """The points of a polyline in a box of 100 by 24, two units of air above and below; none for a flat nothing."""
    top = max(values, default=0)
    if len(values) < 2 or top <= 0:
        return ""
    spots = []
    for index, value in enumerate(values):
        x = _hundredths(index * 10_000 // (len(values) - 1))
        y = _hundredths(2200 - max(value, 0) * 2000 // top)
        spots.append(f"{x},{y}")
    return " ".join(spots)


def make_gain_chart(points: Sequence[Point], break_even_days: Fraction | None) -> GainChart | None:
    """Draw what is gained by day, with a mark where nothing is lost any more if that comes before the last day; None
    where nothing is ever gained or lost."""
    low, high = min(0, *(point.low for point in points)), max(0, *(point.high for point in points))
    if low == high:
        return None
    step = _step(high - low)
    floor, ceiling = low // step * step, -(-high // step) * step
    last = points[-1].day

    def place(day: int, nanos: int) -> str:
        return f"{_hundredths(day * 100_000 // last)},{_hundredths((ceiling - nanos) * 100_000 // (ceiling - floor))}"

    upper = [place(point.day, point.high) for point in points]
    lower = [place(point.day, point.low) for point in reversed(points)]
    has_band = any(point.low != point.high for point in points)
    half = 500_000 // (len(points) - 1)
    steps = []
    for point in points:
        middle = point.day * 1_000_000 // last
        left = max(0, middle - half)
        steps.append(GainStep(point, _places(left), _places(min(1_000_000, middle + half) - left), _places(middle)))
    mark = None
    if break_even_days is not None and break_even_days <= last:
        mark = _places(int(break_even_days * 1_000_000 / last))
    return GainChart(
        ticks=tuple(
            Tick(per_cent(ceiling - nanos, ceiling - floor), _short_text(nanos, _places_of(step)))
            for nanos in range(ceiling, floor - 1, -step)
        ),
        days=tuple(
            Label(_places(point.day * 1_000_000 // last), f"{point.day:,}", is_minor=False)
            for point in points[:: max(1, (len(points) - 1) // _DAYS)]
        ),
        zero=per_cent(ceiling, ceiling - floor),
        band=" ".join([*upper, *lower]) if has_band else "",
        line=" ".join(place(point.day, point.net) for point in points),
        steps=tuple(steps),
        mark=mark,
        is_late=break_even_days is not None and break_even_days * 2 > last,
    )


def make_band_chart(bands: Sequence[tuple[int, int] | None], shares: Sequence[int | None]) -> BandChart:
    """Draw at each of some places between what nano-USD an amount lies, and over it shares in per mille of the whole
    height, straight from one that is known to the next. Places without an amount may come first or last."""
    known = [(index, band) for index, band in enumerate(bands) if band is not None]
    ceiling, ticks = _scale(max(high for _, (_, high) in known))
    step = 1_000_000 // len(bands)

    def place(index: int, part: int, whole: int) -> str:
        return f"{_hundredths((2 * index + 1) * 50_000 // len(bands))},{_hundredths((whole - part) * 100_000 // whole)}"

    upper = [place(index, high, ceiling) for index, (_, high) in known]
    lower = [place(index, low, ceiling) for index, (low, _) in known]
    return BandChart(
        ticks=ticks,
        band=" ".join([*upper, *reversed(lower)]),
        edge=" ".join(upper),
        line=" ".join(place(index, share, 1_000) for index, share in enumerate(shares) if share is not None),
        places=tuple(
            Place(_places(index * step), _places(step), _places(index * step + step // 2))
            for index in range(len(bands))
        ),
    )


def per_cent(part: int, whole: int) -> str:
    """``part`` of ``whole`` in per cent with two places, from 0 to 100, as an SVG attribute takes it."""
    if whole <= 0:
        return "0%"
    return f"{_hundredths(max(0, min(10_000, part * 10_000 // whole)))}%"


def _visible(stack: Mapping[int, int]) -> int:
    return sum(nanos for nanos in stack.values() if nanos > 0)


def _mark(bar: Bar, visible: int, marks: Marks, ceiling: int) -> Bar:
    """The bar with what is drawn over it."""
    expected, unusual = max(marks.expected.get(bar.key, 0), 0), marks.unusual.get(bar.key, "")
    if not expected and not unusual:
        return bar
    top = visible + expected
    return replace(
        bar,
        expected=expected,
        expected_top=per_cent(ceiling - top, ceiling),
        expected_height=_height(visible, top, ceiling),
        unusual=unusual,
        unusual_top=per_cent(ceiling - top, ceiling),
    )


def _bar(
    index: int, count: int, named: tuple[str, str], stack: Mapping[int, int], ceiling: int, *, is_unfinished: bool
) -> Bar:
    step = 1_000_000 // count
    left = index * 1_000_000 // count
    width = step * _FILL // 1000
    blocks, base = [], 0
    for place in sorted(stack):
        if stack[place] > 0:
            bottom, base = base, base + stack[place]
            blocks.append(Block(place, per_cent(ceiling - base, ceiling), _height(bottom, base, ceiling)))
    visible = _visible(stack)
    key, label = named
    return Bar(
        key=key,
        label=label,
        x=_places(left + (step - width) // 2),
        width=_places(width),
        middle=_places(left + step // 2),
        left=_places(left),
        step=_places(step),
        top=per_cent(ceiling - visible, ceiling),
        height=_height(0, visible, ceiling),
        total=sum(stack.values()),
        parts=tuple((place, stack[place]) for place in sorted(stack) if stack[place]),
        blocks=tuple(blocks),
        is_unfinished=is_unfinished,
    )


def _height(bottom: int, top: int, ceiling: int) -> str:
    # From the rounded edges, so that no hair of background shows between two blocks.
    upper = (ceiling - top) * 10_000 // ceiling
    lower = (ceiling - bottom) * 10_000 // ceiling
    return f"{_hundredths(lower - upper)}%"


def _scale(highest: int) -> tuple[int, tuple[Tick, ...]]:
    """A round ceiling at or above the highest bar, and the lines of the grid from it down to nothing."""
    wanted = max(highest, 1)
    step = _step(wanted)
    lines = -(-wanted // step)
    ceiling = step * lines
    return ceiling, tuple(
        Tick(per_cent(ceiling - step * line, ceiling), _axis_text(step * line, _places_of(step)))
        for line in range(lines + 1)
    )


def _step(wanted: int) -> int:
    """A round step of which a few make up so much."""
    power = 1
    while power * _MAX_LINES < wanted:
        power *= 10
    # From the finest: a tenth of the power when it is whole, then its quarter, half and all of it.
    return next(
        power * part // 100 for part in _STEPS if power * part % 100 == 0 and power * part * _MAX_LINES >= wanted * 100
    )


def _short_text(nanos: int, places: int) -> str:
    """A round amount, of thousands and millions in short."""
    for letter, unit in _UNITS:
        if abs(nanos) >= unit * NANOS_PER_USD:
            return f"{'-' if nanos < 0 else ''}${_hundredths(abs(nanos) * 100 // (unit * NANOS_PER_USD))}{letter}"
    return f"{'-' if nanos < 0 else ''}{_axis_text(abs(nanos), places)}"


def _axis_text(nanos: int, places: int) -> str:
    whole, rest = divmod(nanos, NANOS_PER_USD)
    return f"${whole:,}.{f'{rest:09d}'[:places]}" if places else f"${whole:,}"


def _places_of(step: int) -> int:
    """How many decimal places the multiples of a step need: none, or two and more."""
    fraction = f"{step % NANOS_PER_USD:09d}".rstrip("0")
    return max(len(fraction), 2) if fraction else 0


def _labels(texts: Sequence[str]) -> tuple[Label, ...]:
    stride = max(1, -(-len(texts) // _LABELS))
    found = []
    for order, index in enumerate(range(0, len(texts), stride)):
        x = _places(index * 1_000_000 // len(texts) + 500_000 // len(texts))
        found.append(Label(x, texts[index], order % 2 == 1))
    return tuple(found)


def _hundredths(value: int) -> str:
    whole, rest = divmod(value, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".")


def _places(millionths: int) -> str:
    whole, rest = divmod(millionths, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"
