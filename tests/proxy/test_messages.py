"""Anthropic's Messages: from its callers to upstreams that speak it, and to those that speak OpenAI's chat."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

import pytest

from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tenants.choices import RouteKind, Tokenizer, UpstreamKind
from tenants.upstream_headers import credential_headers
from tests.proxy.cache.calls import make_policy
from tests.proxy.in_process import converse, events_of, make_known, running, send_to, serve
from tests.proxy.raw_http import make_request
from tests.proxy.scripted_upstream import DONE, USAGE, Script, chunk, scripted, stream, whole
from tests.proxy.scripted_upstream import answer as chat_answer
from tests.serve import server
from tests.tenants.route_examples import make_route
from tests.world import Catalog, Tenant, World, make_budget, make_catalog

Json = dict[str, Any]

MESSAGES: Final = "/v1/messages"
#: the catalog's prices in nano-USD a token
INPUT, OUTPUT = 150, 600
HELLO_COSTS = 9 * INPUT + 2 * OUTPUT

SPENT: Final = {"input_tokens": 9, "output_tokens": 2}
MESSAGE: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "small",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": SPENT,
}
STARTED: Final = {
    "type": "message_start",
    "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 9, "output_tokens": 1}},
}
OPENED: Final = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
HEL: Final = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}}
LO: Final = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}}
CLOSED: Final = {"type": "content_block_stop", "index": 0}
REASON: Final = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
STOPPED: Final = {"type": "message_stop"}
PING: Final = {"type": "ping"}
OVERLOADED: Final = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
TALE: Final[tuple[Json, ...]] = (STARTED, PING, OPENED, HEL, LO, CLOSED, REASON, STOPPED)


def typed(event: Json) -> bytes:
    """An event as Anthropic writes it."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())


def tell(*events: Json) -> list[bytes]:
    """A stream of events."""
    return stream(*(typed(event) for event in events))


