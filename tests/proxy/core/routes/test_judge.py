"""Whether a rung's answer does: what it says is read, hard checks go first, and nonsense makes nothing sure."""

import math
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.routes.judge import judge, mean_probability
from proxy.core.routes.said import Said, drop_logprobs, read_answer
from proxy.core.savings import add_up, give_up
from proxy.values.answer import Answer
from proxy.values.attempt import Attempt, Certainty, Mechanism, Usage
from tests.proxy.core.examples import make_chat
from tests.proxy.core.routes.examples import make_route
from tests.proxy.core.routes.test_kinds import plan_of

USAGE = Usage(input=1_000, output=100)
ANSWER = Answer("application/json", False, (), "small", USAGE, Certainty.EXACT, "stop", True)
ROUTE = make_route("cascade")
LARGE = plan_of(ROUTE).candidates[1]
SURE = (-0.1, -0.1)


def verdict(said: Said, *, finish: str = "stop", route: Any = ROUTE, **fields: Any) -> tuple[bool, float | None, str]:
    found = judge(make_chat(**fields), ANSWER._replace(finish_reason=finish), said, route, LARGE, None)
    return found.is_good, found.confidence, found.why


@pytest.mark.parametrize(
    ("said", "finish", "fields", "why"),
    [
        (Said("", (), SURE), "stop", {}, "failed: empty"),
        (Said("I'm sorry, I cannot help.", (), SURE), "stop", {}, "failed: refused"),
        (Said("The answer", (), SURE), "length", {}, "failed: cut off"),
        (Said("Some text", (), SURE), "content_filter", {}, "failed: filtered"),
        (Said("not json", (), SURE), "stop", {"response_format": {"type": "json_object"}}, "failed: not json"),
        (Said("", ("{bad",), SURE), "tool_calls", {}, "failed: bad tool call"),
        (Said("Fine."), "stop", {}, "may be wrong: nothing tells how sure it is"),
        (Said("Fine.", (), (math.nan, None, 3.0)), "stop", {}, "may be wrong: nothing tells how sure it is"),
        (Said("3 * 4 = 13", (), SURE), "stop", {}, "0.452 sure, uncalibrated, below 0.80"),
        (Said("Fine.", (), (-1.0,)), "stop", {}, "0.368 sure, uncalibrated, below 0.80"),
    ],
)
def test_what_does_not_do(said: Said, finish: str, fields: dict[str, Any], why: str) -> None:
    is_good, _, told = verdict(said, finish=finish, **fields)
    assert (is_good, told) == (False, why)


@pytest.mark.parametrize(
    ("said", "finish", "fields"),
    [
        (Said("Fine.", (), SURE), "stop", {}),
        (Said("3 * 4 = 12", (), SURE), "stop", {}),
        (Said('{"a": 1}', (), SURE), "stop", {"response_format": {"type": "json_object"}}),
        (Said("", ('{"city": "Rome"}',), SURE), "tool_calls", {}),
        # the caller's own limit would cut the next answer off, too
        (Said("The answer", (), SURE), "length", {"max_tokens": 5}),
    ],
)
def test_what_does(said: Said, finish: str, fields: dict[str, Any]) -> None:
    is_good, confidence, why = verdict(said, finish=finish, **fields)
    assert confidence == pytest.approx(0.9048, abs=1e-4)
    assert (is_good, why) == (True, "0.905 sure, uncalibrated, 0.80 is enough")


@pytest.mark.parametrize(
    ("worth", "is_good"),
    [
        # The next rung costs 4,200,000 nanos; 0.95 - 0.905 of the worth is more from 93 million on.
        (90_000_000, True),
        (96_000_000, False),
    ],
)
def test_with_a_worth_the_expected_cost_decides(worth: int, is_good: bool) -> None:
    said = Said("Fine.", (), SURE)
    assert verdict(said, route=replace(ROUTE, answer_worth=worth))[0] is is_good


@given(st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True)))
def test_probabilities_that_are_none_make_no_nonsense(logprobs: list[float | None]) -> None:
    mean = mean_probability(logprobs)
    assert mean is None or 0 <= mean <= 1


def chunk(delta: dict[str, Any], **more: Any) -> bytes:
    return b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": delta, **more}]}) + b"\n\n"


def test_a_stream_says_what_a_whole_answer_says() -> None:
    tokens = [{"token": "Hel", "logprob": -0.5}, {"token": "lo", "logprob": -0.25}]
    whole = orjson.dumps(
        {"choices": [{"message": {"content": "Hello"}, "logprobs": {"content": tokens}, "finish_reason": "stop"}]}
    )
    stream = b"".join(chunk({"content": token["token"]}, logprobs={"content": [token]}) for token in tokens)
    assert (
        read_answer(whole, is_stream=False) == read_answer(stream, is_stream=True) == Said("Hello", (), (-0.5, -0.25))
    )


