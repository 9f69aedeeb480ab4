"""The packaged price table (the ``genai-prices`` package), read into versions that a ListPrice row can hold.

Long-context tiers, service tiers, batch prices and fees for tools are read too. A price finer than what can be counted
exactly is rounded up once, here, and ``source`` says that. Models that are not billed by tokens (speech by the hour,
say) are left out, and stay unpriced until somebody types a price; so are prices of some hours of the day only.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from typing import Any, Final

from genai_prices.data import providers

from costhub.lib.money import FEE_DECIMAL_PLACES, PRICE_DECIMAL_PLACES, coarsen
from tenants.price_terms import RESERVED_TIERS, SEARCH_TOKENS, TOKEN_FIELDS, AppliesTo

#: the first price of a model that the table knows holds since always
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)

#: the amounts of a version, by column
AMOUNTS: Final = (*TOKEN_FIELDS, "per_request")
#: and what else it consists of
TERMS: Final = ("fees", "long_context", "service_tiers")

_COLUMNS: Final = {
    "input_per_million": "input_mtok",
    "output_per_million": "output_mtok",
    "cached_input_per_million": "cache_read_mtok",
    "cache_write_per_million": "cache_write_mtok",
    "cache_write_1h_per_million": "cache_write_1h_mtok",
    "audio_input_per_million": "input_audio_mtok",
    "cached_audio_input_per_million": "cache_audio_read_mtok",
    "image_input_per_million": "input_image_mtok",
    "cached_image_input_per_million": "cache_image_read_mtok",
    "audio_output_per_million": "output_audio_mtok",
    "image_output_per_million": "output_image_mtok",
}
#: per thousand
_FEES: Final = {
    "web_search": "web_searches_kcount",
    "file_search": "storage_searches_kcount",
    "code_session": "code_executions_kcount",
    "page": "input_document_kpages",
}
#: USD a search by OpenAI's older tool, which the table does not have: from OpenAI's pricing page, read in March 2026,
#: $10 a thousand with models that reason and $25 with the others
_PREVIEW: Final = "web_search_preview"
_PREVIEW_USD: Final = {True: "0.01", False: "0.025"}
_REASONING: Final = re.compile(r"(o\d|gpt-[5-9])(?!.*chat)")
#: the models whose searches OpenAI bills as a block of input tokens each, whatever they bring in, and by no report of
#: usage: from a note in its pricing page, read in March 2026. The table does not have it
_BLOCK: Final = re.compile(r"gpt-4(?:o|\.1)-mini(?:-\d{4}-\d{2}-\d{2})?")
_BLOCK_TOKENS: Final = "8000"
#: which variant of a request is the service tier of which name
_TIERS: Final = {"service_tier": None, "processing": "batch", "speed": "fast"}

_DUST: Final = Decimal("0.000000000001")
_ROUNDED: Final = f", rounded up to {PRICE_DECIMAL_PLACES} decimal places"


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One version of one model's public price. ``amounts`` and ``terms`` are keyed by ListPrice's columns."""

    provider: str
    model: str
    effective_from: datetime
    amounts: dict[str, Decimal | None]
    context_window: int | None
    source: str
    terms: dict[str, Any] = field(default_factory=lambda: {"fees": {}, "long_context": [], "service_tiers": {}})

    @property
    def table(self) -> dict[str, Any]:
        """All that decides what a call costs."""
        return {**self.amounts, **self.terms}


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
            for effective_from, prices in _versions(model.prices, model.price_variants or ()):
                reading = _Reading(prices.__dict__)
                if (amounts := reading.amounts()) is not None:
                    terms = {
                        "fees": _add_searches(provider, name, reading.fees()),
                        "long_context": reading.long_context(),
                        "service_tiers": reading.service_tiers(model.price_variants or (), effective_from),
                    }
                    source = table + (_ROUNDED if reading.is_rounded else "")
                    # A model's own entry goes before an entry that has it as a second name.
                    price = ListedPrice(provider, name, effective_from, amounts, model.context_window, source, terms)
                    key = name, effective_from
                    listed[key] = price if name == model.id else listed.get(key, price)
    return [listed[key] for key in sorted(listed)]


@dataclass(frozen=True, slots=True)
class _Always:
    """Prices without a condition, in the shape of those that have one."""

    prices: Any
    constraint: None = None


