"""Which rungs of its budgets' ladders a call is on, from what is known of their spend.

What is known may be old: the reserve checks it, in the same script that holds the money, and has the call planned anew
when a threshold was crossed meanwhile (``bands``).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.core.budgets import steps_with
from proxy.core.rungs import RUNGS
from proxy.values.plan import Draft
from proxy.values.windows import Bands, Scope
from tenants.snapshots import KeySnapshot, OrgSnapshot, RungSnapshot

#: where no step follows: more than any budget
_ENDLESS: Final = 2**53 - 1
#: the budgets of a path that have a ladder, each with its place among all, from 1
Ladders = Sequence[tuple[int, Scope]]


def go_down(
    draft: Draft, ladders: Ladders, spent: Mapping[str, int], org: OrgSnapshot, key: KeySnapshot, at_ms: int
) -> tuple[Draft, tuple[str, ...]]:
    """The draft after every rung that is in force, and the kinds of those that changed it.

    ``spent`` is nano-USD spent and held by counter, and under the counter of the period before, what is added of it;
    what is not in it has spent nothing.
    """
    if not ladders:
        return draft, ()
    taken: list[str] = []
    for _, scope in ladders:
        for start, rung in _steps(scope, spent):
            if spent.get(scope.counter, 0) >= start:
                after = RUNGS[rung.rung](draft, rung, org, key, at_ms)
                if after != draft:
                    taken.append(rung.rung)
                draft = after
    return draft, tuple(dict.fromkeys(taken))


def find_bands(ladders: Ladders, spent: Mapping[str, int]) -> Bands:
    """For each ladder its budget's place, and from which spend to below which one its rungs are those that are in
    force now: in nano-USD, or where what is left of the period before is added, in per cent of the limit with
    that."""
    return tuple((place, *_band(scope, spent)) for place, scope in ladders) if ladders else ()


def _band(scope: Scope, spent: Mapping[str, int]) -> tuple[int, int]:
    used, above, below = spent.get(scope.counter, 0), 0, _ENDLESS
    for start, rung in _steps(scope, spent):
        bound = rung.at if scope.before else start
        if start <= used:
            above = max(above, bound)
        else:
            below = min(below, bound)
    return above, below


def _steps(scope: Scope, spent: Mapping[str, int]) -> tuple[tuple[int, RungSnapshot], ...]:
    return steps_with(scope, spent.get(scope.before.counter, 0)) if scope.before else scope.steps
