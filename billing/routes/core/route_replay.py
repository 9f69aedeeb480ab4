"""What past calls would have cost by a route that chooses without reading prompts, call by call and without asking any
model.

A call that would have gone where it went costs what it did. Any other is priced by the tokens of its answer, and by an
answer as long as that model's are. Chance is taken by its shares: what is said is what the calls would have cost on
average.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple

from billing.routes.core.what_if import Band
from proxy.core.pricing import cost, find_tier
from proxy.values.attempt import Usage
from tenants.choices import RouteKind
from tenants.price_snapshots import DEFAULT_TIER, INPUT_CLASSES, OUTPUT_CLASSES, PriceSnapshot
from tenants.route_snapshots import ConditionSnapshot, RouteSnapshot, TargetSnapshot

#: what these would choose the ledger's rows tell; a router and a cascade read prompts and answers
REPLAYED: Final = frozenset({RouteKind.FIXED, RouteKind.FALLBACKS, RouteKind.WEIGHTED, RouteKind.CANARY})
_WHOLE: Final = 1000


class PastCall(NamedTuple):
    """A call as the ledger has it: what conditions ask of it, what it cost in nano-USD over all of its attempts, and of
    the answer that was given its model, usage and cost; no ``model`` where none was asked."""

    tags: Mapping[str, str]
    end_user: str
    paid: int
    model: str = ""
    usage: Usage = Usage()
    cost: int = 0


class Terms(NamedTuple):
    """How calls would be made: the share of them that goes by the route, at least and at most what compression takes
    off the input, and the service tier that answers."""

    share: Fraction = Fraction(1)
    off: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    tier: str = DEFAULT_TIER


def read_call(tags: Mapping[str, str], end_user: str, paid: int, attempts: Sequence[Mapping[str, Any]]) -> PastCall:
    """A call from its row."""
    answered = [one for one in attempts if one["status"] == 200 and not one["error"] and not one.get("is_sample")]
    # A cascade may have come back to an earlier one.
    given = ([one for one in answered if one.get("list_cost")] or answered)[-1:]
    if not given:
        return PastCall(tags, end_user, paid)
    (one,) = given
    told = one.get("usage") or {"input": one.get("input_tokens", 0), "output": one.get("output_tokens", 0)}
    usage = Usage(**{name: count for name, count in told.items() if name in Usage._fields})
    return PastCall(tags, end_user, paid, one.get("model", ""), usage, one["cost"])


def replay_route(
    calls: Sequence[PastCall],
    route: RouteSnapshot,
    prices: Mapping[str, PriceSnapshot],
    usual_output: Mapping[str, Fraction],
    terms: Terms,
) -> Band:
    """What the calls would have cost, in nano-USD. ``prices``: of the route's models that have one, its baseline's
    among them; ``usual_output``: the tokens of an answer of each model, where it has given any."""
    low = high = Fraction(0)
    for call in calls:
        shares = find_shares(route, call, prices) if call.model else {}
        if not shares:
            low, high = low + call.paid, high + call.paid
            continue
        kept = (1 - terms.share) * call.paid
        low, high = low + kept, high + kept
        for model, share in shares.items():
            ends = _price(call, model, prices[model], usual_output.get(model), terms)
            low += terms.share * share * min(ends)
            high += terms.share * share * max(ends)
    return Band(math.floor(low), math.ceil(high))


def find_shares(route: RouteSnapshot, call: PastCall, prices: Mapping[str, PriceSnapshot]) -> dict[str, Fraction]:
    """Which models a call would go to, and how likely to each. Empty where the route has none for it."""
    usable = [target for target in route.targets if target.model in prices and _holds(target.when, call)]
    if not usable:
        return {}
    held_out = Fraction(route.holdout_permille if route.baseline in prices else 0, _WHOLE)
    shares: dict[str, Fraction] = {route.baseline: held_out} if held_out else {}
    for target, share in zip(usable, _split(route, usable), strict=False):
        if share:
            shares[target.model] = shares.get(target.model, Fraction(0)) + (1 - held_out) * share
    return shares


def _split(route: RouteSnapshot, usable: Sequence[TargetSnapshot]) -> list[Fraction]:
    """The shares of the targets, of which the first few may have all."""
    if route.kind == RouteKind.WEIGHTED:
        total = sum(target.weight for target in usable)
        return [Fraction(target.weight, total) for target in usable]
    if route.kind == RouteKind.CANARY and len(usable) > 1:
        share = Fraction(route.share_permille, _WHOLE)
        return [1 - share, share]
    return [Fraction(1)]


def _holds(when: ConditionSnapshot, call: PastCall) -> bool:
    """As ``proxy.core.routes.decide`` has it, with the tokens that were billed for those of the body."""
    tokens = call.usage.input_tokens
    return (
        all(call.tags.get(name) == value for name, value in when.tags)
        and (not when.end_users or call.end_user in when.end_users)
        and tokens >= when.min_tokens
        and (not when.max_tokens or tokens <= when.max_tokens)
    )


def _price(call: PastCall, model: str, price: PriceSnapshot, usual: Fraction | None, terms: Terms) -> list[int]:
    """What the call would have cost at a model, in every case that is thought of."""
    own = call.usage.output_tokens
    is_there = model == call.model
    lengths = [Fraction(1)] if is_there or not usual or not own else [Fraction(1), usual / own]
    is_as_it_was = is_there and find_tier(price, terms.tier).name == DEFAULT_TIER
    return [
        call.cost if is_as_it_was and not off else cost(_scale(call.usage, off, length), price, terms.tier)
        for off in terms.off
        for length in lengths
    ]


def _scale(usage: Usage, off: Fraction, length: Fraction) -> Usage:
    into = {name: math.ceil(getattr(usage, name) * (1 - off)) for name in INPUT_CLASSES}
    out = {name: math.ceil(getattr(usage, name) * length) for name in OUTPUT_CLASSES}
    return usage._replace(**into, **out)
