"""What is written into a request, where servers differ, and what is learned from a refusal."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
import time_machine

from proxy.upstreams import habits as rules
from proxy.upstreams.refused_habits import MAX_REMEMBERED, RefusedHabits
from proxy.values.request import Endpoint
from proxy.values.vendor import Refusal
from tenants.choices import Habit
from tests.proxy.core.examples import UPSTREAM, encode, make_chat, make_request

EMBEDDING = make_request(Endpoint.EMBEDDINGS, {"model": "small", "input": "Hi"})
STREAM = {"stream_options": {"include_usage": True}}


def sent(request: Any, **how: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(encode(request, **{"kind": "openai_compatible", **how}))
    return {name: value for name, value in body.items() if name not in {"model", "messages", "input"}}


@pytest.mark.parametrize(
    ("model", "base_url", "field"),
    [
        ("llama-3.3-70b", "https://llm.acme.example/v1", "max_tokens"),
        ("gpt-4o", "https://llm.acme.example/v1", "max_tokens"),
        ("gpt-oss-120b", "https://llm.acme.example/v1", "max_tokens"),
        ("gpt-5-mini", "https://llm.acme.example/v1", "max_completion_tokens"),
        ("openai/gpt-5.6", "https://llm.acme.example/v1", "max_completion_tokens"),
        ("azure:GPT-5", "https://llm.acme.example/v1", "max_completion_tokens"),
        ("o3", "https://llm.acme.example/v1", "max_completion_tokens"),
        ("o4-mini", "https://llm.acme.example/v1", "max_completion_tokens"),
        ("qwen-o3x", "https://llm.acme.example/v1", "max_tokens"),
        ("gpt-4o", "https://api.openai.com/v1", "max_completion_tokens"),
        ("mine", "https://acme.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("mine", "https://openai.azure.com.evil.example/v1", "max_tokens"),
    ],
)
def test_the_field_of_our_limit_goes_by_host_and_model(model: str, base_url: str, field: str) -> None:
    assert sent(make_chat(), model=model, base_url=base_url, max_output=20) == {"stream": False, field: 20}


def test_a_server_that_streams_by_default_is_told_not_to() -> None:
    assert sent(make_chat()) == {"stream": False}
    assert sent(make_chat(stream=None)) == {"stream": False}
    assert sent(make_chat(stream=False)) == {"stream": False}
    assert sent(make_request(Endpoint.COMPLETIONS, {"model": "small", "prompt": "Hi"})) == {
        "prompt": "Hi",
        "stream": False,
    }
    assert sent(EMBEDDING) == {}
    assert sent(make_chat(), kind="openai") == {}


def test_a_stream_is_asked_for_its_usage_where_the_host_knows_how() -> None:
    assert sent(make_chat(stream=True)) == {"stream": True, **STREAM}
    assert sent(make_chat(stream=True), base_url="https://api.bytez.com/v1") == {"stream": True}
    # what the caller wrote is the caller's
    asked = make_chat(stream=True, stream_options={"x": 1})
    assert sent(asked, base_url="https://api.bytez.com/v1") == {"stream": True, "stream_options": {"x": 1}}


@pytest.mark.parametrize(
    ("habits", "learned", "stream", "body"),
    [
        ({"output_limit": "max_completion_tokens"}, set(), False, {"stream": False, "max_completion_tokens": 20}),
        ({"stream_options": False}, set(), True, {"stream": True, "max_tokens": 20}),
        ({"stream_false": False}, set(), False, {"max_tokens": 20}),
        ({}, {Habit.OUTPUT_LIMIT}, False, {"stream": False, "max_completion_tokens": 20}),
        ({}, {Habit.STREAM_OPTIONS}, True, {"stream": True, "max_tokens": 20}),
        ({}, {Habit.STREAM_FALSE}, False, {"max_tokens": 20}),
        # the tenant knows better
        ({"output_limit": "max_tokens"}, {Habit.OUTPUT_LIMIT}, False, {"stream": False, "max_tokens": 20}),
        ({"stream_options": True}, {Habit.STREAM_OPTIONS}, True, {"stream": True, **STREAM, "max_tokens": 20}),
    ],
)
def test_habits_that_are_set_or_learned(
    habits: dict[str, Any], learned: set[Habit], stream: bool, body: dict[str, Any]
) -> None:
    request = make_chat(stream=True) if stream else make_chat()
    assert sent(request, habits=habits, learned=learned, max_output=20) == body


def learn(words: str, *, status: int = 400, request: Any = None, is_capped: bool = True, **more: Any) -> Habit | None:
    upstream = replace(UPSTREAM, habits=more.pop("habits", {}))
    found = rules.find_habits(upstream, "small", more.pop("learned", frozenset()))
    refusal = Refusal(words, **more)
    return rules.learn(refusal, status, request or make_chat(), upstream, found, is_capped=is_capped)


@pytest.mark.parametrize(
    ("words", "habit"),
    [
        ("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", Habit.OUTPUT_LIMIT),
        ("max_tokens and max_completion_tokens cannot be set at the same time", Habit.OUTPUT_LIMIT),
        ("Unknown name \"max_tokens\": Cannot find field.", Habit.OUTPUT_LIMIT),
        ("stream: Extra inputs are not permitted", Habit.STREAM_FALSE),
        ("Unrecognized request argument supplied: stream", Habit.STREAM_FALSE),
        # no word about what we wrote
        ("max_tokens must be at most 4096", None),
        ("max_tokens is too large: 100000", None),
        ("Unsupported parameter: 'max_completion_tokens'", None),
        ("Unsupported parameter: 'temperature'", None),
        ("Unsupported value: 'messages[0].role'", None),
        ("upstream is down", None),
        ("", None),
    ],
)  # fmt: skip
def test_what_a_refusal_teaches(words: str, habit: Habit | None) -> None:
    assert learn(words) is habit
    assert learn(words, status=422) is habit
    assert learn(words, status=500) is None


def test_a_refused_field_may_stand_in_the_param_or_the_code() -> None:
    stream = make_chat(stream=True)
    assert learn("Extra inputs", param="stream_options", request=stream) is Habit.STREAM_OPTIONS
    assert learn("body.stream_options: not allowed", request=stream) is Habit.STREAM_OPTIONS
    assert learn("No.", param="max_tokens", code="unsupported_parameter") is Habit.OUTPUT_LIMIT


def test_what_the_caller_wrote_or_the_tenant_set_is_not_unlearned() -> None:
    asked = make_chat(stream=True, stream_options={"include_usage": True})
    assert learn("stream_options: not allowed", request=asked) is None
    assert learn("stream: not allowed", request=make_chat(stream=False)) is None
    assert learn("max_tokens is not supported", is_capped=False) is None
    assert learn("max_tokens is not supported", request=EMBEDDING) is None
    assert learn("max_tokens is not supported", habits={"output_limit": "max_tokens"}) is None
    # the other field was tried already
    assert learn("max_tokens is not supported", learned=frozenset({Habit.OUTPUT_LIMIT})) is None


def test_what_was_learned_is_known_of_that_model_alone_and_news_once() -> None:
    learned = RefusedHabits()
    assert learned.note("u1", "small", Habit.STREAM_OPTIONS)
    assert not learned.note("u1", "small", Habit.STREAM_OPTIONS)
    assert learned.note("u1", "small", Habit.OUTPUT_LIMIT)
    assert learned.of("u1", "small") == {Habit.STREAM_OPTIONS, Habit.OUTPUT_LIMIT}
    assert learned.of("u1", "large") == learned.of("u2", "small") == frozenset()


def test_memory_is_bounded_and_forgets_after_an_hour() -> None:
    learned = RefusedHabits()
    with time_machine.travel(0, tick=False) as traveller:
        for number in range(MAX_REMEMBERED + 1):
            learned.note(str(number), "small", Habit.STREAM_FALSE)
        assert learned.of("0", "small") == frozenset()
        assert learned.of("1", "small") == {Habit.STREAM_FALSE}
        traveller.shift(3_601)
        assert learned.of("1", "small") == frozenset()
