"""What a price is made of as people type it and rows keep it, and its compilation into whole picos.

Amounts are USD: per million tokens in fields named ``<class>_per_million``, and per piece in ``fees``. Besides, a price
may have rows for a long context and for service tiers, each with amounts of its own:

- ``long_context``: ``[{"above": 272000, "applies_to": "call", "input_per_million": "5", ...}]``
- ``service_tiers``: ``{"flex": {"input_per_million": "0.5", ..., "long_context": [...]}}``
- ``fees``: ``{"web_search": "0.01", "minute": "0.006", ...}``, and of ``web_search_tokens`` how many tokens of input
  each search costs beside its fee, whatever it brought in
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from costhub.lib.errors import InvalidField
from costhub.lib.money import (
    FEE_DECIMAL_PLACES,
    MAX_PRICE_PER_MILLION,
    PRICE_DECIMAL_PLACES,
    coarsen,
    compile_fee,
    compile_price,
)
from tenants.price_snapshots import (
    APART,
    DEFAULT_TIER,
    INPUT_CLASSES,
    OUTPUT_CLASSES,
    LongContext,
    Rates,
    ServiceTier,
    make_rates,
)

#: the token classes that have a price, by the field that it is typed in
TOKEN_FIELDS: Final = {f"{name}_per_million": name for name in (*INPUT_CLASSES, *OUTPUT_CLASSES)}
#: what is billed by the piece: the class that is counted, and how many of it the fee is for
FEES: Final = {
    "web_search_low": ("web_searches_low", 1),
    "web_search": ("web_searches", 1),
    "web_search_high": ("web_searches_high", 1),
    "file_search": ("file_searches", 1),
    "code_session": ("code_sessions", 1),
    "image": ("images", 1),
    "minute": ("seconds", 60),
    "million_characters": ("characters", 1_000_000),
    "page": ("pages", 1),
    "web_search_preview": ("web_searches_preview", 1),
}
#: no amount but a count: tokens of input that each web search is billed as, which no report of usage has. OpenAI does
#: so with the models that are too small for what searches bring in
SEARCH_TOKENS: Final = "web_search_tokens"
MAX_SEARCH_TOKENS: Final = 1_000_000
#: the searches that these tokens are for: OpenAI's older tool has none
_SEARCHES: Final = ("web_searches_low", "web_searches", "web_searches_high")
MAX_ROWS: Final = 10
MAX_TIERS: Final = 10
MAX_ABOVE: Final = 100_000_000
#: what answers call the tier that has no name, and what requests call none in particular
RESERVED_TIERS: Final = (DEFAULT_TIER, "auto", "standard")

_TIER: Final = re.compile(r"[a-z][a-z0-9_]{0,29}")

#: amounts in USD by field
Amounts = Mapping[str, Decimal | None]


class AppliesTo(StrEnum):
    """Which tokens of a long call the row of a long context is for."""

    CALL = "call"
    TOKENS_ABOVE = "tokens_above"


def check_amount(amount: Decimal, field: str, decimal_places: int = PRICE_DECIMAL_PLACES) -> Decimal:
    """USD from zero to the dearest, and no finer than what can be counted exactly. Raises InvalidField."""
    if not amount.is_finite() or not 0 <= amount <= MAX_PRICE_PER_MILLION:
        raise InvalidField(f"Give a price in USD from 0 to {MAX_PRICE_PER_MILLION}.", field=field)
    countable = coarsen(amount, decimal_places)
    if countable != amount:
        raise InvalidField(
            f"Give at most {decimal_places} decimal places, such as {countable.normalize():f}: what is finer cannot be "
            "counted exactly.",
            field=field,
        )
    return amount


def check_fees(fees: Mapping[str, Decimal]) -> dict[str, str]:
    """Fees to store. Raises InvalidField for one that there is not, or an amount that cannot be counted."""
    for name, amount in fees.items():
        field = f"fees.{name[:60]}"
        if name == SEARCH_TOKENS:
            _check_search_tokens(fees, field)
            continue
        if name not in FEES:
            raise InvalidField(f"There is no such fee; there are: {', '.join((*FEES, SEARCH_TOKENS))}.", field=field)
        check_amount(amount, field, FEE_DECIMAL_PLACES)
    return {name: _text(amount) for name, amount in fees.items()}


def check_long_context(
    rows: Sequence[Mapping[str, Any]], base: Amounts, *, context_window: int | None, field: str = "long_context"
) -> list[dict[str, Any]]:
    """Rows to store. ``base`` are the amounts below the first of them.

    Raises InvalidField where rows overlap, begin where no call of the model can come to, or leave open what a class
    costs.
    """
    if len(rows) > MAX_ROWS:
        raise InvalidField(f"Give at most {MAX_ROWS} rows.", field=field)
    before, stored = 0, []
    for place, row in enumerate(rows):
        here = f"{field}[{place}]"
        above, applies_to = row["above"], AppliesTo(row.get("applies_to", AppliesTo.CALL))
        if not 1 <= above <= MAX_ABOVE:
            raise InvalidField(f"Give a number of tokens from 1 to {MAX_ABOVE}.", field=f"{here}.above")
        if above <= before:
            raise InvalidField(
                f"Each row begins above the one before it: give more than {before}.", field=f"{here}.above"
            )
        if context_window is not None and above >= context_window:
            raise InvalidField(
                f"The model's context window holds {context_window} tokens, so that no call comes above {above}.",
                field=f"{here}.above",
            )
        amounts = _amounts(row)
        if applies_to is AppliesTo.CALL:
            _check_row(amounts, base, here)
        else:
            _check_marginal_row(amounts, base, here)
        stored.append({"above": above, "applies_to": applies_to.value, **_texts(amounts)})
        before = above
    return stored


def check_service_tiers(
    tiers: Mapping[str, Mapping[str, Any]], base: Amounts, *, context_window: int | None
) -> dict[str, dict[str, Any]]:
    """Service tiers to store, each with the amounts that ``base`` has. Raises InvalidField."""
    if len(tiers) > MAX_TIERS:
        raise InvalidField(f"Give at most {MAX_TIERS} service tiers.", field="service_tiers")
    stored: dict[str, dict[str, Any]] = {}
    for name, tier in tiers.items():
        here = f"service_tiers.{name[:60]}"
        if not _TIER.fullmatch(name):
            raise InvalidField("Give the name that answers give the tier, such as flex or priority.", field=here)
        if name in RESERVED_TIERS:
            raise InvalidField(f"The price itself is that of the tier {DEFAULT_TIER}.", field=here)
        amounts = _amounts(tier)
        _check_row(amounts, base, here)
        rows = check_long_context(
            tier.get("long_context") or [], amounts, context_window=context_window, field=f"{here}.long_context"
        )
        stored[name] = {**_texts(amounts), "long_context": rows}
    return stored


def compile_rates(amounts: Amounts, fees: Mapping[str, Any]) -> Rates:
    """One row in whole picos; what is finer is rounded up."""
    tokens = {
        name: None if (usd := amounts.get(field)) is None else int(compile_price(usd))
        for field, name in TOKEN_FIELDS.items()
    }
    units = {FEES[name][0]: _compile_unit(Decimal(usd), FEES[name][1]) for name, usd in _with_sizes(fees).items()}
    if SEARCH_TOKENS in fees:
        # Fresh input of the row: in a batch at the batch's price.
        block = int(Decimal(fees[SEARCH_TOKENS])) * (tokens["input"] or 0)
        units |= {name: units[name] + block for name in _SEARCHES if name in units}
    return make_rates({**tokens, **units})


def compile_long_context(
    rows: Sequence[Mapping[str, Any]], base: Amounts, fees: Mapping[str, Any]
) -> tuple[LongContext, ...]:
    """Stored rows in whole picos. A row of the tokens above costs for everything else what the row below it does."""
    compiled = []
    for row in rows:
        amounts = _decimals(row)
        is_marginal = row["applies_to"] == AppliesTo.TOKENS_ABOVE.value
        base = {**base, **amounts} if is_marginal else amounts
        compiled.append(LongContext(row["above"], is_marginal, compile_rates(base, fees)))
    return tuple(compiled)


def compile_service_tiers(tiers: Mapping[str, Mapping[str, Any]], fees: Mapping[str, Any]) -> tuple[ServiceTier, ...]:
    """Stored tiers in whole picos, by name."""
    return tuple(
        ServiceTier(
            name,
            compile_rates(_decimals(tier), fees),
            compile_long_context(tier.get("long_context", ()), _decimals(tier), fees),
        )
        for name, tier in sorted(tiers.items())
    )


def list_units(amounts: Amounts, fees: Mapping[str, Any]) -> tuple[str, ...]:
    """The unit classes that these fees are for, and sound and pictures where they have a price of their own."""
    own = [name for name in APART if amounts.get(f"{name}_per_million") is not None]
    return tuple(sorted([*own, *(FEES[name][0] for name in _with_sizes(fees))]))


def _with_sizes(fees: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a piece costs, with the fee of a web search for every context size that has none of its own."""
    pieces = {name: usd for name, usd in fees.items() if name != SEARCH_TOKENS}
    if "web_search" not in pieces:
        return pieces
    return {"web_search_low": fees["web_search"], "web_search_high": fees["web_search"], **pieces}


