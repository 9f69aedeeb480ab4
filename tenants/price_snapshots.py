"""A price version as the hot path knows it: one table of whole pico-USD, compiled once.

What is billed has classes: tokens in and out by kind, and units such as a web search or a page. ``Rates`` is one row of
the table, a price for each class; the proxy's ``Usage`` counts the same classes in the same order. A version has one
row for ordinary calls, and further ones for calls with a long context and for other service tiers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple

#: the tier of a call that asked for none and got none
DEFAULT_TIER: Final = "default"


#: more input tokens than any call has
_ENDLESS: Final = 2**62


class Rates(NamedTuple):
    """Pico-USD by class: a token's price, and below that a unit's.

    ``reasoning`` is inside ``output`` and so has no price of its own. A unit without a price counts 0 here, and is not
    among the ``units`` of its version.
    """

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    cache_write_1h: int = 0
    cached_audio_input: int = 0
    image_input: int = 0
    cached_image_input: int = 0
    image_output: int = 0
    web_searches_low: int = 0
    web_searches: int = 0
    web_searches_high: int = 0
    file_searches: int = 0
    code_sessions: int = 0
    images: int = 0
    seconds: int = 0
    characters: int = 0
    pages: int = 0
    web_searches_preview: int = 0


INPUT_CLASSES: Final = (
    "input",
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "audio_input",
    "cached_audio_input",
    "image_input",
    "cached_image_input",
)
OUTPUT_CLASSES: Final = ("output", "audio_output", "image_output")
#: what is billed by the piece: searches, code sessions, images, seconds of sound, characters, pages
UNIT_CLASSES: Final = Rates._fields[12:]

#: what is never billed as text where it is reported apart, so that a price of its own is missing where there is none
APART: Final = ("audio_input", "audio_output", "image_output")

#: a token class without a price of its own costs what the first of these does that has one, input or output at last
_INSTEAD: Final = {
    "cached_input": ("input",),
    "cache_write": ("input",),
    "cache_write_1h": ("cache_write", "input"),
    "audio_input": ("input",),
    "cached_audio_input": ("audio_input", "cached_input", "input"),
    "image_input": ("input",),
    "cached_image_input": ("image_input", "cached_input", "input"),
    "audio_output": ("output",),
    "image_output": ("output",),
}


def make_rates(classes: Mapping[str, int | None]) -> Rates:
    """A row of the table from the classes that have a price; ``input`` and ``output`` must be among them.

    Any other token class costs what the one nearest to it does: sound that was cached what sound does, or where sound
    has no price of its own, what cached text does.
    """
    given = {name: picos for name, picos in classes.items() if picos is not None}
    instead = {
        name: given[next(other for other in others if other in given)]
        for name, others in _INSTEAD.items()
        if name not in given
    }
    return Rates(**given, **instead)


class LongContext(NamedTuple):
    """The row for calls with more than ``above`` input tokens of all classes.

    It is the whole call's, or where ``is_marginal`` that of the input tokens above only: such a row's output costs what
    it does below.
    """

    above: int
    is_marginal: bool
    rates: Rates


class ServiceTier(NamedTuple):
    """The rows of calls that another service tier answered, by the name that the answer gives it."""

    name: str
    rates: Rates
    long_context: tuple[LongContext, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceSnapshot:
    """One effective-dated price version.

    ``long_context`` is sorted by ``above``; ``units`` names the unit classes that have a price, and those of ``APART``
    that have one of their own. ``adjustment_id`` is
    set where a discount or mark-up has been taken into account on the list price ``id``.
    """

    id: str
    effective_from_ms: int
    rates: Rates
    per_request: int = 0
    source: str = ""
    long_context: tuple[LongContext, ...] = ()
    service_tiers: tuple[ServiceTier, ...] = ()
    units: tuple[str, ...] = ()
    adjustment_id: str = ""
    #: whether the one row ``rates`` is all there is; and its dearest prices of text in and of an answer without sound
    is_flat: bool = field(init=False, compare=False, repr=False)
    dearest_input: int = field(init=False, compare=False, repr=False)
    dearest_output: int = field(init=False, compare=False, repr=False)
    #: calls of the default tier with at most so many input tokens are billed by ``rates``
    shortest: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Remember what every call asks."""
        rates = self.rates
        object.__setattr__(self, "is_flat", not self.long_context and not self.service_tiers)
        object.__setattr__(self, "dearest_input", max(rates.input, rates.cached_input, rates.cache_write))
        object.__setattr__(self, "shortest", min((row.above for row in self.long_context), default=_ENDLESS))
        # A model that draws may do so unasked; one that does not has no price of its own for it.
        object.__setattr__(self, "dearest_output", max(rates.output, rates.image_output))

    def find_tier(self, name: str) -> ServiceTier | None:
        """The rows of a service tier; None if it has no price here."""
        if name == DEFAULT_TIER:
            return ServiceTier(name, self.rates, self.long_context)
        return next((tier for tier in self.service_tiers if tier.name == name), None)

    def is_cheaper_than(self, other: "PriceSnapshot") -> bool:
        """Whether nothing costs more, at any length of the input, and something costs less.

        Units and service tiers that only one of the two has a price for are left out of it: such a call goes to one
        of the two only.
        """
        tiers = [
            (mine, theirs)
            for name in (DEFAULT_TIER, *(tier.name for tier in self.service_tiers))
            if (mine := self.find_tier(name)) is not None and (theirs := other.find_tier(name)) is not None
        ]
        names = [name for name in Rates._fields if name not in UNIT_CLASSES or {name} <= {*self.units} & {*other.units}]
        pairs = [(self.per_request, other.per_request)]
        for mine, theirs in tiers:
            for tokens in {0, *(row.above + 1 for row in (*mine.long_context, *theirs.long_context))}:
                dear, cheap = list_rates(mine, tokens), list_rates(theirs, tokens)
                pairs += [
                    (max(getattr(row, name) for row in dear), min(getattr(row, name) for row in cheap))
                    for name in names
                ]
        return all(left <= right for left, right in pairs) and any(left < right for left, right in pairs)


def list_rates(tier: ServiceTier, input_tokens: int) -> list[Rates]:
    """The rows that tokens of a call with so many input tokens are billed by: one, or where rows are marginal, all up
    to the last that it reaches."""
    rows = [tier.rates]
    for row in tier.long_context:
        if input_tokens > row.above:
            rows = [*rows, row.rates] if row.is_marginal else [row.rates]
    return rows


def read_price(data: dict[str, Any]) -> PriceSnapshot:
    """A version from the JSON that ``dump_price`` makes of it."""
    return PriceSnapshot(
        **data
        | {
            "rates": Rates(*data["rates"]),
            "long_context": _read_rows(data["long_context"]),
            "service_tiers": tuple(
                ServiceTier(name, Rates(*rates), _read_rows(rows)) for name, rates, rows in data["service_tiers"]
            ),
            "units": tuple(data["units"]),
        }
    )


def dump_price(price: PriceSnapshot) -> dict[str, Any]:
    """A version as JSON's kinds of values; rows are lists."""
    return {item.name: getattr(price, item.name) for item in fields(price) if item.init}


def _read_rows(rows: Sequence[Any]) -> tuple[LongContext, ...]:
    return tuple(LongContext(above, is_marginal, Rates(*rates)) for above, is_marginal, rates in rows)
