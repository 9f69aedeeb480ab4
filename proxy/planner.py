"""How a call is planned, and planned anew where money, its key, its organisation or its inputs have changed."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from copy import copy
from functools import partial
from typing import Any

from proxy.cache.marks import mark_prompt
from proxy.core.bounds import Counter, exact_bound, loose_bound
from proxy.core.plan import make_plan
from proxy.core.sound import measure, measure_quickly
from proxy.edges.counting import INLINE_BYTES, NotLoaded
from proxy.edges.entry import Entry
from proxy.edges.reserve import Replan
from proxy.routing.compressor import Score
from proxy.upstreams.fitting import fit
from proxy.values.plan import Plan
from proxy.values.request import LISTENING, Controls, Request
from proxy.values.routing import NO_SCORES
from proxy.wiring import Edges
from tenants.choices import RungKind
from tenants.snapshots import OrgSnapshot


async def prepare(
    request: Request, controls: Controls, edges: Edges, org: OrgSnapshot, score: Score | None = None
) -> Request:
    """The request as it is planned: shortened and marked for the provider's cache where a policy says so, and with how
    long its files of sound may play, which is read beside the loop where they are long. Without a ``score`` no model is
    asked how surprising its words are."""
    if org.compression:
        request = await edges.compressor.apply(request, controls, org, score)
    if org.cache_policies:
        request = mark_prompt(request, org)
    if request.form is None or request.operation not in LISTENING:
        return request
    return await edges.counting.run(
        request.form.file_bytes, partial(measure, request), partial(measure_quickly, request), whose=org.id
    )


class Planner:
    """Plans one call.

    - ``request`` is what is asked for, shortened where a policy says so.
    - ``renew`` brings the entry's key and organisation to at least a version; it raises ApiError.
    - ``held_for`` names the model for which the call's money is held already, if it is: then that one is asked first,
      whatever a route would choose by now.
    - ``avoids_down``: the call is asked now, and upstreams that do not answer at the moment are asked last.
    """

    def __init__(
        self,
        edges: Edges,
        entry: Entry,
        *,
        request: Request,
        controls: Controls,
        renew: Callable[[int], Awaitable[None]],
        held_for: str = "",
        avoids_down: bool = True,
    ) -> None:
        self._request = request
        self._edges = edges
        self._entry = entry
        self._controls = controls
        self.renew = renew
        self._held_for = held_for
        self._avoids_down = avoids_down and not held_for
        self._scores = edges.learned_routes.score(request, controls, entry.org) if entry.org.routes else NO_SCORES

    def narrowed_to(self, request: Request) -> "Planner":
        """A planner of the same call for a part of its inputs: the rest is known already."""
        narrowed = copy(self)
        narrowed._request = request
        return narrowed

    @property
    def replan(self) -> Replan:
        """The means to plan the call again: ``decide`` and ``renew``, for whoever finds that a plan does not hold any
        more."""
        # Made when it is asked for: kept, it would be a circle, and all that a call holds would wait for the collector.
        return Replan(self.decide, self.renew)

    def decide_first(self, spent: Mapping[str, int]) -> Coroutine[Any, Any, Plan]:
        """As ``decide``, but where nothing hangs on who would be asked after the first candidate, these are not planned
        yet: they are priced, bounded and looked up for nothing as long as the first one answers."""
        # Which of them answer is to be known where one has failed of late, and how long all may take where a claim has
        # to last as long.
        is_enough = self._edges.health.is_all_well and not self._held_for and not self._controls.idempotency_key
        return self._decide(spent, is_first_enough=is_enough)

    def decide(self, spent: Mapping[str, int]) -> Coroutine[Any, Any, Plan]:
        """The plan, given what is known of spend in nano-USD by counter. Raises ApiError."""
        return self._decide(spent)

    async def _decide(self, spent: Mapping[str, int], *, is_first_enough: bool = False) -> Plan:
        plan = await self._plan_for(self._request, spent, is_first_enough)
        if not plan.rungs or RungKind.COMPRESS not in plan.rungs:
            return plan
        shorter = await self._edges.compressor.by_ladder(self._request, self._controls, self._entry.org)
        return plan if shorter is self._request else await self._plan_for(shorter, spent, is_first_enough)

    async def _plan_for(self, asked: Request, spent: Mapping[str, int], is_first_enough: bool) -> Plan:
        counting = self._edges.counting
        make = self._make_held if self._held_for else self._make
        while True:
            try:
                if asked.body_bytes <= INLINE_BYTES:
                    made = make(asked, spent, counting.count, is_first_enough)
                else:
                    exactly, loosely = (
                        partial(make, asked, spent, exact_bound, is_first_enough),
                        partial(make, asked, spent, loose_bound, is_first_enough),
                    )
                    made = await counting.run(asked.body_bytes, exactly, loosely, whose=self._entry.org.id)
                break
            except NotLoaded as missing:
                await counting.load(missing.vocabulary)
        # Before health changes the order: a call is refused where its own model cannot be asked it, and not where that
        # is one of the others, which comes first for a while.
        made = fit(made, self._edges.upstreams.refused_habits)
        return self._edges.health.prefer_healthy(made) if self._avoids_down else made

    def _make(self, asked: Request, spent: Mapping[str, int], count: Counter, is_first_enough: bool) -> Plan:
        entry = self._entry
        return make_plan(
            asked,
            self._controls,
            entry.key,
            entry.org,
            entry.started_at_ms,
            spent,
            count,
            call_id=entry.request_id,
            scores=self._scores,
            is_first_enough=is_first_enough,
        )

    def _make_held(self, asked: Request, spent: Mapping[str, int], count: Counter, is_first_enough: bool) -> Plan:
        made = self._make(asked, spent, count, is_first_enough)
        if made.first.model.name == self._held_for:
            return made
        made = self._make(asked._replace(model=self._held_for), spent, count, is_first_enough)
        # It may not take what was asked of another one.
        return made._replace(candidates=(made.first._replace(is_capped=True), *made.candidates[1:]))
