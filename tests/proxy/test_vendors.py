"""Calls to upstreams that answer as vendors really do: what callers get, what is charged, and what it is called."""

import asyncio
import json
from collections.abc import Callable
from threading import Barrier
from typing import Any

import pytest

from costhub.lib.money import format_usd
from tenants.choices import Tokenizer
from tests.patience import PATIENCE_SECONDS
from tests.proxy.in_process import chat, converse, events_of, make_known, running, send_to, serve
from tests.proxy.scripted_upstream import DONE, USAGE, Script, answer, chunk, scripted, stream, whole
from tests.world import Tenant, World, make_budget, make_catalog

Json = dict[str, Any]

#: the catalog's prices in nano-USD a token
INPUT, OUTPUT = 150, 600
HEL, LO = chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"}, "stop")
REPORT = chunk(usage=USAGE)
HELLO_COSTS = 9 * INPUT + 2 * OUTPUT


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    acme = committed_world.acme
    make_catalog(acme, base_url="http://127.0.0.1:9/v1", tokenizer=Tokenizer.O200K)
    make_known(acme)
    return acme


@pytest.fixture
def held(committed_world: World) -> Tenant:
    """The same with a hard budget, which makes us write a limit into every request."""
    acme = committed_world.acme
    make_catalog(acme, base_url="http://127.0.0.1:9/v1", tokenizer=Tokenizer.O200K)
    make_budget(acme, "1")
    make_known(acme)
    return acme


async def ask(acme: Tenant, script: Script, *bodies: Json) -> tuple[list[Any], list[Json], list[Json]]:
    """The answers to some bodies, their ledger events, and what the upstream got."""
    with scripted(script) as upstream:
        send_to(acme, upstream.base_url)
        async with running() as app:
            answers = [await serve(app, converse(acme.api_key, body)) for body in bodies]
        return answers, events_of(acme), upstream.bodies


def ends_with_done(body: bytes) -> bool:
    return body.endswith(b"\ndata: [DONE]\n\n")


@pytest.mark.parametrize(
    "events",
    [
        [HEL, b"data:\n\n", LO, REPORT, DONE],
        [HEL, b"event: ping\ndata: \n\n", LO, REPORT, DONE],
        [b"\xef\xbb\xbf", HEL, LO, REPORT, DONE],
        [HEL, LO, REPORT, b"data: [DONE] \n\n"],
        [HEL, LO, REPORT, b"data: [DONE]"],
        [HEL, LO, b"data: " + json.dumps(REPORT).encode()],
        [HEL, b"data: {not json\n\n", LO, REPORT, DONE],
        [HEL, LO | {"logprobs": [float("-inf")]}, REPORT, DONE],
        [HEL, chunk({"content": "\ud83c"}), chunk({"content": "\udf89"}), LO, REPORT, DONE],
        [json.dumps(HEL).join(["data: ", "\r\n\r\n"]).encode(), LO, REPORT, b"data: [DONE]\r\n\r\n"],
    ],
    ids=["empty data", "ping", "byte order mark", "blank behind", "no blank line", "no end", "no json", "no number", "halves", "CRLF"],
)  # fmt: skip
async def test_what_only_the_books_cannot_read_breaks_no_stream(acme: Tenant, events: list[Any]) -> None:
    (got,), (row,), _ = await ask(acme, lambda _: stream(*events), chat(stream=True))
    kept = [event for event in stream(*events)[1:-1] if b"usage" not in event and b"[DONE]" not in event]
    expected = b"".join(part.split(b"\r\n", 1)[1][:-2] for part in kept)
    assert got.status == 200
    assert got.body.startswith(expected + b": x-costhub-cost: ")
    assert ends_with_done(got.body)
    assert (row["effective_cost"], row["is_estimated"], row["error_code"]) == (HELLO_COSTS, False, "")


async def test_half_an_event_at_the_end_is_no_event(acme: Tenant) -> None:
    events = [HEL, b'data: {"choices": [{"ind']
    (got,), (row,), _ = await ask(acme, lambda _: stream(*events), chat(stream=True))
    assert b'{"choices": [{"ind' not in got.body
    assert b'"code":"upstream_broke_off"' in got.body
    assert (row["error_code"], row["is_estimated"]) == ("upstream_broke_off", True)