def ask_message(**fields: Any) -> Json:
    """A body of one short message; ``fields`` go over it."""
    return {"model": "small", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi there"}], **fields}


def read(body: bytes) -> list[Json]:
    """The events of a stream."""
    return [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]


def make_acme(world: World, kind: UpstreamKind) -> tuple[Tenant, Catalog]:
    acme = world.acme
    catalog = make_catalog(acme, base_url="http://127.0.0.1:9/v1", kind=kind, tokenizer=Tokenizer.O200K)
    make_known(acme)
    return acme, catalog


@pytest.fixture
def claude(committed_world: World) -> Tenant:
    """Acme, whose upstream speaks Messages."""
    return make_acme(committed_world, UpstreamKind.ANTHROPIC)[0]


@pytest.fixture
def chatting(committed_world: World) -> Tenant:
    """Acme, whose upstream speaks OpenAI's chat."""
    return make_acme(committed_world, UpstreamKind.OPENAI_COMPATIBLE)[0]


async def ask(
    acme: Tenant, script: Script, *bodies: Json, path: str = MESSAGES
) -> tuple[list[Any], list[Json], list[Json]]:
    """The answers to some bodies, their ledger events, and what the upstream got."""
    with scripted(script) as upstream:
        send_to(acme, upstream.base_url)
        async with running() as app:
            answers = [await serve(app, converse(acme.api_key, body, path=path)) for body in bodies]
        return answers, events_of(acme), upstream.bodies


# Where both sides speak it


async def test_a_message_passes_untouched(claude: Tenant) -> None:
    raw = json.dumps({**MESSAGE, "of_tomorrow": [1.50]}).encode()
    asked = ask_message(system="Be brief", thinking={"type": "adaptive"}, of_tomorrow=True)
    (got,), (row,), (sent,) = await ask(claude, lambda _: whole(raw), asked)
    assert (got.status, got.body) == (200, raw)
    assert sent == asked
    assert (row["endpoint"], row["effective_cost"], row["is_estimated"]) == ("messages", HELLO_COSTS, False)
    assert (row["finish_reason"], row["response_model"]) == ("stop", "small")
    assert got.headers["request-id"] == got.headers["x-request-id"] == row["id"]
    assert got.headers["x-costhub-cost"] == "0.000002550"


async def test_a_stream_passes_untouched_but_for_its_cost(claude: Tenant) -> None:
    (got,), (row,), _ = await ask(claude, lambda _: tell(*TALE), ask_message(stream=True))
    before = b"".join(map(typed, TALE[:-1]))
    assert got.body.startswith(before + b": x-costhub-cost: 0.000002550\n")
    assert read(got.body)[-1] == {
        "type": "message_stop",
        "costhub": {"cost": "0.000002550", "list_cost": "0.000002550", "savings": "0.000000000"},
    }
    assert (row["effective_cost"], row["is_estimated"], row["output_tokens"]) == (HELLO_COSTS, False, 2)


async def test_caches_are_billed_by_how_long_they_keep(claude: Tenant) -> None:
    spent = {
        "input_tokens": 3,
        "cache_read_input_tokens": 40,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 2,
        "service_tier": "standard",
        "server_tool_use": None,
    }
    (_, _), rows, _ = await ask(
        claude,
        lambda body: (
            tell({**STARTED, "message": {**MESSAGE, "content": [], "usage": spent}}, *TALE[1:])
            if body.get("stream")
            else whole({**MESSAGE, "usage": spent})
        ),
        ask_message(),
        ask_message(stream=True),
    )
    for row in rows:
        assert (row["input_tokens"], row["cache_read_input_tokens"], row["cache_write_input_tokens"]) == (73, 40, 30)
        assert row["usage"] == {"cache_write_1h": 20}
        assert (row["is_estimated"], row["service_tier"]) == (False, "")


async def test_overloaded_before_the_first_event_is_a_status_and_free(claude: Tenant) -> None:
    (early, late), rows, _ = await ask(
        claude,
        lambda body: whole(OVERLOADED, 529) if body["max_tokens"] == 50 else tell(OVERLOADED),
        ask_message(),
        ask_message(stream=True, max_tokens=51),
    )
    assert [early.status, late.status] == [529, 503]
    for got, row in zip((early, late), rows, strict=True):
        told = json.loads(got.body)
        assert (told["type"], told["error"]["type"]) == ("error", "overloaded_error")
        assert told["error"]["message"].endswith("Overloaded")
        assert told["request_id"] == row["id"]
        assert row["effective_cost"] == 0


async def test_overloaded_after_the_first_byte_ends_the_stream_and_what_came_is_charged(claude: Tenant) -> None:
    (got,), (row,), _ = await ask(claude, lambda _: tell(*TALE[:4], OVERLOADED), ask_message(stream=True))
    assert [event["type"] for event in read(got.body)] == [
        *("message_start", "ping", "content_block_start", "content_block_delta", "error")
    ]
    assert b"event: error\n" in got.body
    assert read(got.body)[-1]["error"]["type"] == "overloaded_error"
    assert (row["input_tokens"], row["output_tokens"], row["is_estimated"]) == (9, 1, True)
    assert row["effective_cost"] == 9 * INPUT + OUTPUT


@pytest.mark.parametrize("cut", range(1, len(TALE)))
async def test_a_stream_that_is_cut_ends_with_an_error_and_is_charged_for_what_came(claude: Tenant, cut: int) -> None:
    (got,), (row,), _ = await ask(claude, lambda _: tell(*TALE[:cut]), ask_message(stream=True))
    if cut < 7:
        assert read(got.body)[-1]["type"] == "error"
        assert (row["error_code"], row["is_estimated"]) == ("upstream_broke_off", True)
        # "Hel" is one token, and so is "Hello".
        assert row["effective_cost"] == 9 * INPUT + max(0, min(cut - 3, 1)) * OUTPUT
    else:
        # It has said why it ended and what it used: all but its last word.
        assert (row["error_code"], row["effective_cost"], row["is_estimated"]) == ("", HELLO_COSTS, False)


def test_a_hard_budget_shortens_answers_and_thoughts(claude: Tenant) -> None:
    make_budget(claude, "0.002")
    make_known(claude)
    asked = ask_message(max_tokens=9_000, thinking={"type": "enabled", "budget_tokens": 4_000})
    _, (row,), (sent,) = asyncio.run(ask(claude, lambda _: whole(MESSAGE), asked))
    assert 1_024 < sent["max_tokens"] < 4_000
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": sent["max_tokens"] * 3 // 4}
    assert row["held"] <= 2_000_000


# From Messages to a chat and back


async def test_a_message_becomes_a_chat_and_its_answer_a_message(chatting: Tenant) -> None:
    tool = {"name": "find", "description": "Finds", "input_schema": {"type": "object"}}
    asked = ask_message(
        system=[{"type": "text", "text": "Be brief", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "s"},
                    {"type": "text", "text": "Looking"},
                    {"type": "tool_use", "id": "t1", "name": "find", "input": {"what": "it"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "Found"}]},
                    {"type": "text", "text": "And?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ],
            },
        ],
        tools=[tool],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        stop_sequences=["END"],
        metadata={"user_id": "ada"},
    )
    (got,), (row,), (sent,) = await ask(chatting, lambda _: whole(chat_answer("Hello", USAGE)), asked)
    assert sent == {
        "model": "small",
        "max_tokens": 50,
        "stream": False,
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief"}]},
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": "Looking",
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"what":"it"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "Found"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "And?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            },
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "find", "parameters": {"type": "object"}, "description": "Finds"},
            }
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "stop": ["END"],
        "user": "ada",
    }
    assert got.headers["x-costhub-dropped"] == "cache_control, thinking"
    told = json.loads(got.body)
    assert told == {
        "id": f"msg_{row['id'].replace('-', '')}",
        "type": "message",
        "role": "assistant",
        "model": "small",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 9,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 2,
        },
    }
    assert (row["effective_cost"], row["end_user"]) == (HELLO_COSTS, "ada")


