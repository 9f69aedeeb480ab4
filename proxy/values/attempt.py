"""One try at an upstream: what was used, how we know, what it cost."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import compress
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from tenants.price_snapshots import INPUT_CLASSES, OUTPUT_CLASSES, PriceSnapshot

#: something that a call waited for: what, for which attempt, and its start and end on the clock for durations
Timing = tuple[str, int, int, int]
RESERVED: Final = "reserve"
ATTEMPTED: Final = "upstream attempt"


#: the first so many classes are text in and out, of which cached, and sound
_TEXT_AND_SOUND: Final = 7


class Usage(NamedTuple):
    """What an answer is billed for, in disjoint classes, which are those of ``tenants.price_snapshots.Rates`` in the
    same order.

    Tokens: ``input`` excludes what was read from or written to a cache, sound and pictures; ``cache_write`` what is
    kept for an hour; ``audio_input`` and ``image_input`` what was cached; ``output`` sound and pictures.
    ``reasoning`` is inside ``output``, as every provider bills it.

    Units: ``web_searches`` are those of medium context size, which is the default, ``web_searches_preview`` those by
    OpenAI's older tool; ``seconds`` of sound, in or out, are begun ones.
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

    @property
    def input_tokens(self) -> int:
        """Input tokens of every class."""
        return sum(_INPUTS(self))

    @property
    def output_tokens(self) -> int:
        """Output tokens of every class."""
        return sum(_OUTPUTS(self))

    def to_row(self) -> dict[str, int]:
        """The classes that were used, by name: ``Usage(**row)`` reads them back."""
        if not any(self[_TEXT_AND_SOUND:]):
            # Nearly always: a third of the classes to look through.
            return dict(compress(zip(_FIRST_FIELDS, self, strict=False), self))
        return dict(compress(zip(self._fields, self, strict=True), self))


_FIRST_FIELDS: Final = Usage._fields[:_TEXT_AND_SOUND]
_INPUTS: Final = itemgetter(*map(Usage._fields.index, INPUT_CLASSES))
_OUTPUTS: Final = itemgetter(*map(Usage._fields.index, OUTPUT_CLASSES))


class Certainty(StrEnum):
    """How we know what an attempt cost."""

    EXACT = "exact"  # the upstream said so
    COUNTED = "counted"  # we counted what we received
    BOUND = "bound"  # unknown, and charged at the most that it can be until the upstream's bill says otherwise
    NOTHING = "nothing"  # the upstream never took it, or refused it: nothing was billed


# Finding a member of an enumeration costs as much as a sum, and every row asks.
_COUNTED: Final = Certainty.COUNTED
_BOUND: Final = Certainty.BOUND


class Mechanism(StrEnum):
    """What made a call cost something else than the model that was asked for, asked as the caller did, would have."""

    CACHE = "cache"
    COALESCING = "coalescing"
    COMPRESSION = "compression"
    ROUTING = "routing"
    CASCADE = "cascade"
    BATCH = "batch"
    DISTILLATION = "distillation"


#: nano-USD by mechanism; less than nothing where it made the call dearer
Savings = Mapping[Mechanism, int]
NO_SAVINGS: Final[Savings] = MappingProxyType({})


class PriceDoubt(StrEnum):
    """Why an attempt may have cost something else than its price says."""

    OTHER_MODEL = "other_model"  # another model of the provider answered, without a price: charged as the one asked for
    OTHER_NAME = "other_name"  # a server of one's own calls the model by another name: charged as the one asked for
    OTHER_TIER = "other_tier"  # a service tier answered that has no price here: charged as the default one
    UNTOLD_TIER = "untold_tier"  # a tier was asked for, and no answer says that it was had: charged as the dearer one
    UNPRICED_CLASS = "unpriced_class"  # sound or pictures without a price of their own: charged as text
    UNTOLD_SEARCH = "untold_search"  # a search was offered, and no report says whether it was made: charged as made
    UNPRICED_UNIT = "unpriced_unit"  # the answer counts units, such as searches, that have no price here: charged at 0,
    # and where it counts nothing else at the most that it may have cost