async def test_the_cost_stands_in_the_usage_that_was_asked_for(acme: Tenant) -> None:
    body = chat(stream=True, stream_options={"include_usage": True})
    (got,), _, _ = await ask(acme, lambda _: stream(b"id: 1\n", HEL, LO, REPORT, DONE), body)
    events = [json.loads(line[6:]) for line in got.body.split(b"\n") if line.startswith(b"data: {")]
    assert events[-1]["usage"] == USAGE
    assert events[-1]["costhub"]["cost"] == format_usd(HELLO_COSTS)
    blocks = got.body.split(b"\n\n")
    assert not any(block and all(line.startswith(b":") for line in block.split(b"\n")) for block in blocks)


def refusal(code: Any, words: str) -> Json:
    return {"error": {"message": words, "type": "invalid_request", "code": code}}


REFUSALS: list[tuple[str, Callable[[], list[bytes]], int]] = [
    ("first event", lambda: stream(refusal(400, "No such luck.")), 400),
    ("a JSON body", lambda: whole(refusal(400, "No such luck.")), 400),
    ("a status as a text", lambda: whole(refusal("422", "No such luck.")), 422),
    ("a word for a code", lambda: whole(refusal("context_length_exceeded", "No such luck.")), 400),
    ("a list", lambda: whole([refusal(404, "No such luck.")]), 404),
    ("at the top", lambda: whole({"object": "error", "message": "No such luck.", "code": 400}), 400),
    ("a real 400 of FastAPI", lambda: whole({"detail": "No such luck."}, 400), 400),
    ("a real 422 in plain text", lambda: whole(b"No such luck.", 422, "text/plain"), 422),
    ("nothing said of why", lambda: whole({"error": {"message": "No such luck."}}), 502),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "script", "status"), REFUSALS, ids=[shape for shape, _, _ in REFUSALS])
async def test_refusals_keep_their_words_and_status_and_cost_nothing(
    acme: Tenant, shape: str, script: Callable[[], list[bytes]], status: int
) -> None:
    answers, rows, _ = await ask(acme, lambda _: script(), chat(stream=True), chat())
    assert [got.status for got in answers] == [status, status]
    assert all("No such luck." in json.loads(got.body)["error"]["message"] for got in answers)
    assert [(row["effective_cost"], row["is_estimated"]) for row in rows] == [(0, False)] * 2


async def test_a_refusal_after_tokens_ends_the_stream_and_is_charged_for_them(acme: Tenant) -> None:
    (got,), (row,), _ = await ask(acme, lambda _: stream(HEL, refusal(503, "No more.")), chat(stream=True))
    assert b'"Hel"' in got.body
    assert b"No more." in got.body
    assert row["effective_cost"] > 0
    assert (row["output_tokens"], row["is_estimated"]) == (1, True)


@pytest.mark.parametrize(
    ("header", "told", "tries"),
    [("retry-after: 7", "7", 1), ("retry-after: 5.5", "6", 1), ("retry-after-ms: 9000", "9", 1)],
)
async def test_upstreams_are_given_the_peace_that_they_ask_for(
    acme: Tenant, header: str, told: str, tries: int
) -> None:
    script = whole(refusal(429, "Slow down."), 429, "application/json", header)
    (got,), _, bodies = await ask(acme, lambda _: script, chat())
    assert (got.status, got.headers["retry-after"], len(bodies)) == (429, told, tries)


@pytest.mark.parametrize(
    ("usage", "tokens", "is_estimated", "doubts"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 0, "total_tokens": 80, "completion_tokens_details": {"reasoning_tokens": 60}}, (20, 60), False, []),
        ({"prompt_tokens": 14, "total_tokens": 514}, (14, 500), False, []),
        ({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "cached_tokens": 64}, (100, 5), False, []),
        ({"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}, (20, 603), True, ["total_disagrees"]),
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}, (9, 1), True, ["no_output"]),
        ({"completion_tokens": 5}, (14, 5), True, ["no_input"]),
        ({"prompt_tokens": 9, "completion_tokens": 5, "citation_tokens": 3}, (9, 5), True, ["unknown_class"]),
    ],
)  # fmt: skip
async def test_usage_is_exact_only_where_it_is_explained(
    acme: Tenant, usage: Json, tokens: tuple[int, int], is_estimated: bool, doubts: list[str]
) -> None:
    def script(body: Json) -> list[bytes]:
        return stream(HEL, LO, chunk(usage=usage), DONE) if body["stream"] else whole(answer("Hello", usage))

    _, rows, _ = await ask(acme, script, chat(), chat(stream=True))
    for row in rows:
        assert (row["input_tokens"], row["output_tokens"], row["is_estimated"]) == (*tokens, is_estimated)
        (attempt,) = row["attempts"]
        assert attempt.get("doubts", []) == doubts


