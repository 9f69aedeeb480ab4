"""What past calls of a cascade would have cost with another confidence that is enough, without asking any model.

Known to the nano is what every rung cost that was asked. Where an answer that was given would have been asked about
further up, what the next rung would have cost is between its price of as long an answer, and of one as long as its own
are. What that one would have been judged at nobody knows: at the least it would have been given, at the most every
further rung would have been asked.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from billing.routes.core.what_if import Band

_UNKNOWN: Final = None


class Rung(NamedTuple):
    """A rung of one call that was asked: its model, what all of its tries and samples cost in nano-USD, how likely its
    answer is right where it was judged, and that answer's tokens, in and out."""

    model: str
    cost: int
    confidence: float | None
    tokens: tuple[int, int]


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
