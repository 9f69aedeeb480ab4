"""OpenAI's Responses: to upstreams that speak them, to those that speak its chat, and kept to be asked for again."""

import asyncio
import json
from typing import Any, Final

import pytest

from tenants.access import org_scope
from tenants.actions.keys import create_key
from tenants.actions.orgs import update_organization
from tenants.actions.projects import create_project
from tenants.choices import Tokenizer, UpstreamKind
from tests.proxy.cache.calls import make_policy
from tests.proxy.in_process import converse, events_of, make_known, running, send_to, serve
from tests.proxy.scripted_upstream import DONE, USAGE, Script, chunk, scripted, stream, whole
from tests.proxy.scripted_upstream import answer as chat_answer
from tests.world import Tenant, World, make_budget, make_catalog

Json = dict[str, Any]

RESPONSES: Final = "/v1/responses"
#: the catalog's prices in nano-USD a token
INPUT, OUTPUT = 150, 600
HELLO_COSTS = 9 * INPUT + 2 * OUTPUT

SPENT: Final = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 11,
}
ITEM: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
}
RESPONSE: Final = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "small",
    "output": [ITEM],
    "service_tier": "default",
    "store": False,
    "usage": SPENT,
}
UNDER_WAY: Final = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
PLACE: Final = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
TALE: Final[tuple[Json, ...]] = (
    {"type": "response.created", "response": UNDER_WAY},
    {"type": "response.in_progress", "response": UNDER_WAY},
    {"type": "response.output_item.added", "output_index": 0, "item": {**ITEM, "content": []}},
    {"type": "response.content_part.added", **PLACE, "part": {"type": "output_text", "text": ""}},
    {"type": "response.output_text.delta", **PLACE, "delta": "Hel"},
    {"type": "response.output_text.delta", **PLACE, "delta": "lo"},
    {"type": "response.output_text.done", **PLACE, "text": "Hello"},
    {"type": "response.content_part.done", **PLACE, "part": ITEM["content"][0]},
    {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
    {"type": "response.completed", "response": RESPONSE},
)


def typed(event: Json, number: int) -> bytes:
    """An event as OpenAI writes it."""
    told = json.dumps({**event, "sequence_number": number}).encode()
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), told)


def tell(*events: Json) -> list[bytes]:
    """A stream of events."""
    return stream(*(typed(event, number) for number, event in enumerate(events)))


def ask_response(**fields: Any) -> Json:
    """A body of one short input; ``fields`` go over it."""
    return {"model": "small", "input": "Hi there", **fields}


def read(body: bytes) -> list[Json]:
    """The events of a stream."""
    return [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]


def make_acme(world: World, kind: UpstreamKind) -> Tenant:
    acme = world.acme
    make_catalog(acme, base_url="http://127.0.0.1:9/v1", kind=kind, tokenizer=Tokenizer.O200K)
    make_known(acme)
    return acme


@pytest.fixture
def native(committed_world: World) -> Tenant:
    """Acme, whose upstream is OpenAI."""
    return make_acme(committed_world, UpstreamKind.OPENAI)


@pytest.fixture
def chatting(committed_world: World) -> Tenant:
    """Acme, whose upstream knows no Responses."""
    return make_acme(committed_world, UpstreamKind.OPENAI_COMPATIBLE)


def keep_answers(acme: Tenant) -> None:
    """Acme keeps answers for a day."""
    with org_scope(acme.org_id):
        update_organization(actor=acme.owner, answers_kept_hours=24)
    make_known(acme)


async def ask(acme: Tenant, script: Script, *bodies: Json) -> tuple[list[Any], list[Json], list[Json]]:
    """The answers to some bodies, their ledger events, and what the upstream got."""
    with scripted(script) as upstream:
        send_to(acme, upstream.base_url)
        async with running() as app:
            answers = [await serve(app, converse(acme.api_key, body, path=RESPONSES)) for body in bodies]
        return answers, events_of(acme), upstream.bodies


# Where both sides speak it


