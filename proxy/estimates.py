"""What a call would cost, and whether it would be let in, without making it."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from costhub.lib import clock
from costhub.lib.moments import from_ms
from costhub.lib.money import format_usd
from proxy.cache.marks import mark_prompt
from proxy.call import Call
from proxy.core.body_fields import MAX_TOKENS_LIMIT, read_object, write_object
from proxy.core.bounds import bound_tokens, exact_bound, loose_bound
from proxy.core.controls import aim, parse_controls
from proxy.core.fits import Spent, Verdict, find_fit
from proxy.core.plan import make_plan
from proxy.core.plan_detail import describe_plan
from proxy.core.pricing import bound_cost
from proxy.dialects import read_unsent
from proxy.edges.reserve_batch import FEWEST_OUTPUT_TOKENS
from proxy.errors import AmountsHidden, InvalidRequest
from proxy.queries import read_spent, read_used
from proxy.values.plan import Bound, Candidate, Plan
from proxy.values.request import Endpoint, Request
from proxy.values.windows import Scope
from proxy.wiring import Edges
from tenants.choices import RouteKind, RungKind
from tenants.snapshots import KeySnapshot, OrgSnapshot

Json = dict[str, Any]

_INPUT: Final = "input_tokens"
_OUTPUT: Final = "output_tokens"
_NAMES: Final = (b'"input_tokens"', b'"output_tokens"')
#: what has the words of a call
_WORDS: Final = ("messages", "prompt", "input")
#: what of a call's words and lengths is given in numbers instead
_IN_NUMBERS: Final = frozenset({_INPUT, _OUTPUT, "max_tokens", "max_completion_tokens"})
_BY_TOKENS: Final = ("", Endpoint.CHAT, Endpoint.EMBEDDINGS)
_BYTES_A_TOKEN: Final = 4


async def estimate(call: Call, edges: Edges, path: str = "") -> Json:
    """What a body would cost, without sending it: its input counted exactly, unless that takes seconds, its output at
    least none and at most all. And whether the budgets and limits on its path would take it now.

    The body is that of the endpoint at ``path``, or of the one that it looks like: one with messages is a chat, unless
    it has fields of Messages, and one with an input an embedding, unless it has fields of Responses. One with
    ``input_tokens`` has no words, but says how many tokens there would be, of output in ``output_tokens``.

    Raises AmountsHidden for a key that is told no amounts, and what a call of this body would be refused with, but for
    what budgets and limits say.
    """
    key, org = await edges.auth.admit(call)
    if key.hides_amounts:
        raise AmountsHidden("This key is told no amounts: ask with another one.")
    raw = await call.body()
    tokens = _find_tokens(raw)
    read = read_unsent(raw, path) if tokens is None else _read_tokens(raw, path, tokens)
    request = mark_prompt(aim(read, call.headers, org), org)
    controls = parse_controls(call.headers, call.repeated)
    scores = edges.learned_routes.score(request, controls, org)
    plan_with = partial(
        make_plan, *(request, controls, key, org, call.started_ms), count=loose_bound, call_id=call.id, scores=scores
    )
    plan = plan_with(spent=edges.reservations.spent)
    if ladders := plan.first.layout.ladders:
        # A process knows of the steps that its own calls have crossed, and this one may have had none.
        plan = plan_with(spent={**edges.reservations.spent, **await _read_ladders(edges, ladders)})
    if tokens is None:
        bound = await _count(edges, request, plan, org)
    else:
        _check_route(plan)
        plan = plan._replace(candidates=tuple(_with_tokens(request, one, tokens, plan) for one in plan.candidates))
        bound = plan.first.bound
    candidate = plan.first
    counts = tokens is not None or candidate.model.tokenizer != "bytes"
    return {
        "object": "costhub.estimate",
        "model": candidate.model.name,
        "input_tokens": bound.input_tokens,
        "input_tokens_are_exact": bound.is_exact and not bound.is_open and counts,
        "max_output_tokens": bound.max_output * bound.choices,
        "min_cost": format_usd(bound_cost(bound, 0)),
        "max_cost": format_usd(bound_cost(bound, bound.max_output)),
        "price": {"id": candidate.price.id, "source": candidate.price.source},
        "fits": await _show_fit(edges, plan, bound, key, controls.max_cost),
        "plan": describe_plan(plan),
    }


async def _count(edges: Edges, request: Request, plan: Plan, org: OrgSnapshot) -> Bound:
    candidate = plan.first
    return await edges.counting.run(
        request.body_bytes,
        partial(exact_bound, request, candidate, plan.most_output),
        lambda: candidate.bound._replace(is_exact=False),
        whose=org.id,
        vocabulary=candidate.model.tokenizer,
    )


async def _read_ladders(edges: Edges, ladders: Sequence[tuple[int, Scope]]) -> dict[str, int]:
    """What is spent of budgets with a ladder, and what rolled over into them: nano-USD by counter."""
    known: dict[str, int] = {}
    for _, scope in ladders:
        settled, held, rolled = await read_spent(edges, scope)
        known[scope.counter] = settled + held
        if scope.before is not None:
            known[scope.before.counter] = rolled
    return known


async def _show_fit(edges: Edges, plan: Plan, bound: Bound, key: KeySnapshot, max_cost: int | None) -> Json:
    if RungKind.CACHE_ONLY in plan.rungs:
        by: Json | None = {"kind": "rung", "name": RungKind.CACHE_ONLY.value}
        return {"verdict": Verdict.REFUSED.value, "max_output_tokens": 0, "by": by}
    candidate = plan.first
    spent = [Spent(scope, *await read_spent(edges, scope)) for scope in candidate.scopes if scope.is_hard]
    now_ms = clock.now_ms()
    used = [await read_used(edges, rate, now_ms) for rate in candidate.rates]
    layout = candidate.layout
    fit = find_fit(bound, spent, used, layout, key, max_cost=max_cost, fewest_output=FEWEST_OUTPUT_TOKENS)
    by = dict(fit.by) if fit.by is not None else None
    if by is not None and by.get("window_seconds"):
        by["resets_at"] = from_ms(now_ms + by["window_seconds"] * 1_000).isoformat()
    return {"verdict": fit.verdict.value, "max_output_tokens": fit.granted * bound.choices, "by": by}


def _find_tokens(raw: bytes) -> int | None:
    """The input tokens that a body without words says it has; None for any other. Raises InvalidRequest."""
    if _NAMES[0] not in raw and _NAMES[1] not in raw:
        # As of nearly all: a long one is not read once more for this.
        return None
    body = read_object(raw)
    if _INPUT not in body and _OUTPUT not in body:
        return None
    if words := next((name for name in _WORDS if name in body), None):
        raise InvalidRequest(f"Give {words}, or how many tokens there are, not both.", param=words)
    return _whole(body, _INPUT, 0)


def _read_tokens(raw: bytes, path: str, tokens: int) -> Request:
    """A request without words, of so many tokens as it says. Raises InvalidRequest."""
    if path not in _BY_TOKENS:
        raise InvalidRequest(
            f"Tokens are given for {Endpoint.CHAT} and {Endpoint.EMBEDDINGS}: leave endpoint out, or give words.",
            param="endpoint",
        )
    body = read_object(raw)
    rest = {name: value for name, value in body.items() if name not in _IN_NUMBERS}
    if path == Endpoint.EMBEDDINGS:
        if _OUTPUT in body:
            raise InvalidRequest("Embeddings have no output: leave output_tokens out.", param=_OUTPUT)
        rest["input"] = "-"
    else:
        rest["messages"] = [{"role": "user", "content": "-"}]
        if _OUTPUT in body:
            rest["max_tokens"] = _whole(body, _OUTPUT, 1)
    # What routes say of lengths is said of bytes.
    return read_unsent(write_object(rest), path)._replace(body_bytes=tokens * _BYTES_A_TOKEN)


def _with_tokens(request: Request, candidate: Candidate, tokens: int, plan: Plan) -> Candidate:
    return candidate._replace(bound=bound_tokens(request, candidate, tokens, plan.most_output))


def _check_route(plan: Plan) -> None:
    """Raise InvalidRequest where a route decides by the words of a request that has none."""
    if plan.routing is not None and plan.routing.route.kind == RouteKind.ROUTER:
        raise InvalidRequest(
            f"The route {plan.routing.route.name} reads the words of a call: give messages, or one of its models.",
            param="model",
        )


def _whole(body: Json, name: str, least: int) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_TOKENS_LIMIT:
        raise InvalidRequest(f"{name} must be a whole number from {least} to {MAX_TOKENS_LIMIT}.", param=name)
    return value
