"""Everything that can be decided before the first byte leaves, from values alone."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Final, NamedTuple, NoReturn

from proxy.core.answered import index_models
from proxy.core.bounds import Counter, exact_bound, fit_windows, quick_bound
from proxy.core.budgets import find_scopes, forget_scopes
from proxy.core.ladders import find_bands, go_down
from proxy.core.layout import forget_layouts, lay_out
from proxy.core.rate_limits import find_rates, forget_rates
from proxy.core.routes.decide import decide, find_list_price, find_usable
from proxy.errors import (
    GovernanceUnavailable,
    InvalidRequest,
    ModelNotFound,
    ModelNotPriced,
    NotAllowed,
    OrganizationSuspended,
)
from proxy.values.attempt import Mechanism
from proxy.values.plan import Candidate, Draft, Plan
from proxy.values.request import NO_CONTROLS, Controls, Request
from proxy.values.routing import NO_SCORES, Arm, Routing, Scores
from proxy.values.windows import NO_LIMIT, Layout
from tenants.choices import RungKind
from tenants.price_snapshots import PriceSnapshot
from tenants.route_snapshots import RouteSnapshot
from tenants.snapshots import KeySnapshot, ModelSnapshot, OrgSnapshot, UpstreamSnapshot

#: more than an organisation may have, but a default for tags holds each of a call's tags. With all that one can have,
#: these are nearly as many numbers as a script of Valkey's can take at once
MOST_LIMITS_A_CALL: Final = 600
_MINUTE_MS: Final = 60_000
#: finding a member of an enumeration costs as much as a sum, and every call asks
_ROUTING: Final = Mechanism.ROUTING
_NO_RUNGS: Final[tuple[str, ...]] = ()


def make_plan(
    request: Request,
    controls: Controls,
    key: KeySnapshot,
    org: OrgSnapshot,
    at_ms: int,
    spent: Mapping[str, int] = MappingProxyType({}),
    count: Counter | None = None,
    *,
    call_id: str = "",
    scores: Scores = NO_SCORES,
    is_first_enough: bool = False,
) -> Plan:
    """Decide where a call goes, what it may cost at most, and which budgets must take that: what a route chooses, what
    its model costs, the budgets and limits that count it, the rungs of their ladders, the first candidate, and who is
    asked after that one.

    ``spent``: what is known of budgets' spend, in nano-USD by counter; it decides on which rungs of their ladders the
    call is. ``count``: what bounds the call where the loose bound would cut its answer, ``exact_bound`` by default.
    ``call_id`` and ``scores`` are for routes: what makes one call another than the next, and what was learned of its
    prompt. ``is_first_enough``: where others are asked only if the first candidate does not answer, they are not
    planned; the plan ``has_others`` then, for whoever needs them to plan again.

    Raises ModelNotFound, ModelNotPriced, NotAllowed, or InvalidRequest when the request asks for what cannot be.
    """
    check_running(key, org)
    end_user = find_end_user(request, controls, key)
    if end_user in org.blocked_end_users:
        raise NotAllowed(f"The end user {end_user} is blocked in this organisation.", code="end_user_blocked")
    asked = _Asked(org, key, request, controls, end_user, at_ms, spent, count or exact_bound, call_id, scores)
    name, routing = request.model, None
    if name in org.routes:
        routing = asked.route(org.routes[name])
        name = routing.names[0]
    model = find_model(name, key, org)
    price = model.find_price(at_ms) or _refuse_unpriced(model)
    list_price = find_list_price(routing.route, routing, org, at_ms) if routing else price
    layout, neighbours = asked.know(model.name)
    if layout.breadth > MOST_LIMITS_A_CALL:
        _check_breadth(layout)
    first, rungs, most_output, delay_ms = model, _NO_RUNGS, NO_LIMIT, 0
    if layout.ladders:
        draft, rungs, routing = asked.go_down(Draft(model, price), layout, routing)
        first, price, most_output, delay_ms = draft[:4]
        if first is not model:
            layout, neighbours = asked.know(first.name, model.name)
    candidate = asked.make_first(first, price, most_output, layout, neighbours, routing, list_price)
    others = first.fallbacks if routing is None else _name_others(first, routing, rungs)
    # Somebody is asked while the first one is, or its upstream's way with callers that leave holds the others' too.
    waits = bool(others) and is_first_enough and not (routing and routing.is_cascade) and not _drains(others, org)
    plan = Plan(
        request=request,
        controls=controls if controls.end_user == end_user else _charge(controls, end_user),
        candidates=(candidate,),
        rungs=rungs,
        most_output=most_output,
        delay_ms=delay_ms,
        routing=routing,
        has_others=waits,
    )
    if not others or waits:
        return plan
    candidates = (candidate, *asked.find_others(plan, model.name, others))
    return Plan(plan.request, plan.controls, candidates, *plan[3:])


class _Asked(NamedTuple):
    """A call, and what is known when it is decided about."""

    org: OrgSnapshot
    key: KeySnapshot
    request: Request
    controls: Controls
    end_user: str
    at_ms: int
    spent: Mapping[str, int]
    counter: Counter
    call_id: str
    scores: Scores

    def know(self, model: str, asked: str = "") -> tuple[Layout, Mapping[str, ModelSnapshot]]:
        """The budgets and windows of a call that this model serves, and the models at the same upstream by their names
        there; within a minute nothing of it changes. ``asked``: the model that was asked for, where it is another; see
        ``layout.lay_out``."""
        org, key, _, controls, end_user, at_ms, *_ = self
        minute = at_ms // _MINUTE_MS
        if minute > _PATHS.minute:
            _PATHS.begin(minute)
        tags = tuple(controls.tags.items()) if controls.tags else ()
        return _know_in_minute(org, key, end_user, model, tags, controls.session, minute, asked)

    def route(self, route: RouteSnapshot) -> Routing:
        """What a route decides about the call. Raises what ``decide`` raises."""
        return decide(
            route,
            self.request,
            self.controls,
            self.end_user,
            self.key,
            self.org,
            self.at_ms,
            call_id=self.call_id,
            scores=self.scores,
            is_degraded=partial(self._is_degraded, route.baseline),
        )

    def go_down(
        self, draft: Draft, layout: Layout, routing: Routing | None
    ) -> tuple[Draft, tuple[str, ...], Routing | None]:
        """The draft as the ladders of its budgets leave it, the rungs that are left of them, and what a route decided:
        a rung may have one choose."""
        draft, rungs = go_down(draft, layout.ladders, self.spent, self.org, self.key, self.at_ms)
        if not draft.route or not self.org.routes:
            return draft, rungs, routing
        draft, routing = self._reroute(draft, routing)
        if routing is None:
            rungs = tuple(rung for rung in rungs if rung != RungKind.ROUTE)
        return draft, rungs, routing

    def make_first(
        self,
        model: ModelSnapshot,
        price: PriceSnapshot,
        most_output: int,
        layout: Layout,
        neighbours: Mapping[str, ModelSnapshot],
        routing: Routing | None,
        list_price: PriceSnapshot,
    ) -> Candidate:
        """Who is asked first. Raises InvalidRequest and ModelNotPriced where it cannot take what is asked."""
        request, upstream = self.request, self.org.upstreams[model.upstream_id]
        candidate = Candidate(
            model=model,
            upstream=upstream,
            price=price,
            bound=quick_bound(request, model, upstream, price, most_output),
            layout=layout,
            list_price=list_price,
            mechanism=_ROUTING if routing is None and not model.student_of else _find_mechanism(model, routing),
            bands=find_bands(layout.ladders, self.spent) if layout.ladders else (),
            is_capped=(
                layout.is_capping
                or self.controls.max_cost is not None
                or most_output != NO_LIMIT
                # A cheaper model may not take what was asked of the other one.
                or model.name != request.model
            ),
            neighbours=neighbours,
            at_ms=self.at_ms,
        )
        return fit_windows(request, candidate, most_output, self.counter) if layout.rates else candidate

    def find_others(self, plan: Plan, asked: str, names: tuple[str, ...]) -> Iterator[Candidate]:
        """Those of some models that this key may use and that have a price; the others are left out. ``asked`` is the
        model that the call was for."""
        first, org, key = plan.first, self.org, self.key
        for name in names:
            model = org.models.get(name)
            price = model.find_price(self.at_ms) if model is not None else None
            if model is None or price is None or (key.models is not None and name not in key.models):
                continue
            (layout, neighbours), upstream = self.know(name, asked), org.upstreams[model.upstream_id]
            try:
                _check_breadth(layout)
                bound = quick_bound(plan.request, model, upstream, price, plan.most_output)
            except (InvalidRequest, ModelNotPriced):
                continue  # it gives no output, is dearer than any call may be, or has no price for what is asked
            candidate = Candidate(
                model=model,
                upstream=upstream,
                price=price,
                bound=bound,
                layout=layout,
                list_price=first.list_price,
                mechanism=_find_mechanism(model, plan.routing),
                bands=find_bands(layout.ladders, self.spent),
                # It may not take what was asked of the other one.
                is_capped=True,
                neighbours=neighbours,
                at_ms=self.at_ms,
            )
            yield fit_windows(plan.request, candidate, plan.most_output, self.counter) if layout.rates else candidate

    def _reroute(self, draft: Draft, routing: Routing | None) -> tuple[Draft, Routing | None]:
        """The draft with the model that its ladder's route chooses, where that is no dearer; else the draft as it is.
        A call that asked for a route is chosen for already."""
        if routing is not None:
            return draft, routing
        org = self.org
        try:
            chosen = self.route(org.routes[draft.route])
        except (ModelNotFound, InvalidRequest):
            return draft, None
        name = chosen.names[0]
        price = find_usable(name, self.key, org, self.at_ms)
        if chosen.arm not in {Arm.ROUTED, Arm.EXPLORED} or price is None or org.models[name].max_output_tokens < 1:
            return draft, None
        if name != draft.model.name and not price.is_cheaper_than(draft.price):
            return draft, None
        return draft._replace(model=org.models[name], price=price), chosen

    def _is_degraded(self, baseline: str) -> bool:
        model = self.org.models.get(baseline)
        price = model.find_price(self.at_ms) if model is not None else None
        if model is None or price is None:
            return False
        # Of budgets that every model's calls are in, so that the reserve sees it when one of them crosses a step.
        ladders = self.know("")[0].ladders
        return bool(go_down(Draft(model, price), ladders, self.spent, self.org, self.key, self.at_ms)[1])


def _refuse_unpriced(model: ModelSnapshot) -> NoReturn:
    raise ModelNotPriced(
        f"The model {model.name} has no price, so what this call would cost is unknown. Ask an admin of your"
        " organisation to set one under Models & prices.",
        param="model",
    )


def _name_others(asked: ModelSnapshot, routing: Routing, rungs: tuple[str, ...]) -> tuple[str, ...]:
    """Who is asked after a route's first candidate: its further models, or the first one's own fallbacks. Under a
    ladder that wants a cheaper model, a cascade does not go up to dearer ones."""
    first, *others = names = routing.names
    if routing.is_cascade:
        return () if RungKind.CHEAPER_MODEL in rungs else tuple(others)
    if not others:
        return asked.fallbacks
    return tuple(others if first == asked.name else [name for name in names if name != asked.name])


def _drains(names: tuple[str, ...], org: OrgSnapshot) -> bool:
    """Whether one of these models' upstreams bills what nobody waits for any more: then a call that may come to it
    goes on without its caller."""
    for name in names:
        model = org.models.get(name)
        if model is not None and org.upstreams[model.upstream_id].drain_on_disconnect:
            return True
    return False


def _charge(controls: Controls, end_user: str) -> Controls:
    """The controls of a call that somebody else pays for than its headers say."""
    return _charge_alone(end_user) if controls is NO_CONTROLS else controls._replace(end_user=end_user)


@lru_cache(maxsize=4_096)
def _charge_alone(end_user: str) -> Controls:
    """Nearly all calls say nothing in headers, and keys are bound to end users for good."""
    return NO_CONTROLS._replace(end_user=end_user)


@lru_cache(maxsize=4_096)
def _know_in_minute(
    org: OrgSnapshot,
    key: KeySnapshot,
    end_user: str,
    model: str,
    tags: tuple[tuple[str, str], ...],
    session: str,
    minute: int,
    asked: str,
) -> tuple[Layout, Mapping[str, ModelSnapshot]]:
    """See ``find_scopes``."""
    at_ms, named = minute * _MINUTE_MS, dict(tags)
    before = _know_in_minute(org, key, end_user, asked, tags, session, minute, "")[0].scopes if asked else ()
    scopes = find_scopes(org, key, end_user=end_user, model=model, tags=named, session=session, at_ms=at_ms)
    rates = find_rates(org, key, end_user=end_user, model=model, tags=named, session=session)
    known = org.models.get(model)
    return lay_out(scopes, rates, before), index_models(org)[known.upstream_id] if known is not None else {}


class _Paths:
    """What was found for the paths of calls is of one minute, the newest in which one came. When the next begins all of
    it goes: few ask for it any more, and it keeps organisations in memory as they were, through all their changes."""

    minute = 0

    def begin(self, minute: int) -> None:
        """The first call of a minute has come."""
        self.minute = minute
        _know_in_minute.cache_clear()
        index_models.cache_clear()
        forget_scopes()
        forget_rates()
        forget_layouts()


_PATHS: Final = _Paths()


def _find_mechanism(model: ModelSnapshot, routing: Routing | None) -> Mechanism:
    """What a model's other price is to the credit of."""
    if model.student_of:
        return Mechanism.DISTILLATION
    return Mechanism.CASCADE if routing and routing.is_cascade else Mechanism.ROUTING


