"""Everything that can be decided before the first byte leaves, from values alone."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from proxy.core import pricing, tokens
from proxy.core.ladders import find_bands, go_down
from proxy.core.layout import lay_out
from proxy.core.limits import find_scopes
from proxy.core.rates import cap_output, find_rates
from proxy.errors import InvalidRequest, ModelNotFound, ModelNotPriced, NotAllowed
from proxy.types import NO_LIMIT, Bound, Controls, Draft, Endpoint, Layout, Plan, Request
from tenants.choices import RungKind
from tenants.snapshots import KeySnapshot, ModelSnapshot, OrgSnapshot, PriceSnapshot

MAX_PICOS_A_CALL: Final = 2**53
#: more than an organisation may have, but a default for tags holds each of a call's tags. With all that one can have,
#: these are nearly as many numbers as a script of Valkey's can take at once
MOST_LIMITS_A_CALL: Final = 600


def make_plan(
    request: Request,
    controls: Controls,
    key: KeySnapshot,
    org: OrgSnapshot,
    at_ms: int,
    spent: Mapping[str, int] = MappingProxyType({}),
) -> Plan:
    """Decide where a call goes, what it may cost at most, and which budgets must take that.

    ``spent``: what is known of budgets' spend, in nano-USD by counter; it decides on which rungs of their ladders the
    call is.

    Raises ModelNotFound, ModelNotPriced, NotAllowed, or InvalidRequest when the request asks for what cannot be.
    """
    check_running(key, org)
    end_user = find_end_user(request, controls, key)
    if end_user in org.blocked_end_users:
        raise NotAllowed(f"The end user {end_user} is blocked in this organisation.", code="end_user_blocked")
    model = find_model(request.model, key, org)
    price = model.find_price(at_ms)
    if price is None:
        raise ModelNotPriced(
            f"The model {model.name} has no price, so what this call would cost is unknown. Ask an admin of your"
            " organisation to set one under Models & prices.",
            param="model",
        )
    tags, session = controls.tags, controls.session
    scopes = find_scopes(org, key, end_user=end_user, model=model.name, tags=tags, session=session, at_ms=at_ms)
    rates = find_rates(org, key, end_user=end_user, model=model.name, tags=tags, session=session)
    layout = lay_out(scopes, rates)
    _check_breadth(layout)
    draft, rungs = go_down(Draft(model, price), layout.ladders, spent, org, key, at_ms)
    bound = quick_bound(request, draft.model, draft.price, draft.most_output)
    plan = Plan(
        request=request,
        controls=controls if controls.end_user == end_user else controls._replace(end_user=end_user),
        model=draft.model,
        upstream=org.upstreams[draft.model.upstream_id],
        price=draft.price,
        bound=bound,
        layout=layout,
        list_price=price,
        rungs=rungs,
        most_output=draft.most_output,
        delay_ms=draft.delay_ms,
        bands=find_bands(layout.ladders, spent),
        is_capped=(
            layout.is_capping
            or controls.max_cost is not None
            or draft.most_output != NO_LIMIT
            # A cheaper model may not take what was asked of the other one.
            or RungKind.CHEAPER_MODEL in rungs
        ),
    )
    if not rates or cap_output(bound, rates) == bound:
        return plan
    # The windows take less than the loose bound: before an answer is cut for it, the input is counted.
    return plan._replace(bound=exact_bound(plan))


def check_running(key: KeySnapshot, org: OrgSnapshot) -> None:
    """Raise NotAllowed where somebody has pulled the emergency stop."""
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
    """The model by its name, if this key may use it. Raises ModelNotFound, in the same words for both reasons."""
    model = org.models.get(name)
    if model is None or (key.models is not None and name not in key.models):
        raise ModelNotFound(f"The model `{name}` does not exist or you do not have access to it.", param="model")
    return model


def quick_bound(request: Request, model: ModelSnapshot, price: PriceSnapshot, most_output: int = NO_LIMIT) -> Bound:
    """A bound that costs nothing to make; see ``tokens.bound_by_bytes``."""
    return _bound(request, model, price, tokens.bound_by_bytes(request, model), most_output, is_exact=False)


def exact_bound(plan: Plan) -> Bound:
    """The bound with the request's tokens counted in the model's own vocabulary."""
    counted = tokens.count_exactly(plan.request, plan.model)
    input_tokens = min(counted, plan.bound.input_tokens)
    bound = _bound(plan.request, plan.model, plan.price, input_tokens, plan.most_output, is_exact=True)
    return cap_output(bound, plan.rates)


def _bound(
    request: Request,
    model: ModelSnapshot,
    price: PriceSnapshot,
    input_tokens: int,
    most_output: int,
    *,
    is_exact: bool,
) -> Bound:
    if request.endpoint is Endpoint.EMBEDDINGS:
        max_output = 0
    else:
        max_output = min(request.max_output or model.max_output_tokens, model.max_output_tokens)
        if max_output < 1:
            raise InvalidRequest(f"The model {model.name} gives no output.", param="model")
        if most_output != NO_LIMIT:
            max_output = min(max_output, most_output)
    bound = pricing.make_bound(
        price,
        input_tokens=input_tokens,
        choices=request.choices,
        max_output=max_output,
        is_exact=is_exact,
        has_audio=not request.is_plain and ("audio" in request.body or _hears(request)),
    )
    return _check_countable(bound)


def _check_breadth(layout: Layout) -> None:
    """One script of Valkey's checks all of them, and keeps everybody else waiting meanwhile."""
    if layout.breadth > MOST_LIMITS_A_CALL:
        raise InvalidRequest(
            f"{layout.breadth} budgets and rate limits count this call, {MOST_LIMITS_A_CALL} at most are taken: send fewer tags.",
            param="x-costhub-tags",
            code="too_many_limits",
        )


def _check_countable(bound: Bound) -> Bound:
    """Valkey's scripts count in pico-USD, exactly up to 2**53 of them: nine thousand dollars for one call."""
    if bound.fixed_picos + bound.output_picos * bound.max_output >= MAX_PICOS_A_CALL:
        raise InvalidRequest(
            "This call may cost more than $9,007, the most that is taken: lower max_tokens, n or the prompt.",
            param="max_tokens",
            code="call_too_dear",
        )
    return bound


def _hears(request: Request) -> bool:
    return any(part.get("type") == "input_audio" for part in tokens.parts_of(request)) or any(
        message.get("audio") for message in tokens.messages_of(request)
    )
