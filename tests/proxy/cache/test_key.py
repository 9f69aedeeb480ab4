"""What makes two requests the same, and what keeps them apart."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.cache.key import is_cacheable, make_key
from proxy.core.plan import make_plan
from proxy.values.request import Controls, Endpoint
from tests.proxy.cache.examples import POLICY, key_of
from tests.proxy.core.examples import KEY, MODEL, NO_CONTROLS, NOON_MS, ORG, PRICE, UPSTREAM, make_chat

Body = dict[str, Any]

PAIRS = 10_000
#: an upstream of OpenAI's own, whose defaults are known
OPENAI = replace(ORG, upstreams={UPSTREAM.id: replace(UPSTREAM, kind="openai")})
OTHER_MODEL = replace(MODEL, name="large", upstream_model="large-2026", prices=(PRICE,))
TWO_MODELS = replace(ORG, models={MODEL.name: MODEL, "large": OTHER_MODEL})
OTHER_KEY = replace(KEY, id="0197e9d4-0000-7000-8000-0000000000b1")
OTHER_PROJECT = replace(KEY, project_id="0197e9d4-0000-7000-8000-0000000000b2")
STRANGER = replace(KEY, org_id="0197e9d4-0000-7000-8000-0000000000b3")
WORDS = [
    "the",
    "price",
    "of",
    "a",
    "red",
    "bicycle",
    "in",
    "Paris",
    "and",
    "what",
    "it",
    "was",
    "in",
    "1999",
    "without",
    "tax",
]


def chat(content: str = "Where is Rome?", **more: Any) -> Body:
    return {"messages": [{"role": "user", "content": content}], **more}


def make_body(chance: random.Random) -> Body:
    """A call as an application may send it."""
    turns = [{"role": "system", "content": " ".join(chance.sample(WORDS, 4))}] if chance.random() < 0.7 else []
    for _ in range(chance.randint(0, 2)):
        turns += [
            {"role": "user", "content": " ".join(chance.sample(WORDS, 5))},
            {"role": "assistant", "content": " ".join(chance.sample(WORDS, 5))},
        ]
    body: Body = {"messages": [*turns, {"role": "user", "content": " ".join(chance.sample(WORDS, 6))}]}
    if chance.random() < 0.5:
        body["temperature"] = chance.choice([0, 0.2, 0.5])
    if chance.random() < 0.3:
        body["max_tokens"] = chance.randint(1, 500)
    if chance.random() < 0.3:
        body["response_format"] = {"type": "json_object"}
    if chance.random() < 0.3:
        parameters = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"minimum": 1}}}
        body["tools"] = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    return body


def respell(chance: random.Random, value: Any) -> Any:
    """The same JSON, spelled differently: fields in another order, whole numbers with a point."""
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: respell(chance, value[name]) for name in names}
    if isinstance(value, list):
        return [respell(chance, item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and chance.random() < 0.5:
        return float(value)
    return value


#: each makes of a call one that must not get its answer
CHANGES: dict[str, Callable[[random.Random, Body], Body]] = {
    "question": lambda _, body: body | {"messages": [*body["messages"][:-1], {"role": "user", "content": "Why?"}]},
    "system prompt": lambda _, body: (
        body | {"messages": [{"role": "system", "content": "Be rude."}, *body["messages"]]}
    ),
    "role": lambda _, body: (
        body | {"messages": [*body["messages"][:-1], {"role": "assistant", "content": body["messages"][-1]["content"]}]}
    ),
    "name": lambda _, body: body | {"messages": [*body["messages"][:-1], body["messages"][-1] | {"name": "ben"}]},
    "temperature": lambda _, body: body | {"temperature": 0.31},
    "top_p": lambda _, body: body | {"top_p": 0.5},
    "seed": lambda chance, body: body | {"seed": chance.randint(1, 10**6)},
    "stop": lambda _, body: body | {"stop": ["."]},
    "limit": lambda _, body: body | {"max_tokens": 501},
    "format": lambda _, body: body | {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
    "tools": lambda _, body: body | {"tools": [{"type": "function", "function": {"name": "search"}}]},
    "choices": lambda _, body: body | {"n": 2},
    "logprobs": lambda _, body: body | {"logprobs": True},
    "unknown field": lambda _, body: body | {"guided_regex": "[a-z]+"},
    "stream": lambda _, body: body | {"stream": True},
}


def test_ten_thousand_pairs_that_differ_have_no_key_in_common() -> None:
    chance = random.Random(12)
    callers: list[dict[str, Any]] = [
        {"key": STRANGER},
        {"key": OTHER_KEY},
        {"controls": Controls(end_user="u-2"), "policy": replace(POLICY, sharing="end_user")},
    ]
    names = list(CHANGES)
    for number in range(PAIRS):
        body = make_body(chance)
        mine = key_of(body, policy=replace(POLICY, sharing="end_user" if number % 4 == 3 else "key"))
        if number % 4 == 3:
            theirs = key_of(body, **callers[number // 4 % len(callers)])
        else:
            theirs = key_of(CHANGES[names[number % len(names)]](chance, body))
        assert mine.exact != theirs.exact, number
        # Only where the last question alone differs may they be compared by meaning.
        if names[number % len(names)] != "question" or number % 4 == 3:
            assert not mine.scope or mine.scope != theirs.scope, number


def test_other_spellings_of_a_call_have_its_key() -> None:
    chance = random.Random(34)
    for _ in range(1_000):
        body = make_body(chance)
        other = json.loads(json.dumps(respell(chance, body), indent=1))
        # A limit is a whole number for everybody.
        if "max_tokens" in body:
            other["max_tokens"] = body["max_tokens"]
        other |= {"user": "ben", "stream": False, "stop": None, "n": 1, "logit_bias": {}, "metadata": {"a": "b"}}
        assert key_of(other) == key_of(body)


@pytest.mark.parametrize("field", ["temperature", "top_p"])
def test_a_default_is_no_difference_only_where_it_is_known(field: str) -> None:
    body = chat() | {field: 1}
    assert key_of(body, org=OPENAI) == key_of(chat(), org=OPENAI)
    assert key_of(body).exact != key_of(chat()).exact


def test_a_true_is_no_one() -> None:
    assert key_of(chat(x=True)).exact != key_of(chat(x=1)).exact
    assert key_of(chat(temperature=True), org=OPENAI).exact != key_of(chat(), org=OPENAI).exact


def test_large_numbers_keep_their_difference() -> None:
    assert key_of(chat(seed=2**53 + 1)).exact != key_of(chat(seed=2.0**53)).exact


def test_null_in_a_schema_is_a_value() -> None:
    def tools(schema: Body) -> Body:
        return chat(tools=[{"type": "function", "function": {"name": "a", "parameters": schema}}])

    assert key_of(tools({"const": None})).exact != key_of(tools({})).exact


def test_parts_cannot_be_pushed_over_their_borders() -> None:
    """Were the places of a key joined by a sign, who may choose names could spell another's place."""
    policy = replace(POLICY, sharing="end_user")
    first = key_of(chat(), policy=policy, controls=Controls(end_user="a3:|b"))
    second = key_of(chat(), policy=policy, controls=Controls(end_user="a"))
    assert first.exact != second.exact


