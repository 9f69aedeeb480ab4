"""What is counted when an upstream reports nothing, and what is not, because every other call would wait for it."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.core.plan import make_plan
from proxy.core.weigh import MOST_COUNTED, MOST_COUNTED_AT_ONCE, size_of, weigh
from proxy.upstreams.openai import AnswerReader
from proxy.values.attempt import Certainty, Usage
from proxy.values.plan import Hold
from tests.proxy.core.examples import KEY, MODEL, NO_CONTROLS, NOON_MS, ORG, PRICE, make_chat, reprice

#: of which each is one token, or a part of one
WORDS = "word " * (MOST_COUNTED // 5 + 1)


def weighed(*, asked: str, answered: str, most_counted: int = MOST_COUNTED) -> Any:
    plan = make_plan(make_chat(messages=[{"role": "user", "content": asked}]), NO_CONTROLS, KEY, ORG, NOON_MS)
    reader = AnswerReader()
    reader.read_answer(orjson.dumps({"model": "small", "choices": [{"index": 0, "message": {"content": answered}}]}))
    hold = Hold("h", 10**12, 10**6, None)
    attempt = weigh(plan.request, plan.first, hold, 1, reader, 200, "", Certainty.COUNTED, most_counted=most_counted)
    assert size_of(plan.request, reader) == plan.request.body_bytes + len(answered)
    return attempt, plan.first.bound


def test_a_short_call_is_counted() -> None:
    attempt, bound = weighed(asked="word " * 1_000, answered="word " * 50)
    assert attempt.certainty is Certainty.COUNTED
    assert 50 <= attempt.usage.output <= 51
    assert 1_000 <= attempt.usage.input < bound.input_tokens


def test_on_the_loop_less_is_counted_than_in_a_thread() -> None:
    text = "word " * (MOST_COUNTED_AT_ONCE // 4)
    assert weighed(asked="word", answered=text)[0].certainty is Certainty.COUNTED
    attempt, _ = weighed(asked="word", answered=text, most_counted=MOST_COUNTED_AT_ONCE)
    assert (attempt.certainty, attempt.usage.output) == (Certainty.BOUND, len(text))


def test_a_long_prompt_is_charged_at_its_bound_and_called_that() -> None:
    attempt, bound = weighed(asked=WORDS, answered="word " * 50)
    assert attempt.certainty is Certainty.BOUND
    assert attempt.usage.input == bound.input_tokens > MOST_COUNTED


@pytest.mark.parametrize("text", [WORDS, "\u20ac" * (MOST_COUNTED + 1)])
def test_a_long_answer_is_charged_at_its_bytes(text: str) -> None:
    attempt, _ = weighed(asked="word", answered=text)
    assert attempt.certainty is Certainty.BOUND
    assert attempt.usage.output == len(text.encode())


def test_what_tools_brought_in_is_counted_by_nobody() -> None:
    price = replace(reprice(PRICE, web_searches=10_000_000_000), units=("web_searches",))
    org = replace(ORG, models={"small": replace(MODEL, prices=(price,), max_tool_calls=1)})
    plan = make_plan(make_chat(web_search_options={}), NO_CONTROLS, KEY, org, NOON_MS)
    reader = AnswerReader()
    reader.read_answer(orjson.dumps({"model": "small", "choices": [{"index": 0, "message": {"content": "Paris"}}]}))
    attempt = weigh(plan.request, plan.first, Hold("h", 10**12, 10**6, None), 1, reader, 200, "", Certainty.COUNTED)
    picos = 2 * 128_000 * 150_000 + 10_000_000_000 + 1 * 600_000
    assert (attempt.certainty, attempt.usage, attempt.cost) == (Certainty.BOUND, Usage(), picos // 1_000)
