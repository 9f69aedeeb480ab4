"""What of a request a policy may shorten, what it never touches, and what that saved, to the nano."""

import itertools
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core import pricing
from proxy.core.compression.apply import list_texts, put_approved, shorten, shorten_and_count
from proxy.core.compression.passages import find_passages, join, keep_passages
from proxy.core.compression.protect import find_blocks, find_words, survives
from proxy.core.compression.saved import as_it_was, count_saved, saved_by, show_saved
from proxy.core.weigh import weigh
from proxy.dialects import anthropic_messages, openai_responses
from proxy.dialects.openai_chat import parse_request
from proxy.upstreams.openai import AnswerReader
from proxy.values.attempt import Certainty, Mechanism, Usage
from proxy.values.plan import Hold
from proxy.values.request import Endpoint, Request
from tenants.route_snapshots import ApprovedPrompt, CompressionSnapshot
from tests.proxy.core.compression.test_texts import texts
from tests.proxy.core.examples import PRICE, make_chat, make_request
from tests.proxy.core.routes.examples import WIDE_ORG, make_route, with_routes
from tests.proxy.core.routes.test_kinds import plan_of

LOSSLESS = CompressionSnapshot("", "on", ("lossless",))
ALL = CompressionSnapshot("", "on", ("lossless", "filler", "extract", "prune"))
TIDY = "The meeting was about the new office in Oslo."
WIDE = "The   meeting    was  about     the   new   office   in   Oslo."
PLEASE = "Could you please explain to me in one sentence how a transistor amplifies a signal?"


def chat(*messages: tuple[str, Any], **fields: Any) -> Request:
    return make_chat(messages=[{"role": role, "content": content} for role, content in messages], **fields)


def contents(request: Request) -> list[Any]:
    return [message["content"] for message in request.body["messages"]]


def test_people_and_assistants_are_shortened_and_instructions_never() -> None:
    roles = ("system", "developer", "user", "assistant", "tool", "user")
    short = shorten(chat(*((role, WIDE) for role in roles)), LOSSLESS)
    tidy = "The meeting was about the new office in Oslo."
    assert contents(short) == [WIDE, WIDE, tidy, tidy, WIDE, tidy]
    assert short.shortened == ((WIDE, tidy),) * 3
    assert short.body_bytes == len(orjson.dumps(short.body))


def test_instructions_are_sent_in_the_words_that_were_approved_for_just_them() -> None:
    approved = {sha256(PLEASE.encode()).hexdigest(): ApprovedPrompt("0a1b v2", "Explain a transistor.")}
    org = replace(WIDE_ORG, system_prompts=approved)
    policy = CompressionSnapshot("", "on", ("system_prompt",))
    asked = chat(("system", PLEASE), ("developer", PLEASE + " "), ("user", PLEASE), model="small")
    short = shorten_and_count(asked, policy, org)
    assert contents(short) == ["Explain a transistor.", PLEASE + " ", PLEASE]
    assert short.shortened == ((PLEASE, "Explain a transistor."),)
    assert short.compression == "system prompt 0a1b v2"
    assert saved_by(short) == count_saved(short, "o200k_base") > 0
    # Without the method, or behind a mark, nothing is.
    assert shorten_and_count(asked, LOSSLESS, org) is asked
    marked = {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]}
    behind = make_chat(model="small", messages=[{"role": "system", "content": PLEASE}, marked])
    assert shorten_and_count(behind, policy, org) is behind


def test_what_cannot_become_shorter_is_the_same_request() -> None:
    for request in (
        chat(("user", "Hi")),
        chat(("user", "A sentence with nothing in it that could be left out by anybody.")),
        chat(("user", None), ("user", 5), ("user", [{"type": "text"}, "x", {"type": "image_url", "image_url": {}}])),
        make_request(Endpoint.EMBEDDINGS, {"model": "small", "input": WIDE}),
        make_request(Endpoint.COMPLETIONS, {"model": "small", "prompt": WIDE}),
    ):
        assert shorten(request, ALL) is request


