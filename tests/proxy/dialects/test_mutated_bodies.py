"""Bodies of every format with anything in any place: refused by name or understood, and then written to any upstream;
never an error of another kind."""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final

import pytest

from proxy.core.plan import make_plan
from proxy.dialects import dialect_of
from proxy.errors import ApiError
from proxy.upstreams import anthropic, openai
from proxy.values.attempt import Usage
from proxy.values.request import FORM_ENDPOINTS, Endpoint
from tests.proxy.core.examples import KEY, MODEL, NO_CONTROLS, NOON_MS, ORG, PRICE, UPSTREAM

Json = dict[str, Any]

ROUNDS: Final = 400
TOOL_USE: Final = {"type": "tool_use", "id": "t", "name": "find", "input": {"a": 1}}
IMAGE: Final = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
BODIES: Final[dict[Endpoint, Json]] = {
    Endpoint.CHAT: {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "find", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "Found"},
        ],
        "tools": [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "find"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        "reasoning_effort": "low",
        "stop": ["END"],
        "service_tier": "auto",
        "max_tokens": 50,
        "stream": True,
    },
    Endpoint.MESSAGES: {
        "model": "small",
        "max_tokens": 2_000,
        "system": [{"type": "text", "text": "Be brief", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, IMAGE]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}, TOOL_USE]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "Found"}]},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Long"}},
                ],
            },
        ],
        "tools": [{"name": "find", "input_schema": {"type": "object"}}, {"type": "bash_20250124", "name": "bash"}],
        "tool_choice": {"type": "tool", "name": "find", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
        "metadata": {"user_id": "ada"},
        "stop_sequences": ["END"],
        "service_tier": "auto",
        "stream": True,
    },
    Endpoint.RESPONSES: {
        "model": "small",
        "instructions": "Be brief",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://x.example/a.png"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "c", "name": "find", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "Found"},
        ],
        "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "find"},
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {}}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 50,
        "metadata": {"run": "7"},
        "service_tier": "auto",
        "stream": True,
    },
    Endpoint.COMPACTIONS: {
        "model": "small",
        "instructions": "Be brief",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
        ],
    },
    Endpoint.MODERATIONS: {"model": "small", "input": [{"type": "text", "text": "Hi"}]},
    Endpoint.IMAGES: {"model": "small", "prompt": "A cat", "n": 2, "user": "ada"},
    Endpoint.SPEECH: {"model": "small", "input": "Hi", "voice": "alloy"},
}
ANYTHING: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 7, 10**20, 1.5, "", "text", "\u0000", "Grüße 🎉", "function"),
    {"a": 10**20},
    *([], {}, [[]], [{}], [None], {"type": []}, {"type": "text"}, {"type": {"a": 1}}, ["text"], {"a": {"b": []}}),
)
#: an organisation whose model has a price for each piece
PRICED: Final = replace(ORG, models={"small": replace(MODEL, prices=(replace(PRICE, units=("characters", "images")),))})
CHUNKS: Final = (
    b'data: {"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
)


def list_places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place within a value."""
    if here:
        yield here
    for name, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from list_places(item, (*here, name))


def mutate(body: Json, chance: random.Random) -> Json:
    """The body with anything in one or two places, or without them."""
    changed: Json = json.loads(json.dumps(body))
    for _ in range(chance.choice((1, 1, 2))):
        *path, last = chance.choice(list(list_places(changed)))
        holder: Any = changed
        for name in path:
            holder = holder[name]
        if chance.random() < 0.15:
            del holder[last]
        else:
            # a copy: the next place may be within it
            holder[last] = deepcopy(chance.choice(ANYTHING))
        if not changed:
            break
    return changed


@pytest.mark.parametrize("endpoint", BODIES)
def test_nothing_that_is_sent_breaks_what_reads_it(endpoint: Endpoint) -> None:
    assert BODIES.keys() >= set(Endpoint) - FORM_ENDPOINTS - {Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS}
    chance, understood, statuses = random.Random(11), 0, set[int]()
    dialect = dialect_of(endpoint)
    for _ in range(ROUNDS):
        body = mutate(BODIES[endpoint], chance)
        try:
            request = dialect.parse_request(endpoint, json.dumps(body).encode())
            make_plan(request, NO_CONTROLS, KEY, PRICED, NOON_MS)
        except ApiError as error:
            statuses.add(error.status)
            json.loads(dialect.render_error(error, "r"))
            continue
        understood += 1
        for vendor in (openai, anthropic):
            habits = vendor.find_habits(UPSTREAM, "small", frozenset())
            wire = vendor.choose_wire(request, habits)
            if vendor.find_path(request.operation, wire) is None:
                continue
            vendor.find_unsaid(request, wire)
            json.loads(vendor.encode_request(request, "small", habits=habits, max_output=40))
        translation = dialect.make_translation(request, "0197", NOON_MS)
        if translation is not None:
            # A compaction comes whole.
            streamed = translation.events(CHUNKS) + translation.end({}, Usage())
            assert bool(streamed) != (endpoint is Endpoint.COMPACTIONS)
            json.loads(translation.whole(b'{"choices":[{"message":{"content":"Hi"}}]}', Usage()))
    assert understood > ROUNDS // 10
    assert statuses <= {400, 402, 404}