def prefer_healthy(plan: Plan, is_down: Callable[[UpstreamSnapshot], bool]) -> Plan:
    """The plan with those candidates first whose upstreams answer; as it is where none does. Of a cascade, those
    alone: its rungs keep their order."""
    up = tuple(candidate for candidate in plan.candidates if not is_down(candidate.upstream))
    if not up or len(up) == len(plan.candidates):
        return plan
    down = tuple(candidate for candidate in plan.candidates if candidate not in up)
    before = plan.candidates[: plan.candidates.index(up[0])]
    if plan.is_cascade:
        return plan._replace(candidates=up, passed_over=tuple(candidate.model.name for candidate in down))
    return plan._replace(candidates=up + down, passed_over=tuple(candidate.model.name for candidate in before))


def check_running(key: KeySnapshot, org: OrgSnapshot) -> None:
    """Raise NotAllowed where an operator has closed the organisation or somebody has pulled the emergency stop,
    OrganizationSuspended where nobody has paid, or its plan has ended."""
    if not org.is_active:
        # Who calls is told that there is no such key; this is for what the organisation has handed in before.
        raise NotAllowed(
            "This organisation is closed: its calls are refused.",
            code="organization_closed",
            headers={"x-should-retry": "false"},
        )
    if org.is_suspended:
        raise OrganizationSuspended(
            "Invoices of this organisation are long overdue, or its plan has ended, so its calls are refused. They work"
            " again within seconds of the payment, or of choosing a plan.",
            headers={"x-should-retry": "false"},
        )
    if not (org.is_stopped or key.project_id in org.stopped_projects or key.id in org.stopped_keys):
        return
    for what, is_stopped in (
        ("organisation", org.is_stopped),
        ("project", key.project_id in org.stopped_projects),
        ("key", key.id in org.stopped_keys),
    ):
        if is_stopped:
            raise NotAllowed(
                f"Calls of this {what} are stopped. An owner, admin or finance member of the organisation can resume them.",
                code="emergency_stop",
                headers={"x-should-retry": "false"},
            )