class TestSharing:
    def shares(self, sharing: str, **other: Any) -> bool:
        policy = replace(POLICY, sharing=sharing)
        mine = key_of(chat(), policy=policy, controls=Controls(end_user="u-1"))
        same: dict[str, Any] = {"policy": policy, "controls": Controls(end_user="u-1")}
        return mine == key_of(chat(), **same | other)

    @pytest.mark.parametrize(
        ("sharing", "with_user", "with_key", "with_project"),
        [
            ("end_user", False, False, False),
            ("key", True, False, True),
            ("project", True, True, False),
            ("organization", True, True, True),
        ],
    )
    def test_an_answer_stays_in_its_circle(
        self, sharing: str, with_user: bool, with_key: bool, with_project: bool
    ) -> None:
        assert self.shares(sharing, controls=Controls(end_user="u-2")) is with_user
        assert self.shares(sharing, key=OTHER_KEY) is with_key
        if sharing != "end_user":
            assert self.shares(sharing, key=OTHER_PROJECT) is with_project
        assert not self.shares(sharing, key=STRANGER)


def test_another_model_has_other_answers() -> None:
    assert key_of(chat(model="large"), org=TWO_MODELS).exact != key_of(chat(), org=TWO_MODELS).exact
    moved = replace(ORG, models={MODEL.name: replace(MODEL, upstream_model="small-2027")})
    assert key_of(chat(), org=moved).exact != key_of(chat()).exact


class TestQuestions:
    def test_the_last_question_is_compared_within_all_the_rest(self) -> None:
        first, second = key_of(chat("Where is Rome?")), key_of(chat("  Rome, where is it? "))
        assert first.scope == second.scope != b""
        assert (first.question, second.question) == ("Where is Rome?", "Rome, where is it?")

    @pytest.mark.parametrize(
        "more",
        [
            {"tools": [{"type": "function", "function": {"name": "a"}}]},
            {"logprobs": True},
            {"n": 2},
            {"seed": 7},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Where?"}]}]},
            {"messages": [{"role": "user", "content": "x" * 1_001}]},
            {"messages": [{"role": "assistant", "content": "Rome is"}]},
            {"messages": [{"role": "user", "name": "ben", "content": "Where?"}]},
            {"messages": [{"role": "tool", "tool_call_id": "1", "content": "Where?"}]},
        ],
    )
    def test_what_is_found_by_its_exact_words_only(self, more: Body) -> None:
        assert key_of(chat() | more)[1:] == (b"", "")

    def test_other_endpoints_have_no_question(self) -> None:
        assert key_of({"prompt": "Where?"}, endpoint=Endpoint.COMPLETIONS).question == ""


def test_what_cannot_be_written_has_no_key() -> None:
    request = make_chat(**chat())
    request.body["messages"][0]["content"] = "\ud800"
    assert make_key(make_plan(request, NO_CONTROLS, KEY, ORG, NOON_MS), KEY, POLICY) is None


@pytest.mark.parametrize(
    ("temperature", "is_kept"),
    [(None, True), (0, True), (0.7, True), (0.71, False), (1, False), (True, False), ("hot", False), (1e300, False)],
)
def test_who_asks_for_variety_gets_it(temperature: Any, is_kept: bool) -> None:
    request = make_chat(**chat(temperature=temperature))
    assert is_cacheable(request, POLICY) is is_kept
