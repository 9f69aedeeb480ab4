"""The bill bridge as a picture: from one bill to the other, a step for each cause."""

from dataclasses import dataclass
from typing import Final

from billing.spend.core.bridge import Bridge
from billing.spend.core.bridge_texts import TITLES, explain_part
from billing.spend.core.chart import per_cent

#: of the height, above the highest and below the lowest bar
_MARGIN: Final = 8


@dataclass(frozen=True, slots=True)
class Step:
    """A bar: an amount of nano-USD from where the one before it ended. ``kind`` is ``bill``, ``more`` or ``less``;
    ``y`` and ``height`` are per cent of the picture, and ``end`` where the line to the next bar goes."""

    title: str
    text: str
    kind: str
    nanos: int
    x: str
    width: str
    middle: str
    y: str
    height: str
    end: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The bars from left to right."""

    steps: tuple[Step, ...]
    change: int


@dataclass(frozen=True, slots=True)
class LyingBar:
    """A bar of ``length`` whole per cents, of which so many are left free before it and after it; ``kind`` and
    ``nanos`` as of a step."""

    title: str
    kind: str
    nanos: int
    free_before: int
    length: int
    free_after: int


def make_waterfall(bridge: Bridge, before: str, after: str) -> Waterfall:
    """The picture of a bridge between two bills of these names. Causes that made nothing are left out."""
    bars, low, high = _find_bars(bridge, before, after)
    span = high - low

    def height_of(nanos: int) -> int:
        """Hundredths of a per cent from the top."""
        return _MARGIN * 100 + (high - nanos) * (100 - 2 * _MARGIN) * 100 // span

    steps = []
    count = len(bars)
    for place, (title, text, kind, start, end) in enumerate(bars):
        top, bottom = sorted((height_of(start), height_of(end)))
        steps.append(
            Step(
                title=title,
                text=text,
                kind=kind,
                nanos=end - start,
                x=per_cent(place * 100 + 14, count * 100),
                width=per_cent(72, count * 100),
                middle=per_cent(place * 100 + 50, count * 100),
                y=per_cent(top, 10_000),
                height=per_cent(max(bottom - top, 30), 10_000),
                end=per_cent(height_of(end), 10_000),
            )
        )
    return Waterfall(tuple(steps), bridge.change)


def lay_down(bridge: Bridge, before: str, after: str) -> list[LyingBar]:
    """The same bars, lying, for a mail: where no picture is shown a table still is."""
    bars, low, high = _find_bars(bridge, before, after)

    def place_of(nanos: int) -> int:
        return (nanos - low) * 100 // (high - low)

    lying = []
    for title, _, kind, start, end in bars:
        left, right = sorted((place_of(start), place_of(end)))
        # What is there is seen, however little it is.
        right = max(right, left + 1)
        left, right = min(left, 99), min(right, 100)
        lying.append(LyingBar(title, kind, end - start, left, right - left, 100 - right))
    return lying


def _find_bars(bridge: Bridge, before: str, after: str) -> tuple[list[tuple[str, str, str, int, int]], int, int]:
    """Title, text, kind, and from where to where each bar goes, in nano-USD; the lowest and the highest point."""
    parts = sorted((part for part in bridge.parts if part.nanos), key=lambda part: -part.nanos)
    bars: list[tuple[str, str, str, int, int]] = [(before, "", "bill", 0, bridge.before)]
    level = bridge.before
    for part in parts:
        kind = "more" if part.nanos > 0 else "less"
        bars.append((TITLES[part.cause], explain_part(part), kind, level, level + part.nanos))
        level += part.nanos
    bars.append((after, "", "bill", 0, bridge.after))
    edges = [edge for bar in bars for edge in bar[3:]]
    return bars, min(0, *edges), max(1, *edges)
