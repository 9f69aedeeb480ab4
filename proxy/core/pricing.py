"""What tokens cost: integers only, one rounding, upwards."""

from costhub.lib.money import Nanos, round_up
from proxy.types import Bound, Usage
from tenants.snapshots import PriceSnapshot


def cost(usage: Usage, price: PriceSnapshot) -> Nanos:
    """A call's cost: pico-USD over its disjoint token classes and the fee, rounded up once to a nano-USD."""
    return round_up(
        usage.input * price.input
        + usage.cached_input * price.cached_input
        + usage.cache_write * price.cache_write
        + usage.output * price.output
        + usage.audio_input * price.audio_input
        + usage.audio_output * price.audio_output
        + price.per_request
    )


def make_bound(
    price: PriceSnapshot, *, input_tokens: int, choices: int, max_output: int, is_exact: bool, has_audio: bool = False
) -> Bound:
    """The dearest that an attempt with this many input tokens can be: every class at its dearest price."""
    dearest_input = max(price.input, price.cached_input, price.cache_write, price.audio_input if has_audio else 0)
    dearest_output = max(price.output, price.audio_output if has_audio else 0)
    return Bound(
        input_tokens=input_tokens,
        fixed_picos=input_tokens * dearest_input + price.per_request,
        output_picos=dearest_output * choices,
        choices=choices,
        max_output=max_output,
        is_exact=is_exact,
    )


def bound_cost(bound: Bound, max_output: int) -> Nanos:
    """What ``bound`` comes to when each choice may have ``max_output`` tokens."""
    return round_up(bound.fixed_picos + bound.output_picos * max_output)