#: those that make a cost an estimate
UNCERTAIN: Final = frozenset(set(PriceDoubt) - {PriceDoubt.OTHER_NAME})


class Attempt(NamedTuple):
    """One try at an upstream, as the ledger keeps it. ``cost`` in nano-USD.

    What it would have cost without us is ``cost`` and ``savings`` together, so that the parts always make the whole.
    """

    number: int
    status: int
    certainty: Certainty
    usage: Usage
    cost: int
    error: str = ""
    response_model: str = ""
    finish_reason: str = ""
    savings: Savings = NO_SAVINGS
    # The service tier that answered, where that is not the default one.
    service_tier: str = ""
    # What it is charged at: the candidate's price, or that of the model that answered, where it was another.
    price: PriceSnapshot | None = None
    doubts: tuple[str, ...] = ()
    # Who was asked.
    model: str = ""
    upstream_id: str = ""
    # The upstream's endpoint, where it has several.
    endpoint_id: str = ""
    # What a cascade thought of its answer, in words, and how likely it is right, from 0 to 1, as it is told.
    judged: str = ""
    confidence: str = ""
    # The same was asked again, to see whether the model says so again: nobody got this answer.
    is_sample: bool = False
    # Of so many calls that were asked as one this is a part: under which id that was asked, and which part it is,
    # from, up to and of a whole.
    packed: int = 0
    asked_as: str = ""
    part: tuple[int, int, int] = (0, 0, 0)

    @property
    def saved(self) -> int:
        """Nano-USD over all mechanisms."""
        return sum(self.savings.values()) if self.savings else 0

    @property
    def list_cost(self) -> int:
        """Nano-USD that the model that was asked for would have cost."""
        return self.cost + self.saved

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows its tokens, so that it is charged at what was held."""
        return self.certainty is Certainty.BOUND and not any(self.usage)

    @property
    def is_estimated(self) -> bool:
        """Whether the truth about its cost may be another."""
        if self.certainty is _COUNTED or self.certainty is _BOUND:
            return True
        return bool(self.doubts) and not UNCERTAIN.isdisjoint(self.doubts)

    def to_row(self) -> dict[str, Any]:
        """The attempt as JSON in the ledger's row."""
        used, price, savings = self.usage, self.price, self.savings
        row: dict[str, Any] = {
            "number": self.number,
            "status": self.status,
            "certainty": str(self.certainty),
            "model": self.model,
            "upstream_id": self.upstream_id or None,
            "price_id": (price.id or None) if price is not None else None,
            "cost": self.cost,
            "list_cost": self.list_cost if savings else self.cost,
            # What ``value`` gives, at a third of its price.
            "savings": {str(mechanism): nanos for mechanism, nanos in savings.items()} if savings else {},
            "error": self.error,
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "usage": used.to_row(),
        }
        if price is not None and price.adjustment_id:
            row["adjustment_id"] = price.adjustment_id
        if self.endpoint_id:
            row["endpoint_id"] = self.endpoint_id
        if self.service_tier:
            row["service_tier"] = self.service_tier
        if self.packed:
            row["packed"] = self.packed
        if self.asked_as:
            row["asked_as"], row["part"] = self.asked_as, list(self.part)
        if self.doubts:
            row["doubts"] = list(self.doubts)
        if self.judged:
            row["judged"] = self.judged
        if self.confidence:
            row["confidence"] = self.confidence
        if self.is_sample:
            row["is_sample"] = True
        return row


def name_try(call_id: str, number: int) -> str:
    """The name of a try of calls that are asked as one, under the id of the first of them. Its own next attempt is its
    second: none of the further tries may be called like that."""
    return f"{call_id}:1" if number == 1 else f"{call_id}:1.{number}"
