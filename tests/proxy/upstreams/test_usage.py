"""Usage reports as vendors really write them: classes that add up to the totals, or a doubt."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstreams import usage as usages
from proxy.upstreams.usage import (
    DETAILS_DISAGREE,
    NO_INPUT,
    NOT_A_COUNT,
    TOKENS_LIMIT,
    TOTAL_DISAGREES,
    UNKNOWN_CLASS,
    read_usage,
    worse,
)
from proxy.values.attempt import Usage
from proxy.values.vendor import Report

Json = dict[str, Any]

counts = st.integers(0, 10**6)
json_scalars = st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats() | st.text(max_size=5)
json_values = st.recursive(
    json_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
every_name = st.sampled_from(
    sorted(
        {*usages._KNOWN, *usages._INPUT_DETAILS, *usages._OUTPUT_DETAILS, *usages._LIFETIMES, "cached_tokens_details"}
        | {"server_tool_use", "search_context_size", "prompt_audio_seconds", "video_tokens", "cost", "queue_time"}
    )
)
reports = st.recursive(
    st.integers(0, 5_000) | json_scalars,
    lambda inner: st.dictionaries(every_name, inner, max_size=8),
    max_leaves=20,
).filter(lambda value: isinstance(value, dict))


def openai_written(written: int, longer: int) -> dict[str, Any]:
    """A report of OpenAI's Responses of what was written to its cache, some of it for twelve hours."""
    details = {"ttl_30m_tokens": written - longer, "ttl_12h_tokens": longer}
    of_input = {"cached_tokens": 0, "cache_write_tokens": written, "cache_write_tokens_details": details}
    return {"input_tokens": 9, "input_tokens_details": of_input, "output_tokens": 1, "total_tokens": 10}


def openai(cached: int = 0, written: int = 0, heard: int = 0, *, inputs: int, outputs: int, **more: Any) -> Json:
    details = {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": heard}
    whole = {"prompt_tokens": inputs, "completion_tokens": outputs, "total_tokens": inputs + outputs}
    return {**whole, "prompt_tokens_details": details, **more}


# How vendors write the same call: 100 tokens of input of which 64 were cached, 5 of output.
SAME: list[tuple[str, Json]] = [
    ("OpenAI", openai(64, inputs=100, outputs=5)),
    ("DeepSeek", {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}),
    ("DeepSeek, with a zero in OpenAI's place", {"prompt_cache_hit_tokens": 64, "prompt_tokens_details": {"cached_tokens": 0}}),
    ("Moonshot", {"cached_tokens": 64}),
    ("Moonshot, both", {"cached_tokens": 64, "prompt_tokens_details": {"cached_tokens": 64}}),
    ("Mistral", {"num_cached_tokens": 64}),
    ("DashScope", {"prompt_tokens_details": {"cached_tokens": 64, "cache_creation_input_tokens": 0, "cache_type": "ephemeral"}}),
    ("LiteLLM before Anthropic", {"cache_read_input_tokens": 64, "cache_creation_input_tokens": 0, "prompt_tokens_details": {"cached_tokens": 64, "text_tokens": None}}),
    ("LiteLLM, one name", {"cache_read_input_tokens": 64}),
    ("Anthropic", {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None, "input_tokens": 36, "output_tokens": 5, "cache_read_input_tokens": 64}),
    ("Bedrock", {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None, "inputTokens": 36, "outputTokens": 5, "totalTokens": 105, "cacheReadInputTokens": 64, "cacheWriteInputTokens": 0}),
    ("OpenAI's Responses", {"prompt_tokens": None, "completion_tokens": None, "input_tokens": 100, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 64}}),
    ("a gateway that leaves them out", {"prompt_tokens": 36, "total_tokens": 105, "cache_read_input_tokens": 64}),
    ("a gateway that leaves them out of the total too", {"prompt_tokens": 36, "total_tokens": 41, "cache_read_input_tokens": 64}),
    ("texts", {"prompt_tokens": "100", "completion_tokens": "5", "total_tokens": "105", "cached_tokens": "64"}),
    ("floats", {"prompt_tokens": 100.0, "completion_tokens": 5.0, "total_tokens": 105.0, "cached_tokens": 64.0}),
]  # fmt: skip


@pytest.mark.parametrize(("vendor", "written"), SAME, ids=[vendor for vendor, _ in SAME])
def test_the_same_call_in_every_vendors_words(vendor: str, written: Json) -> None:
    plain = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}
    report = {name: value for name, value in (plain | written).items() if value is not None}
    assert read_usage(report) == Report(Usage(input=36, cached_input=64, output=5))


