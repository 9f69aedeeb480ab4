"""How a call's cost came about: tokens by class, times the price of each, summed and rounded up once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from costhub.lib.money import NANOS_PER_USD, PICOS_PER_NANO, round_up
from tenants.snapshots import PriceSnapshot


@dataclass(frozen=True, slots=True)
class PriceLine:
    """``tokens`` at ``price`` picos each come to ``picos``. The fee of a request is a line without tokens."""

    name: str
    tokens: int | None
    price: int
    picos: int


@dataclass(frozen=True, slots=True)
class PriceSum:
    """The lines, their sum in pico-USD, and that sum rounded up to a nano-USD."""

    lines: tuple[PriceLine, ...]
    picos: int
    nanos: int


_INSIDE_INPUT: Final = ("cache_read_input_tokens", "cache_write_input_tokens", "audio_input_tokens")
#: (name, the ledger's column of tokens, the columns that are inside it and have a line of their own, the price's field,
#: shown even without tokens)
_CLASSES: Final[tuple[tuple[str, str, tuple[str, ...], str, bool], ...]] = (
    ("Input", "input_tokens", _INSIDE_INPUT, "input", True),
    ("Cached input", "cache_read_input_tokens", (), "cached_input", False),
    ("Cache write", "cache_write_input_tokens", (), "cache_write", False),
    ("Audio input", "audio_input_tokens", (), "audio_input", False),
    ("Output", "output_tokens", ("audio_output_tokens",), "output", True),
    ("Audio output", "audio_output_tokens", (), "audio_output", False),
)


def make_price_lines(count_tokens: Callable[[str], int], price: PriceSnapshot) -> PriceSum:
    """Price a call, as ``proxy.core.pricing.cost`` does, line by line; ``count_tokens`` gives its tokens by column."""
    lines = []
    for name, column, inside, field, is_always_shown in _CLASSES:
        tokens = count_tokens(column) - sum(map(count_tokens, inside))
        picos_a_token = getattr(price, field)
        if tokens or is_always_shown:
            lines.append(PriceLine(name, tokens, picos_a_token, tokens * picos_a_token))
    if price.per_request:
        lines.append(PriceLine("Per request", None, price.per_request, price.per_request))
    picos = sum(line.picos for line in lines)
    return PriceSum(tuple(lines), picos, round_up(picos))


def format_picos(picos: int) -> str:
    """Exact USD with nine to twelve places: a line may be finer than a nano-dollar, only their sum is rounded."""
    sign, digits = ("-", -picos) if picos < 0 else ("", picos)
    whole, rest = divmod(digits, PICOS_PER_NANO * NANOS_PER_USD)
    places = f"{rest:012d}"
    return f"{sign}${whole:,}.{places[:9]}{places[9:].rstrip('0')}"
