"""What a call would have cost without us, less what it did cost, attributed to what made the difference.

The parts sum to the whole by the way in which they are made, to the nano, and may be negative.
"""

from collections.abc import Iterable

from proxy.values.attempt import Attempt, Mechanism, Savings


def split(list_cost: int, steps: Iterable[tuple[Mechanism, int]]) -> dict[Mechanism, int]:
    """Savings by mechanism, from the cost after each of them, one after the other, in nano-USD.

    ``list_cost`` less the last cost is their sum. A mechanism that changed nothing is not in it.
    """
    saved: dict[Mechanism, int] = {}
    before = list_cost
    for mechanism, after in steps:
        if after != before:
            saved[mechanism] = saved.get(mechanism, 0) + before - after
        before = after
    return {mechanism: nanos for mechanism, nanos in saved.items() if nanos}


def give_up(attempt: Attempt, mechanism: Mechanism) -> Attempt:
    """An attempt whose answer nobody got, because the mechanism asked another model for a better one. Without us it
    would not have been made: its list cost is nothing, and what it cost is a loss."""
    return attempt._replace(savings={mechanism: -attempt.cost} if attempt.cost else {})


def add_up(parts: Iterable[Savings]) -> dict[Mechanism, int]:
    """The sum of several savings, mechanism by mechanism."""
    total: dict[Mechanism, int] = {}
    for part in parts:
        for mechanism, nanos in part.items():
            total[mechanism] = total.get(mechanism, 0) + nanos
    return {mechanism: nanos for mechanism, nanos in total.items() if nanos}