def test_what_is_marked_to_be_cached_and_all_before_it_stays() -> None:
    marked = [{"type": "text", "text": WIDE, "cache_control": {"type": "ephemeral"}}]
    request = chat(("user", WIDE), ("user", marked), ("user", [{"type": "text", "text": WIDE}]))
    first, second, third = contents(shorten(request, LOSSLESS))
    assert (first, second) == (WIDE, marked)
    assert third == [{"type": "text", "text": "The meeting was about the new office in Oslo."}]


def test_a_message_becomes_the_same_in_every_turn() -> None:
    """So that the prefix which a provider caches stays one."""
    turns = [("user", f"{WIDE}\n\n{PLEASE}"), ("assistant", "Well."), ("user", f"{PLEASE}  And  then?"), ("user", WIDE)]
    sent = [contents(shorten(chat(*turns[: count + 1]), ALL)) for count in range(len(turns))]
    for before, after in itertools.pairwise(sent):
        assert after[: len(before)] == before


def test_the_last_paragraph_asks_and_is_not_pruned() -> None:
    one = "It is the case that the committee of the city had met in the hall and that it was not of one mind."
    head = " ".join([one] * 4)
    (short,) = contents(shorten(chat(("user", f"{head}\n\nWhat is it that the committee of the city did?")), ALL))
    told = " ".join(["case committee city met hall not one mind."] * 4)
    assert short == f"{told}\n\nWhat is it that the committee of the city did?"
    alone = chat(("user", head))
    assert shorten(alone, CompressionSnapshot("", "on", ("prune",))) is alone


