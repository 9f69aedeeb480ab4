"""A plan as people read it: where a call would go, why, and what it might cost."""

from typing import Any

from costhub.lib.money import format_usd
from proxy.core.pricing import bound_cost
from proxy.core.row import route_of
from proxy.values.plan import Candidate, Plan


def describe_plan(plan: Plan) -> dict[str, Any]:
    """The route's decision, and every model that may be asked, in order, with the most that one try may cost."""
    routing = plan.routing
    return {
        "reason": route_of(plan),
        "route": None
        if routing is None
        else {
            "name": routing.route.name,
            "version": routing.route.version,
            "kind": routing.route.kind,
            "arm": routing.arm.value,
            "model": routing.names[0],
            "would_be": routing.would,
            "why": routing.why,
            "permille": routing.permille,
        },
        "rungs": list(plan.rungs),
        "is_cascade": plan.is_cascade,
        "candidates": [_describe(candidate) for candidate in plan.candidates],
    }


def _describe(candidate: Candidate) -> dict[str, Any]:
    bound = candidate.bound
    return {
        "model": candidate.model.name,
        "upstream": candidate.upstream.name,
        "input_tokens_at_most": bound.input_tokens,
        "output_tokens_at_most": bound.max_output * bound.choices,
        "cost_at_most": format_usd(bound_cost(bound, bound.max_output)),
        "price": {"id": candidate.price.id, "source": candidate.price.source},
    }