async def test_a_response_passes_untouched_and_is_not_kept_at_the_provider(native: Tenant) -> None:
    raw = json.dumps({**RESPONSE, "of_tomorrow": [1.50]}).encode()
    asked = ask_response(reasoning={"effort": "low", "summary": "auto"}, of_tomorrow=True)
    (got,), (row,), (sent,) = await ask(native, lambda _: whole(raw), asked)
    assert (got.status, got.body) == (200, raw)
    assert sent == asked | {"store": False, "include": ["reasoning.encrypted_content"]}
    assert (row["endpoint"], row["effective_cost"], row["is_estimated"]) == ("responses", HELLO_COSTS, False)
    assert (row["finish_reason"], row["response_model"]) == ("stop", "small")
    assert "x-costhub-dropped" not in got.headers


async def test_a_stream_passes_untouched_but_for_its_cost(native: Tenant) -> None:
    (got,), (row,), _ = await ask(native, lambda _: tell(*TALE), ask_response(stream=True))
    before = b"".join(typed(event, number) for number, event in enumerate(TALE[:-1]))
    assert got.body.startswith(before + b": x-costhub-cost: 0.000002550\n")
    last = read(got.body)[-1]
    assert (last["response"], last["costhub"]["cost"]) == (RESPONSE, "0.000002550")
    assert (row["effective_cost"], row["is_estimated"], row["output_tokens"]) == (HELLO_COSTS, False, 2)


@pytest.mark.parametrize("cut", range(1, len(TALE)))
async def test_a_stream_that_is_cut_at_any_event_ends_with_an_error(native: Tenant, cut: int) -> None:
    (got,), (row,), _ = await ask(native, lambda _: tell(*TALE[:cut]), ask_response(stream=True))
    told = read(got.body)
    assert [event["type"] for event in told] == [*(event["type"] for event in TALE[:cut]), "error"]
    assert (told[-1]["code"], told[-1]["error"]["code"]) == ("upstream_broke_off", "upstream_broke_off")
    assert (row["error_code"], row["is_estimated"]) == ("upstream_broke_off", True)
    assert row["output_tokens"] == max(0, min(cut - 4, 1))  # "Hel" is one token, and so is "Hello"


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([{"type": "error", "code": "rate_limit_exceeded", "message": "Slower.", "param": None}], 429),
        ([{"type": "error", "error": {"type": "invalid_request_error", "code": "x", "message": "Slower."}}], 502),
        ([{"type": "response.failed", "response": {**UNDER_WAY, "status": "failed", "error": {"code": "server_error", "message": "Slower."}}}], 502),
    ],
)  # fmt: skip
async def test_a_refusal_in_a_streams_clothes_is_a_status(native: Tenant, events: list[Json], status: int) -> None:
    (got,), (row,), _ = await ask(native, lambda _: tell(*events), ask_response(stream=True))
    assert got.status == status
    assert "Slower." in json.loads(got.body)["error"]["message"]
    assert row["effective_cost"] == 0


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"error": {"message": "Slower.", "code": 429}}, 429),
        ({"detail": "Slower.", "status": 400}, 400),
        ([{"error": {"message": "Slower.", "code": 503}}], 503),
        ({**RESPONSE, "status": "failed", "output": [], "usage": None, "error": {"code": "server_error", "message": "Slower."}}, 502),
    ],
)  # fmt: skip
async def test_so_is_one_in_the_clothes_of_an_answer(native: Tenant, said: Any, status: int) -> None:
    (got,), (row,), _ = await ask(native, lambda _: whole(said), ask_response())
    assert got.status == status
    assert "Slower." in json.loads(got.body)["error"]["message"]
    assert row["effective_cost"] == 0


async def test_what_is_billed_by_the_piece_is_counted(native: Tenant) -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    # What it opens and looks for in a page is no search.
    read = [search | {"action": {"type": kind}} for kind in ("open_page", "find_in_page")]
    said = {**RESPONSE, "output": [search | {"action": {"type": "search"}}, *read, search, ITEM]}
    ended = {"type": "response.completed", "response": said}
    searched = {"type": "response.output_item.done", "output_index": 0, "item": search}
    _, rows, _ = await ask(
        native,
        lambda body: tell(*TALE[:2], searched, searched, ended) if body.get("stream") else whole(said),
        ask_response(),
        ask_response(stream=True),
    )
    assert [row["usage"] for row in rows] == [{"web_searches": 2}] * 2
    assert [row["attempts"][0]["doubts"] for row in rows] == [["unpriced_unit"]] * 2


