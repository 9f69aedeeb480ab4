"""Which models serve a call of a route: a pure function of the call, the route, the catalog and what was learned."""

from collections.abc import Callable
from typing import Final

from proxy.core.routes.draw import is_drawn
from proxy.core.routes.kinds import KINDS
from proxy.core.routes.kinds.router import BYTES_A_TOKEN
from proxy.core.routes.texts import has_tools, opening_of
from proxy.core.routes.values import Facts, Usable
from proxy.errors import InvalidRequest, ModelNotFound
from proxy.values.request import Controls, Operation, Request
from proxy.values.routing import Arm, Routing, Scores
from tenants.choices import Mode, RouteKind, Sticky
from tenants.price_snapshots import PriceSnapshot
from tenants.route_snapshots import ANY_CALL, ConditionSnapshot, RouteSnapshot
from tenants.snapshots import KeySnapshot, OrgSnapshot

#: what a cascade can judge
_JUDGED: Final = frozenset({Operation.CHAT, Operation.COMPLETION})
#: vectors of two models cannot be compared: theirs may come from one only
_FOR_EMBEDDINGS: Final = frozenset({RouteKind.FIXED.value})
#: a call's place is drawn in any case
_DRAWING: Final = frozenset({RouteKind.WEIGHTED.value, RouteKind.CANARY.value})
#: finding a member of an enumeration costs as much as a sum
_ROUTED: Final = Arm.ROUTED
_EXPLORED: Final = Arm.EXPLORED
_EMBEDDING: Final = Operation.EMBEDDING
_CASCADE: Final = RouteKind.CASCADE.value
_OFF: Final = Mode.OFF.value
_SHADOW: Final = Mode.SHADOW.value


def decide(
    route: RouteSnapshot,
    request: Request,
    controls: Controls,
    end_user: str,
    key: KeySnapshot,
    org: OrgSnapshot,
    at_ms: int,
    *,
    call_id: str,
    scores: Scores,
    is_degraded: Callable[[], bool],
) -> Routing:
    """The models that serve a call of a route, among those that the key may use and that have a price.

    ``call_id`` is the call's own, for what does not stay with a conversation; ``is_degraded`` says whether a budget's
    ladder has it on a rung, and is asked only where a condition wants to know.

    Raises ModelNotFound where none is left, and InvalidRequest for embeddings that might come from several models, and
    for what a cascade cannot judge.
    """
    if request.operation is _EMBEDDING and route.kind not in _FOR_EMBEDDINGS:
        raise InvalidRequest(
            f"{route.name} is a {route.kind} route: embeddings of different models cannot be compared. Ask for a model,"
            " or for a fixed route.",
            param="model",
        )
    if route.kind == _CASCADE and request.operation not in _JUDGED:
        raise InvalidRequest(
            f"{route.name} is a cascade, which judges texts only. Ask for a model, or for a route of another kind.",
            param="model",
        )
    draws = route.holdout_permille or route.explore_permille or route.kind in _DRAWING
    stick = _stick(route, request, controls, call_id) if draws else ""
    facts = Facts(request, controls.tags, end_user, stick)
    # A loop in place of a generator: every call of a route comes by.
    usable: tuple[Usable, ...] = ()
    for target in route.targets:
        price = find_usable(target.model, key, org, at_ms)
        if price is not None and (target.when is ANY_CALL or _holds(target.when, facts, is_degraded)):
            usable += (Usable(target, price),)
    if not usable:
        raise ModelNotFound(f"The route `{route.name}` has no model that this call may use.", param="model")
    if route.mode == _OFF:
        return Routing(route, (_baseline(route, usable, key, org, at_ms),), "", Arm.OFF)
    if route.holdout_permille and is_drawn(route.holdout_permille, route.id, "hold out", stick):
        baseline = (_baseline(route, usable, key, org, at_ms),)
        return Routing(route, baseline, "", Arm.HELD_OUT, permille=route.holdout_permille)
    choice = KINDS[route.kind](route, usable, facts, scores)
    if route.mode == _SHADOW:
        baseline = (_baseline(route, usable, key, org, at_ms),)
        return Routing(route, baseline, choice.why, Arm.SHADOW, would=choice.names[0])
    arm = _EXPLORED if choice.is_explored else _ROUTED
    return Routing(route, choice.names, choice.why, arm, permille=choice.permille, shares=choice.shares)


def find_usable(name: str, key: KeySnapshot, org: OrgSnapshot, at_ms: int) -> PriceSnapshot | None:
    """The price of a model that this key may use; None where it may not, or there is no such model or price."""
    model = org.models.get(name)
    if model is None or (key.models is not None and name not in key.models):
        return None
    return model.find_price(at_ms)


def find_list_price(route: RouteSnapshot, routing: Routing, org: OrgSnapshot, at_ms: int) -> PriceSnapshot:
    """What a call of the route would cost without it: its baseline's price; where that is gone, the price of the model
    that is asked. Raises ModelNotFound where that is gone, too."""
    for name in (route.baseline, routing.names[0]):
        model = org.models.get(name)
        price = model.find_price(at_ms) if model is not None else None
        if price is not None:
            return price
    raise ModelNotFound(f"The route `{route.name}` has no model that this call may use.", param="model")


def _baseline(route: RouteSnapshot, usable: tuple[Usable, ...], key: KeySnapshot, org: OrgSnapshot, at_ms: int) -> str:
    """The route's own, or the dearest target where this key may not use that."""
    if find_usable(route.baseline, key, org, at_ms) is not None:
        return route.baseline
    return max(usable, key=lambda each: each.price.dearest_input + each.price.dearest_output).name


def _stick(route: RouteSnapshot, request: Request, controls: Controls, call_id: str) -> str:
    if route.sticky == Sticky.REQUEST:
        return call_id
    return controls.session or opening_of(request)


def _holds(when: ConditionSnapshot, facts: Facts, is_degraded: Callable[[], bool]) -> bool:
    tokens = facts.request.body_bytes // BYTES_A_TOKEN
    return (
        all(facts.tags.get(name) == value for name, value in when.tags)
        and (not when.end_users or facts.end_user in when.end_users)
        and tokens >= when.min_tokens
        and (not when.max_tokens or tokens <= when.max_tokens)
        and (when.has_tools is None or when.has_tools == has_tools(facts.request))
        and (when.is_degraded is None or when.is_degraded == is_degraded())
    )
