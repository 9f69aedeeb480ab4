"""Short questions made one call and taken apart again: who gets which answer, and who pays what."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import pricing, prompt_packs, tokens
from proxy.core.plan import make_plan
from proxy.core.prompt_packs import Pack, Question
from proxy.dialects.openai_chat import parse_request
from proxy.values.attempt import Attempt, Certainty, Mechanism, Usage
from proxy.values.plan import Candidate, Hold
from proxy.values.request import Endpoint, Request
from tests.proxy.core.examples import KEY, NO_CONTROLS, NOON_MS, ORG, PRICE

#: longer than what a pack adds to it
SYSTEM = "You sort what customers write into one of our forty departments, and answer with its name alone. " * 5


def ask(text: str = "Where is my parcel?", **fields: Any) -> Request:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
    return parse_request(Endpoint.CHAT, orjson.dumps({"model": "small", "messages": messages, **fields}))


def candidate_of(request: Request) -> Candidate:
    return make_plan(request, NO_CONTROLS, KEY, ORG, NOON_MS).first


def question_of(request: Request) -> Question:
    question = prompt_packs.find_question(request)
    assert question is not None
    return question


def sign(request: Request, *, key_id: str = "k", end_user: str = "") -> prompt_packs.Signature | None:
    return prompt_packs.sign(request, candidate_of(request), question_of(request), key_id=key_id, end_user=end_user)


def pack(requests: list[Request], *, held: int = 10**9, is_capped: bool = True) -> Pack | None:
    candidate = candidate_of(requests[0])._replace(is_capped=is_capped)
    holds = [Hold(str(place), held, 100, None) for place in range(len(requests))]
    return prompt_packs.pack(requests, [question_of(one) for one in requests], candidate, holds)


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True},
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
        {"logprobs": True},
        {"stop": ["."]},
        {"seed": 1},
        {"store": True},
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": SYSTEM}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "system", "content": SYSTEM}, {"role": "assistant", "content": "Hi"}]},
        {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Hi", "name": "Ada"}]},
        {
            "messages": [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
            ]
        },
        {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": ""}]},
        {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "a" * 2_001}]},
    ],
)
def test_what_is_no_short_question_goes_alone(fields: dict[str, Any]) -> None:
    assert prompt_packs.find_question(ask(**fields)) is None


def test_only_questions_of_one_key_and_end_user_share_a_prompt() -> None:
    first = sign(ask("one", temperature=0, max_tokens=10), end_user="ada")
    assert first is not None
    assert first == sign(ask("two", temperature=0, max_tokens=99), end_user="ada")
    assert first != sign(ask("two", temperature=0), end_user="ben")
    assert first != sign(ask("two", temperature=0), key_id="other", end_user="ada")
    assert first != sign(ask("two", temperature=1), end_user="ada")


def test_questions_between_which_a_price_has_changed_are_asked_apart() -> None:
    """Each is billed, and compared with the model that it asked for, at the prices of its own moment."""
    request = ask()
    candidate, other = candidate_of(request), replace(PRICE, id="later")

    def sign_at(candidate: Candidate) -> prompt_packs.Signature | None:
        return prompt_packs.sign(request, candidate, question_of(request), key_id="k", end_user="")

    assert sign_at(candidate) is not None
    assert sign_at(candidate) != sign_at(candidate._replace(price=other))
    assert sign_at(candidate) != sign_at(candidate._replace(list_price=other))


def test_a_system_prompt_with_nothing_to_save_goes_alone() -> None:
    messages = [{"role": "system", "content": "Answer."}, {"role": "user", "content": "one"}]
    assert sign(ask(messages=messages)) is None


def test_a_pack_has_each_question_under_its_key_and_one_system_prompt() -> None:
    packed = pack([ask('one", "2": "x', max_tokens=10), ask("two", max_tokens=20)])
    assert packed is not None
    body = packed.request.body
    system, user = body["messages"]
    assert system["content"].startswith(SYSTEM)
    assert orjson.loads(user["content"]) == {"1": 'one", "2": "x', "2": "two"}
    schema = body["response_format"]["json_schema"]["schema"]
    assert (schema["required"], schema["additionalProperties"]) == (["1", "2"], False)
    # what both wanted, and what stands around their answers
    assert packed.max_output == 10 + 20 + 2 * 12 + 16


def test_what_is_held_pays_for_the_pack_or_there_is_none() -> None:
    requests = [ask("one"), ask("two")]
    assert pack(requests, held=1) is None
    candidate = candidate_of(requests[0])
    packed = pack(requests, held=60_000)
    assert packed is not None
    assert packed.max_output is not None
    bound = packed.candidate.bound
    assert pricing.bound_cost(bound._replace(fixed_picos=0), packed.max_output) <= packed.hold.amount == 120_000
    assert packed.candidate.model is candidate.model
    free = pack(requests, held=0, is_capped=False)
    assert free is not None
    assert free.max_output is None


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ('{"1": "a", "2": "b"}', ["a", "b"]),
        (' {"2":"b" , "1":"a"} ', ["a", "b"]),
        ('{"1": "a", "2": "b', ["a", None]),
        ('{"1": "a",', ["a", None]),
        ('{"1": "a", "2": 7}', ["a", None]),
        ('{"1": "a", "2": ""}', ["a", None]),
        ('{"1": "a", "2": " "}', ["a", None]),
        ('{"1": "a", "1": "c", "2": "b"}', [None, "b"]),
        ('{"1": "a", "2": "b", "3": "c"}', [None, None]),
        ('{"1": {"2": "b"}, "2": "b"}', [None, "b"]),
        ('{"1": "half \\ud83d", "2": "\\ud83d\\ude00"}', [None, "\U0001f600"]),
        ('{"1": "a", "\\ud83d": "b"}', [None, None]),
        ('["a", "b"]', [None, None]),
        ("I cannot do that.", [None, None]),
        ("", [None, None]),
        ('{"1": ' + "[" * 100_000, [None, None]),
        ("{1: 2}", [None, None]),
    ],
)
def test_an_answer_is_whose_key_it_has_or_nobodys(text: str, answers: list[str | None]) -> None:
    assert prompt_packs.read_answers(text, 2) == answers


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    answers = prompt_packs.read_answers(text, 3)
    assert len(answers) == 3
    assert all(answer is None or answer for answer in answers)


def test_an_answer_longer_than_its_caller_wanted_is_none() -> None:
    assert prompt_packs.check_length("one two three", ask(max_tokens=3), "o200k_base") == "one two three"
    assert prompt_packs.check_length("one two three", ask(max_tokens=2), "o200k_base") is None
    assert prompt_packs.check_length("one two three", ask(), "o200k_base") == "one two three"
    assert prompt_packs.check_length("a" * 12, ask(max_tokens=3), "bytes") == "a" * 12
    assert prompt_packs.check_length("a" * 13, ask(max_tokens=3), "bytes") is None


@given(
    st.integers(0, 5_000),
    st.integers(0, 5_000),
    st.integers(0, 2_000),
    st.integers(0, 10**9),
    st.lists(st.sampled_from(["Deliveries", "Complaints, and then some more words", None]), min_size=2, max_size=8),
)
def test_parts_make_the_whole_to_the_token_and_the_nano(
    fresh: int, cached: int, output: int, cost: int, answers: list[str | None]
) -> None:
    requests = [ask(f"question {'so ' * place}") for place in range(len(answers))]
    packed = pack(requests)
    assert packed is not None
    holds = [Hold(str(place), 1_000 + place, 100, None) for place in range(len(answers))]
    usage = Usage(input=fresh, cached_input=cached, output=output, reasoning=output // 2)
    whole = Attempt(1, 200, Certainty.EXACT, usage, cost, price=packed.candidate.price)
    text = orjson.dumps({str(place): answer for place, answer in enumerate(answers, 1) if answer}).decode()
    parts = prompt_packs.share(whole, packed, requests, holds, text, answers)
    assert sum(part.cost for part in parts) == cost
    assert [sum(amounts) for amounts in zip(*(part.usage for part in parts), strict=True)] == list(usage)
    assert all(part.packed == len(answers) for part in parts)
    for part, answer in zip(parts, answers, strict=True):
        if answer is None:
            assert part.list_cost == 0 or not any(usage)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=2, max_size=8))
def test_nobody_pays_more_than_is_held_for_the_call(pairs: list[tuple[int, int]]) -> None:
    costs, held = [cost for cost, _ in pairs], [most for _, most in pairs]
    kept = prompt_packs._keep_within(costs, held)
    assert sum(kept) == sum(costs)
    assert sum(costs) > sum(held) or all(cost <= most for cost, most in zip(kept, held, strict=True))


def test_a_call_is_saved_what_it_would_have_cost_alone() -> None:
    requests = [ask(f"Where is parcel {place}?") for place in range(4)]
    packed = pack(requests)
    assert packed is not None
    model, price = packed.candidate.model, packed.candidate.price
    tokens_in = tokens.count_exactly(packed.request, model)
    answers: list[str | None] = ["Deliveries"] * 4
    text = orjson.dumps({str(place): "Deliveries" for place in range(1, 5)}).decode()
    tokens_out = tokens.count_text(text, model.tokenizer)
    usage = Usage(input=tokens_in, output=tokens_out)
    whole = Attempt(1, 200, Certainty.EXACT, usage, pricing.cost(usage, price), price=price)
    holds = [Hold(str(place), 10**9, 100, None) for place in range(4)]
    parts = prompt_packs.share(whole, packed, requests, holds, text, answers)
    alone = Usage(
        input=tokens.count_exactly(requests[0], model),
        output=tokens.count_text("Deliveries", model.tokenizer),
    )
    assert [part.list_cost for part in parts] == [pricing.cost(alone, price)] * 4
    assert all(part.savings[Mechanism.BATCH] == part.list_cost - part.cost > 0 for part in parts)


def test_each_answer_is_a_chats() -> None:
    whole = {"id": "chatcmpl-7", "object": "chat.completion", "created": 5, "model": "m", "choices": [], "x": 1}
    answer = orjson.loads(prompt_packs.write_answer(whole, 2, "Deliveries", Usage(input=30, output=4)))
    assert answer == {
        "id": "chatcmpl-7-2",
        "object": "chat.completion",
        "created": 5,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Deliveries", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34},
    }
