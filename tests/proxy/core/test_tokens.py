"""Counts and bounds of input tokens: never under what OpenAI's published rule of counting says.

The rule is written down here a second time, from the cookbook's "How to count tokens with tiktoken": each message and
each of its fields, the answer's start, and for each function its line, its properties and their choices.
"""

import string
from dataclasses import replace
from typing import Any

import orjson
import pytest
import quicktok
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.core.tokens import IMAGE_TOKENS_OF_OTHERS, bound_by_bytes, count_exactly, count_text, has_media
from proxy.values.request import Endpoint
from tests.proxy.core.examples import MODEL, make_chat, make_request

Json = dict[str, Any]

texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.text(string.printable, max_size=80)
names = st.text(string.ascii_lowercase + "_", min_size=1, max_size=12)
vocabularies = st.sampled_from(["o200k_base", "cl100k_base"])
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": texts}, optional={"name": names}
    ),
    min_size=1,
    max_size=5,
)
properties = st.fixed_dictionaries(
    {"type": st.just("string"), "description": texts}, optional={"enum": st.lists(texts, min_size=1, max_size=8)}
)
functions = st.fixed_dictionaries(
    {"name": names, "description": texts, "properties": st.dictionaries(names, properties, max_size=6)}
)


def as_tool(function: Json) -> Json:
    schema = {"type": "object", "properties": function["properties"]}
    shown = {"name": function["name"], "description": function["description"], "parameters": schema}
    return {"type": "function", "function": shown}


def count_by_the_rule(chat: list[Json], called: list[Json], vocabulary: str) -> int:
    def count(text: str) -> int:
        return len(quicktok.get_encoding(vocabulary).encode_ordinary(text))

    total = 3
    for message in chat:
        total += 3 + sum(count(value) for value in message.values()) + ("name" in message)
    for function in called:
        # 10 of the older models; 7 of the newer
        total += 10 + count(f"{function['name']}:{function['description'].removesuffix('.')}")
        total += 3 if function["properties"] else 0
        for name, described in function["properties"].items():
            total += 3 + count(f"{name}:{described['type']}:{described['description'].removesuffix('.')}")
            if "enum" in described:
                total += -3 + sum(3 + count(choice) for choice in described["enum"])
    return total + (12 if called else 0)


@given(messages, st.lists(functions, max_size=3), vocabularies)
@example([{"role": "user", "content": ""}], [], "o200k_base")
@example([{"role": "user", "content": "\ufdfa" * 20}], [], "cl100k_base")
@example(
    [{"role": "user", "content": "x"}],
    [{"name": "f", "description": "", "properties": {"p": {"type": "string", "description": "", "enum": [""] * 99}}}],
    "cl100k_base",
)
def test_neither_way_of_counting_is_under_the_published_rule(
    chat: list[Json], called: list[Json], vocabulary: str
) -> None:
    fields = {"tools": [as_tool(function) for function in called]} if called else {}
    model = replace(MODEL, tokenizer=vocabulary)
    request = make_chat(messages=chat, **fields)
    true = count_by_the_rule(chat, called, vocabulary)
    assert true <= count_exactly(request, model)
    assert true <= bound_by_bytes(request, model)


@given(messages, vocabularies)
def test_the_exact_count_of_a_chat_exceeds_the_rule_by_a_few_tokens_a_message(
    chat: list[Json], vocabulary: str
) -> None:
    exact = count_exactly(make_chat(messages=chat), replace(MODEL, tokenizer=vocabulary))
    assert exact - count_by_the_rule(chat, [], vocabulary) <= 5 * len(chat)


@given(messages)
def test_an_unknown_vocabulary_is_bounded_by_bytes(chat: list[Json]) -> None:
    counted = count_exactly(make_chat(messages=chat), replace(MODEL, tokenizer="bytes"))
    assert counted == sum(8 + sum(len(value.encode()) for value in message.values()) for message in chat) + 3 + 64