async def test_how_much_was_thought_is_told_in_its_own_word(chatting: Tenant) -> None:
    spent = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 1}}
    asked = ask_message(), ask_message(stream=True)
    (whole_, streamed), _, _ = await ask(
        chatting,
        lambda body: (
            stream(chunk({"role": "assistant", "content": "Hello"}, "stop"), chunk(usage=spent), DONE)
            if body.get("stream")
            else whole(chat_answer("Hello", spent))
        ),
        *asked,
    )
    for usage in (json.loads(whole_.body)["usage"], read(streamed.body)[-2]["usage"]):
        assert (usage["output_tokens"], usage["output_tokens_details"]) == (2, {"thinking_tokens": 1})


def calling(number: int, **function: str) -> Json:
    return {"tool_calls": [{"index": number, "id": f"t{number}", "type": "function", "function": function}]}


CHAT_TALE: Final[Sequence[Any]] = (
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "Hm"}),
    chunk({"content": "Hel"}),
    chunk({"content": "lo"}),
    chunk(calling(0, name="find", arguments="")),
    chunk(calling(0, arguments='{"a":1}')),
    chunk(calling(1, name="keep", arguments="{}")),
    chunk({}, "tool_calls"),
    chunk(usage=USAGE),
    DONE,
)


async def test_a_chat_that_is_streamed_becomes_typed_events(chatting: Tenant) -> None:
    (got,), (row,), (sent,) = await ask(chatting, lambda _: stream(*CHAT_TALE), ask_message(stream=True))
    assert sent["stream_options"] == {"include_usage": True}
    told = read(got.body)
    assert [(event["type"], event.get("index")) for event in told] == [
        ("message_start", None),
        *(("content_block_start", 0), ("content_block_delta", 0), ("content_block_stop", 0)),
        *(("content_block_start", 1), ("content_block_delta", 1), ("content_block_delta", 1)),
        *(("content_block_stop", 1), ("content_block_start", 2), ("content_block_delta", 2)),
        *(("content_block_stop", 2), ("content_block_start", 3), ("content_block_delta", 3)),
        ("content_block_stop", 3),
        *(("message_delta", None), ("message_stop", None)),
    ]
    blocks = [event["content_block"]["type"] for event in told if event["type"] == "content_block_start"]
    assert blocks == ["thinking", "text", "tool_use", "tool_use"]
    assert told[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert (told[-2]["usage"]["input_tokens"], told[-2]["usage"]["output_tokens"]) == (9, 2)
    assert told[-2]["costhub"]["cost"] == "0.000002550"
    names = [line[7:] for line in got.body.split(b"\n") if line.startswith(b"event: ")]
    assert [name.decode() for name in names] == [event["type"] for event in told]
    assert row["effective_cost"] == HELLO_COSTS


@pytest.mark.parametrize(("said", "meant"), [("stop", "tool_use"), ("length", "max_tokens"), (None, "tool_use")])
async def test_a_message_that_calls_a_tool_says_so_whatever_its_server_says(
    chatting: Tenant, said: str | None, meant: str
) -> None:
    """vLLM and others say that they stopped as usual where they were told which one to call."""
    call = {"id": "t0", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    answer = chat_answer("", USAGE, tool_calls=[call])
    answer["choices"][0]["finish_reason"] = said

    def script(body: Json) -> list[bytes]:
        if not body.get("stream"):
            return whole(answer)
        return stream(
            chunk(calling(0, name="find", arguments="{}")), chunk({}, said or "eos"), chunk(usage=USAGE), DONE
        )

    (first, second), _, _ = await ask(chatting, script, ask_message(), ask_message(stream=True))
    assert json.loads(first.body)["stop_reason"] == meant
    assert read(second.body)[-2]["delta"]["stop_reason"] == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"stop_reason": "END"}, ("stop_sequence", "END")),
        ({"matched_stop": "END"}, ("stop_sequence", "END")),
        ({"stop_reason": "</s>"}, ("end_turn", None)),
        ({"matched_stop": 151_645}, ("end_turn", None)),
        ({"stop_reason": "END", "finish_reason": "length"}, ("max_tokens", None)),
    ],
)
async def test_a_message_says_at_which_of_its_callers_words_it_ended(
    chatting: Tenant, said: Json, meant: tuple[str, str | None]
) -> None:
    """As vLLM and SGLang tell; others do not."""
    answer = chat_answer("Hello", USAGE)
    answer["choices"][0] |= said
    last = chunk({}, "stop")
    last["choices"][0] |= said

    def script(body: Json) -> list[bytes]:
        assert body["stop"] == ["END", "STOP"]
        return stream(chunk({"content": "Hello"}), last, chunk(usage=USAGE), DONE) if body["stream"] else whole(answer)

    asked = ask_message(stop_sequences=["END", "STOP"])
    (first, second), _, _ = await ask(chatting, script, asked, asked | {"stream": True})
    for told in (json.loads(first.body), read(second.body)[-2]["delta"]):
        assert (told["stop_reason"], told["stop_sequence"]) == meant


