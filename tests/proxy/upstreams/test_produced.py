"""What is kept for counting of what a model produced, in whichever shape it came."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstreams.produced import Produced

Json = dict[str, Any]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["content", "text", "input", "arguments", "reasoning", "reasoning_details", "url", "type", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
)


def produce(delta: Json) -> Produced:
    produced = Produced()
    produced.keep_delta(delta)
    return produced


@pytest.mark.parametrize(
    ("delta", "texts"),
    [
        ({"role": "assistant", "content": "Hi"}, ["Hi"]),
        ({"content": None, "refusal": "No."}, ["No."]),
        ({"reasoning_content": "b", "content": "a"}, ["b", "a"]),
        ({"content": [{"type": "text", "text": "Hi"}]}, ["Hi"]),
        # Mistral
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "so"}]}]}, ["so"]),
        # OpenAI's custom tools, and functions before 2023
        ({"tool_calls": [{"id": "t", "type": "custom", "custom": {"name": "shell", "input": "ls"}}]}, ["shell", "ls"]),
        ({"function_call": {"name": "e", "arguments": "f"}}, ["e", "f"]),
        ({"tool_calls": [{"index": 0, "function": {"name": "n", "arguments": {"a": 1}}}]}, ["n", '{"a":1}']),
        ({"tool_calls": [{"function": {"name": 5, "arguments": None}}, {"function": "look"}, "call"]}, ["look", "call"]),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "so", "signature": "xyz"}]}, ["so"]),
        ({"reasoning_details": [{"type": "reasoning.summary", "summary": "so"}]}, ["so"]),
        # the same thoughts under two names are one
        ({"reasoning": "so", "reasoning_details": [{"type": "reasoning.text", "text": "so"}]}, ["so"]),
        ({"reasoning": "so", "reasoning_content": "so"}, ["so"]),
        ({"reasoning": "so", "reasoning_content": "but then"}, ["so", "but then"]),
        ({"audio": {"id": "a1", "transcript": "spoken"}}, ["spoken"]),
        ({"something_new": {"deep": ["inside"]}}, ["inside"]),
        ({"annotations": [{"url": "https://acme.example"}]}, []),
        ({"role": "assistant", "content": ""}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_texts_are_found_wherever_they_stand(delta: Json, texts: list[str]) -> None:
    produced = produce(delta)
    # thoughts that stand twice are moved to the front
    assert sorted(produced.texts) == sorted(texts)
    assert produced.is_countable
    assert produced.is_empty is not bool(texts)


@pytest.mark.parametrize(
    "delta",
    [
        {"audio": {"id": "a1", "data": "AAAA"}},
        {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        {"content": [{"type": "image_url", "image_url": "https://acme.example/kite.png"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAAA"}]},
        {"encrypted_content": "gAAAA"},
    ],
)
def test_sound_pictures_and_hidden_thoughts_are_output_that_no_text_tells(delta: Json) -> None:
    produced = produce(delta)
    assert (produced.texts, produced.is_countable, produced.is_empty) == ([], False, False)


def test_what_could_not_be_read_counts_as_what_it_is() -> None:
    produced = Produced()
    produced.keep_unread(b'{"choices": [\xff')
    assert produced.texts == ['{"choices": [\ufffd']
    assert not produced.is_countable


@given(
    st.dictionaries(st.sampled_from(["content", "reasoning", "reasoning_content", "tool_calls", "audio"]), json_values)
)
def test_odd_shapes_do_no_harm(delta: Json) -> None:
    assert all(isinstance(text, str) and text for text in produce(delta).texts)
