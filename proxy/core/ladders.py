"""Which rungs of its budgets' ladders a call is on, from what is known of their spend.

What is known may be old: the reserve checks it, in the same script that holds the money, and has the call planned anew
when a threshold was crossed meanwhile (``bands``).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.core.rungs import RUNGS
from proxy.types import NO_LIMIT, Draft, Scope
from tenants.snapshots import KeySnapshot, OrgSnapshot

#: where no step follows: more than any budget
_ENDLESS: Final = 2**53 - 1
_NO_BAND: Final = (NO_LIMIT, NO_LIMIT)


def go_down(
    draft: Draft, scopes: Sequence[Scope], spent: Mapping[str, int], org: OrgSnapshot, key: KeySnapshot, at_ms: int
) -> tuple[Draft, tuple[str, ...]]:
    """The draft after every rung that is in force, and the kinds of those that changed it.

    ``spent`` is nano-USD spent and held by counter; what is not in it has spent nothing.
    """
    taken: list[str] = []
    for scope in scopes:
        for start, rung in scope.steps:
            if spent.get(scope.counter, 0) >= start:
                after = RUNGS[rung.rung](draft, rung, org, key, at_ms)
                if after != draft:
                    taken.append(rung.rung)
                draft = after
    return draft, tuple(dict.fromkeys(taken))


def find_bands(scopes: Sequence[Scope], spent: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    """For each scope, from which spend to below which one its rungs are those that are in force now."""
    return tuple(_band(scope, spent.get(scope.counter, 0)) if scope.steps else _NO_BAND for scope in scopes)


def _band(scope: Scope, spent: int) -> tuple[int, int]:
    starts = [start for start, _ in scope.steps]
    return max((start for start in starts if start <= spent), default=0), min(
        (start for start in starts if start > spent), default=_ENDLESS
    )
