"""The most that one try at a model may cost: loosely by a body's bytes, or exactly by its tokens."""

from collections.abc import Callable

from costhub.lib.money import MAX_CALL_TEXT, MAX_PICOS_A_CALL
from proxy.core import pricing, tokens
from proxy.core.demand import find_demand
from proxy.core.pricing import PLAIN
from proxy.core.rate_limits import cap_output
from proxy.errors import InvalidRequest
from proxy.values.plan import Bound, Candidate
from proxy.values.request import WITHOUT_OUTPUT, Request, Wire
from proxy.values.windows import NO_LIMIT
from tenants.choices import Habit, UpstreamKind
from tenants.price_snapshots import PriceSnapshot
from tenants.snapshots import ModelSnapshot, UpstreamSnapshot

#: makes a better bound of a candidate's own one, for so much output at most
Counter = Callable[[Request, Candidate, int], Bound]


def fit_windows(request: Request, candidate: Candidate, most_output: int, count: Counter) -> Candidate:
    """Where windows take less than the loose bound, the input is counted before an answer is cut for them."""
    rates = candidate.rates
    if not rates or cap_output(candidate.bound, rates) == candidate.bound:
        return candidate
    return candidate._replace(bound=count(request, candidate, most_output))


def quick_bound(
    request: Request,
    model: ModelSnapshot,
    upstream: UpstreamSnapshot,
    price: PriceSnapshot,
    most_output: int = NO_LIMIT,
) -> Bound:
    """A bound that costs nothing to make; see ``tokens.bound_by_bytes``."""
    return _bound(request, model, upstream, price, tokens.bound_by_bytes(request, model), most_output, is_exact=False)


def exact_bound(request: Request, candidate: Candidate, most_output: int = NO_LIMIT) -> Bound:
    """A candidate's bound with the request's tokens counted in its model's own vocabulary."""
    counted = tokens.count_exactly(request, candidate.model)
    if request.original is not None and _speaks(candidate.upstream, request.wire):
        # What no chat carries goes to those who speak the caller's format: no token has less than a byte.
        counted += request.original.left_out
    input_tokens = min(counted, candidate.bound.input_tokens)
    bound = _bound(
        request, candidate.model, candidate.upstream, candidate.price, input_tokens, most_output, is_exact=True
    )
    return cap_output(bound, candidate.rates)


def bound_tokens(request: Request, candidate: Candidate, input_tokens: int, most_output: int = NO_LIMIT) -> Bound:
    """A candidate's bound where somebody says how many input tokens there are."""
    bound = _bound(
        request, candidate.model, candidate.upstream, candidate.price, input_tokens, most_output, is_exact=True
    )
    return cap_output(bound, candidate.rates)


def loose_bound(request: Request, candidate: Candidate, most_output: int = NO_LIMIT) -> Bound:
    """A candidate's bound without counting, as if it were exact: nobody will ask for a better one."""
    return cap_output(candidate.bound, candidate.rates)._replace(is_exact=True)


def _bound(
    request: Request,
    model: ModelSnapshot,
    upstream: UpstreamSnapshot,
    price: PriceSnapshot,
    input_tokens: int,
    most_output: int,
    *,
    is_exact: bool,
) -> Bound:
    if request.operation in WITHOUT_OUTPUT:
        max_output = 0
    else:
        max_output = model.max_output_tokens
        if request.max_output and request.max_output < max_output:
            max_output = request.max_output
        if max_output < 1:
            raise InvalidRequest(f"The model {model.name} gives no output.", param="model")
        if most_output != NO_LIMIT:
            max_output = min(max_output, most_output)
    demand = find_demand(request, model, price, upstream)
    if demand is not PLAIN and demand.context_reads:
        # What tools bring in is in no request: only the window says how much there can be, each time.
        input_tokens = max(input_tokens, model.context_window) * demand.context_reads
    bound = pricing.make_bound(
        price,
        input_tokens=input_tokens,
        choices=request.choices,
        max_output=max_output,
        is_exact=is_exact,
        demand=demand,
    )
    if bound.fixed_picos + bound.output_picos * max_output >= MAX_PICOS_A_CALL:
        raise _too_expensive()
    return bound


def _speaks(upstream: UpstreamSnapshot, wire: Wire) -> bool:
    """Whether an upstream may be sent a request in its caller's format, with thoughts and all."""
    if wire is Wire.MESSAGES:
        return upstream.kind == UpstreamKind.ANTHROPIC
    return upstream.kind != UpstreamKind.ANTHROPIC and bool(
        upstream.habits.get(Habit.RESPONSES, upstream.kind == UpstreamKind.OPENAI)
    )


def _too_expensive() -> InvalidRequest:
    """It is more than Valkey's scripts can count."""
    return InvalidRequest(
        f"This call may cost more than {MAX_CALL_TEXT}, the most that is taken: lower max_tokens, n or the prompt.",
        param="max_tokens",
        code="call_too_expensive",
    )
