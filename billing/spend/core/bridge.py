"""The bill bridge: why one period cost more or less than another, split exactly by cause.

What a model's calls cost in a period is written as a product, each factor of which is something that can change by
itself:

    calls x share of the model x not from our cache x billed x retries x routing x batch
        x ( tokenizer x compression x input tokens a call x share of each input class x its price
            + tokenizer x output tokens a call, by class x its price
            + fees a call )

The change between two such products is split by ``shapley``. What no factor speaks for (corrections of calls of
another period, say) is ``other``, so the parts always sum to the change, to the nano. A factor that has no value in one
of the periods (the tokens a call of a model that nobody called) has that of the other period: nothing is explained by
what did not happen.

A name that applications ask for is answered by one version after the other, and a new one may make more tokens of the
same text. So the tokenizer is what the mix of versions makes of the input tokens a call, each version having the mean
of both periods: prompts are not the model's, and a version that answered in both periods is not another one for longer
prompts. What it makes of prompts it makes of answers too; what these have beside that is a chattier model. Only
versions of one line are compared ("claude-sonnet-4" and "claude-sonnet-5"): what a route sends elsewhere is not another
tokenizer's.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Final

from billing.spend.core.shapley import round_parts, split_product
from tenants.price_snapshots import INPUT_CLASSES, OUTPUT_CLASSES

_PICOS: Final = 1_000
_ONE: Final = Fraction(1)
_ZERO: Final = Fraction(0)
#: what tells versions of a line apart: numbers, dates, and words for the newest one
_VERSION: Final = re.compile(r"v?[0-9]+|latest|preview|exp")
_SEPARATORS: Final = re.compile(r"[-_.:@/ ]+")


class Cause(StrEnum):
    """What a bill can change by."""

    VOLUME = "volume"
    MODEL_MIX = "model_mix"
    CACHE = "cache"
    FAILURES = "failures"
    RETRIES = "retries"
    ROUTING = "routing"
    BATCH = "batch"
    COMPRESSION = "compression"
    TOKENIZER = "tokenizer"
    INPUT_TOKENS = "input_tokens"
    PROVIDER_CACHE = "provider_cache"
    OUTPUT_TOKENS = "output_tokens"
    PRICE = "price"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ClassSums:
    """Tokens of one class, and what they cost in pico-USD at the prices of the models that answered."""

    tokens: int = 0
    picos: int = 0

    def __add__(self, more: "ClassSums") -> "ClassSums":
        return ClassSums(self.tokens + more.tokens, self.picos + more.picos)


@dataclass(frozen=True, slots=True)
class ModelSums:
    """A period's calls of one model, under the name that was asked for. Money is nano-USD.

    ``hits``: calls that our cache answered or that shared another's answer. ``billed``: calls that cost something or
    used tokens. ``retried``: what attempts before the last one cost. ``compressed``, ``routed``, ``batched``: what each
    saved. ``versions``: billed calls and input tokens by the name under which the model answered.
    """

    calls: int = 0
    hits: int = 0
    billed: int = 0
    effective: int = 0
    retried: int = 0
    compressed: int = 0
    routed: int = 0
    batched: int = 0
    classes: Mapping[str, ClassSums] = field(default_factory=dict)
    versions: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __add__(self, more: "ModelSums") -> "ModelSums":
        names = dict.fromkeys([*self.classes, *more.classes])
        none = ClassSums()
        return ModelSums(
            self.calls + more.calls,
            self.hits + more.hits,
            self.billed + more.billed,
            self.effective + more.effective,
            self.retried + more.retried,
            self.compressed + more.compressed,
            self.routed + more.routed,
            self.batched + more.batched,
            {name: self.classes.get(name, none) + more.classes.get(name, none) for name in names},
            _add_versions(self.versions, more.versions),
        )


def _add_versions(
    some: Mapping[str, tuple[int, int]], more: Mapping[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    found = dict(some)
    for name, (calls, tokens) in more.items():
        known = found.get(name, (0, 0))
        found[name] = known[0] + calls, known[1] + tokens
    return found


Period = Mapping[str, ModelSums]


@dataclass(frozen=True, slots=True)
class Driver:
    """What a factor was before and after at the model that it moved the bill most for; ``nanos`` is that model's
    part. ``token_class`` says which price it is."""

    model: str
    nanos: int
    before: Fraction
    after: Fraction
    token_class: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What one cause made of the change, in nano-USD. Without a driver it made nothing."""

    cause: Cause
    nanos: int
    driver: Driver | None = None