@given(st.lists(texts, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_lossless_is_deterministic_idempotent_and_spares_what_is_protected(said: list[str]) -> None:
    safe = CompressionSnapshot("", "on", ("lossless", "filler"))
    request = chat(*(("user", text) for text in said))
    short = shorten(request, safe)
    assert shorten(request, safe) == short
    again = shorten(short, safe)
    assert contents(again) == contents(short)
    for text, sent in zip(said, contents(short), strict=True):
        assert survives(text, sent, find_blocks(text))


@given(texts, st.sampled_from([0, 300, 600, 900]))
@settings(max_examples=100, deadline=None)
def test_pruning_spares_every_protected_word(text: str, keep: int) -> None:
    policy = CompressionSnapshot("", "on", ("prune",), keep_permille=keep)
    long = f"{text}\n\n" * (1 + 400 // max(len(text), 1)) + "What is it?"
    (sent,) = contents(shorten(chat(("user", long)), policy))
    assert survives(long, sent, find_words(long))


def test_examples_lose_nothing_in_a_text_or_in_turns_of_their_own() -> None:
    review = "It was the case that the film was of the kind that is not for me, and that the end of it was in the dark."
    shots = "".join(f"Review: {review}\nSentiment: {word}\n\n" for word in ("negative", "mixed"))
    told = f"{review}\n\n" * 4
    policy = CompressionSnapshot("", "on", ("prune",))
    (sent,) = contents(shorten(chat(("user", f"{told}{shots}Review: {review}\nSentiment:")), policy))
    pruned = "case film kind not , end dark."
    left = "\n\n ".join([pruned] * 4)
    assert sent == f"{left}\n\n{shots}Review: {review}\nSentiment:"
    pairs = [("user", f"{review}\n\nSay in a word what is thought of it."), ("assistant", "negative")] * 3
    asked = chat(*pairs, ("user", f"{told}Say in a word what is thought of it."))
    *examples, last = contents(shorten(asked, policy))
    assert examples == [content for _, content in pairs]
    assert last == f"{left}\n\nSay in a word what is thought of it."


def test_json_is_sent_byte_for_byte() -> None:
    for value in ({"a": [1, 2.50, " x  y "]}, [{"k": "v" * 50}], {"deep": {"er": {"est": None}}}):
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n\n\n"
        (sent,) = contents(shorten(chat(("user", text.rstrip())), ALL))
        assert sent == text.rstrip()


PASSAGES = [f"Passage {number} is about the town of number {number} and its river." for number in range(10)]
TEXT = "\n\n".join(["Use these passages.", *PASSAGES, "Which river has town 3?"])


def test_passages_that_a_question_does_not_need_are_left_out() -> None:
    found = find_passages(TEXT)
    assert found is not None
    assert (found.texts, found.question) == (tuple(PASSAGES), "Which river has town 3?")
    vectors = np.eye(11, dtype=np.float32)
    question = vectors[4]  # the fourth, alone
    kept = keep_passages(found, question, vectors[1:])
    assert kept == "\n\n".join(["Use these passages.", PASSAGES[3], "Which river has town 3?"])
    assert join(found, found.movable) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "\n\n".join(PASSAGES[:3]),
        "\n\n".join([*PASSAGES, "Summarise the text."]),
        "\n\n".join([*PASSAGES, "x" * 3_000]),
        "\n\n".join([f'{{"a": {number}}}' for number in range(10)] + ["Which?"]),
    ],
)
def test_where_all_is_needed_or_little_is_there_nothing_goes(text: str) -> None:
    assert find_passages(text) is None


TURNS = tuple(
    f"{'Ada Bo Cy'.split()[place % 3]}: I have said number {place} of many things today." for place in range(30)
)


def test_turns_that_a_question_does_not_need_are_left_out() -> None:
    told = "Minutes of Monday.\n\n" + "\n".join(TURNS) + "\nand went on in a second line.\n\nWhat did Bo say first?"
    found = find_passages(told)
    assert found is not None
    assert found.passages == (*TURNS[:-1], TURNS[-1] + "\nand went on in a second line.")
    assert found.pieces[0] == "Minutes of Monday."
    assert join(found, found.movable) == told
    # Each window is of 110 words: those of the turns around it are what it stands for.
    assert [(first, last) for _, first, last in found.windows] == [(0, 10), (11, 21), (22, 29)]
    vectors = np.eye(4, dtype=np.float32)
    kept = keep_passages(found, vectors[0], vectors[1:], 0.2)
    assert kept.startswith("Minutes of Monday.\n\n")
    assert kept.endswith("\n\nWhat did Bo say first?")
    said = [turn for turn in TURNS if turn in kept]
    assert 4 <= len(said) <= 6


def test_empty_lines_between_turns_belong_to_the_gap() -> None:
    told = "Minutes.  \n\n\n" + " \n \n\t".join(TURNS) + "  \n\nWhat did Bo say first?"
    found = find_passages(told)
    assert found is not None
    assert found.passages == TURNS
    assert join(found, found.movable) == told
    without = find_passages(told.removeprefix("Minutes.  \n\n\n"))
    assert without is not None
    assert without.passages == TURNS[1:], "the first of all stays"


def test_hundreds_of_thousands_of_empty_lines_are_read_once() -> None:
    """Read again from each, they would keep a worker for a quarter of an hour."""
    assert find_passages("a\n" + "\n" * 200_000 + "1\n\nWhat was said?") is None
    assert find_passages("a\n" + " \n\t" * 200_000 + "1\n\nWhat was said?") is None


@pytest.mark.parametrize(
    "lines",
    [
        [f"setting_{place}: this value is nobody's turn in talk" for place in range(40)],
        ["name: Ada" for _ in range(40)],
        TURNS[:19],
    ],
    ids=["settings", "short", "few"],
)
def test_lines_that_are_no_dialogue_stay(lines: list[str]) -> None:
    assert find_passages("\n".join(lines) + "\n\nWhat is it?") is None


def test_so_much_of_the_passages_stays_as_a_policy_says() -> None:
    text = "\n\n".join(["Answer.", *(f"Passage {place} has five words." for place in range(10)), "Which one is it?"])
    found = find_passages(text)
    assert found is not None
    vectors = np.eye(11, dtype=np.float32)
    vectors[0, 4] = 0.9
    kept = keep_passages(found, vectors[0], vectors[1:], 0.3)
    assert kept.split("\n\n")[1:-1] == [f"Passage {place} has five words." for place in (0, 1, 3)]


def test_only_what_was_extracted_in_time_is_left_out() -> None:
    request = chat(("user", TEXT))
    policy = CompressionSnapshot("", "on", ("extract",))
    assert list_texts(request) == [TEXT]
    assert shorten(request, policy) is request
    (sent,) = contents(shorten(request, policy, {TEXT: "Which river has town 3?"}))
    assert sent == "Which river has town 3?"


def reader(used: dict[str, Any]) -> AnswerReader:
    made = AnswerReader()
    made.read_answer(
        orjson.dumps(
            {"model": "small", "usage": used, "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
        )
    )
    return made


def test_the_saving_is_what_the_longer_prompt_would_have_cost() -> None:
    route = make_route("fixed", ("small",), baseline="large")
    request = shorten_and_count(chat(("user", WIDE), model="smart"), LOSSLESS, with_routes(route))
    saved = saved_by(request)
    assert saved == count_saved(request, "o200k_base") > 0
    assert show_saved(request) == f"{22 + saved}>22"
    plan = plan_of(route, request)
    hold = Hold("h", 10**9, 100, None)
    usage = {"prompt_tokens": 21, "completion_tokens": 10}
    attempt = weigh(plan.request, plan.first, hold, 1, reader(usage), 200, "", Certainty.EXACT)
    small = pricing.cost(Usage(input=21, output=10), plan.first.price)
    longer = pricing.cost(Usage(input=21 + saved, output=10), plan.first.price)
    listed = pricing.cost(Usage(input=21 + saved, output=10), plan.first.list_price)
    assert attempt.cost == small
    assert attempt.savings == {Mechanism.ROUTING: listed - longer, Mechanism.COMPRESSION: longer - small}
    assert attempt.list_cost == listed


def test_tokens_of_a_cached_prefix_save_what_cached_ones_cost() -> None:
    used = Usage(input=100, cached_input=300, output=5)
    assert as_it_was(used, 40) == used._replace(input=110, cached_input=330)
    assert as_it_was(Usage(), 7) == Usage(input=7)


def test_an_unknown_vocabulary_saves_tokens_and_not_bytes() -> None:
    request = shorten(chat(("user", WIDE)), LOSSLESS)
    assert count_saved(request, "bytes") == count_saved(request, "o200k_base")
    assert count_saved(request._replace(shortened=(("a", "a b c d e f g"),)), "o200k_base") == 0


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 5_000), st.booleans(), st.booleans())
def test_the_parts_sum_to_the_whole(fresh: int, cached: int, out: int, is_routed: bool, is_short: bool) -> None:
    request = chat(("user", WIDE))
    if is_short:
        request = shorten_and_count(request, LOSSLESS, WIDE_ORG)
    plan = plan_of(
        make_route("fixed", ("small",), baseline="large" if is_routed else "small"), request._replace(model="smart")
    )
    candidate = plan.first._replace(price=PRICE, list_price=plan.first.list_price if is_routed else PRICE)
    used = {
        "prompt_tokens": fresh + cached,
        "completion_tokens": out,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    attempt = weigh(request, candidate, Hold("h", 10**12, 100, None), 1, reader(used), 200, "", Certainty.EXACT)
    assert attempt.list_cost - attempt.cost == sum(attempt.savings.values())
    if not is_routed and not is_short:
        assert attempt.savings == {}


def test_a_body_of_a_megabyte_is_sent_as_it_is() -> None:
    text = "a  b " * 300_000
    request = parse_request(
        Endpoint.CHAT, orjson.dumps({"model": "small", "messages": [{"role": "user", "content": text}]})
    )
    assert shorten(request, replace(ALL)) is request


def turns(**fields: Any) -> bytes:
    return orjson.dumps({"model": "gpt-4o-mini"} | fields)


def test_what_came_as_messages_is_shorter_in_both_forms() -> None:
    told = [
        {"role": "user", "content": WIDE},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": WIDE}, {"type": "tool_use", "id": "t", "name": "f"}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": WIDE}]},
    ]
    asked = anthropic_messages.parse_request(Endpoint.MESSAGES, turns(system=WIDE, messages=told, max_tokens=9))
    short = shorten(asked, LOSSLESS)
    assert contents(short) == [WIDE, TIDY, TIDY, WIDE]
    assert short.original is not None
    assert short.original.body["system"] == WIDE
    assert short.original.body["messages"] == [
        {"role": "user", "content": TIDY},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": TIDY}, {"type": "tool_use", "id": "t", "name": "f"}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": WIDE}]},
    ]
    # What its caller wrote is as it was, for whoever keeps it.
    assert asked.original is not None
    assert asked.original.body["messages"] == told


