"""What past calls would have cost with so many per cent of their texts kept, beside what public texts of that kind kept
of what their questions need.

How much of an input is text that a policy may shorten the ledger does not say: at the least a call would have cost what
it does where all of its input is such text, at the most what it does where none is. What is kept was measured
(``docs/quality.md``) and is said for the settings that were measured, and between two of them as between what.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from billing.routes.core.what_if import Band

#: what may be set; 0 is what a method keeps by itself
MOST_PERCENT: Final = 95


class Measured(NamedTuple):
    """What was kept at a setting: so many per mille of what the questions need, with the 95 % interval; ``ratio``: how
    much shorter all prompts together became, in hundredths."""

    percent: int
    ratio: int
    kept: int
    low: int
    high: int


class Kept(NamedTuple):
    """What past calls would have cost with ``percent`` kept, in nano-USD, None where nobody knows how much that takes
    off; what was measured at it, or at the nearest settings to both sides, if there are any."""

    percent: int
    then: Band | None
    measured: Measured | None
    around: tuple[Measured, Measured] | None


#: meetings as served by ``extract_percent``; 0 is by need
PASSAGES: Final = (
    Measured(0, 157, 947, 929, 961),
    Measured(25, 385, 733, 678, 787),
    Measured(50, 198, 890, 858, 919),
    Measured(57, 173, 916, 891, 941),
    Measured(67, 149, 945, 926, 960),
)
#: words by rule, where that share of the tokens was left
WORDS: Final = (Measured(50, 200, 854, 841, 867), Measured(72, 139, 940, 931, 949))


def draw_kept(whole: int, text: int, measured: Sequence[Measured]) -> tuple[Kept, ...]:
    """Each setting from 0 on. ``whole``: what the calls cost as they came, ``text``: their input of that; nano-USD.
    ``measured``: rising by setting."""
    points = []
    for percent in range(MOST_PERCENT + 1):
        found = next((each for each in measured if each.percent == percent), None)
        share = Fraction(percent, 100) if percent else Fraction(100, found.ratio) if found else None
        then = None if share is None else Band(whole - int(text * (1 - share)), whole)
        below = [each for each in measured if 0 < each.percent < percent]
        above = [each for each in measured if each.percent > percent]
        around = (below[-1], above[0]) if found is None and below and above else None
        points.append(Kept(percent, then, found, around))
    return tuple(points)
