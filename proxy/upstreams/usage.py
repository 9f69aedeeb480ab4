"""What an upstream says that it used, in disjoint classes. Pure; one reader for every vendor that we know of.

A report is exact when its classes add up to its totals, or when a known habit explains why they do not:

=====================  ================================================================================================
habit                  seen at
=====================  ================================================================================================
cached inside          OpenAI and most: ``prompt_tokens_details.cached_tokens`` are part of ``prompt_tokens``; DeepSeek
                       names them ``prompt_cache_hit_tokens``, Moonshot ``cached_tokens`` and Mistral
                       ``num_cached_tokens`` beside the totals, LiteLLM and DashScope with Anthropic's names
cached beside          Anthropic and Bedrock: ``input_tokens`` are those that no cache had a part in
reasoning beside       xAI: ``completion_tokens`` without reasoning, the total with it
thoughts in the total  Gemini: what the total has more is thought, and billed as output
=====================  ================================================================================================

Everything else that does not add up is a *doubt*: the report is still the best that is known, it is read at its
dearest, and nobody calls it exact.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final

from proxy.values.attempt import Usage
from proxy.values.vendor import Report

#: no call has more: what claims so is no report
TOKENS_LIMIT: Final = 50_000_000

#: why a report is no exact one; labels of a metric
NO_REPORT: Final = "no_report"
NO_INPUT: Final = "no_input"
NO_OUTPUT: Final = "no_output"
NOT_A_COUNT: Final = "not_a_count"
TOTAL_DISAGREES: Final = "total_disagrees"
DETAILS_DISAGREE: Final = "details_disagree"
UNKNOWN_CLASS: Final = "unknown_class"
FELL: Final = "fell"

_INPUT: Final = ("prompt_tokens", "input_tokens", "inputTokens")
_OUTPUT: Final = ("completion_tokens", "output_tokens", "outputTokens")
_TOTAL: Final = ("total_tokens", "totalTokens")
_INPUT_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_OUTPUT_DETAILS: Final = ("completion_tokens_details", "output_tokens_details", "output_token_details")
#: names by which cached tokens may stand beside the input and not in it
_BESIDE: Final = ("cache_read_input_tokens", "cacheReadInputTokens")
_CACHED: Final = ("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens", "cache_read_tokens", *_BESIDE)
_WRITTEN_BESIDE: Final = ("cache_creation_input_tokens", "cacheWriteInputTokens")
_WRITTEN: Final = ("cache_write_tokens", "cache_creation_tokens", *_WRITTEN_BESIDE)
_LIFETIMES: Final = ("cache_creation", "cache_creation_token_details", "cache_creation_tokens_details")
_REASONING: Final = ("reasoning_tokens", "thinking_tokens", "thoughts_tokens")
_SEARCHES: Final = ("web_search_requests", "num_search_queries")
#: where Alibaba counts what it did beside the model
_PLUGINS: Final = ("plugins", "x_tools")
_SEARCH_SIZES: Final = {"low": "web_searches_low", "high": "web_searches_high"}

_KNOWN: Final = frozenset(
    {
        *(*_INPUT, *_OUTPUT, *_TOTAL, *_CACHED, *_WRITTEN, *_REASONING, *_SEARCHES),
        *("prompt_cache_miss_tokens", "text_tokens", "audio_tokens", "image_tokens"),
        # free of charge
        "web_fetch_requests",
        # inside the completion, and billed as such
        *("accepted_prediction_tokens", "rejected_prediction_tokens"),
        *("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"),
        # what OpenAI writes to its cache for as long as is usual
        "ttl_30m_tokens",
    }
)
_USUAL: Final = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"}
)
#: what OpenAI's responses call the same
_AS_CHAT: Final = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "total_tokens": "total_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}
_OF_RESPONSES: Final = frozenset(_AS_CHAT)
_OF_MESSAGES: Final = frozenset(
    {
        *("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
        *("cache_creation", "service_tier"),
    }
)
_PLAIN: Final = 3
_USUAL_OF_INPUT: Final = frozenset({"cached_tokens", "cache_write_tokens", "audio_tokens"})
_USUAL_OF_OUTPUT: Final = frozenset(
    {"reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"}
)
_COUNTS_SOMETHING: Final = re.compile(r"(?:tokens|_token_count|Tokens|TokenCount|_requests|_queries|_sources_used)$")
_ANYWHERE: Final = (None, "", "global", "not_available")
_NUMBER: Final = re.compile(r"\d{1,12}(?:\.0*)?")
_NOTHING: Final[Mapping[str, Any]] = {}


def read_usage(reported: Mapping[str, Any], *, thinks_in_total: bool = False) -> Report | None:
    """A provider's report; None where it says nothing. ``thinks_in_total``: it is Gemini's.

    Absent is not zero: a report without input tokens does not tell the input, since every call has some.
    """
    names = reported.keys()
    if names <= _USUAL:
        usage = _read_usual(reported)
    elif names <= _OF_RESPONSES and "total_tokens" in names:
        usage = _read_usual({_AS_CHAT[name]: value for name, value in reported.items()})
    elif names <= _OF_MESSAGES:
        usage = _read_uncached(reported)
    else:
        usage = None
    if usage is not None:
        return Report(usage)
    return _Reading(reported, thinks_in_total=thinks_in_total).report()


def read_counts(reported: Mapping[str, Any]) -> Report | None:
    """A report of OpenAI's three counts alone, which fit each other: as most are. None for any other, which
    ``read_usage`` reads."""
    if len(reported) != _PLAIN:
        return None
    inputs, outputs = reported.get("prompt_tokens"), reported.get("completion_tokens")
    if type(inputs) is not int or type(outputs) is not int or reported.get("total_tokens") != inputs + outputs:
        return None
    if not 0 < inputs <= TOKENS_LIMIT or not 0 <= outputs <= TOKENS_LIMIT:
        return None
    return Report(Usage(inputs, 0, 0, outputs))


def worse(before: Report, after: Report) -> bool:
    """Whether a later report of the same answer says less than an earlier one: running counts do not fall."""
    return (
        after.usage.output_tokens < before.usage.output_tokens or after.usage.input_tokens < before.usage.input_tokens
    )


def _read_usual(reported: Mapping[str, Any]) -> Usage | None:
    """A report in OpenAI's own shape whose parts fit its wholes: nearly all are, so that it is read in a tenth of the
    time. None for any other."""
    inputs, outputs = reported.get("prompt_tokens"), reported.get("completion_tokens")
    of_input = reported.get("prompt_tokens_details") or _NOTHING
    of_output = reported.get("completion_tokens_details") or _NOTHING
    if (
        type(inputs) is not int
        or type(outputs) is not int
        or reported.get("total_tokens") != inputs + outputs
        or not 0 < inputs <= TOKENS_LIMIT
        or not 0 <= outputs <= TOKENS_LIMIT
        or not isinstance(of_input, dict)
        or not isinstance(of_output, dict)
        or not of_input.keys() <= _USUAL_OF_INPUT
        or not of_output.keys() <= _USUAL_OF_OUTPUT
    ):
        return None
    cached, written = of_input.get("cached_tokens") or 0, of_input.get("cache_write_tokens") or 0
    heard, spoken = of_input.get("audio_tokens") or 0, of_output.get("audio_tokens") or 0
    reasoned = of_output.get("reasoning_tokens") or 0
    if not (type(cached) is type(written) is type(heard) is type(spoken) is type(reasoned) is int):
        return None
    fresh = inputs - cached - written - heard
    if min(cached, written, heard, spoken, reasoned, fresh) < 0 or spoken > outputs or reasoned > outputs:
        return None
    return Usage(fresh, cached, written, outputs - spoken, reasoned, heard, spoken)


def _read_uncached(reported: Mapping[str, Any]) -> Usage | None:
    """A report in Anthropic's shape of a call that no cache had a part in. None for any other."""
    inputs, outputs = reported.get("input_tokens"), reported.get("output_tokens")
    if type(inputs) is not int or type(outputs) is not int:
        return None
    if not 0 < inputs <= TOKENS_LIMIT or not 0 <= outputs <= TOKENS_LIMIT:
        return None
    if reported.get("cache_read_input_tokens") or reported.get("cache_creation_input_tokens"):
        return None
    lifetimes = reported.get("cache_creation")
    if lifetimes and (not isinstance(lifetimes, dict) or any(lifetimes.values())):
        return None
    return Usage(inputs, 0, 0, outputs)