def test_marks_of_messages_are_heeded_where_a_chat_has_no_word_for_them() -> None:
    used = {"type": "tool_use", "id": "t", "name": "f", "cache_control": {"type": "ephemeral"}}
    told = [{"role": "user", "content": WIDE}, {"role": "assistant", "content": [used]}]
    asked = anthropic_messages.parse_request(Endpoint.MESSAGES, turns(messages=told, max_tokens=9))
    assert shorten(asked, LOSSLESS) is asked


MARKED = {"type": "tool_result", "tool_use_id": "t", "content": "Yes.", "cache_control": {"type": "ephemeral"}}


def test_what_is_sent_shorter_is_counted_shorter_text_by_text() -> None:
    """Of a text that stands before a mark and behind it, only the second may change; a chat sees no such mark."""
    told = [
        {"role": "user", "content": WIDE},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f"}]},
        {"role": "user", "content": [MARKED]},
        {"role": "user", "content": WIDE},
    ]
    asked = anthropic_messages.parse_request(Endpoint.MESSAGES, turns(messages=told, max_tokens=9))
    assert shorten(asked, LOSSLESS) is asked


def test_an_assistants_words_stay_also_where_a_user_says_the_same() -> None:
    told = [{"role": "assistant", "content": TEXT}, {"role": "user", "content": TEXT}]
    asked = anthropic_messages.parse_request(Endpoint.MESSAGES, turns(messages=told, max_tokens=9))
    policy = CompressionSnapshot("", "on", ("extract",))
    assert shorten(asked, policy, {TEXT: TEXT[-40:]}) is asked
    alone = anthropic_messages.parse_request(Endpoint.MESSAGES, turns(messages=told[1:], max_tokens=9))
    assert contents(shorten(alone, policy, {TEXT: TEXT[-40:]})) == [TEXT[-40:]]