@pytest.mark.parametrize("number", [{"index": 0}, {}], ids=["all alike", "none"])
async def test_calls_that_are_numbered_badly_are_told_apart_by_their_ids(chatting: Tenant, number: Json) -> None:
    """The last piece has an id of its own and no name, as older servers write it: it goes on."""
    calls = [
        {**number, "id": "t0", "function": {"name": "find", "arguments": '{"a":1}'}},
        {**number, "id": "t1", "function": {"name": "find", "arguments": '{"a"'}},
        {**number, "id": "t1", "function": {"arguments": ":"}},
        {**number, "id": "made-up", "function": {"arguments": "2}"}},
    ]
    pieces = [chunk({"tool_calls": [call]}) for call in calls]
    (got,), _, _ = await ask(
        chatting, lambda _: stream(*pieces, chunk({}, "tool_calls"), chunk(usage=USAGE), DONE), ask_message(stream=True)
    )
    given: dict[str, str] = {}
    for event in read(got.body):
        if event["type"] == "content_block_start":
            name = event["content_block"]["id"]
        elif event["type"] == "content_block_delta":
            given[name] = given.get(name, "") + event["delta"]["partial_json"]
    assert given == {"t0": '{"a":1}', "t1": '{"a":2}'}


@pytest.mark.parametrize("cut", range(1, 8))
async def test_a_chat_that_is_cut_becomes_a_message_that_fails(chatting: Tenant, cut: int) -> None:
    (got,), (row,), _ = await ask(chatting, lambda _: stream(*CHAT_TALE[:cut]), ask_message(stream=True))
    told = read(got.body)
    assert told[0]["type"] == "message_start"
    assert told[-1]["type"] == "error"
    assert told[-1]["error"]["code"] == "upstream_broke_off"
    assert (row["error_code"], row["is_estimated"]) == ("upstream_broke_off", True)


def document(**fields: Any) -> Json:
    """A message that is a document."""
    block = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Dear"}, **fields}
    return {"messages": [{"role": "user", "content": [block]}]}


async def test_a_tool_that_has_failed_says_so_and_hints_are_named(chatting: Tenant) -> None:
    used: list[Json] = [{"type": "tool_use", "id": name, "name": "find", "input": {}} for name in ("t1", "t2", "t3")]
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": "no such file"},
        {"type": "tool_result", "tool_use_id": "t2", "is_error": True},
        {"type": "tool_result", "tool_use_id": "t3", "is_error": False, "content": "found"},
    ]
    asked = ask_message(
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": used},
            {"role": "user", "content": results},
        ],
        tools=[{"name": "find", "input_schema": {}, "input_examples": [{"a": 1}]}],
        thinking={"type": "adaptive"},
    )
    (got,), _, (sent,) = await ask(chatting, lambda _: whole(chat_answer("Hello", USAGE)), asked)
    assert [one["content"] for one in sent["messages"][2:]] == ["Error: no such file", "Error: ", "found"]
    assert got.headers["x-costhub-dropped"] == "input_examples, thinking"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0]"),
        ({"context_management": {"edits": []}}, "context_management"),
        (document(citations={"enabled": True}), "messages[0].content[0].citations"),
        (document(context="A letter."), "messages[0].content[0].context"),
        ({"tools": [{"name": "find", "input_schema": {}, "defer_loading": True}]}, "tools[0].defer_loading"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}
                ]
            },
            "messages[0].content[0]",
        ),
    ],
)
def test_what_a_chat_cannot_say_is_refused_unless_the_tenant_has_it_left_out(
    committed_world: World, fields: Json, param: str
) -> None:
    acme, catalog = make_acme(committed_world, UpstreamKind.OPENAI_COMPATIBLE)
    script, asked = lambda _: whole(chat_answer("Hi", USAGE)), ask_message(**fields)
    (refused,), (row,), sent = asyncio.run(ask(acme, script, asked))
    told = json.loads(refused.body)
    assert (refused.status, told["error"]["type"]) == (400, "invalid_request_error")
    assert (told["error"]["param"], told["error"]["code"]) == (param, "unsupported_field")
    assert (sent, row["effective_cost"], row["status"]) == ([], 0, 400)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, habits={"drop_unknown": True})
    make_known(acme)
    (taken,), _, _ = asyncio.run(ask(acme, script, asked))
    assert (taken.status, taken.headers["x-costhub-dropped"]) == (200, param)