@given(st.text(st.characters(codec="utf-8"), max_size=200), vocabularies)
def test_a_text_has_no_more_tokens_than_bytes(text: str, vocabulary: str) -> None:
    assert count_text(text, vocabulary) <= len(text.encode()) == count_text(text, "bytes")
    # and JSON does not spell it shorter, escaped or not
    assert len(text.encode()) <= len(orjson.dumps(text)) - 2


@pytest.mark.parametrize(
    ("text", "vocabulary", "count"),
    [
        ("hello world", "o200k_base", 2),
        ("hello world", "cl100k_base", 2),
        ("hello world", "llama3", 2),
        ("hello world", "qwen3", 2),
        ("", "o200k_base", 0),
        # Special tokens are text when a caller writes them, and cost what the text costs.
        ("<|endoftext|>", "o200k_base", 7),
        ("<|endoftext|>", "cl100k_base", 7),
        # two halves of one character, and one half alone
        ("\ud83d\ude00", "o200k_base", 1),
        ("\ud83d", "o200k_base", 1),
        ("\u20ac", "bytes", 3),
        ("\U0001f600", "bytes", 4),
    ],
)
def test_known_counts(text: str, vocabulary: str, count: int) -> None:
    assert count_text(text, vocabulary) == count


def exact(**fields: Any) -> int:
    return count_exactly(make_chat(**fields), MODEL)


PLAIN = 3 + 8 + count_text("user", "o200k_base") + count_text("Hi there", "o200k_base")


def test_a_plain_chat_is_its_texts_and_what_stands_around_them() -> None:
    assert exact() == PLAIN == 14


def in_parts(*parts: Any) -> list[Json]:
    return [{"role": "user", "content": list(parts)}]


TEXT_PART = {"type": "text", "text": "Hi there"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}}


def test_parts_are_counted_like_the_text_that_they_hold() -> None:
    # "type", "text" and "text" again: the part's own words
    assert exact(messages=in_parts(TEXT_PART)) == PLAIN + 3


def test_a_part_that_is_a_bare_text_is_counted_too() -> None:
    assert exact(messages=in_parts("Hi there")) == PLAIN
    assert exact(messages=in_parts(["Hi there"])) == PLAIN


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4o-mini-2024-07-18", 48_169),
        ("gpt-4o-2024-11-20", 1_445),
        ("gpt-4.1-nano", 4_000),
        ("gpt-5-mini", 4_000),
        ("llava", IMAGE_TOKENS_OF_OTHERS),
    ],
)
def test_a_picture_costs_its_dearest_and_not_its_data(model: str, tokens: int) -> None:
    seeing = replace(MODEL, upstream_model=model)
    without = count_exactly(make_chat(messages=in_parts(TEXT_PART)), seeing)
    request = make_chat(messages=in_parts(TEXT_PART, PICTURE, PICTURE))
    assert count_exactly(request, seeing) == without + 2 * tokens
    assert bound_by_bytes(request, seeing) == request.body_bytes + 64 + 2 * tokens


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
        {"role": "user", "content": [TEXT_PART, {"type": "file", "file": {"file_id": "file-1"}}]},
        {"role": "user", "content": [{"text": "no type"}]},
        {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "document", "source": {}}]}]},
        {"role": "assistant", "audio": {"id": "audio_1"}},
    ],
)
def test_what_nobody_can_count_is_bounded_by_the_window(message: Json) -> None:
    request = make_chat(messages=[message])
    assert bound_by_bytes(request, MODEL) == request.body_bytes + 64 + MODEL.context_window
    assert count_exactly(request, MODEL) >= MODEL.context_window


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hi there"}]}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (THOUGHT, ["type", "thinking", "thinking", "type", "text", "text"]),
        ({"type": "thinking", "thinking": "Hi there", "signature": "s"}, ["type", "thinking", "thinking", "signature", "s"]),
        ({"type": "tool_result", "content": "Hi there"}, ["type", "tool_result", "content"]),
        ({"type": "tool_result", "content": [TEXT_PART]}, ["type", "tool_result", "type", "text", "text"]),
    ],
)  # fmt: skip
def test_thoughts_and_results_of_tools_are_texts(part: Json, words: list[str]) -> None:
    request = make_chat(messages=in_parts(part))
    assert count_exactly(request, MODEL) == PLAIN + sum(count_text(word, "o200k_base") for word in words)
    assert bound_by_bytes(request, MODEL) == request.body_bytes + 64
    assert not has_media(request)


