"""How a call's cost came about: what was used by class, times the price of each, summed and rounded up once."""

from dataclasses import dataclass
from typing import Final

from costhub.lib.money import NANOS_PER_USD, PICOS_PER_NANO, round_up
from proxy.core.pricing import find_tier, itemise
from proxy.values.attempt import Usage
from tenants.price_snapshots import DEFAULT_TIER, UNIT_CLASSES, PriceSnapshot


@dataclass(frozen=True, slots=True)
class PriceLine:
    """``count`` tokens or units at ``price`` picos each come to ``picos``. The fee of a request is a line without a
    count."""

    name: str
    count: int | None
    price: int
    picos: int
    is_unit: bool = False


@dataclass(frozen=True, slots=True)
class PriceSum:
    """The lines, their sum in pico-USD, and that sum rounded up to a nano-USD."""

    lines: tuple[PriceLine, ...]
    picos: int
    nanos: int


#: every class that is billed, as people read it, in the order of the lines
_NAMES: Final = {
    "input": "Input",
    "cached_input": "Cached input",
    "cache_write": "Cache write",
    "cache_write_1h": "Cache write, 1 hour",
    "audio_input": "Audio input",
    "cached_audio_input": "Cached audio input",
    "image_input": "Image input",
    "cached_image_input": "Cached image input",
    "output": "Output",
    "audio_output": "Audio output",
    "image_output": "Image output",
    "web_searches_low": "Web searches, low context",
    "web_searches": "Web searches",
    "web_searches_high": "Web searches, high context",
    "file_searches": "File searches",
    "code_sessions": "Code interpreter sessions",
    "images": "Images",
    "seconds": "Seconds of sound",
    "characters": "Characters",
    "pages": "Pages",
    "web_searches_preview": "Web searches by the preview tool",
}
_ALWAYS_SHOWN: Final = ("input", "output")


def make_price_lines(used: Usage, price: PriceSnapshot, service_tier: str = "") -> PriceSum:
    """Price a call, as ``proxy.core.pricing.cost`` does, line by line. Without a ``service_tier`` it is the default
    one."""
    tier = service_tier or DEFAULT_TIER
    items = itemise(used, price, tier)
    shown = {name for name, _, _, _ in items}
    rates = find_tier(price, tier).rates
    items += [(name, 0, getattr(rates, name), 0) for name in _ALWAYS_SHOWN if name not in shown]
    order = list(_NAMES)
    lines = [
        PriceLine(_NAMES[name], count, each, picos, name in UNIT_CLASSES)
        for name, count, each, picos in sorted(items, key=lambda item: order.index(item[0]))
    ]
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
