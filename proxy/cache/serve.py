"""Gives a caller an answer that was there already: at no cost, and still counted as a request."""

from collections.abc import Mapping
from typing import Final

from costhub.lib import clock
from costhub.lib.money import PICOS_PER_NANO, Nanos
from proxy.attempts.relay import Relay
from proxy.cache.entries import Kept
from proxy.cache.values import Found
from proxy.core import pricing
from proxy.core.layout import lay_out, watch
from proxy.edges.entry import Entry
from proxy.edges.reserve import Replan, Reservations
from proxy.values.answer import Answer
from proxy.values.attempt import Certainty, Mechanism
from proxy.values.plan import Bound, Plan

_NOTHING: Final = Bound(input_tokens=0, fixed_picos=0, output_picos=0, choices=0, max_output=0, is_exact=True)


async def serve_found(found: Found, plan: Plan, relay: Relay, entry: Entry) -> None:
    """Send ``found`` as the upstream's answer would have been sent."""
    kept = found.kept
    entry.lookup_cost = found.cost
    # Where what was kept is cheaper than finding it, that is a loss.
    saved = list_cost(kept, plan) - found.cost
    if saved:
        mechanism = Mechanism.COALESCING if found.status == "coalesced" else Mechanism.CACHE
        entry.saved_before_upstream = {mechanism: saved}
    entry.note_kept(kept.response_model, kept.finish_reason, kept.service_tier, route_of(found))
    entry.first_byte_ns = clock.monotonic_ns()
    headers = {"age": str(max(0, (clock.now_ms() - kept.stored_ms) // 1000))}
    if found.similarity:
        headers["x-costhub-similarity"] = found.similarity
    policy = entry.org.find_cache_policy(plan.request.model)
    pause_ms = policy.replay_ms if policy is not None else 0
    await relay.replay(_answer(kept, is_stream=plan.request.is_stream), headers, pause_ms=pause_ms)


async def admit_found(found: Found, plan: Plan, entry: Entry, reservations: Reservations, replan: Replan) -> None:
    """Count a call whose answer was there as one request in its rate limits, and what finding it cost in its budgets.
    Raises what ``Reservations.admit`` does but for budgets."""
    if not plan.first.rates and not found.cost:
        return
    free = as_free(plan, found.cost)

    async def decide(spent: Mapping[str, int]) -> Plan:
        # A budget that has begun meanwhile has to hear of a cost.
        return as_free(await replan.decide(spent), found.cost) if found.cost else free

    entry.note_plan(free)
    await reservations.admit(free, entry, Replan(decide, replan.renew))


def as_free(plan: Plan, cost: int = 0) -> Plan:
    """The plan of a call that asks no upstream: it needs no room in a budget, and is one request in each window like
    any other. What it costs all the same, budgets count and do not refuse."""
    first = plan.first
    layout = watch(first.layout, plan.request.model, first.model.name) if cost else lay_out((), first.rates)
    bound = _NOTHING._replace(fixed_picos=cost * PICOS_PER_NANO)
    candidate = first._replace(layout=layout, bound=bound, bands=())
    return plan._replace(
        candidates=(candidate,),
        controls=plan.controls._replace(max_cost=None),
    )


def list_cost(kept: Kept, plan: Plan) -> Nanos:
    """What the answer's tokens cost at the list price of the model that was asked for, in nano-USD."""
    if kept.service_tier:
        return pricing.cost(kept.usage, plan.first.list_price, kept.service_tier)
    return pricing.cost(kept.usage, plan.first.list_price)


def route_of(found: Found) -> str:
    """Why the caller got this answer: the request that brought it, and how like its question was."""
    return f"cached: {found.kept.id}" + (f", similarity {found.similarity}" if found.similarity else "")


def _answer(kept: Kept, *, is_stream: bool) -> Answer:
    return Answer(
        content_type=kept.content_type,
        is_stream=is_stream,
        parts=(kept.body,),
        model=kept.response_model,
        usage=kept.usage,
        certainty=Certainty(kept.certainty),
        finish_reason=kept.finish_reason,
        is_complete=True,
    )