async def test_a_provider_s_own_tool_needs_a_price(native: Tenant) -> None:
    (got, mcp), rows, sent = await ask(
        native,
        lambda _: whole(RESPONSE),
        ask_response(tools=[{"type": "web_search"}], max_tool_calls=2),
        ask_response(tools=[{"type": "mcp", "server_url": "https://mcp.example"}]),
    )
    assert (got.status, mcp.status, sent) == (402, 402, [])
    assert json.loads(got.body)["error"]["code"] == "feature_not_priced"
    assert json.loads(mcp.body)["error"]["param"] == "tools[0]"
    assert [row["effective_cost"] for row in rows] == [0, 0]


def test_a_hard_budget_sets_the_limit(native: Tenant) -> None:
    make_budget(native, "0.001")
    make_known(native)
    _, (row,), (sent,) = asyncio.run(ask(native, lambda _: whole(RESPONSE), ask_response()))
    assert 16 < sent["max_output_tokens"] < 1_700
    assert row["held"] <= 1_000_000


# To a chat and back


async def test_a_response_becomes_a_chat_and_its_answer_a_response(chatting: Tenant) -> None:
    asked = {
        "model": "small",
        "instructions": "Be brief",
        "input": [
            {"role": "developer", "content": "In English"},
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Looking"}]},
            {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"a":1}'},
            {"type": "function_call", "call_id": "c2", "name": "find", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "Found"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "Lost"}]},
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
        ],
        "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": True}],
        "tool_choice": {"type": "function", "name": "find"},
        "text": {"format": {"type": "json_schema", "name": "out", "schema": {"type": "object"}}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 50,
        "metadata": {"run": "7"},
        "user": "ada",
    }
    said = chat_answer("Hello", USAGE, reasoning_content="Hm")
    (got,), (row,), (sent,) = await ask(chatting, lambda _: whole(said), asked)
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}},
        {"id": "c2", "type": "function", "function": {"name": "find", "arguments": "{}"}},
    ]
    assert sent == {
        "model": "small",
        "max_tokens": 50,
        "stream": False,
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "system", "content": "In English"},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Looking", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": "Found"},
            {"role": "tool", "tool_call_id": "c2", "content": "Lost"},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}, "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "find"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "out", "schema": {"type": "object"}}},
        "reasoning_effort": "low",
        "user": "ada",
    }
    assert got.headers["x-costhub-dropped"] == "reasoning, reasoning.summary"
    told = json.loads(got.body)
    mark = row["id"].replace("-", "")
    assert (told["id"], told["object"], told["status"]) == (f"resp_{mark}", "response", "completed")
    assert [item["type"] for item in told["output"]] == ["reasoning", "message"]
    assert told["output"][1]["content"] == [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}]
    assert (told["metadata"], told["store"], told["max_output_tokens"]) == ({"run": "7"}, False, 50)
    assert told["usage"] == SPENT | {"input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}}
    assert (row["effective_cost"], row["end_user"]) == (HELLO_COSTS, "ada")


CHAT_TALE: Final[tuple[Any, ...]] = (
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "Hm"}),
    chunk({"content": "Hel"}),
    chunk({"content": "lo"}),
    chunk({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "find", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
    chunk({}, "tool_calls"),
    chunk(usage=USAGE),
    DONE,
)  # fmt: skip
TOLD: Final = (
    *("response.created", "response.in_progress"),
    *("response.output_item.added", "response.content_part.added", "response.reasoning_text.delta"),
    *("response.reasoning_text.done", "response.content_part.done", "response.output_item.done"),
    *("response.output_item.added", "response.content_part.added", "response.output_text.delta"),
    *("response.output_text.delta", "response.output_text.done", "response.content_part.done"),
    *("response.output_item.done", "response.output_item.added", "response.function_call_arguments.delta"),
    *("response.function_call_arguments.done", "response.output_item.done", "response.completed"),
)


async def test_a_chat_that_is_streamed_becomes_typed_events(chatting: Tenant) -> None:
    (got,), (row,), _ = await ask(chatting, lambda _: stream(*CHAT_TALE), ask_response(stream=True))
    told = read(got.body)
    assert [event["type"] for event in told] == list(TOLD)
    assert [event["sequence_number"] for event in told] == list(range(len(TOLD)))
    response = told[-1]["response"]
    assert [item["type"] for item in response["output"]] == ["reasoning", "message", "function_call"]
    assert (response["output"][2]["call_id"], response["output"][2]["arguments"]) == ("c1", "{}")
    assert response["usage"]["total_tokens"] == 11
    assert told[-1]["costhub"]["cost"] == "0.000002550"
    assert row["effective_cost"] == HELLO_COSTS


async def test_a_response_is_of_the_tier_that_answered(chatting: Tenant) -> None:
    def script(body: Json) -> list[bytes]:
        tier = {"service_tier": "default"}
        if not body.get("stream"):
            return whole(chat_answer("Hello", USAGE) | tier)
        return stream(*(event if event is DONE else event | tier for event in CHAT_TALE))

    asked = ask_response(service_tier="auto"), ask_response(service_tier="auto", stream=True)
    (got, streamed), _, _ = await ask(chatting, script, *asked)
    assert json.loads(got.body)["service_tier"] == "default"
    assert read(streamed.body)[-1]["response"]["service_tier"] == "default"


@pytest.mark.parametrize("cut", range(1, 7))
async def test_a_chat_that_is_cut_becomes_a_response_that_fails(chatting: Tenant, cut: int) -> None:
    (got,), (row,), _ = await ask(chatting, lambda _: stream(*CHAT_TALE[:cut]), ask_response(stream=True))
    told = read(got.body)
    assert [event["type"] for event in told[:-1]] == list(TOLD[: len(told) - 1])
    assert (told[-1]["type"], told[-1]["sequence_number"]) == ("error", len(told) - 1)
    assert (row["error_code"], row["is_estimated"]) == ("upstream_broke_off", True)


async def test_calls_that_are_numbered_badly_are_told_apart_by_their_ids(chatting: Tenant) -> None:
    pieces = [
        chunk({"tool_calls": [{"index": 0, "id": name, "function": {"name": "find", "arguments": given}}]})
        for name, given in (("c1", '{"a":1}'), ("c2", '{"a":2}'))
    ]
    events = (*pieces, chunk({}, "stop"), chunk(usage=USAGE), DONE)
    (got,), _, _ = await ask(chatting, lambda _: stream(*events), ask_response(stream=True))
    response = read(got.body)[-1]["response"]
    assert [(one["call_id"], one["arguments"]) for one in response["output"]] == [("c1", '{"a":1}'), ("c2", '{"a":2}')]
    assert response["status"] == "completed"


@pytest.mark.parametrize("given", [{}, {"id": None}, {"id": ""}, {"id": 0}])
async def test_a_call_without_an_id_gets_one_by_which_its_result_is_given(chatting: Tenant, given: Json) -> None:
    calls = [{**given, "type": "function", "function": {"name": "find", "arguments": "{}"}}] * 2
    pieces = [chunk({"tool_calls": [call | {"index": number}]}) for number, call in enumerate(calls)]

    def script(body: Json) -> list[bytes]:
        if not body.get("stream"):
            return whole(chat_answer("", USAGE, tool_calls=calls))
        return stream(*pieces, chunk({}, "tool_calls"), chunk(usage=USAGE), DONE)

    (first, second), rows, _ = await ask(chatting, script, ask_response(), ask_response(stream=True))
    marks = [row["id"].replace("-", "") for row in rows]
    outputs = json.loads(first.body)["output"], read(second.body)[-1]["response"]["output"]
    for mark, output in zip(marks, outputs, strict=True):
        assert [item["call_id"] for item in output] == [f"call_{mark}_0", f"call_{mark}_1"]
    result = {"type": "function_call_output", "call_id": outputs[0][0]["call_id"], "output": "Found"}
    (third,), _, (sent,) = await ask(
        chatting, lambda _: whole(chat_answer("Hello", USAGE)), ask_response(input=[*outputs[0], result])
    )
    assert (third.status, sent["messages"][1]["tool_call_id"]) == (200, f"call_{marks[0]}_0")


async def test_what_a_chat_does_not_know_of_a_function_is_named(chatting: Tenant) -> None:
    tool: Json = {"type": "function", "name": "find", "parameters": {}, "defer_loading": True, "of_old": None}
    (got,), _, (sent,) = await ask(chatting, lambda _: whole(chat_answer("Hello", USAGE)), ask_response(tools=[tool]))
    assert sent["tools"] == [{"type": "function", "function": {"name": "find", "parameters": {}}}]
    assert (got.status, got.headers["x-costhub-dropped"]) == (200, "tools[0].defer_loading")


async def test_an_answer_that_was_cut_short_is_incomplete(chatting: Tenant) -> None:
    said = chat_answer("Hello", USAGE)
    said["choices"][0]["finish_reason"] = "length"
    (got,), _, _ = await ask(chatting, lambda _: whole(said), ask_response())
    told = json.loads(got.body)
    assert (told["status"], told["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"truncation": "auto"}, "truncation"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"tools": [{"type": "custom", "name": "a"}]}, "tools[0]"),
        ({"input": [{"type": "computer_call", "call_id": "c"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0]"),
    ],
)
async def test_what_a_chat_cannot_say_is_refused_by_name(chatting: Tenant, fields: Json, param: str) -> None:
    (got,), (row,), sent = await ask(chatting, lambda _: whole(chat_answer("Hi", USAGE)), ask_response(**fields))
    told = json.loads(got.body)["error"]
    assert (got.status, told["param"], told["code"]) == (400, param, "unsupported_field")
    assert (sent, row["effective_cost"]) == ([], 0)


# Kept, and asked for again


async def get(
    acme: Tenant, path: str, *, method: str = "GET", key: str = "", query: bytes = b"", body: Any = None
) -> Any:
    async with running() as app:
        asked = converse(key or acme.api_key, body, path=path, method=method)
        asked.scope["query_string"] = query
        return await serve(app, asked)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("kind", [UpstreamKind.OPENAI, UpstreamKind.OPENAI_COMPATIBLE])
def test_a_response_is_kept_continued_and_forgotten(
    committed_world: World, kind: UpstreamKind, *, is_stream: bool
) -> None:
    acme = make_acme(committed_world, kind)
    keep_answers(acme)

    def script(body: Json) -> list[bytes]:
        if kind is UpstreamKind.OPENAI:
            return tell(*TALE) if body.get("stream") else whole(RESPONSE)
        return (
            stream(*CHAT_TALE[:4], chunk({}, "stop"), *CHAT_TALE[7:])
            if body.get("stream")
            else whole(chat_answer("Hello", USAGE))
        )

    (first,), _, _ = asyncio.run(ask(acme, script, ask_response(stream=is_stream, metadata={"run": "7"})))
    answer = read(first.body)[-1]["response"] if is_stream else json.loads(first.body)
    name = answer["id"]

    kept = json.loads((asyncio.run(get(acme, f"{RESPONSES}/{name}"))).body)
    assert (kept["id"], kept["store"], kept["output"]) == (name, True, answer["output"])
    items = json.loads((asyncio.run(get(acme, f"{RESPONSES}/{name}/input_items"))).body)
    assert [item["content"] for item in items["data"]] == [[{"type": "input_text", "text": "Hi there"}]]

    (second,), (_, row), (sent,) = asyncio.run(
        ask(acme, script, ask_response(input="And?", previous_response_id=name, store=False))
    )
    assert second.status == 200
    assert row["status"] == 200
    said = sent["input"] if kind is UpstreamKind.OPENAI else sent["messages"]
    assert len(said) == 3
    assert (said[-1]["content"], said[0]["role"]) == ("And?", "user")
    assert "previous_response_id" not in sent

    cancelled = asyncio.run(get(acme, f"{RESPONSES}/{name}/cancel", method="POST", body={}))
    assert (cancelled.status, json.loads(cancelled.body)["error"]["code"]) == (400, "not_cancellable")
    assert json.loads((asyncio.run(get(acme, f"{RESPONSES}/{name}", method="DELETE"))).body)["deleted"] is True
    assert (asyncio.run(get(acme, f"{RESPONSES}/{name}"))).status == 404
    (again,), _, _ = asyncio.run(ask(acme, script, ask_response(previous_response_id=name)))
    told = json.loads(again.body)["error"]
    assert (again.status, told["code"]) == (400, "previous_response_not_found")


def test_thoughts_that_no_provider_keeps_are_not_sent_again(committed_world: World) -> None:
    acme = make_acme(committed_world, UpstreamKind.OPENAI)
    keep_answers(acme)
    hidden, sealed = ({"id": f"rs_{n}", "type": "reasoning", "summary": []} for n in range(2))
    sealed["encrypted_content"] = "sealed"
    asyncio.run(ask(acme, lambda _: whole({**RESPONSE, "output": [hidden, sealed, ITEM]}), ask_response()))
    (got,), _, (sent,) = asyncio.run(ask(acme, lambda _: whole(RESPONSE), ask_response(previous_response_id="resp_1")))
    assert got.status == 200
    assert [item.get("id") for item in sent["input"]] == [None, "rs_1", "msg_1", None]


async def test_nothing_is_kept_unless_the_organisation_says_so(chatting: Tenant) -> None:
    (got,), _, _ = await ask(chatting, lambda _: whole(chat_answer("Hello", USAGE)), ask_response(store=True))
    told = json.loads(got.body)
    assert told["store"] is False
    assert (await get(chatting, f"{RESPONSES}/{told['id']}")).status == 404
    (again,), _, _ = await ask(chatting, lambda _: whole({}), ask_response(previous_response_id=told["id"]))
    assert "not kept in this organisation" in json.loads(again.body)["error"]["message"]


def test_other_projects_do_not_learn_of_it(committed_world: World) -> None:
    acme, mallcorp = make_acme(committed_world, UpstreamKind.OPENAI), committed_world.mallcorp
    keep_answers(acme)
    make_known(mallcorp)
    with org_scope(acme.org_id):
        project = create_project(actor=acme.owner, name="search")
        other = create_key(actor=acme.owner, name="other", project=project).secret
    asyncio.run(ask(acme, lambda _: whole(RESPONSE), ask_response()))
    for key in (other, mallcorp.api_key):
        for method, path in (("GET", "/resp_1"), ("DELETE", "/resp_1"), ("GET", "/resp_1/input_items")):
            refused = asyncio.run(get(acme, RESPONSES + path, method=method, key=key))
            unknown = asyncio.run(get(acme, RESPONSES + path.replace("resp_1", "resp_2"), method=method, key=key))
            assert refused.status == unknown.status == 404
            assert refused.body.replace(refused.headers["x-request-id"].encode(), b"") == unknown.body.replace(
                unknown.headers["x-request-id"].encode(), b""
            ).replace(b"resp_2", b"resp_1")
    assert (asyncio.run(get(acme, f"{RESPONSES}/resp_1"))).status == 200


def test_one_that_a_cache_gives_to_another_project_is_kept_for_both(committed_world: World) -> None:
    acme = make_acme(committed_world, UpstreamKind.OPENAI_COMPATIBLE)
    keep_answers(acme)
    make_policy(acme)
    path = "/v1/chat/completions"
    body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "store": True}
    with org_scope(acme.org_id):
        project = create_project(actor=acme.owner, name="search")
        other = create_key(actor=acme.owner, name="other", project=project).secret
    make_known(acme)

    async def ask_both() -> list[Any]:
        async with running() as app:
            return [await serve(app, converse(key, body)) for key in (acme.api_key, other)]

    with scripted(lambda _: whole(chat_answer("Hello", USAGE) | {"id": "c0"})) as upstream:
        send_to(acme, upstream.base_url)
        told = asyncio.run(ask_both())
    assert [one.headers["x-costhub-cache"] for one in told] == ["miss", "hit-l1"]
    shown = [asyncio.run(get(acme, f"{path}/c0", key=key)) for key in (acme.api_key, other)]
    assert [(one.status, json.loads(one.body)["id"]) for one in shown] == [(200, "c0")] * 2
    assert asyncio.run(get(acme, f"{path}/c0", method="DELETE", key=other)).status == 200
    left = [asyncio.run(get(acme, f"{path}/c0", key=key)).status for key in (acme.api_key, other)]
    assert left == [200, 404]


async def serve_all(acme: Tenant, *bodies: Json) -> None:
    """Have chats answered."""
    async with running() as app:
        for body in bodies:
            await serve(app, converse(acme.api_key, body))


def test_a_chat_is_kept_changed_listed_and_forgotten(committed_world: World) -> None:
    acme = make_acme(committed_world, UpstreamKind.OPENAI_COMPATIBLE)
    keep_answers(acme)
    path = "/v1/chat/completions"
    bodies = [
        {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "store": True, "metadata": {"run": run}}
        for run in ("7", "8")
    ]
    with scripted(lambda body: stream(*CHAT_TALE[2:4], chunk({}, "stop"), DONE) if body.get("stream") else whole(chat_answer("Hello", USAGE) | {"id": "c0"})) as upstream:  # fmt: skip
        send_to(acme, upstream.base_url)
        asyncio.run(serve_all(acme, bodies[0], bodies[1] | {"stream": True}))
    listed = json.loads((asyncio.run(get(acme, path))).body)
    assert [(one["id"], one["metadata"]["run"]) for one in listed["data"]] == [("c0", "7"), ("c1", "8")]
    assert listed["data"][1]["choices"][0]["message"]["content"] == "Hello"
    some = json.loads((asyncio.run(get(acme, path, query=b"metadata[run]=8&limit=1"))).body)
    assert ([one["id"] for one in some["data"]], some["has_more"]) == (["c1"], False)
    changed = asyncio.run(get(acme, f"{path}/c0", method="POST", body={"metadata": {"run": "9"}}))
    assert json.loads(changed.body)["metadata"] == {"run": "9"}
    messages = json.loads((asyncio.run(get(acme, f"{path}/c0/messages"))).body)
    assert messages["data"] == [{"id": "c0-0", "role": "user", "content": "Hi"}]
    gone = asyncio.run(get(acme, f"{path}/c0", method="DELETE"))
    assert json.loads(gone.body) == {"object": "chat.completion.deleted", "id": "c0", "deleted": True}
    assert (asyncio.run(get(acme, f"{path}/c0"))).status == 404
    for query in (b"limit=0", b"limit=x", b"order=up", b"limit=00000000111", b"limit=1" + b"0" * 5_000):
        assert (asyncio.run(get(acme, path, query=query))).status == 400
    for query in (b"after=%00", b"model=%00", b"metadata[run]=%00", b"metadata[%00]=8"):
        assert (asyncio.run(get(acme, path, query=query))).status == 400
    for method in ("GET", "DELETE"):
        assert (asyncio.run(get(acme, f"{path}/c\0", method=method))).status == 404


# Bad input


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": ["Hi"]}, "input[0]"),
        ({"input": [{"type": []}]}, "input[0].type"),
        ({"input": [{"role": ["user"], "content": "Hi"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": 7}]}]}, "input[0].content[0].type"),
        ({"input": [{"type": "function_call", "name": "a"}]}, "input[0].arguments"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"instructions": 7}, "instructions"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"tools": "all"}, "tools"),
        ({"tools": [{"name": "a"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": 7}, "tool_choice"),
        ({"text": {"format": {"type": ["text"]}}}, "text.format.type"),
        ({"reasoning": {"effort": 7}}, "reasoning.effort"),
        ({"previous_response_id": 7}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"stream": 1}, "stream"),
        ({"metadata": []}, "metadata"),
        ({"user": "\n"}, "user"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "messages"),
        ({"n": 2}, "n"),
        ({"max_tokens": 2}, "max_tokens"),
        ({"maxOutputTokens": 2}, "maxOutputTokens"),
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
    ],
)
async def test_a_field_that_is_wrong_is_named(chatting: Tenant, body: Json, param: str) -> None:
    (got,), (row,), sent = await ask(chatting, lambda _: whole(chat_answer("Hi", USAGE)), ask_response(**body))
    told = json.loads(got.body)["error"]
    assert (told["param"], sent) == (param, [])
    assert (got.status, row["effective_cost"]) == (402 if param in {"conversation", "prompt"} else 400, 0)