def _check_search_tokens(fees: Mapping[str, Decimal], field: str) -> None:
    tokens = fees[SEARCH_TOKENS]
    if not tokens.is_finite() or tokens != tokens.to_integral_value() or not 0 <= tokens <= MAX_SEARCH_TOKENS:
        raise InvalidField(f"Give a whole number of tokens from 0 to {MAX_SEARCH_TOKENS}.", field=field)
    if "web_search" not in fees:
        raise InvalidField("Give fees.web_search too, 0 where a search costs its tokens alone.", field=field)


def _compile_unit(usd: Decimal, pieces: int) -> int:
    return -(-int(compile_fee(usd)) // pieces)


def _check_row(amounts: dict[str, Decimal], base: Amounts, here: str) -> None:
    """A row replaces the base's, so that every class which the base has a price for needs one."""
    for field, amount in amounts.items():
        check_amount(amount, f"{here}.{field}")
    for field in TOKEN_FIELDS:
        if base.get(field) is not None and field not in amounts:
            raise InvalidField(
                "Give this too: what it costs here does not follow from the other prices.", field=f"{here}.{field}"
            )


def _check_marginal_row(amounts: dict[str, Decimal], base: Amounts, here: str) -> None:
    for field, amount in amounts.items():
        if TOKEN_FIELDS[field] in OUTPUT_CLASSES:
            raise InvalidField(
                "A row of the tokens above has prices of input only; output costs what it does below.",
                field=f"{here}.{field}",
            )
        check_amount(amount, f"{here}.{field}")
    for field, name in TOKEN_FIELDS.items():
        if name in INPUT_CLASSES and base.get(field) is not None and field not in amounts:
            raise InvalidField(
                "Give this too: what it costs here does not follow from the other prices.", field=f"{here}.{field}"
            )


def _amounts(row: Mapping[str, Any]) -> dict[str, Decimal]:
    return {field: row[field] for field in TOKEN_FIELDS if row.get(field) is not None}


def _decimals(row: Mapping[str, Any]) -> dict[str, Decimal]:
    return {field: Decimal(amount) for field, amount in _amounts(row).items()}


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {field: _text(amount) for field, amount in amounts.items()}


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