def find_end_user(request: Request, controls: Controls, key: KeySnapshot) -> str:
    """Who the call is for: whom the key is bound to, else our header, else OpenAI's ``user`` field."""
    return key.end_user or controls.end_user or request.end_user


def find_model(name: str, key: KeySnapshot, org: OrgSnapshot) -> ModelSnapshot:
    """The model by its name, if this key may use it. Raises ModelNotFound, in the same words for both reasons, and
    GovernanceUnavailable where a later version of the organisation may have it and cannot be read."""
    model = org.models.get(name)
    if model is None and org.is_outdated:
        raise GovernanceUnavailable(
            f"Whether there is a model `{name}` cannot be known at the moment. Try again.", headers={"retry-after": "1"}
        )
    if model is None or (key.models is not None and name not in key.models):
        raise ModelNotFound(f"The model `{name}` does not exist or you do not have access to it.", param="model")
    return model


def _check_breadth(layout: Layout) -> None:
    """One script of Valkey's checks all of them, and keeps everybody else waiting meanwhile."""
    if layout.breadth > MOST_LIMITS_A_CALL:
        raise InvalidRequest(
            f"{layout.breadth} budgets and rate limits count this call, {MOST_LIMITS_A_CALL} at most are taken: send fewer tags.",
            param="x-costhub-tags",
            code="too_many_limits",
        )