@dataclass(frozen=True, slots=True)
class Bridge:
    """From one bill to the other: the parts, in the order of ``Cause``, sum to ``after - before``."""

    before: int
    after: int
    parts: tuple[Part, ...]

    @property
    def change(self) -> int:
        """Nano-USD; below zero where the later period was cheaper."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class _Factors:
    """A model's factors in one period; None where they have no value there."""

    scalars: Mapping[Cause, Fraction | None]
    shares: Mapping[str, Fraction | None]
    outputs: Mapping[str, Fraction | None]
    prices: Mapping[str, Fraction | None]
    fees: Fraction | None


#: the factors that every term of a model's cost has
_SHARED: Final = (
    Cause.VOLUME,
    Cause.MODEL_MIX,
    Cause.CACHE,
    Cause.FAILURES,
    Cause.RETRIES,
    Cause.ROUTING,
    Cause.BATCH,
)
#: what a factor is worth that has no value in either period
_NEUTRAL: Final = {
    Cause.VOLUME: _ZERO,
    Cause.MODEL_MIX: _ZERO,
    Cause.INPUT_TOKENS: _ZERO,
}


def build_bridge(before: Period, after: Period) -> Bridge:
    """Split the change from ``before`` to ``after``, each a period's sums by model."""
    total_before, total_after = (sum(sums.calls for sums in period.values()) for period in (before, after))
    made = dict.fromkeys(Cause, _ZERO)
    best: dict[Cause, tuple[Fraction, Driver]] = {}
    for model in sorted({*before, *after}):
        cells = before.get(model, ModelSums()), after.get(model, ModelSums())
        tokenizers = _compare_versions(cells[0].versions, cells[1].versions)
        factors = _read(cells[0], total_before, tokenizers[0]), _read(cells[1], total_after, tokenizers[1])
        for cause, part, driver in _explain(model, cells, *factors):
            made[cause] += part
            weight = abs(part)
            if part and (cause not in best or weight > best[cause][0]):
                best[cause] = weight, driver
    causes = tuple(Cause)
    rounded = round_parts([made[cause] for cause in causes])
    parts = (
        Part(cause, nanos, best[cause][1] if cause in best else None)
        for cause, nanos in zip(causes, rounded, strict=True)
    )
    return Bridge(_cost(before), _cost(after), tuple(parts))


def _cost(period: Period) -> int:
    return sum(sums.effective for sums in period.values())


def find_line(version: str) -> str:
    """The name without what tells versions of one line apart."""
    words = _SEPARATORS.split(version.lower())
    return "-".join(word for word in words if not _VERSION.fullmatch(word))


def _compare_versions(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]
) -> tuple[Fraction, Fraction]:
    """The factor of a model's tokenizers in both periods: input tokens a call by the mix of versions in each, over
    those of both together. One each where that cannot be said."""
    pooled = _add_versions(before, after)
    known = {name: each for name, each in pooled.items() if each[0] > 0 and each[1] > 0}
    lines: dict[str, list[str]] = {}
    for name in sorted(known):
        lines.setdefault(find_line(name), []).append(name)
    all_tokens = sum(tokens for _, tokens in known.values())
    found = []
    for period in (before, after):
        factor = _ZERO
        for names in lines.values():
            calls, tokens = (sum(known[name][place] for name in names) for place in (0, 1))
            own = {name: max(period.get(name, (0, 0))[0], 0) for name in names}
            here = sum(own.values())
            mean = Fraction(tokens, calls)
            mixed = (
                sum((Fraction(own[name], here) * Fraction(*known[name][::-1]) for name in names), _ZERO)
                if here
                else mean
            )
            factor += Fraction(tokens, all_tokens) * mixed / mean
        found.append(factor or _ONE)
    return found[0], found[1]