def test_answers_in_other_forms_say_the_same() -> None:
    said = Said("Hello", ('{"a":1}',), (), ("f",))
    blocks = [{"type": "text", "text": "Hello"}, {"type": "tool_use", "name": "f", "input": {"a": 1}}]
    messages = orjson.dumps({"type": "message", "content": blocks})
    responses = orjson.dumps(
        {
            "output": [
                {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]},
                {"type": "function_call", "name": "f", "arguments": '{"a":1}'},
            ]
        }
    )
    assert read_answer(messages, is_stream=False) == read_answer(responses, is_stream=False) == said
    events = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "f", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a"'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ":1}"}},
    ]
    others = [
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Hello"},
        {"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "name": "f"}},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a":1}'},
    ]
    for stream in (events, others):
        raw = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in stream)
        assert read_answer(raw, is_stream=True) == said


def test_a_tool_that_is_told_nothing_is_called_all_the_same() -> None:
    """Messages streams no arguments for it; who writes none elsewhere has broken off."""
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "name": "f", "input": {}}}
    assert read_answer(b"data: " + orjson.dumps(block) + b"\n\n", is_stream=True).tool_arguments == ("{}",)
    item = {"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call", "name": "f"}}
    assert read_answer(b"data: " + orjson.dumps(item) + b"\n\n", is_stream=True).tool_arguments == ("",)


def test_the_one_function_that_older_chats_call_is_read() -> None:
    said = Said("", ('{"a": 1}',), (), ("f",))
    whole = {"choices": [{"message": {"content": None, "function_call": {"name": "f", "arguments": '{"a": 1}'}}}]}
    parts = [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": '{"a": 1}'}}]
    assert read_answer(orjson.dumps(whole), is_stream=False) == said
    assert read_answer(b"".join(map(chunk, parts)), is_stream=True) == said


def test_tool_calls_are_put_together() -> None:
    parts = [
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a"'}}]},
        {
            "tool_calls": [
                {"index": 0, "function": {"arguments": ": 1}"}},
                {"index": 1, "function": {"arguments": "{}"}},
            ]
        },
    ]
    said = read_answer(b"".join(map(chunk, parts)), is_stream=True)
    assert (said.tool_arguments, said.tool_names) == (('{"a": 1}', "{}"), ("f", ""))


@pytest.mark.parametrize("body", [b"", b"[1]", b"not json", b'{"choices": [5, {"message": 7}]}', b'{"choices": {}}'])
def test_what_cannot_be_read_says_nothing(body: bytes) -> None:
    assert read_answer(body, is_stream=False).text == ""
    assert read_answer(b"data: " + body + b"\n\n", is_stream=True).text == ""
    assert drop_logprobs((body + b'"logprobs"',), is_stream=False)[0] == body + b'"logprobs"'


def test_probabilities_that_only_we_wanted_are_taken_out_and_nothing_else() -> None:
    event = chunk({"content": "é"}, logprobs={"content": [{"logprob": -0.5}]})
    other = b": a comment\n\n" + chunk({"content": "logprobs"})
    dropped = drop_logprobs((event[:-2] + b"\n\n" + other,), is_stream=True)
    assert b"".join(dropped) == chunk({"content": "é"}, logprobs=None) + other
    assert drop_logprobs((other,), is_stream=True)[0] == b": a comment\n\n"
    plain = (chunk({"content": "Hi"}),)
    assert drop_logprobs(plain, is_stream=True) == plain


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(-(10**12), 10**12), st.booleans()), max_size=5))
def test_savings_sum_whatever_was_given_up(tries: list[tuple[int, int, bool]]) -> None:
    attempts = [
        Attempt(number, 200, Certainty.EXACT, USAGE, cost, savings={Mechanism.CASCADE: saved})
        for number, (cost, saved, _) in enumerate(tries, 1)
    ]
    kept = [
        give_up(attempt, Mechanism.CASCADE) if is_given_up else attempt
        for attempt, (_, _, is_given_up) in zip(attempts, tries, strict=True)
    ]
    assert all(one.list_cost == 0 for one, (_, _, is_given_up) in zip(kept, tries, strict=True) if is_given_up)
    saved = sum(add_up(one.savings for one in kept).values())
    assert sum(one.list_cost for one in kept) - sum(one.cost for one in kept) == saved