WRITES: list[tuple[str, Json]] = [
    ("Anthropic", {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}),
    ("LiteLLM", {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 60, "prompt_tokens_details": {"cached_tokens": 60, "cache_creation_tokens": 30, "cache_creation_token_details": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}}),
    ("DashScope", {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "prompt_tokens_details": {"cached_tokens": 60, "cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}}),
]  # fmt: skip


@pytest.mark.parametrize(("vendor", "report"), WRITES, ids=[vendor for vendor, _ in WRITES])
def test_what_was_written_to_a_cache_for_minutes_and_for_an_hour(vendor: str, report: Json) -> None:
    assert read_usage(report) == Report(Usage(input=10, cached_input=60, cache_write=10, cache_write_1h=20, output=5))


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        # an embedding's
        ({"prompt_tokens": 9, "total_tokens": 9}, Usage(input=9)),
        ({"prompt_tokens": 9, "completion_tokens": None}, Usage(input=9)),
        ({"prompt_tokens": 9, "completion_tokens": 0}, Usage(input=9)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": None}, Usage(input=9, output=1)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "completion_tokens_details": []}, Usage(input=9, output=1)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 0}, Usage(input=9, output=1)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(cached_input=9)),
        ({"prompt_tokens": TOKENS_LIMIT}, Usage(input=TOKENS_LIMIT)),
        # the total tells what has no name
        ({"completion_tokens": 12, "total_tokens": 30}, Usage(input=18, output=12)),
        ({"prompt_tokens": 14, "total_tokens": 514}, Usage(input=14, output=500)),
        # xAI: reasoning beside the completion
        (
            {"prompt_tokens": 10_120, "completion_tokens": 1_499, "total_tokens": 14_428, "completion_tokens_details": {"reasoning_tokens": 2_809}},
            Usage(input=10_120, output=4_308, reasoning=2_809),
        ),
        # SGLang: reasoning at the top, inside the completion
        ({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21, "reasoning_tokens": 8}, Usage(input=9, output=12, reasoning=8)),
        # a picture drawn, with its thoughts and its words
        (
            {"prompt_tokens": 10, "completion_tokens": 1_400, "total_tokens": 1_410, "completion_tokens_details": {"image_tokens": 1_120, "reasoning_tokens": 200, "text_tokens": 80}},
            Usage(input=10, output=280, image_output=1_120, reasoning=200),
        ),
        # OpenAI's realtime details: of what was cached, so much is sound
        (
            openai(500, heard=800, inputs=1_000, outputs=5) | {"prompt_tokens_details": {"cached_tokens": 500, "audio_tokens": 800, "text_tokens": 200, "cached_tokens_details": {"text_tokens": 100, "audio_tokens": 400}}},
            Usage(input=100, cached_input=100, audio_input=400, cached_audio_input=400, output=5),
        ),
        ({"input_tokens": 9, "output_tokens": 5, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 3}}, Usage(input=9, output=5, web_searches=2)),
        # Alibaba, in its own words and by its Responses
        ({"prompt_tokens": 9, "completion_tokens": 5, "plugins": {"search": {"count": 2, "strategy": "agent"}}}, Usage(input=9, output=5, web_searches=2)),
        ({"input_tokens": 9, "output_tokens": 5, "x_tools": {"web_search": {"count": 1}}}, Usage(input=9, output=5, web_searches=1)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "num_search_queries": 3, "search_context_size": "high"}, Usage(input=9, output=5, web_searches_high=3)),
        # times and prices are no counts
        ({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "queue_time": 0.5, "cost": 0.01, "cost_details": {"upstream_inference_prompt_tokens": 3}}, Usage(input=9, output=5)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "completion_tokens_details": {"accepted_prediction_tokens": 2, "rejected_prediction_tokens": 3}}, Usage(input=9, output=5)),
    ],
)  # fmt: skip
def test_reports_that_are_exact(report: Json, usage: Usage) -> None:
    assert read_usage(report) == Report(
        usage, has_output=usage.output_tokens > 0 or report.get("completion_tokens") == 0
    )