class _Reading:
    """One report being read."""

    def __init__(self, reported: Mapping[str, Any], *, thinks_in_total: bool) -> None:
        self._top = reported
        self._of_input = _first_object(reported, _INPUT_DETAILS)
        self._of_output = _first_object(reported, _OUTPUT_DETAILS)
        self._thinks_in_total = thinks_in_total
        self._doubt = ""

    def report(self) -> Report | None:
        outputs = self._count(self._top, _OUTPUT)
        total = self._count(self._top, _TOTAL) or 0
        fresh, cached, written, longer = self._caches()
        if fresh is None and outputs is not None and total > outputs:
            fresh = total - outputs
        if fresh is None and outputs is None and total:
            # an embedding's, of some vendors
            fresh = total
        inputs, of_caches = fresh or 0, cached + written + longer
        if not inputs and not outputs and not of_caches:
            return None
        if self._stands_beside(inputs, outputs or 0, of_caches, total):
            inputs += of_caches
        produced, reasoned = self._output(inputs, outputs, fresh or 0, total)
        if not inputs:
            self._suspect(NO_INPUT)
        usage = Usage(
            **(self._split_input(inputs, cached, written, longer) if inputs else {}),
            **self._split_output(produced, reasoned),
            **self._units(),
        )
        self._check_names()
        return Report(usage, self._doubt, has_input=bool(inputs), has_output=outputs is not None or bool(produced))

    # Input

    def _caches(self) -> tuple[int | None, int, int, int]:
        """Input as reported, and of a cache what was read, written, and written for an hour."""
        inputs = self._count(self._top, _INPUT)
        cached = self._agreed(_CACHED)
        missed = self._count(self._top, ("prompt_cache_miss_tokens",))
        if missed is not None:
            if inputs is None:
                inputs = cached + missed
            elif cached + missed != inputs:
                self._suspect(DETAILS_DISAGREE)
        written = self._agreed(_WRITTEN)
        lifetimes = _first_object(self._top, _LIFETIMES) or _first_object(self._of_input, _LIFETIMES)
        shorter = self._count(lifetimes, ("ephemeral_5m_input_tokens",)) or 0
        longer = self._count(lifetimes, ("ephemeral_1h_input_tokens",)) or 0
        if shorter + longer and written and shorter + longer != written:
            self._suspect(DETAILS_DISAGREE)
        return inputs, cached, max(shorter, written - longer), longer

    def _stands_beside(self, inputs: int, outputs: int, of_caches: int, total: int) -> bool:
        """Whether what caches had a part in is not inside the input that was reported."""
        if not of_caches or not any(self._top.get(name) for name in (*_BESIDE, *_WRITTEN_BESIDE)):
            return False
        if self._of_input.get("cached_tokens") and of_caches <= inputs:
            return False
        is_openai = self._top.get("prompt_tokens") is not None
        if total:
            if total == inputs + outputs + of_caches:
                return True
            if is_openai and total == inputs + outputs:
                return of_caches > inputs
        return not is_openai or of_caches > inputs

    def _split_input(self, inputs: int, cached: int, written: int, longer: int) -> dict[str, int]:
        heard = self._count(self._of_input, ("audio_tokens",)) or 0
        seen = self._count(self._of_input, ("image_tokens",)) or 0
        text = self._count(self._of_input, ("text_tokens",)) or 0
        if text and (text + heard + seen > inputs or text + heard + seen + cached + written + longer < inputs):
            self._suspect(DETAILS_DISAGREE)
        of_cached = _first_object(self._of_input, ("cached_tokens_details",))
        cached_heard = self._count(of_cached, ("audio_tokens",)) or 0
        cached_seen = self._count(of_cached, ("image_tokens",)) or 0
        if cached_heard > heard or cached_seen > seen or cached_heard + cached_seen > cached:
            self._suspect(DETAILS_DISAGREE)
            cached_heard, cached_seen = min(cached_heard, heard), min(cached_seen, seen)
        # What is cached and sound at once has been counted twice. Where nobody says how much that is, it is at least
        # what does not fit otherwise, and more of it would cost less.
        twice = cached + written + longer + heard + seen - cached_heard - cached_seen - inputs
        if twice > 0 and not of_cached:
            self._suspect(DETAILS_DISAGREE)
            cached_heard = min(twice, cached, heard)
            cached_seen = min(twice - cached_heard, cached - cached_heard, seen)
        classes = {
            "cache_write_1h": longer,
            "cache_write": written,
            "audio_input": heard - cached_heard,
            "image_input": seen - cached_seen,
            "cached_audio_input": cached_heard,
            "cached_image_input": cached_seen,
            "cached_input": max(0, cached - cached_heard - cached_seen),
        }
        return self._fit(classes, inputs, "input")

    # Output

    def _output(self, inputs: int, outputs: int | None, fresh: int, total: int) -> tuple[int, int]:
        """All output tokens, and those of reasoning among them."""
        said = outputs or 0
        reasoned = self._agreed(_REASONING, self._of_output)
        if not total or not inputs or total in {inputs + said, fresh + said}:
            if reasoned > said:
                self._suspect(DETAILS_DISAGREE)
                # Without a total it may stand beside, where it costs more.
                said += 0 if total else reasoned
            return said, min(reasoned, said)
        more = total - inputs - said
        if more <= 0:
            self._suspect(TOTAL_DISAGREES)
            return said, min(reasoned, said)
        if more != reasoned and outputs is not None and not self._thinks_in_total:
            self._suspect(TOTAL_DISAGREES)
        return said + more, min(max(reasoned, more if self._thinks_in_total else 0), said + more)

    def _split_output(self, produced: int, reasoned: int) -> dict[str, int]:
        spoken = self._count(self._of_output, ("audio_tokens",)) or 0
        drawn = self._count(self._of_output, ("image_tokens",)) or 0
        text = self._count(self._of_output, ("text_tokens",)) or 0
        if text and not text + spoken + drawn <= produced <= text + spoken + drawn + reasoned:
            self._suspect(DETAILS_DISAGREE)
        return self._fit({"audio_output": spoken, "image_output": drawn}, produced, "output") | {"reasoning": reasoned}

    def _fit(self, classes: dict[str, int], whole: int, rest: str) -> dict[str, int]:
        """The classes cut to the whole, the dearest first, and what is left of it."""
        left = whole
        for name, count in classes.items():
            if count > left:
                self._suspect(DETAILS_DISAGREE)
                classes[name] = left
            left -= classes[name]
        return classes | {rest: left}

    # The rest

    def _units(self) -> dict[str, int]:
        tools = _first_object(self._top, ("server_tool_use",))
        plugins = _first_object(self._top, _PLUGINS)
        of_plugin = self._count(_first_object(plugins, ("search", "web_search")), ("count",))
        searches = self._count(tools, _SEARCHES) or self._count(self._top, _SEARCHES) or of_plugin or 0
        seconds = self._count(self._top, ("prompt_audio_seconds",)) if self._top.get("prompt_audio_seconds") else 0
        size = self._top.get("search_context_size")
        name = _SEARCH_SIZES.get(size, "web_searches") if isinstance(size, str) else "web_searches"
        return {name: searches, "seconds": seconds or 0}

    def _check_names(self) -> None:
        """What counts something and is in none of our classes may cost something."""
        for name, value in _named_counts(self._top):
            if name not in _KNOWN and _COUNTS_SOMETHING.search(name) and _read_count(value) != 0:
                self._suspect(UNKNOWN_CLASS)
        # Of an account that has its calls answered in one place, for a tenth more.
        if self._top.get("inference_geo") not in _ANYWHERE:
            self._suspect(UNKNOWN_CLASS)

    def _agreed(self, names: tuple[str, ...], details: Mapping[str, Any] | None = None) -> int:
        """A count that may stand in several places under several names: the one that they agree on, else the least."""
        places = (self._top, self._of_input if details is None else details)
        found = {self._count(place, (name,)) for place in places for name in names if place.get(name) is not None}
        counts = {count for count in found if count}
        if len(counts) > 1:
            self._suspect(DETAILS_DISAGREE)
        return min(counts, default=0)

    def _count(self, place: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
        for name in names:
            value = place.get(name)
            if value is not None:
                count = _read_count(value)
                if count is None:
                    self._suspect(NOT_A_COUNT)
                return count
        return None

    def _suspect(self, doubt: str) -> None:
        self._doubt = self._doubt or doubt


def _named_counts(reported: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in reported.items():
        if not isinstance(value, dict):
            if _is_number(value):
                yield name, value
        elif name not in {"cost_details", "cost"}:
            of_details = (one.items() for one in value.values() if isinstance(one, dict))
            for inner, count in chain(value.items(), *of_details):
                if _is_number(count):
                    yield inner, count


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _first_object(place: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    return next((place[name] for name in names if isinstance(place.get(name), dict) and place[name]), _NOTHING)


def _read_count(value: Any) -> int | None:
    """A count as a whole number; also where it was written as 12.0, or as a text."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value.strip()):
            return None
        value = int(value.strip().partition(".")[0])
    elif isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= TOKENS_LIMIT:
        return value
    return None
