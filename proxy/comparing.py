"""Asks another of a route's models for what a call has asked, beside the call, so that the route learns which calls the
cheap one answers as well.

The tenant pays for it: a comparison is a call of its own, with a row of its own kind, in the budgets of the key that
called and in one of its own, which holds what the route may spend on them in a month. It is in no rate limit, because
nobody waits for it, and in no end user's budget.
"""

import logging
from typing import Final, NamedTuple

from costhub.lib import metrics
from proxy.attempts.cascade import Rung
from proxy.attempts.reading import read_said
from proxy.core.routes.draw import draw, draw_permille
from proxy.edges.entry import Entry
from proxy.errors import ApiError
from proxy.own_call import own_call
from proxy.values.answer import Answer
from proxy.values.plan import Plan
from proxy.values.request import CacheControl, Controls, Operation
from proxy.values.routing import Arm
from proxy.wiring import Edges
from tenants.choices import RouteKind
from tenants.route_snapshots import COMPARISON_TAG, RouteSnapshot

_log = logging.getLogger(__name__)

#: the kind of a comparison's row
COMPARISON: Final = "comparison"
SAME: Final = "the same answer"
OTHER: Final = "another answer"
#: calls that were held out, or of a route that is off, are left alone
_COMPARED: Final = frozenset({Arm.ROUTED, Arm.EXPLORED, Arm.SHADOW})
_TEXTS: Final = frozenset({Operation.CHAT, Operation.COMPLETION})


class _Pair(NamedTuple):
    """Two of a route's models, and whether it is the strong one that is asked, too."""

    weak: str
    strong: str
    is_strong: bool

    @property
    def other(self) -> str:
        """The model that is asked in addition."""
        return self.strong if self.is_strong else self.weak


def may_compare(plan: Plan, call_id: str) -> bool:
    """Whether chance has chosen a call to be compared, if it can be: a digest of its id decides."""
    routing = plan.routing
    if routing is None or not plan.is_learning or not routing.route.compare_permille:
        return False
    request = plan.request
    if routing.arm not in _COMPARED or request.operation not in _TEXTS or request.choices != 1:
        return False
    # Who wants nothing kept wants nothing sent elsewhere either.
    if plan.controls.cache.no_store:
        return False
    return draw_permille(routing.route.id, "compare", call_id) < routing.route.compare_permille


def start_comparison(edges: Edges, entry: Entry, plan: Plan, rungs: list[Rung], answer: Answer) -> bool:
    """Ask a second model beside the call, if only one of a pair has answered: the route's other end, or in a router a
    neighbour of the model that answered. Says whether that was begun: then the route learns from this call by the
    comparison."""
    pair = _find_pair(entry, plan, rungs)
    if pair is None or not answer.is_complete or not answer.parts or not edges.background_tasks.has_room:
        return False
    edges.background_tasks.start(_compare(edges, entry, plan, rungs, answer, pair))
    return True


def _find_pair(entry: Entry, plan: Plan, rungs: list[Rung]) -> _Pair | None:
    assert plan.routing is not None
    served = entry.served or entry.candidate
    weak, strong = _find_ends(
        plan.routing.route, served.model.name if served is not None else "", str(entry.request_id)
    )
    asked = {rung.candidate.model.name for rung in rungs} | {served.model.name if served is not None else ""}
    if weak == strong or {weak, strong} <= asked:
        return None
    if served is not None and served.model.name == weak:
        return _Pair(weak, strong, is_strong=True)
    if served is not None and served.model.name == strong:
        return _Pair(weak, strong, is_strong=False)
    return None


def _find_ends(route: RouteSnapshot, served: str, call_id: str) -> tuple[str, str]:
    """The models that are compared: the route's ends; in a router of more than two, the one that answered and a
    neighbour of it, of two the one that chance chooses."""
    names = [target.model for target in route.targets]
    if route.kind != RouteKind.ROUTER or len(names) <= 2 or served not in names:
        return names[0], names[-1]
    low = names.index(served) - draw(route.id, "compare with", call_id, 2)
    low = min(max(low, 0), len(names) - 2)
    return names[low], names[low + 1]


async def _compare(edges: Edges, call: Entry, plan: Plan, rungs: list[Rung], answer: Answer, pair: _Pair) -> None:
    """Ask, compare, and store a label. A failure here fails nobody's call."""
    try:
        await _ask(edges, call, plan, answer, pair)
    except ApiError:
        # Its month's money is spent, say. The call itself is learned from all the same.
        metrics.COMPARISONS_LEFT_OUT.inc()
        edges.labels.note(call, plan, rungs, answer)
    except Exception:  # noqa: BLE001 - the last resort of what runs beside a call
        _log.exception("a call of a route could not be compared")


async def _ask(edges: Edges, call: Entry, plan: Plan, answer: Answer, pair: _Pair) -> None:
    assert plan.routing is not None
    # What the call was sent as: nothing is saved here, and no end user pays.
    request = plan.request._replace(
        model=pair.other, is_judged=False, compression="", shortened=(), counted=(0, 0), end_user=""
    )
    controls = Controls({COMPARISON_TAG: plan.routing.route.name}, cache=CacheControl(no_cache=True, no_store=True))
    asked = own_call(
        edges, call, request, controls, kind=COMPARISON, endpoint=call.row["endpoint"], is_waited_for=False
    )
    async with asked as (entry, others):
        own, other = await read_said(answer), await read_said(others)
        weak, strong = (own, other) if pair.is_strong else (other, own)
        is_same = await edges.labels.note_pair(call, plan, (pair.weak, pair.strong), (weak, strong))
        entry.note_route(f"{entry.row['route_reason']}: {SAME if is_same else OTHER}")