def test_a_picture_within_a_tools_result_is_a_picture() -> None:
    result = {"type": "tool_result", "content": [TEXT_PART, PICTURE]}
    request = make_chat(messages=in_parts(result))
    assert bound_by_bytes(request, MODEL) == request.body_bytes + 64 + IMAGE_TOKENS_OF_OTHERS
    assert exact(messages=in_parts(result)) < IMAGE_TOKENS_OF_OTHERS + 40
    assert has_media(request)


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        # key or item: 3; the words inside: one each
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 24 + 3 * 4 + 5),
        ({"functions": [{"name": "f"}]}, 24 + 3 * 2 + 2),
        ({"response_format": {"type": "json"}}, 3 + 2),
        ({"tool_choice": "auto"}, 1),
        ({"documents": [{"text": "Hi there"}]}, 1 + 2),
        ({"prediction": {"type": "content", "content": "Hi there"}}, 3 + 2),
        ({"temperature": 0.5, "metadata": {"a": "b"}, "user": "ben", "seed": 7}, 0),
    ],
)
def test_what_a_model_reads_outside_the_messages_is_counted(fields: Json, more: int) -> None:
    assert exact(**fields) == PLAIN + more


def test_a_tool_call_in_the_past_is_counted() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "Hi there"}}
    past = {"role": "assistant", "content": None, "tool_calls": [call]}
    plain = [{"role": "user", "content": "Hi there"}]
    # tool_calls is two tokens, the eight other words one each, "Hi there" two, null none
    words = sum(count_text(word, "o200k_base") for word in ("role", "assistant", "content", "tool_calls"))
    inside = sum(
        count_text(word, "o200k_base")
        for word in ("id", "c", "type", "function", "function", "name", "f", "arguments", "Hi there")
    )
    keys_of_the_message = sum(count_text(word, "o200k_base") for word in ("role", "content", "tool_calls"))
    assert exact(messages=[*plain, past]) == PLAIN + 8 + words + inside - keys_of_the_message


@pytest.mark.parametrize("endpoint", [Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS])
@pytest.mark.parametrize("value", [None, 5, "text", [1], ["text"], {"a": 1}, [{"content": "Hi"}]])
def test_messages_where_they_do_not_belong_are_nothing(endpoint: Endpoint, value: Any) -> None:
    body = {"model": "small", "prompt": "Hi there", "input": "Hi there"}
    name = "input" if endpoint is Endpoint.EMBEDDINGS else "prompt"
    body = {"model": "small", name: "Hi there"}
    plain, odd = (make_request(endpoint, {**body, **more}) for more in ({}, {"messages": value}))
    assert count_exactly(odd, MODEL) == count_exactly(plain, MODEL) == 3 + 2
    assert bound_by_bytes(odd, MODEL) == odd.body_bytes + 64


@pytest.mark.parametrize(
    ("prompt", "at_least"),
    [("Hi there", 2), (["Hi there", "Hi there"], 4), ([1, 2, 3], 3), ([[1, 2], [123_456]], 3)],
)
def test_prompts_in_every_form(prompt: Any, at_least: int) -> None:
    request = make_request(Endpoint.COMPLETIONS, {"model": "small", "prompt": prompt, "suffix": "Hi there"})
    assert at_least + 2 <= count_exactly(request, MODEL) <= bound_by_bytes(request, MODEL)
