"""The packaged price table (the ``genai-prices`` package), read into versions that a ListPrice row can hold.

What the table says about tiers is lost on a single price: the base tier is taken, and ``source`` says so. A price finer
than what can be counted exactly is rounded up once, here, and ``source`` says that too. Models that
are not billed by tokens (speech by the hour, say) are left out, and stay unpriced until somebody types a price.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from typing import Any, Final

from genai_prices.data import providers

from costhub.lib.money import FEE_DECIMAL_PLACES, PRICE_DECIMAL_PLACES, coarsen

#: the first price of a model that the table knows holds since always
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)

_COLUMNS: Final = {
    "input_per_million": "input_mtok",
    "output_per_million": "output_mtok",
    "cached_input_per_million": "cache_read_mtok",
    "cache_write_per_million": "cache_write_mtok",
    "audio_input_per_million": "input_audio_mtok",
    "audio_output_per_million": "output_audio_mtok",
}

_DUST: Final = Decimal("0.000000000001")
_ROUNDED: Final = f", rounded up to {PRICE_DECIMAL_PLACES} decimal places"


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One version of one model's public price. ``amounts`` are keyed by ListPrice's columns."""

    provider: str
    model: str
    effective_from: datetime
    amounts: dict[str, Decimal | None]
    context_window: int | None
    source: str


def read_price_table(provider: str) -> list[ListedPrice]:
    """Every version of every model of a provider, by model and time, under each name that the provider gives the model.

    Raises ValueError if the table does not know the provider.
    """
    found = next((entry for entry in providers if entry.id == provider), None)
    if found is None:
        raise ValueError(f"the price table does not know the provider {provider!r}")
    table = f"genai-prices {version('genai-prices')}"
    listed: dict[tuple[str, datetime], ListedPrice] = {}
    for model in found.models:
        for name in sorted({model.id, *_exact_names(model.match)}, key=lambda name: name != model.id):
            for effective_from, prices in _versions(model.prices):
                if (exact := _amounts(prices)) is not None:
                    amounts = {column: _countable(amount, column) for column, amount in exact.items()}
                    source = table + _remark(prices) + ("" if amounts == exact else _ROUNDED)
                    # A model's own entry goes before an entry that has it as a second name.
                    price = ListedPrice(provider, name, effective_from, amounts, model.context_window, source)
                    key = name, effective_from
                    listed[key] = price if name == model.id else listed.get(key, price)
    return [listed[key] for key in sorted(listed)]


def _exact_names(match: Any) -> Iterator[str]:
    if hasattr(match, "equals"):
        yield match.equals
    for inner in getattr(match, "or_", []):
        yield from _exact_names(inner)


def _versions(prices: Any) -> Iterator[tuple[datetime, Any]]:
    if not isinstance(prices, list):
        yield BEGINNING, prices
        return
    for conditional in prices:
        start = getattr(conditional.constraint, "start_date", None)
        if conditional.constraint is None:
            yield BEGINNING, conditional.prices
        elif isinstance(start, date):
            yield datetime(start.year, start.month, start.day, tzinfo=UTC), conditional.prices


def _amounts(prices: Any) -> dict[str, Decimal | None] | None:
    """The columns, or None for a model that is not billed by input tokens."""
    found = {column: _base(getattr(prices, name, None)) for column, name in _COLUMNS.items()}
    if found["input_per_million"] is None:
        return None
    if found["output_per_million"] is None:
        # An embedding has no output that could cost anything.
        found["output_per_million"] = Decimal(0)
    per_thousand_requests = _base(getattr(prices, "requests_kcount", None)) or Decimal(0)
    return found | {"per_request": per_thousand_requests / 1000}


def _base(price: Any) -> Decimal | None:
    base: Decimal | None = getattr(price, "base", price)
    return base


def _countable(usd: Decimal | None, column: str) -> Decimal | None:
    if usd is None:
        return None
    # Beyond the twelfth place is the dust of a binary fraction: 0.18000000000000002 is 0.18, not a price above it.
    dusted = usd.quantize(_DUST, ROUND_HALF_EVEN)
    return coarsen(dusted, FEE_DECIMAL_PLACES if column == "per_request" else PRICE_DECIMAL_PLACES)


def _remark(prices: Any) -> str:
    starts = {tier.start for name in _COLUMNS.values() for tier in getattr(getattr(prices, name, None), "tiers", [])}
    return f", base tier: dearer from {min(starts)} tokens on" if starts else ""