def _read(sums: ModelSums, all_calls: int, tokenizer: Fraction) -> _Factors:
    reached = sums.calls - sums.hits
    retries = _ratio(sums.effective, sums.effective - sums.retried)
    batch = _ratio(sums.effective, sums.effective + sums.batched)
    routing = _ratio(sums.effective + sums.batched, sums.effective + sums.batched + sums.routed)
    inputs = {name: sums.classes[name] for name in INPUT_CLASSES if name in sums.classes}
    input_nanos = Fraction(sum(each.picos for each in inputs.values()), _PICOS)
    compression = _ratio(input_nanos, input_nanos + sums.compressed)
    input_tokens = sum(each.tokens for each in inputs.values())
    answers = sums.billed * (retries or _ONE)
    discount = (batch or _ONE) * (routing or _ONE)
    return _Factors(
        scalars={
            Cause.VOLUME: Fraction(all_calls),
            Cause.MODEL_MIX: Fraction(sums.calls, all_calls) if all_calls else None,
            Cause.CACHE: Fraction(reached, sums.calls) if sums.calls else None,
            Cause.FAILURES: Fraction(sums.billed, reached) if reached else None,
            Cause.RETRIES: retries,
            Cause.ROUTING: routing,
            Cause.BATCH: batch,
            Cause.COMPRESSION: compression,
            Cause.TOKENIZER: tokenizer,
            Cause.INPUT_TOKENS: input_tokens / (answers * (compression or _ONE) * tokenizer) if answers else None,
        },
        shares={
            name: Fraction(inputs[name].tokens if name in inputs else 0, input_tokens) if input_tokens else None
            for name in INPUT_CLASSES
        },
        outputs={
            name: sums.classes.get(name, ClassSums()).tokens / (answers * tokenizer) if answers else None
            for name in OUTPUT_CLASSES
        },
        prices={name: _price(sums.classes.get(name), discount) for name in (*INPUT_CLASSES, *OUTPUT_CLASSES)},
        fees=_fees(sums) / (answers * discount) if answers else None,
    )


def _price(sums: ClassSums | None, discount: Fraction) -> Fraction | None:
    """Nano-USD a token, at the model that was asked for."""
    if sums is None or sums.tokens == 0:
        return None
    return Fraction(sums.picos, _PICOS) / (sums.tokens * discount)


def _fees(sums: ModelSums) -> Fraction:
    """What is no token's: fees a request, the rounding of each attempt, and calls that were charged by an estimate."""
    return sums.effective - Fraction(sum(each.picos for each in sums.classes.values()), _PICOS)


def _ratio(part: int | Fraction, whole: int | Fraction) -> Fraction | None:
    return Fraction(part) / whole if part > 0 and whole > 0 else None


Found = tuple[Cause, Fraction, Driver]


def _explain(model: str, cells: tuple[ModelSums, ModelSums], old: _Factors, new: _Factors) -> Iterable[Found]:
    """What each cause made of the change of one model's cost."""
    scalar = {cause: _pair(old.scalars[cause], new.scalars[cause], _NEUTRAL.get(cause, _ONE)) for cause in old.scalars}
    shared = [(cause, scalar[cause], "") for cause in _SHARED]
    # Of a class that neither period has nothing came.
    used = {*cells[0].classes, *cells[1].classes}
    terms = []
    for name in INPUT_CLASSES:
        if name not in used:
            continue
        own = [
            (Cause.TOKENIZER, scalar[Cause.TOKENIZER], ""),
            (Cause.COMPRESSION, scalar[Cause.COMPRESSION], ""),
            (Cause.INPUT_TOKENS, scalar[Cause.INPUT_TOKENS], ""),
            (Cause.PROVIDER_CACHE, _pair(old.shares[name], new.shares[name], _ZERO), name),
            (Cause.PRICE, _pair(old.prices[name], new.prices[name], _ZERO), name),
        ]
        terms.append(own)
    for name in OUTPUT_CLASSES:
        if name not in used:
            continue
        own = [
            (Cause.TOKENIZER, scalar[Cause.TOKENIZER], ""),
            (Cause.OUTPUT_TOKENS, _pair(old.outputs[name], new.outputs[name], _ZERO), name),
            (Cause.PRICE, _pair(old.prices[name], new.prices[name], _ZERO), name),
        ]
        terms.append(own)
    terms.append([(Cause.OTHER, _pair(old.fees, new.fees, _ZERO), "")])
    unexplained = Fraction(cells[1].effective - cells[0].effective)
    made: dict[tuple[Cause, str], Fraction] = {}
    values: dict[tuple[Cause, str], tuple[Fraction, Fraction]] = {}
    for own in terms:
        factors = [*shared, *own]
        for (cause, pair, name), part in zip(factors, split_product([pair for _, pair, _ in factors]), strict=True):
            key = (cause, name)
            made[key] = made.get(key, _ZERO) + part
            values[key] = pair
            unexplained -= part
    rest = (Cause.OTHER, "")
    made[rest] += unexplained
    for key, part in made.items():
        before, after = values[key]
        yield key[0], part, Driver(model, round(part), before, after, key[1])


def _pair(old: Fraction | None, new: Fraction | None, neutral: Fraction) -> tuple[Fraction, Fraction]:
    if old is None and new is None:
        return neutral, neutral
    return (new if old is None else old), (old if new is None else new)  # type: ignore[return-value]
