"""What a call costs: integers only, one rounding, upwards."""

from collections.abc import Iterable, Sequence
from operator import mul
from typing import Final

from costhub.lib.money import Nanos, round_up
from proxy.values.attempt import Usage
from proxy.values.plan import Bound, Demand
from tenants.price_snapshots import DEFAULT_TIER, LongContext, PriceSnapshot, Rates, ServiceTier

PLAIN: Final = Demand()

#: a prompt from its end: caches hold its beginning, so that what is fresh stands last
_FROM_THE_END: Final = (
    "input",
    "image_input",
    "audio_input",
    "cache_write",
    "cache_write_1h",
    "cached_image_input",
    "cached_audio_input",
    "cached_input",
)


def cost(usage: Usage, price: PriceSnapshot, service_tier: str = DEFAULT_TIER) -> Nanos:
    """A call's cost: pico-USD over its disjoint classes and the fee, rounded up once to a nano-USD.

    ``service_tier`` is the one that answered; one that has no price is priced as the default one.
    """
    if price.is_flat:
        return round_up(sum(map(mul, usage, price.rates)) + price.per_request)
    tier = find_tier(price, service_tier)
    if not tier.long_context:
        return round_up(sum(map(mul, usage, tier.rates)) + price.per_request)
    # Reasoning has no price of its own, in any row.
    return round_up(sum(sum(map(mul, part, rates)) for part, rates in _split(usage, tier)) + price.per_request)


def itemise(usage: Usage, price: PriceSnapshot, service_tier: str = DEFAULT_TIER) -> list[tuple[str, int, int, int]]:
    """The items that a cost is made of, without the fee: class, count, pico-USD each, and their product.

    Where tokens above a length cost more than those below, a class has an item for each of both.
    """
    parts = _split(usage, find_tier(price, service_tier))
    return [
        (name, count, each, count * each)
        for part, rates in parts
        for name, count, each in zip(Usage._fields, part, rates, strict=True)
        if count and name != "reasoning"
    ]


def find_tier(price: PriceSnapshot, service_tier: str) -> ServiceTier:
    """The rows of a service tier, or of the default one where that has no price."""
    return price.find_tier(service_tier) or ServiceTier(DEFAULT_TIER, price.rates, price.long_context)


def make_bound(
    price: PriceSnapshot,
    *,
    input_tokens: int,
    choices: int,
    max_output: int,
    is_exact: bool,
    demand: Demand = PLAIN,
) -> Bound:
    """The dearest that an attempt with at most this many input tokens can be: every class that it may use at its
    dearest price, whatever its length and whichever of the tiers answers."""
    if (demand is PLAIN or demand == PLAIN) and price.shortest >= input_tokens:
        # What is asked of a list price by nearly all: no long context, no tier, nothing but text.
        return Bound(
            input_tokens,
            input_tokens * price.dearest_input + price.per_request,
            price.dearest_output * choices,
            choices,
            max_output,
            is_exact,
        )
    rows = (price.rates,) if price.is_flat else tuple(_reachable(price, demand.tiers, input_tokens))
    units = 0
    for name, most in demand.units:
        units += most * max(getattr(row, name) for row in rows)
    return Bound(
        input_tokens=input_tokens,
        fixed_picos=input_tokens * max(_dearest_input(row, demand) for row in rows) + units + price.per_request,
        output_picos=max(_dearest_output(row, demand) for row in rows) * choices,
        choices=choices,
        max_output=max_output,
        is_exact=is_exact,
        is_open=demand.context_reads > 0,
    )


def bound_cost(bound: Bound, max_output: int) -> Nanos:
    """What ``bound`` comes to when each choice may have ``max_output`` tokens."""
    return round_up(bound.fixed_picos + bound.output_picos * max_output)


def _split(usage: Usage, tier: ServiceTier) -> list[tuple[Usage, Rates]]:
    """A usage in parts, each with the row that it is billed by."""
    total = usage.input_tokens
    rates, marginal = tier.rates, list[LongContext]()
    for row in tier.long_context:
        if total > row.above:
            if row.is_marginal:
                marginal.append(row)
            else:
                rates, marginal = row.rates, []
    parts = []
    for row in reversed(marginal):
        usage, tail = _cut(usage, usage.input_tokens - row.above)
        parts.append((tail, row.rates))
    return [(usage, rates), *reversed(parts)]


def _cut(usage: Usage, tokens: int) -> tuple[Usage, Usage]:
    """A usage without its last so many input tokens, and those."""
    head, tail = {}, {}
    for name in _FROM_THE_END:
        count: int = getattr(usage, name)
        tail[name] = min(count, tokens)
        head[name] = count - tail[name]
        tokens -= tail[name]
    return usage._replace(**head), Usage(**tail)


def _reachable(price: PriceSnapshot, tiers: Sequence[str], input_tokens: int) -> Iterable[Rates]:
    """Every row by which some of so many input tokens, or of fewer, may be billed."""
    for name in tiers:
        tier = find_tier(price, name)
        yield tier.rates
        yield from (row.rates for row in tier.long_context if row.above < input_tokens)


def _dearest_input(rates: Rates, demand: Demand) -> int:
    dearest = max(rates.input, rates.cached_input, rates.cache_write)
    if demand.has_audio:
        dearest = max(dearest, rates.audio_input, rates.cached_audio_input)
    if demand.has_images:
        dearest = max(dearest, rates.image_input, rates.cached_image_input)
    if demand.has_long_cache:
        dearest = max(dearest, rates.cache_write_1h)
    return dearest


def _dearest_output(rates: Rates, demand: Demand) -> int:
    # A model that draws may do so unasked; one that does not has no price of its own for it.
    dearest = max(rates.output, rates.image_output)
    return max(dearest, rates.audio_output) if demand.has_audio else dearest