def test_names_of_fields_that_no_header_can_hold_fail_no_call(committed_world: World) -> None:
    """Once the upstream has answered it is paid. An answer that is kept for its Idempotency-Key goes by ASGI's way,
    which takes no such header."""
    acme, catalog = make_acme(committed_world, UpstreamKind.OPENAI_COMPATIBLE)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, habits={"drop_unknown": True})
    make_known(acme)
    tool = {"name": "find", "input_schema": {"type": "object"}, "odd\r\nset-cookie: a=b\x1b\u00e9": 1}
    body = json.dumps(ask_message(tools=[tool])).encode()
    sent = [("x-api-key", acme.api_key), ("content-type", "application/json"), ("idempotency-key", "once")]
    sent += [("content-length", str(len(body))), ("connection", "close")]

    async def call() -> bytes:
        with scripted(lambda _: whole(chat_answer("Hi", USAGE))) as upstream:
            send_to(acme, upstream.base_url)
            async with running() as app, server.serve(app) as ours:
                return await server.ask(ours.port, make_request("POST", MESSAGES, sent, body))

    answer = asyncio.run(call())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nx-costhub-dropped: tools[0].odd??set-cookie: a=b??\r\n" in answer
    (row,) = events_of(acme)
    assert row["status"] == 200


# From a chat to Messages and back


@pytest.mark.parametrize("given", [{}, {"id": None}, {"id": ""}, {"id": 0}])
async def test_a_call_without_an_id_gets_one_by_which_its_result_is_given(chatting: Tenant, given: Json) -> None:
    calls = [{**given, "type": "function", "function": {"name": "find", "arguments": "{}"}}] * 2
    pieces = [chunk({"tool_calls": [call | {"index": number}]}) for number, call in enumerate(calls)]

    def script(body: Json) -> list[bytes]:
        if not body.get("stream"):
            return whole(chat_answer("", USAGE, tool_calls=calls))
        return stream(*pieces, chunk({}, "tool_calls"), chunk(usage=USAGE), DONE)

    (first, second), rows, _ = await ask(chatting, script, ask_message(), ask_message(stream=True))
    marks = [row["id"].replace("-", "") for row in rows]
    used = json.loads(first.body)["content"]
    begun = [event["content_block"] for event in read(second.body) if event["type"] == "content_block_start"]
    for mark, blocks in zip(marks, (used, begun), strict=True):
        assert [block["id"] for block in blocks] == [f"toolu_{mark}_0", f"toolu_{mark}_1"]
    result = {"type": "tool_result", "tool_use_id": used[0]["id"], "content": "Found"}
    turns = [{"role": "assistant", "content": used}, {"role": "user", "content": [result]}]
    (third,), _, (sent,) = await ask(
        chatting, lambda _: whole(chat_answer("Hello", USAGE)), ask_message(messages=turns)
    )
    assert (third.status, sent["messages"][1]["tool_call_id"]) == (200, f"toolu_{marks[0]}_0")