@pytest.mark.parametrize(
    ("report", "usage", "doubt"),
    [
        # more in the total than in its parts: billed as output, and not called exact
        ({"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}, Usage(input=20, output=603), TOTAL_DISAGREES),
        ({"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 200}, Usage(input=20, output=198), TOTAL_DISAGREES),
        # sound that was cached, nobody says how much: at least what does not fit otherwise
        (openai(500, heard=800, inputs=1_000, outputs=5), Usage(cached_input=200, audio_input=500, cached_audio_input=300, output=5), DETAILS_DISAGREE),
        (openai(10, inputs=9, outputs=1), Usage(cached_input=9, output=1), DETAILS_DISAGREE),
        (openai(5, 5, inputs=9, outputs=1), Usage(cache_write=5, cached_input=4, output=1), DETAILS_DISAGREE),
        ({"prompt_tokens": 9, "completion_tokens": 1, "completion_tokens_details": {"audio_tokens": 2}}, Usage(input=9, audio_output=1), DETAILS_DISAGREE),
        # larger than the whole: without a total it may stand beside it
        ({"prompt_tokens": 9, "completion_tokens": 12, "completion_tokens_details": {"reasoning_tokens": 20}}, Usage(input=9, output=32, reasoning=20), DETAILS_DISAGREE),
        ({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21, "completion_tokens_details": {"reasoning_tokens": 20}}, Usage(input=9, output=12, reasoning=12), DETAILS_DISAGREE),
        # names that contradict each other: the dearer
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}}, Usage(input=7, cached_input=2, output=1), DETAILS_DISAGREE),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 2, "prompt_cache_miss_tokens": 5}, Usage(input=7, cached_input=2, output=1), DETAILS_DISAGREE),
        ({"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"text_tokens": 20}}, Usage(input=100, output=1), DETAILS_DISAGREE),
        # what nobody here has a class for
        ({"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "citation_tokens": 700}, Usage(input=9, output=1), UNKNOWN_CLASS),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"video_tokens": 3}}, Usage(input=9, output=1), UNKNOWN_CLASS),
        ({"prompt_tokens": 9, "completion_tokens": 1, "num_sources_used": 4}, Usage(input=9, output=1), UNKNOWN_CLASS),
        # for longer than is usual, at a price that nobody has
        (openai_written(8, longer=3), Usage(input=1, cache_write=8, output=1), UNKNOWN_CLASS),
        # no numbers
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": -4}, Usage(input=9, output=1), NOT_A_COUNT),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 1.5}, Usage(input=9, output=1), NOT_A_COUNT),
    ],
)  # fmt: skip
def test_reports_that_do_not_add_up(report: Json, usage: Usage, doubt: str) -> None:
    assert read_usage(report) == Report(usage, doubt)


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}, Usage(input=20, output=603, reasoning=405)),
        ({"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81, "completion_tokens_details": {"reasoning_tokens": 60}}, Usage(input=21, output=60, reasoning=60)),
        ({"prompt_tokens": 14, "total_tokens": 514}, Usage(input=14, output=500, reasoning=500)),
    ],
)  # fmt: skip
def test_what_geminis_total_has_more_is_thought_and_billed_as_output(report: Json, usage: Usage) -> None:
    assert read_usage(report, thinks_in_total=True) == Report(usage)


@pytest.mark.parametrize(
    "value", [-1, "5x", True, [], {}, TOKENS_LIMIT + 1, 0.5, "-5", "1e3", float("nan"), float("inf")]
)
def test_what_is_no_count_leaves_that_part_to_us(value: Any) -> None:
    assert read_usage({"prompt_tokens": value, "completion_tokens": 12}) == Report(
        Usage(output=12), NOT_A_COUNT, has_input=False
    )
    assert read_usage({"prompt_tokens": 9, "completion_tokens": value}) == Report(
        Usage(input=9), NOT_A_COUNT, has_output=False
    )


def test_a_report_without_input_leaves_the_input_to_us() -> None:
    for report in ({"completion_tokens": 12}, {"prompt_tokens": 0, "completion_tokens": 12, "total_tokens": 12}):
        assert read_usage(report) == Report(Usage(output=12), NO_INPUT, has_input=False)


@pytest.mark.parametrize(
    "report",
    [{}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, {"prompt_tokens": None}, {"queue_time": 1.5}],
)
def test_what_says_nothing_is_no_report(report: Json) -> None:
    assert read_usage(report) is None


# Properties


@given(st.lists(counts, min_size=4, max_size=4), counts, counts, counts)
def test_openais_classes_are_disjoint_and_sum_to_what_was_reported(
    inputs: list[int], said: int, spoken: int, reasoned: int
) -> None:
    plain, cached, written, heard = inputs
    reasoned = min(reasoned, said + spoken)
    more = {"completion_tokens_details": {"reasoning_tokens": reasoned, "audio_tokens": spoken}}
    report = read_usage(openai(cached, written, heard, inputs=sum(inputs), outputs=said + spoken, **more))
    if sum(inputs) + said + spoken == 0:
        assert report is None
    elif sum(inputs) > 0:
        assert report == Report(Usage(plain, cached, written, said, reasoned, heard, spoken))


@given(st.integers(1, 10**5), counts, counts, st.integers(1, 10**5))
def test_anthropics_classes_stand_beside_each_other(fresh: int, read: int, written: int, outputs: int) -> None:
    report = {"input_tokens": fresh, "output_tokens": outputs}
    report |= {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    assert read_usage(report) == Report(Usage(input=fresh, cached_input=read, cache_write=written, output=outputs))


@given(reports, st.booleans())
def test_whatever_is_reported_no_class_is_negative_and_nothing_is_lost(report: Json, thinks: bool) -> None:
    found = read_usage(report, thinks_in_total=thinks)
    if found is None:
        return
    assert min(found.usage) >= 0
    assert found.usage.reasoning <= found.usage.output_tokens
    inputs = report.get("prompt_tokens")
    if type(inputs) is int and 0 < inputs <= TOKENS_LIMIT:
        assert found.usage.input_tokens >= inputs
    outputs = report.get("completion_tokens")
    if type(outputs) is int and 0 < outputs <= TOKENS_LIMIT:
        assert found.usage.output_tokens >= outputs


@given(st.integers(1, 5_000), st.integers(0, 5_000), st.integers(1, 20_000), st.integers(0, 5_000), st.booleans())
def test_an_exact_report_adds_up_to_its_total(
    inputs: int, outputs: int, total: int, reasoned: int, thinks: bool
) -> None:
    report = {
        "prompt_tokens": inputs,
        "completion_tokens": outputs,
        "total_tokens": total,
        "reasoning_tokens": reasoned,
    }
    found = read_usage(report, thinks_in_total=thinks)
    assert found is not None
    if not found.doubt:
        assert found.usage.input_tokens + found.usage.output_tokens == total
    assert found.usage.input_tokens + found.usage.output_tokens >= max(total, inputs + outputs)


@given(st.fixed_dictionaries({"prompt_tokens": counts, "completion_tokens": counts, "total_tokens": counts}))
def test_numbers_may_be_written_as_floats_and_as_texts(report: dict[str, int]) -> None:
    write: Callable[[Any], Any]
    for write in (float, str, "{}.0".format, " {} ".format):
        assert read_usage({name: write(value) for name, value in report.items()}) == read_usage(report)


def test_a_later_report_that_says_less_is_worse() -> None:
    before = Report(Usage(input=9, output=5))
    assert worse(before, Report(Usage(input=9, output=4)))
    assert worse(before, Report(Usage(input=0, output=5)))
    assert not worse(before, before)
    assert not worse(before, Report(Usage(input=9, output=6)))


@pytest.mark.parametrize(("place", "doubt"), [(None, ""), ("not_available", ""), ("global", ""), ("us", UNKNOWN_CLASS)])
def test_where_a_call_was_answered_may_have_cost_more(place: str | None, doubt: str) -> None:
    found = read_usage({"input_tokens": 9, "output_tokens": 2, "inference_geo": place})
    assert found is not None
    assert (found.usage, found.doubt) == (Usage(input=9, output=2), doubt)


numbers = st.sampled_from([0, 1, 2, 7, 70, 72, TOKENS_LIMIT, TOKENS_LIMIT + 1, -1, 1.0, "2", None, True])
details = st.none() | st.dictionaries(
    st.sampled_from(["cached_tokens", "reasoning_tokens", "audio_tokens", "x"]), numbers
)
usual_reports = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": numbers,
        "output_tokens": numbers,
        "total_tokens": numbers,
        "input_tokens_details": details,
        "output_tokens_details": details,
    },
) | st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": numbers,
        "output_tokens": numbers,
        "cache_creation_input_tokens": numbers,
        "cache_read_input_tokens": numbers,
        "cache_creation": st.none() | st.dictionaries(st.just("ephemeral_1h_input_tokens"), numbers),
        "service_tier": st.sampled_from([None, "standard", "batch"]),
    },
)


@given(usual_reports)
def test_what_is_read_in_a_tenth_of_the_time_is_read_as_anything_else_is(reported: Json) -> None:
    assert read_usage(reported) == usages._Reading(reported, thinks_in_total=False).report()


@pytest.mark.parametrize(
    "reported",
    [
        {
            "input_tokens": 70,
            "input_tokens_details": {"cached_tokens": 8},
            "output_tokens": 60,
            "output_tokens_details": {"reasoning_tokens": 5},
            "total_tokens": 130,
        },
        {"input_tokens": 70, "output_tokens": 60, "cache_read_input_tokens": 0, "service_tier": "standard"},
    ],
)
def test_what_openai_and_anthropic_report_of_most_calls_is_read_so(
    reported: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usages, "_Reading", None)
    found = read_usage(reported)
    assert found is not None
    assert (found.usage.input_tokens, found.usage.output_tokens, found.doubt) == (70, 60, "")
