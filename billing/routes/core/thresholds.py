"""What past calls of a cascade would have cost with another confidence that is enough, without asking any model.

Known to the nano is what every rung cost that was asked. Where an answer that was given would have been asked about
further up, what the next rung would have cost is between its price of as long an answer, and of one as long as its own
are. What that one would have been judged at nobody knows: at the least it would have been given, at the most every
further rung would have been asked.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

from billing.routes.core.holdout import FEWEST_CALLS
from billing.routes.core.what_if import Band

_UNKNOWN: Final = None
#: every confidence that may be set, from 1 to 100 per cent
_FLOORS: Final = tuple(percent / 100 for percent in range(1, 101))
#: what the judge says of a confidence that is no likelihood: a model's own probabilities, and samples that agree
_NOT_CALIBRATED: Final = (", uncalibrated", " samples agree")
#: what is added and taken away again is added as whole numbers: nothing is left of it
_BILLION: Final = 10**9


class Rung(NamedTuple):
    """A rung of one call that was asked: its model, what all of its tries and samples cost in nano-USD, how likely its
    answer is right where it was judged, and that answer's tokens, in and out."""

    model: str
    cost: int
    confidence: float | None
    tokens: tuple[int, int]


class Point(NamedTuple):
    """What past calls would have cost with a confidence that is enough, in nano-USD; how many of them would have been
    asked further up than the first rung, and of a thousand answers how many would have been right, if that is known."""

    confidence_percent: int
    then: Band
    went_up: int
    right_per_mille: int | None


#: what an answer of so many tokens, in and out, costs at a model, in nano-USD
Price = Callable[[str, int, int], int]


def read_rungs(attempts: Sequence[Mapping[str, Any]]) -> list[Rung]:
    """The rungs of a ledger's row, in the order in which they were asked."""
    rungs: list[Rung] = []
    for attempt in attempts:
        told = attempt.get("confidence")
        confidence = float(told) if told else _UNKNOWN
        tokens = (attempt.get("input_tokens", 0), attempt.get("output_tokens", 0))
        model, cost = attempt.get("model", ""), attempt["cost"]
        if rungs and rungs[-1].model == model:
            last = rungs[-1]
            is_answer = not attempt.get("is_sample") and attempt.get("status") == 200
            rungs[-1] = Rung(
                model,
                last.cost + cost,
                confidence if confidence is not None else last.confidence,
                tokens if is_answer else last.tokens,
            )
        else:
            rungs.append(Rung(model, cost, confidence, tokens))
    return rungs


def replay_call(
    rungs: Sequence[Rung], order: Sequence[str], floor: float, price: Price, usual_output: Mapping[str, int]
) -> Band:
    """What one call would have cost where an answer of a confidence from ``floor`` on is enough, in nano-USD.

    ``order``: the cascade's models; ``usual_output``: the tokens of an answer of each, where there are any. Rungs that
    were not judged, because they failed or were the last, are what they were.
    """
    paid = 0
    for rung in rungs:
        paid += rung.cost
        if rung.confidence is not None and rung.confidence >= floor:
            return Band(paid, paid)
    last = rungs[-1] if rungs else None
    if last is None or last.confidence is None or last.model not in order:
        return Band(paid, paid)
    into, out = last.tokens
    low = high = paid
    for place, model in enumerate(order[order.index(last.model) + 1 :]):
        costs = [price(model, into, out), price(model, into, usual_output.get(model) or out)]
        if place == 0:
            low += min(costs)
        high += max(costs)
    return Band(low, high)


def is_calibrated(attempts: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the confidences of a ledger's row say how often such answers are right: it was learned from labels."""
    judged = [str(attempt.get("judged", "")) for attempt in attempts if attempt.get("confidence")]
    return bool(judged) and not any(words in said for said in judged for words in _NOT_CALIBRATED)


def draw_points(
    calls: Sequence[tuple[Sequence[Rung], bool]],
    order: Sequence[str],
    price: Price,
    usual_output: Mapping[str, int],
    strong_right: float | None,
) -> list[Point]:
    """What the calls would have come to with each confidence from 1 to 100 per cent, as ``replay_call`` says of one.

    Of each call its rungs, and whether their confidences are calibrated: the answers of those that are would have been
    right as often as they say, and the last rung's as often as ``strong_right``. Without that, or with too few such
    calls, nothing is said of how often answers are right.
    """
    # By how much each sum changes from one confidence to the next: a call changes it a few times, not a hundred.
    low, high, went_up, right = ([0] * (len(_FLOORS) + 1) for _ in range(4))
    known = sum(calibrated for _, calibrated in calls)
    for rungs, calibrated in calls:
        for first, end, rung in _split(rungs):
            band = replay_call(rungs, order, _FLOORS[first], price, usual_output)
            likely = strong_right if rung is None else rungs[rung].confidence
            is_up = rung != 0 and (len(rungs) > 1 or (bool(rungs) and rungs[0].confidence is not None))
            billionths = round((likely or 0.0) * _BILLION) if calibrated else 0
            for changes, amount in ((low, band.low), (high, band.high), (went_up, int(is_up)), (right, billionths)):
                changes[first] += amount
                changes[end] -= amount
    tells = strong_right is not None and known >= FEWEST_CALLS
    return [
        Point(percent, Band(least, most), ups, round(rights * 1000 / known / _BILLION) if tells else None)
        for percent, least, most, ups, rights in zip(
            range(1, len(_FLOORS) + 1), *map(accumulate, (low, high, went_up, right)), strict=False
        )
    ]


def _split(rungs: Sequence[Rung]) -> list[tuple[int, int, int | None]]:
    """Between which confidences (places among all, the end outside) which rung's answer is given; None: one that was
    not judged, or not asked."""
    parts: list[tuple[int, int, int | None]] = []
    first = 0
    for place, rung in enumerate(rungs):
        end = bisect_right(_FLOORS, rung.confidence) if rung.confidence is not None else 0
        if end > first:
            parts.append((first, end, place))
            first = end
    return [*parts, (first, len(_FLOORS), None)] if first < len(_FLOORS) else parts