async def test_a_chat_goes_to_an_upstream_of_messages_and_back(claude: Tenant) -> None:
    used = {"type": "tool_use", "id": "t2", "name": "find", "input": {"a": 1}}
    said = {**MESSAGE, "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}, used]}
    said["stop_reason"] = "tool_use"
    asked = {
        "model": "small",
        "messages": [
            {"role": "developer", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"b":2}'}}],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "Found"},
            {"role": "user", "content": "And?"},
        ],
        "tools": [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "find"}},
        "stop": "END",
        "max_tokens": 50,
        "user": "ada",
        "n": 1,
        "seed": None,
        "prompt_cache_key": "k",
    }
    (got,), (row,), (sent,) = await ask(claude, lambda _: whole(said), asked, path="/v1/chat/completions")
    assert sent == {
        "model": "small",
        "system": "Be brief",
        "max_tokens": 50,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t1", "name": "find", "input": {"b": 2}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "Found"},
                    {"type": "text", "text": "And?"},
                ],
            },
        ],
        "tools": [{"name": "find", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "find"},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "ada"},
    }
    told = json.loads(got.body)
    message = told["choices"][0]["message"]
    assert (told["object"], told["choices"][0]["finish_reason"]) == ("chat.completion", "tool_calls")
    assert (message["content"], message["reasoning_content"]) == (None, "Hm")
    assert message["tool_calls"] == [
        {"id": "t2", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
    ]
    assert (told["usage"]["prompt_tokens"], told["usage"]["completion_tokens"]) == (9, 2)
    assert got.headers["x-costhub-dropped"] == "prompt_cache_key"
    assert (row["effective_cost"], row["is_estimated"], row["provider"]) == (HELLO_COSTS, False, "anthropic")


@pytest.mark.parametrize(
    ("data", "source"),
    [
        ("data:application/pdf;base64,JVBERi0=", {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}),
        ("JVBERi0=", {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}),
        ("data:text/markdown;base64,R3LDvMOfZQ==", {"type": "text", "media_type": "text/plain", "data": "Grüße"}),
    ],
)  # fmt: skip
async def test_a_chats_document_is_one_of_a_message(claude: Tenant, data: str, source: Json) -> None:
    part = {"type": "file", "file": {"filename": "letter", "file_data": data}}
    asked = {"model": "small", "messages": [{"role": "user", "content": [part], "name": "ada"}]}
    (got,), _, (sent,) = await ask(claude, lambda _: whole(MESSAGE), asked, path="/v1/chat/completions")
    assert sent["messages"] == [{"role": "user", "content": [{"type": "document", "source": source}]}]
    assert (got.status, got.headers["x-costhub-dropped"]) == (200, "messages[0].name")


async def test_words_that_are_none_are_no_document(claude: Tenant) -> None:
    part = {"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}
    asked = {"model": "small", "messages": [{"role": "user", "content": [part]}]}
    (got,), _, sent = await ask(claude, lambda _: whole(MESSAGE), asked, path="/v1/chat/completions")
    assert (got.status, json.loads(got.body)["error"]["param"], sent) == (400, "messages[0].content[0]", [])


async def test_a_stream_of_messages_becomes_chunks_of_a_chat(claude: Tenant) -> None:
    asked = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    (got, told), rows, sent = await ask(
        claude,
        lambda _: tell(*TALE),
        asked,
        asked | {"stream_options": {"include_usage": True}},
        path="/v1/chat/completions",
    )
    assert got.body.endswith(b"data: [DONE]\n\n")
    chunks = read(got.body)
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "Hello"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    closing = read(told.body)[-1]
    assert (closing["choices"], closing["usage"]["total_tokens"]) == ([], 11)
    assert closing["costhub"]["cost"] == "0.000002550"
    # Without a limit of its caller's the model's own: Anthropic has to be told one.
    assert [body["max_tokens"] for body in sent] == [16_384, 16_384]
    assert [row["effective_cost"] for row in rows] == [HELLO_COSTS] * 2


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"seed": 7}, "seed"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"system": "Be brief"}, "system"),
        (
            {
                "tools": [{"type": "function", "function": {"name": "find"}}],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}},
            },
            "tool_choice",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "messages[0].content[0]"),
    ],
)  # fmt: skip
async def test_what_messages_cannot_say_is_refused_by_name(claude: Tenant, fields: Json, param: str) -> None:
    asked = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], **fields}
    (got,), (row,), sent = await ask(claude, lambda _: whole(MESSAGE), asked, path="/v1/chat/completions")
    told = json.loads(got.body)["error"]
    assert (got.status, told["param"], told["code"]) == (400, param, "unsupported_field")
    assert (sent, row["effective_cost"]) == ([], 0)


@pytest.mark.parametrize(("path", "body"), [("/v1/embeddings", {"input": "a"}), ("/v1/completions", {"prompt": "a"})])
async def test_an_upstream_of_messages_has_neither_embeddings_nor_completions(
    claude: Tenant, path: str, body: Json
) -> None:
    (got,), _, sent = await ask(claude, lambda _: whole(MESSAGE), {"model": "small", **body}, path=path)
    assert (got.status, json.loads(got.body)["error"]["code"], sent) == (400, "unsupported_operation", [])


