"""Curves as small SVG pictures: a document shows them without a program, and a changed figure is a changed text."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

Point = tuple[float, float]

_WIDTH: Final = 640
_HEIGHT: Final = 360
_LEFT: Final = 56
_BOTTOM: Final = 44
_TOP: Final = 16
_RIGHT: Final = 190
_STEPS: Final = 5
#: told apart by people who see colours differently too (Okabe and Ito 2008)
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def draw_curves(curves: Mapping[str, Sequence[Point]], *, x: str, y: str, is_inline: bool = False) -> str:
    """An SVG of curves with a legend. ``x`` and ``y``: what the axes mean. ``is_inline``: it is part of a page, and has
    the colour of its text and no ground of its own. Raises ValueError without a point."""
    points = [point for curve in curves.values() for point in curve]
    if not points:
        raise ValueError("There is no point to draw.")
    low_x, high_x = min(point[0] for point in points), max(point[0] for point in points)
    low_y, high_y = min(point[1] for point in points), max(point[1] for point in points)
    across = (_WIDTH - _LEFT - _RIGHT) / ((high_x - low_x) or 1.0)
    up = (_HEIGHT - _TOP - _BOTTOM) / ((high_y - low_y) or 1.0)

    def place(point: Point) -> str:
        return f"{_LEFT + (point[0] - low_x) * across:.1f},{_HEIGHT - _BOTTOM - (point[1] - low_y) * up:.1f}"

    look = 'fill="currentColor"' if is_inline else 'font-family="sans-serif"'
    grid = 'currentColor" stroke-opacity="0.2' if is_inline else "#ddd"
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {look} font-size="12">']
    if not is_inline:
        lines.append(f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>')
    for step in range(_STEPS + 1):
        at_x, at_y = low_x + (high_x - low_x) * step / _STEPS, low_y + (high_y - low_y) * step / _STEPS
        left, bottom = place((at_x, at_y)).split(",")
        lines += [
            f'<path d="M{_LEFT} {bottom}H{_WIDTH - _RIGHT}" stroke="{grid}"/>',
            f'<text x="{_LEFT - 6}" y="{float(bottom) + 4:.1f}" text-anchor="end">{at_y:.3g}</text>',
            f'<text x="{left}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{at_x:.3g}</text>',
        ]
    lines += [
        f'<text x="{(_WIDTH - _RIGHT + _LEFT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>',
        f'<text transform="translate(14 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y)}</text>',
    ]
    for number, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(place(point) for point in curve)
        middle = _TOP + 12 + 18 * number
        lines += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<path d="M{_WIDTH - _RIGHT + 10} {middle}h18" stroke="{colour}" stroke-width="2"/>',
            f'<text x="{_WIDTH - _RIGHT + 34}" y="{middle + 4}">{escape(name)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
