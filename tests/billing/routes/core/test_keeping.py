"""What calls would have cost with a share kept, and that what is said of public texts is what was measured."""

import re
from pathlib import Path
from typing import Final

import pytest

from billing.routes.core.keeping import PASSAGES, WORDS, Measured, draw_kept
from billing.routes.core.what_if import Band

QUALITY: Final = Path(__file__).parents[4] / "docs" / "quality.md"


def rows_of(text: str, method: str) -> list[tuple[int, ...]]:
    """Ratio in hundredths, and what was kept with its interval in thousandths."""
    pattern = rf"\| {text} \| {re.escape(method)} \| (\S+)x \| (\S+) \| \[(\S+), (\S+)\] \|"
    found = re.findall(pattern, QUALITY.read_text())
    return [(round(float(ratio) * 100), *(round(float(each) * 1_000) for each in shares)) for ratio, *shares in found]


@pytest.mark.parametrize(
    ("measured", "text", "methods"),
    [
        (PASSAGES, "meetings", ["as served, by need", "as served, by `extract_percent`"]),
        (WORDS, "words", ["words by rule"]),
    ],
)
def test_what_is_said_of_public_texts_stands_in_the_document(
    measured: tuple[Measured, ...], text: str, methods: list[str]
) -> None:
    written = [row for method in methods for row in rows_of(text, method)]
    assert sorted(tuple(each[1:]) for each in measured) == sorted(written)


def test_from_all_of_the_input_to_none_of_it_and_what_was_measured_or_lies_to_both_sides() -> None:
    low, high = Measured(50, 200, 854, 841, 867), Measured(72, 139, 940, 931, 949)
    points = draw_kept(1_000, 800, (low, high))
    assert [point.percent for point in points] == list(range(96))
    assert points[0] == (0, None, None, None)
    assert points[25] == (25, Band(400, 1_000), None, None)
    assert points[50] == (50, Band(600, 1_000), low, None)
    assert points[60] == (60, Band(680, 1_000), None, (low, high))
    assert points[95] == (95, Band(960, 1_000), None, None)


def test_what_a_method_keeps_by_itself_costs_as_it_was_measured() -> None:
    by_need = Measured(0, 160, 947, 929, 961)
    (first, *_) = draw_kept(1_000, 800, (by_need, Measured(50, 200, 854, 841, 867)))
    assert first == (0, Band(700, 1_000), by_need, None)