# Bad input


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": []}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages[0].content[0].tool_use_id"),
        ({"system": 7}, "system"),
        ({"system": [7]}, "system[0]"),
        ({"tools": {}}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [{"type": [], "name": "a"}]}, "tools[0].type"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": ["auto"]}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "deep"}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 3}}, "thinking.budget_tokens"),
        ({"metadata": "ada"}, "metadata"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"stream": "yes"}, "stream"),
        ({"output_config": []}, "output_config"),
        ({"maxTokens": 5}, "maxTokens"),
        # what a server of OpenAI's chat would take for a limit, or for more answers
        ({"n": 5}, "n"),
        ({"n_predict": 5}, "n_predict"),
        ({"MAX_COMPLETION_TOKENS": 5}, "MAX_COMPLETION_TOKENS"),
        ({"mcp_servers": [{}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
    ],
)
async def test_a_field_that_is_wrong_is_named(chatting: Tenant, body: Json, param: str) -> None:
    (got,), (row,), sent = await ask(chatting, lambda _: whole(chat_answer("Hi", USAGE)), ask_message(**body))
    told = json.loads(got.body)
    assert (told["type"], told["error"]["param"], sent) == ("error", param, [])
    assert (got.status, row["effective_cost"]) == (402 if param in {"mcp_servers", "container"} else 400, 0)


@pytest.mark.parametrize(
    ("key", "model", "status", "kind"),
    [("sk-wrong", "small", 401, "authentication_error"), ("", "large", 404, "not_found_error")],
)
async def test_our_own_errors_have_anthropics_shape(
    chatting: Tenant, key: str, model: str, status: int, kind: str
) -> None:
    async with running() as app:
        got = await serve(app, converse(key or chatting.api_key, ask_message(model=model), path=MESSAGES))
    assert (got.status, json.loads(got.body)["error"]["type"]) == (status, kind)


# Counted before, kept for others, told once


async def test_tokens_are_counted_by_the_upstream_where_it_speaks_messages(claude: Tenant) -> None:
    asked = {name: value for name, value in ask_message().items() if name != "max_tokens"}
    (got,), rows, (sent,) = await ask(
        claude, lambda _: whole({"input_tokens": 7}), asked, path="/v1/messages/count_tokens"
    )
    assert (got.status, json.loads(got.body), sent, rows) == (200, {"input_tokens": 7}, asked, [])
    (refused,), _, _ = await ask(claude, lambda _: whole(OVERLOADED, 529), asked, path="/v1/messages/count_tokens")
    assert (refused.status, json.loads(refused.body)["error"]["type"]) == (529, "overloaded_error")
    (broken,), _, _ = await ask(claude, lambda _: whole({"tokens": 7}), asked, path="/v1/messages/count_tokens")
    assert (broken.status, json.loads(broken.body)["error"]["code"]) == (502, "upstream_malformed")


async def test_tokens_are_counted_here_where_it_does_not(chatting: Tenant) -> None:
    asked = {name: value for name, value in ask_message().items() if name != "max_tokens"}
    (got,), rows, sent = await ask(chatting, lambda _: whole({}), asked, path="/v1/messages/count_tokens")
    assert (json.loads(got.body), sent, rows) == ({"input_tokens": 2 + 1 + 8 + 3}, [], [])


@pytest.mark.parametrize("kind", [UpstreamKind.ANTHROPIC, UpstreamKind.OPENAI_COMPATIBLE])
def test_tokens_are_counted_for_the_model_of_a_route(committed_world: World, kind: UpstreamKind) -> None:
    acme, _ = make_acme(committed_world, kind)
    make_route(acme, RouteKind.FIXED, ("small",))
    make_known(acme)
    asked = {name: value for name, value in ask_message(model="smart").items() if name != "max_tokens"}
    (got,), _, sent = asyncio.run(
        ask(acme, lambda _: whole({"input_tokens": 14}), asked, path="/v1/messages/count_tokens")
    )
    assert (got.status, json.loads(got.body)) == (200, {"input_tokens": 14})
    assert [body["model"] for body in sent] == ["small"] * (kind is UpstreamKind.ANTHROPIC)
    asked = {"model": "smart", "input": "Hi there"}
    (got,), _, _ = asyncio.run(ask(acme, lambda _: whole({}), asked, path="/v1/responses/input_tokens"))
    assert (got.status, json.loads(got.body)["input_tokens"]) == (200, 14)


# Features that a header names


BETAS: Final = "interleaved-thinking-2025-05-14, strange-2031-01-01,context-management-2025-06-27"


async def test_features_that_are_known_are_passed_on_and_others_are_named(claude: Tenant) -> None:
    with scripted(lambda _: whole({**MESSAGE, "input_tokens": 7})) as upstream:
        send_to(claude, upstream.base_url)
        async with running() as app:
            for path in (MESSAGES, "/v1/messages/count_tokens"):
                body = ask_message() if path == MESSAGES else {**ask_message(), "max_tokens": None}
                got = await serve(app, converse(claude.api_key, body, path=path, anthropic_beta=BETAS))
                assert got.status == 200, got.body
                assert got.headers.get("x-costhub-dropped") == ("strange-2031-01-01" if path == MESSAGES else None)
            await serve(app, converse(claude.api_key, ask_message(), path=MESSAGES))
    told = b"anthropic-beta: interleaved-thinking-2025-05-14,context-management-2025-06-27\r\n"
    assert [told in head for head in upstream.heads] == [True, True, False]
    assert b"anthropic-beta" not in upstream.heads[2]


async def test_an_upstream_of_chats_is_told_of_none_and_all_are_named(chatting: Tenant) -> None:
    with scripted(lambda _: whole(chat_answer("Hello", USAGE))) as upstream:
        send_to(chatting, upstream.base_url)
        async with running() as app:
            betas = "claude-code-20250219,compact-2026-01-12"
            got = await serve(app, converse(chatting.api_key, ask_message(), path=MESSAGES, anthropic_beta=betas))
    assert (got.status, got.headers["x-costhub-dropped"]) == (200, "claude-code-20250219, compact-2026-01-12")
    assert b"anthropic-beta" not in upstream.heads[0]


async def test_features_that_a_body_names_are_those_of_the_header(claude: Tenant) -> None:
    with scripted(lambda _: whole({**MESSAGE, "input_tokens": 7})) as upstream:
        send_to(claude, upstream.base_url)
        async with running() as app:
            for path in (MESSAGES, "/v1/messages/count_tokens"):
                body = {**ask_message(), "betas": ["strange-2031-01-01", "effort-2025-11-24"]}
                got = await serve(app, converse(claude.api_key, body, path=path, anthropic_beta=BETAS))
                assert got.status == 200, got.body
            unpriced = {**ask_message(), "betas": ["compact-2026-01-12"]}
            refused = await serve(app, converse(claude.api_key, unpriced, path=MESSAGES))
    told = b"anthropic-beta: effort-2025-11-24,interleaved-thinking-2025-05-14,context-management-2025-06-27\r\n"
    assert [told in head for head in upstream.heads] == [True, True]
    assert [body.get("betas") for body in upstream.bodies] == [None, None]
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (402, "feature_not_priced")


@pytest.mark.parametrize(
    ("betas", "status", "code"),
    [
        ("compact-2026-01-12", 402, "feature_not_priced"),
        ("fine-grained-tool-streaming-2025-05-14,context-1m-2025-08-07", 402, "feature_not_priced"),
        ("a b", 400, "invalid_request"),
        (",".join(f"feature-{number}" for number in range(65)), 400, "invalid_request"),
    ],
)
async def test_features_without_a_price_are_refused(claude: Tenant, betas: str, status: int, code: str) -> None:
    with scripted(lambda _: whole(MESSAGE)) as upstream:
        send_to(claude, upstream.base_url)
        async with running() as app:
            got = await serve(app, converse(claude.api_key, ask_message(), path=MESSAGES, anthropic_beta=betas))
    error = json.loads(got.body)["error"]
    assert (got.status, error["code"], error["param"], upstream.bodies) == (status, code, "anthropic-beta", [])


@pytest.mark.parametrize("path", [MESSAGES, "/v1/messages/count_tokens"])
async def test_an_idempotency_key_stands_for_the_features_too(claude: Tenant, path: str) -> None:
    with scripted(lambda _: whole({**MESSAGE, "input_tokens": 7})) as upstream:
        send_to(claude, upstream.base_url)
        async with running() as app:
            named = [BETAS, BETAS, "effort-2025-11-24"]
            got = [
                await serve(
                    app,
                    converse(claude.api_key, ask_message(), path=path, idempotency_key="k", anthropic_beta=betas),
                )
                for betas in named
            ]
    assert [one.status for one in got] == [200, 200, 409]
    assert len(upstream.bodies) == 1


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("kind", [UpstreamKind.ANTHROPIC, UpstreamKind.OPENAI_COMPATIBLE])
def test_an_equal_message_is_answered_from_the_cache(
    committed_world: World, kind: UpstreamKind, *, is_stream: bool
) -> None:
    acme, _ = make_acme(committed_world, kind)
    make_policy(acme)
    make_known(acme)

    def script(body: Json) -> list[bytes]:
        if kind is UpstreamKind.ANTHROPIC:
            return tell(*TALE) if body.get("stream") else whole(MESSAGE)
        told = (chunk({"role": "assistant", "content": "Hello"}), chunk({}, "stop"), chunk(usage=USAGE), DONE)
        return stream(*told) if body.get("stream") else whole(chat_answer("Hello", USAGE))

    asked = ask_message(stream=is_stream)
    (first, second), rows, sent = asyncio.run(ask(acme, script, asked, asked))
    assert (len(sent), second.headers["x-costhub-cache"]) == (1, "hit-l1")
    costs = {row["id"]: row["effective_cost"] for row in rows}
    assert [costs[one.headers["x-request-id"]] for one in (first, second)] == [HELLO_COSTS, 0]
    if is_stream:
        told, again = read(first.body), read(second.body)
        assert [event["type"] for event in again] == [event["type"] for event in told]
        assert "".join(event.get("delta", {}).get("text", "") for event in again) == "Hello"
        assert again[-2]["usage"]["output_tokens"] == 2
        assert b"x-costhub-cost: 0.000000000\n" in second.body
    else:
        assert json.loads(second.body)["content"] == json.loads(first.body)["content"]
        assert json.loads(second.body)["usage"] == json.loads(first.body)["usage"]


async def test_the_same_idempotency_key_gets_the_same_message(chatting: Tenant) -> None:
    with scripted(lambda _: whole(chat_answer("Hello", USAGE))) as upstream:
        send_to(chatting, upstream.base_url)
        async with running() as app:
            first, second = [
                await serve(app, converse(chatting.api_key, ask_message(), path=MESSAGES, idempotency_key="k"))
                for _ in range(2)
            ]
        assert len(upstream.bodies) == 1
    assert second.body == first.body
    assert second.headers["x-costhub-replayed"] == "true"


def test_the_credential_goes_out_as_anthropic_wants_it() -> None:
    headers = credential_headers("anthropic", "sk-ant-0123456789")
    assert headers == {"x-api-key": "sk-ant-0123456789", "anthropic-version": "2023-06-01"}
    assert credential_headers("anthropic", None) == {"anthropic-version": "2023-06-01"}
    assert credential_headers("openai", "sk-0123456789") == {"authorization": "Bearer sk-0123456789"}