async def test_servers_that_stream_by_default_and_such_that_never_do(acme: Tenant) -> None:
    def script(body: Json) -> list[bytes]:
        return whole(answer("Hello", USAGE)) if body.get("stream") is False else stream(HEL, LO, REPORT, DONE)

    (got,), (row,), _ = await ask(acme, script, chat())
    assert (got.status, row["effective_cost"], row["is_estimated"]) == (200, HELLO_COSTS, False)
    # one that does not stream when asked to: its answer becomes the one event of a stream
    (got,), (_, row), _ = await ask(acme, lambda _: whole(answer("Hello", USAGE)), chat(stream=True))
    assert b'"delta": {"role": "assistant", "content": "Hello"}' in got.body
    assert ends_with_done(got.body)
    assert (got.status, row["effective_cost"], row["is_estimated"]) == (200, HELLO_COSTS, False)
    # one that streams whatever it is told: no answer for this caller, and paid for
    (got,), (*_, row), _ = await ask(acme, lambda _: stream(HEL, LO, REPORT, DONE), chat())
    assert (got.status, row["effective_cost"], row["error_code"]) == (502, HELLO_COSTS, "upstream_malformed")


async def test_a_refused_habit_is_learned_from_once(acme: Tenant) -> None:
    def script(body: Json) -> list[bytes]:
        if "stream_options" in body:
            return whole(
                {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}, 422
            )
        return stream(HEL, LO, DONE)

    answers, rows, bodies = await ask(acme, script, chat(stream=True), chat(stream=True))
    assert [got.status for got in answers] == [200, 200]
    assert [len(row["attempts"]) for row in rows] == [2, 1]
    assert ["stream_options" in body for body in bodies] == [True, False, False]
    asked = chat(stream=True, stream_options={"include_usage": True})
    (got,), _, _ = await ask(acme, script, asked)
    assert got.status == 422, "what the caller asks for is the caller's"


async def test_calls_that_are_refused_together_learn_together(acme: Tenant) -> None:
    """Both were sent before anything was learned: the second is no less served than the first."""
    together = Barrier(2, timeout=PATIENCE_SECONDS)

    def script(body: Json) -> list[bytes]:
        if "stream_options" in body:
            together.wait()
            return whole({"detail": "stream_options: Extra inputs are not permitted"}, 422)
        return stream(HEL, LO, DONE)

    with scripted(script) as upstream:
        send_to(acme, upstream.base_url)
        async with running() as app:
            calls = [serve(app, converse(acme.api_key, chat(stream=True))) for _ in range(2)]
            assert [got.status for got in await asyncio.gather(*calls)] == [200, 200]


async def test_half_a_character_in_a_name_keeps_no_money_from_being_settled(held: Tenant) -> None:
    raw = json.dumps(answer("Hello", USAGE)).replace('"stop"', '"st\\ud83d"').encode()
    (got,), (row,), _ = await ask(held, lambda _: whole(raw), chat())
    assert (got.status, row["effective_cost"], row["finish_reason"]) == (200, HELLO_COSTS, "st?")


async def test_one_output_limit_and_the_other_one_where_that_is_refused(held: Tenant) -> None:
    def script(body: Json) -> list[bytes]:
        if "max_tokens" in body:
            return whole(
                refusal("unsupported_parameter", "max_tokens is not supported: use max_completion_tokens"), 400
            )
        return whole(answer("Hello", USAGE))

    body = chat(max_tokens=60, max_completion_tokens=50)
    (got,), (row,), bodies = await ask(held, script, body)
    limits = [{name: sent[name] for name in ("max_tokens", "max_completion_tokens") if name in sent} for sent in bodies]
    assert limits == [{"max_tokens": 50}, {"max_completion_tokens": 50}]
    assert (got.status, row["effective_cost"], row["is_estimated"]) == (200, HELLO_COSTS, False)


async def test_waiting_for_a_slow_reader_is_no_overhead(acme: Tenant) -> None:
    never = asyncio.Event()
    conversation = converse(acme.api_key, chat(stream=True))

    async def send_slowly(message: Json) -> None:
        try:
            await asyncio.wait_for(never.wait(), 0.2 if message["type"] == "http.response.body" else 0)
        except TimeoutError:
            await conversation.send(message)

    with scripted(lambda _: stream(HEL, LO, REPORT, DONE)) as upstream:
        send_to(acme, upstream.base_url)
        async with running() as app:
            await app(conversation.scope, conversation.incoming.get, send_slowly)
    (row,) = events_of(acme)
    assert row["duration_us"] >= 200_000
    assert 0 <= row["overhead_us"] <= row["duration_us"] - 200_000
