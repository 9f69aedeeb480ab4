"""The mark behind which a provider keeps a prompt: put where a policy says so, and only where a vendor reads it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.cache.marks import mark_prompt
from proxy.core.demand import find_demand
from proxy.upstreams import anthropic, openai
from proxy.values.request import Endpoint
from tests.proxy.cache.examples import POLICY, key_of
from tests.proxy.core.examples import MODEL, ORG, PRICE, UPSTREAM, make_chat, make_request

MARK = {"type": "ephemeral"}
MARKED = replace(ORG, cache_policies=(replace(POLICY, mode="off", marks_prompts=True),))


def test_the_policy_of_the_model_has_the_word() -> None:
    chat = make_chat()
    assert mark_prompt(chat, ORG) is chat
    assert mark_prompt(chat, MARKED) == chat._replace(is_marked=True)
    own = replace(MARKED, cache_policies=(*MARKED.cache_policies, replace(POLICY, model="small")))
    assert mark_prompt(chat, own) is chat


@pytest.mark.parametrize(
    "fields",
    [
        {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": MARK}]}]},
        {"tools": [{"type": "function", "function": {"name": "a"}, "cache_control": MARK}]},
    ],
)
def test_what_its_caller_has_marked_stays_as_it_is(fields: dict[str, Any]) -> None:
    chat = make_chat(**fields)
    assert mark_prompt(chat, MARKED) is chat


@pytest.mark.parametrize("tools", [5, True, "abc", {"a": 1}, [5], None])
def test_what_is_no_list_of_tools_is_not_looked_through(tools: Any) -> None:
    assert mark_prompt(make_chat(tools=tools), MARKED).is_marked


def test_other_endpoints_have_no_prompt_to_keep() -> None:
    request = make_request(Endpoint.EMBEDDINGS, {"model": "small", "input": "Hi"})
    assert mark_prompt(request, MARKED) is request


def test_anthropic_is_sent_the_mark_and_others_are_not() -> None:
    marked = mark_prompt(make_chat(), MARKED)
    there = anthropic.encode_request(marked, "claude", habits=anthropic.find_habits(UPSTREAM, "claude"), max_output=50)
    here = openai.encode_request(marked, "gpt", habits=openai.find_habits(UPSTREAM, "gpt"), max_output=50)
    assert json.loads(there)["cache_control"] == MARK
    assert "cache_control" not in json.loads(here)
    unmarked = anthropic.encode_request(
        make_chat(), "claude", habits=anthropic.find_habits(UPSTREAM, "claude"), max_output=50
    )
    assert "cache_control" not in json.loads(unmarked)


def test_what_is_written_into_a_cache_is_in_the_bound() -> None:
    chat = make_chat()
    plain, marked = (
        find_demand(request, MODEL, PRICE, UPSTREAM).has_long_cache for request in (chat, chat._replace(is_marked=True))
    )
    assert (plain, marked) == (False, True)


def test_a_mark_makes_no_other_call() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    assert key_of({"messages": messages, "cache_control": MARK}) == key_of({"messages": messages})