def test_instructions_before_a_mark_stay_as_they_are() -> None:
    approved = {sha256(PLEASE.encode()).hexdigest(): ApprovedPrompt("0a1b v2", "Explain a transistor.")}
    told = [{"role": "user", "content": [MARKED]}]
    asked = anthropic_messages.parse_request(Endpoint.MESSAGES, turns(system=PLEASE, messages=told, max_tokens=9))
    assert put_approved(asked, approved) is asked


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (WIDE, TIDY),
        ([{"role": "user", "content": WIDE}], [{"role": "user", "content": TIDY}]),
        (
            [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": WIDE}]},
                {"type": "function_call_output", "call_id": "c", "output": WIDE},
            ],
            [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TIDY}]},
                {"type": "function_call_output", "call_id": "c", "output": WIDE},
            ],
        ),
    ],
    ids=["text", "message", "items"],
)
def test_what_came_as_a_response_is_shorter_in_both_forms(given: Any, expected: Any) -> None:
    asked = openai_responses.parse_request(Endpoint.RESPONSES, turns(input=given, instructions=WIDE))
    short = shorten(asked, LOSSLESS)
    assert TIDY in contents(short) or [{"type": "text", "text": TIDY}] in contents(short)
    assert short.original is not None
    assert short.original.body == {"model": "gpt-4o-mini", "input": expected, "instructions": WIDE}


def test_approved_instructions_of_other_forms() -> None:
    approved = {sha256(PLEASE.encode()).hexdigest(): ApprovedPrompt("0a1b v2", "Explain a transistor.")}
    org = replace(WIDE_ORG, system_prompts=approved)
    policy = CompressionSnapshot("", "on", ("system_prompt",))
    for asked, name in (
        (openai_responses.parse_request(Endpoint.RESPONSES, turns(input="Hi", instructions=PLEASE)), "instructions"),
        (
            anthropic_messages.parse_request(
                Endpoint.MESSAGES, turns(system=PLEASE, messages=[{"role": "user", "content": "Hi"}], max_tokens=9)
            ),
            "system",
        ),
    ):
        short = shorten_and_count(asked, policy, org)
        assert contents(short)[0] == "Explain a transistor."
        assert short.original is not None
        assert short.original.body[name] == "Explain a transistor."
        assert short.compression == "system prompt 0a1b v2"