class _Reading:
    """One version's prices as the table has them, and what of them had to be rounded."""

    def __init__(self, prices: Mapping[str, Any]) -> None:
        self._prices = {name: price for name, price in prices.items() if price is not None}
        self.is_rounded = False

    def amounts(self) -> dict[str, Decimal | None] | None:
        """The columns, or None for a model that is not billed by input tokens."""
        if "input_mtok" not in self._prices:
            return None
        found = self._columns(0)
        requests = _at(self._prices.get("requests_kcount"), 0) or Decimal(0)
        return found | {"per_request": self._countable(requests / 1000, FEE_DECIMAL_PLACES)}

    def fees(self) -> dict[str, str]:
        """What a piece costs."""
        found = {fee: _at(self._prices.get(name), 0) for fee, name in _FEES.items()}
        return {
            fee: _text(self._countable(amount / 1000, FEE_DECIMAL_PLACES))
            for fee, amount in found.items()
            if amount is not None
        }

    def long_context(self) -> list[dict[str, Any]]:
        """The rows above each length at which some class becomes dearer: of the whole call, as this table means it."""
        starts = {tier.start for name in _COLUMNS.values() for tier in getattr(self._prices.get(name), "tiers", ())}
        return [
            {"above": start, "applies_to": AppliesTo.CALL.value, **_texts(self._columns(start + 1))}
            for start in sorted(starts)
        ]

    def service_tiers(self, variants: Any, effective_from: datetime) -> dict[str, Any]:
        """The rows of each tier: what a variant does not name costs what it does without it."""
        found: dict[str, Any] = {}
        for variant in variants:
            tier = _tier_of(variant.when)
            start = _start_of(variant.constraint)
            if tier is None or tier in found or start is None or start > effective_from:
                continue
            changed = {name: price for name, price in variant.prices.__dict__.items() if price is not None}
            reading = _Reading({**self._prices, **changed})
            found[tier] = {**_texts(reading._columns(0)), "long_context": reading.long_context()}
            self.is_rounded |= reading.is_rounded
        return found

    def _columns(self, input_tokens: int) -> dict[str, Decimal | None]:
        found = {column: _at(self._prices.get(name), input_tokens) for column, name in _COLUMNS.items()}
        if found["output_per_million"] is None:
            # An embedding has no output that could cost anything.
            found["output_per_million"] = Decimal(0)
        return {
            column: None if usd is None else self._countable(usd, PRICE_DECIMAL_PLACES) for column, usd in found.items()
        }

    def _countable(self, usd: Decimal, places: int) -> Decimal:
        # Beyond the twelfth place is the dust of a binary fraction: 0.18000000000000002 is 0.18, not a price above it.
        counted = coarsen(usd.quantize(_DUST, ROUND_HALF_EVEN), places)
        self.is_rounded |= counted != usd
        return counted


def _add_searches(provider: str, model: str, fees: dict[str, str]) -> dict[str, str]:
    if provider != "openai" or "web_search" not in fees:
        return fees
    block = {SEARCH_TOKENS: _BLOCK_TOKENS} if _BLOCK.fullmatch(model) else {}
    return {**fees, _PREVIEW: _PREVIEW_USD[_REASONING.match(model) is not None], **block}


def _exact_names(match: Any) -> Iterator[str]:
    if hasattr(match, "equals"):
        yield match.equals
    for inner in getattr(match, "or_", []):
        yield from _exact_names(inner)


def _versions(prices: Any, variants: Any) -> Iterator[tuple[datetime, Any]]:
    """Each moment from which on prices or variants are others, with the prices then."""
    found: dict[datetime, Any] = {}
    for conditional in prices if isinstance(prices, list) else [_Always(prices)]:
        if (start := _start_of(conditional.constraint)) is not None:
            found[start] = conditional.prices
    starts = (_start_of(variant.constraint) for variant in variants if _tier_of(variant.when))
    for moment in sorted(found.keys() | {start for start in starts if start is not None}):
        begun = [start for start in found if start <= moment]
        if begun:
            yield moment, found[max(begun)]


def _start_of(constraint: Any) -> datetime | None:
    """From when on something holds; None where it is not by the date alone."""
    if constraint is None:
        return BEGINNING
    start = getattr(constraint, "start_date", None)
    return datetime(start.year, start.month, start.day, tzinfo=UTC) if isinstance(start, date) else None


def _tier_of(when: Mapping[str, str]) -> str | None:
    """The service tier that a variant of requests is; None for one that is something else, or the default."""
    if len(when) != 1:
        return None
    ((key, value),) = when.items()
    if key not in _TIERS or (_TIERS[key] is not None and value != _TIERS[key]) or value in RESERVED_TIERS:
        return None
    return value


def _at(price: Any, input_tokens: int) -> Decimal | None:
    """A price for calls with so many input tokens."""
    found: Decimal | None = getattr(price, "base", price)
    for tier in getattr(price, "tiers", ()):
        if input_tokens > tier.start:
            found = tier.price
    return found


def _texts(amounts: Mapping[str, Decimal | None]) -> dict[str, str]:
    return {column: _text(usd) for column, usd in amounts.items() if usd is not None}


def _text(usd: Decimal) -> str:
    return f"{usd.normalize():f}"
