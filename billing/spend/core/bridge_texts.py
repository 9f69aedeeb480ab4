"""The bill bridge in sentences: one for each cause that made anything of the change."""

from collections.abc import Callable
from fractions import Fraction
from typing import Final

from billing.spend.core.bridge import Bridge, Cause, Driver, Part
from costhub.lib.money import format_for_people

TITLES: Final[dict[Cause, str]] = {
    Cause.VOLUME: "Number of calls",
    Cause.MODEL_MIX: "Model mix",
    Cause.CACHE: "Cache hits",
    Cause.FAILURES: "Failed and refused calls",
    Cause.RETRIES: "Retries",
    Cause.ROUTING: "Routing",
    Cause.BATCH: "Batches",
    Cause.COMPRESSION: "Compression",
    Cause.TOKENIZER: "Tokenizers of new versions",
    Cause.INPUT_TOKENS: "Input tokens a call",
    Cause.PROVIDER_CACHE: "The provider's cache",
    Cause.OUTPUT_TOKENS: "Output tokens a call",
    Cause.PRICE: "Prices",
    Cause.OTHER: "Fees, estimates and corrections",
}
#: of input, what is neither read from a cache nor written to one
_INPUTS: Final = {"input": "fresh"}
_CLASSES: Final = {"cache_write": "cache writes", "cache_write_1h": "cache writes for an hour"}


def describe_change(bridge: Bridge) -> str:
    """The whole change in one sentence."""
    if bridge.change == 0:
        return f"Both periods cost {format_for_people(bridge.after)}."
    direction = "more" if bridge.change > 0 else "less"
    amounts = f"{format_for_people(bridge.after)} against {format_for_people(bridge.before)}"
    return f"{format_for_people(abs(bridge.change))} {direction}: {amounts}."


def describe_part(part: Part) -> str:
    """What one cause made of the change, and at which model most of it. Empty where it made nothing."""
    why = explain_part(part)
    return f"{TITLES[part.cause]}: {_show_change(part.nanos)}. {why}" if why else ""


def explain_part(part: Part) -> str:
    """The same without the cause's name and amount, for where these stand already."""
    return _TEXTS[part.cause](part.driver) if part.driver is not None and part.nanos else ""


def describe_parts(bridge: Bridge, *, least: int) -> list[str]:
    """A sentence for each cause that made at least so many nano-USD of the change, the greatest first."""
    told = (part for part in bridge.parts if abs(part.nanos) >= max(least, 1))
    return [describe_part(part) for part in sorted(told, key=lambda part: -abs(part.nanos))]


def _show_change(nanos: int) -> str:
    amount = format_for_people(abs(nanos))
    if amount.startswith("<"):
        return f"{amount} {'more' if nanos > 0 else 'less'}"
    return f"{'+' if nanos > 0 else '-'}{amount}"


def _volume(driver: Driver) -> str:
    return f"{driver.after.numerator:,} calls after {driver.before.numerator:,}."


def _share_of(what: str) -> Callable[[Driver], str]:
    return lambda driver: f"{driver.model}: {_per_cent(driver.after)} {what}, {_per_cent(driver.before)} before."


def _saved(what: str) -> Callable[[Driver], str]:
    return lambda driver: (
        f"{what} took {_per_cent(1 - driver.after)} off {driver.model}, {_per_cent(1 - driver.before)} before."
    )


def _cache(driver: Driver) -> str:
    return f"{_per_cent(1 - driver.after)} of the calls of {driver.model} were hits, {_per_cent(1 - driver.before)} before."


def _retries(driver: Driver) -> str:
    after, before = driver.after - 1, driver.before - 1
    return f"Attempts before the last one added {_per_cent(after)} at {driver.model}, {_per_cent(before)} before."


def _tokenizer(driver: Driver) -> str:
    change = driver.after / driver.before - 1
    direction = "more" if change > 0 else "fewer"
    return f"The versions that answered as {driver.model} make {_per_cent(abs(change))} {direction} tokens of a call."


def _tokens(kind: str) -> Callable[[Driver], str]:
    return lambda driver: (
        f"{driver.model}: {round(driver.after):,} {kind} tokens a call, {round(driver.before):,} before."
    )


def _class_name(name: str) -> str:
    return _CLASSES.get(name, name.replace("_", " "))


def _provider_cache(driver: Driver) -> str:
    name = _INPUTS.get(driver.token_class) or _class_name(driver.token_class).removesuffix(" input")
    return f"{_per_cent(driver.after)} of {driver.model}'s input tokens were {name}, {_per_cent(driver.before)} before."


def _price(driver: Driver) -> str:
    name = _class_name(driver.token_class)
    after, before = _per_million(driver.after), _per_million(driver.before)
    return f"{driver.model}: {name} at {after} a million tokens, {before} before."


def _other(driver: Driver) -> str:
    return f"Most of it at {driver.model}."


def _per_cent(share: Fraction) -> str:
    """With one decimal place where that says anything."""
    tenths = round(share * 1000)
    sign, tenths = ("-", -tenths) if tenths < 0 else ("", tenths)
    whole, rest = divmod(tenths, 10)
    return f"{sign}{whole}.{rest} %" if rest else f"{sign}{whole} %"


def _per_million(nanos_a_token: Fraction) -> str:
    """A nano-USD a token is a thousandth of a dollar a million tokens."""
    places = round(nanos_a_token * 1000)
    whole, rest = divmod(abs(places), 1_000_000)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if places < 0 else ''}${whole}.{digits}"


_TEXTS: Final[dict[Cause, Callable[[Driver], str]]] = {
    Cause.VOLUME: _volume,
    Cause.MODEL_MIX: _share_of("of all calls"),
    Cause.CACHE: _cache,
    Cause.FAILURES: _share_of("of the calls that reached an upstream were billed"),
    Cause.RETRIES: _retries,
    Cause.ROUTING: _saved("Routing"),
    Cause.BATCH: _saved("Batches"),
    Cause.COMPRESSION: _saved("Compression"),
    Cause.TOKENIZER: _tokenizer,
    Cause.INPUT_TOKENS: _tokens("input"),
    Cause.PROVIDER_CACHE: _provider_cache,
    Cause.OUTPUT_TOKENS: _tokens("output"),
    Cause.PRICE: _price,
    Cause.OTHER: _other,
}
