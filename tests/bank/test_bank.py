"""The bank bills what it sends, before it sends it."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
import quicktok

from tests.bank import Bank, BilledCall, TokenTotals, answer_text, authorization_hash
from tests.bank.bill import Bill, read_bill
from tests.bank.raw import RawConnection, call, chat, post_bytes
from tests.nursery import ROOT
from tests.patience import PATIENCE_SECONDS

ADA = authorization_hash("Bearer ada")


def test_a_plain_answer_is_billed_as_its_usage_says(bank: Bank) -> None:
    reply = call(bank.port, chat("one two three"), "plain:1")

    assert reply.status == 200
    assert reply.json["choices"][0]["message"]["content"] == answer_text(12)
    assert reply.json["choices"][0]["finish_reason"] == "stop"
    billed = bank.billed("plain:1")
    assert billed == BilledCall(billed.call, "plain:1", "bank-small", ADA, 9, 0, 12, 0, "final", "finished")
    assert reply.json["usage"] == billed.usage
    assert (billed.usage["prompt_tokens"], billed.usage["completion_tokens"], billed.usage["total_tokens"]) == (
        9,
        12,
        21,
    )


def test_a_stream_says_what_the_bill_says_in_its_last_chunk_only(bank: Bank) -> None:
    reply = call(bank.port, chat(stream=True, bank={"output_tokens": 5}), "stream:1")

    *chunks, last, done = reply.events
    assert done == "[DONE]"
    assert reply.text == answer_text(5)
    assert [chunk["usage"] for chunk in chunks] == [None] * 7
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 6 + ["stop"]
    assert (last["choices"], last["usage"]) == ([], bank.billed("stream:1").usage)
    assert bank.billed("stream:1").output_tokens == 5


def test_without_include_usage_a_stream_has_no_usage(bank: Bank) -> None:
    reply = call(bank.port, {**chat(), "stream": True}, "silent:1")

    assert all("usage" not in chunk for chunk in reply.events[:-1])
    assert bank.billed("silent:1").output_tokens == 12


def test_cached_and_reasoning_tokens_are_billed_within_their_classes(bank: Bank) -> None:
    orders = {"input_tokens": 100, "cached_tokens": 64, "reasoning_tokens": 7, "output_tokens": 3}
    reply = call(bank.port, chat(stream=True, bank=orders), "classes:1")

    billed = bank.billed("classes:1")
    assert (billed.input_tokens, billed.cached_input_tokens) == (100, 64)
    assert (billed.output_tokens, billed.reasoning_tokens) == (10, 7)
    usage = reply.events[-2]["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 64
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 7
    assert reply.text == answer_text(3)


@pytest.mark.parametrize(
    ("limits", "reasoning", "billed_output", "shown"),
    [
        ({"max_tokens": 4}, 0, 4, 4),
        ({"max_completion_tokens": 4, "max_tokens": 9}, 0, 4, 4),
        ({"max_completion_tokens": 10}, 7, 10, 3),
        ({"max_completion_tokens": 5}, 7, 5, 0),
    ],
)
def test_a_limit_ends_the_answer(
    bank: Bank, limits: dict[str, Any], reasoning: int, billed_output: int, shown: int
) -> None:
    name = f"limit-{limits}-{reasoning}:1"
    reply = call(bank.port, chat(stream=True, bank={"reasoning_tokens": reasoning}, **limits), name)

    assert reply.text == answer_text(shown)
    assert reply.events[-3]["choices"][0]["finish_reason"] == "length"
    assert bank.billed(name).output_tokens == billed_output
    assert bank.billed(name).reasoning_tokens == min(reasoning, billed_output)


def test_every_choice_is_billed(bank: Bank) -> None:
    whole = call(bank.port, chat(n=3, bank={"output_tokens": 4}), "choices:1")
    streamed = call(bank.port, chat(n=3, stream=True, bank={"output_tokens": 4, "reasoning_tokens": 2}), "choices:2")

    assert [choice["message"]["content"] for choice in whole.json["choices"]] == [answer_text(4, n) for n in range(3)]
    order = [chunk["choices"][0]["index"] for chunk in streamed.events[:-2]]
    assert order == [0, 1, 2] * 6
    assert bank.billed("choices:1").output_tokens == 12
    assert (bank.billed("choices:2").output_tokens, bank.billed("choices:2").reasoning_tokens) == (18, 6)


def test_legacy_completions_bill_every_prompt_and_the_choices_that_were_not_best(bank: Bank) -> None:
    body = {"model": "m", "prompt": ["one two", "three"], "n": 2, "best_of": 3, "bank": {"output_tokens": 4}}
    reply = call(bank.port, body, "legacy:1", "/v1/completions")

    assert [choice["text"] for choice in reply.json["choices"]] == [answer_text(4, n) for n in range(4)]
    assert (bank.billed("legacy:1").input_tokens, bank.billed("legacy:1").output_tokens) == (3, 24)


def test_a_legacy_stream_has_a_text_in_every_chunk(bank: Bank) -> None:
    body = {"model": "m", "prompt": [1, 2, 3], "stream": True, "logprobs": 1, "bank": {"output_tokens": 3}}
    reply = call(bank.port, body, "legacy:2", "/v1/completions")

    choices = [chunk["choices"][0] for chunk in reply.events[:-1]]
    assert [choice["text"] for choice in choices] == [" the", " river", " runs", ""]
    assert [choice["logprobs"]["text_offset"] for choice in choices[:-1]] == [[0], [4], [10]]
    assert bank.billed("legacy:2").input_tokens == 3


def test_embeddings_bill_input_alone_and_depend_on_the_text_alone(bank: Bank) -> None:
    body = {"model": "m", "input": ["a b", "c", "a b"], "dimensions": 8}
    reply = call(bank.port, body, "embed:1", "/v1/embeddings")
    packed = call(bank.port, {**body, "encoding_format": "base64"}, "embed:2", "/v1/embeddings")

    vectors = [item["embedding"] for item in reply.json["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    assert len(vectors[0]) == 8
    assert sum(number**2 for number in vectors[0]) == pytest.approx(1)
    assert len(packed.json["data"][0]["embedding"]) == 44
    assert reply.json["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert (bank.billed("embed:1").input_tokens, bank.billed("embed:1").output_tokens) == (5, 0)


def test_a_tool_call_is_streamed_in_fragments(bank: Bank) -> None:
    tools = [{"type": "function", "function": {"name": "note", "parameters": {"type": "object"}}}]
    orders = {"tool_call": True, "output_tokens": 8}
    streamed = call(bank.port, chat(stream=True, tools=tools, bank=orders), "tool:1")
    whole = call(bank.port, chat(tools=tools, bank=orders), "tool:2")

    deltas = [chunk["choices"][0]["delta"] for chunk in streamed.events[:-2]]
    assert deltas[0]["tool_calls"][0]["function"] == {"name": "note", "arguments": ""}
    fragments = [delta["tool_calls"][0]["function"]["arguments"] for delta in deltas[1:-1]]
    assert len(fragments) == 8
    assert orjson.loads("".join(fragments)) == {"text": " the river runs past"}
    choice = whole.json["choices"][0]
    assert choice["finish_reason"] == streamed.events[-3]["choices"][0]["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == "".join(fragments)
    assert bank.billed("tool:1").output_tokens == bank.billed("tool:2").output_tokens == 8


def test_json_logprobs_and_multimodal_parts(bank: Bank) -> None:
    parts = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
    ]
    body = chat(response_format={"type": "json_object"}, logprobs=True, top_logprobs=2)
    body["messages"] = [{"role": "system", "content": "see"}, {"role": "user", "content": parts}]
    choice = call(bank.port, body, "json:1").json["choices"][0]

    assert orjson.loads(choice["message"]["content"]) == {"text": answer_text(8)}
    logprobs = choice["logprobs"]["content"]
    assert "".join(item["token"] for item in logprobs) == choice["message"]["content"]
    assert [len(item["top_logprobs"]) for item in logprobs] == [2] * 12
    assert bank.billed("json:1").input_tokens == 4 + 3 * 2 + 3


@pytest.mark.parametrize("encoding", ["cl100k_base", "o200k_base"])
@pytest.mark.parametrize("orders", [{"output_tokens": 150}, {"output_tokens": 60, "wide": True}])
def test_the_text_of_an_answer_has_as_many_tokens_as_were_billed(
    bank: Bank, encoding: str, orders: dict[str, Any]
) -> None:
    name = f"tokens-{encoding}-{orders['output_tokens']}:1"
    reply = call(bank.port, chat(bank=orders), name)

    text = reply.json["choices"][0]["message"]["content"]
    assert quicktok.get_encoding(encoding).count(text) == bank.billed(name).output_tokens == orders["output_tokens"]


def test_models(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.send(b"GET /v1/models HTTP/1.1\r\n\r\n")
        assert [model["id"] for model in connection.read_reply().json["data"]] == ["bank-small", "bank-large"]


# The bill and time


@pytest.mark.parametrize("after_tokens", [0, 1, 7])
def test_a_killed_bank_has_billed_all_that_was_received_and_goes_on_with_its_bill(
    own_bank: Bank, after_tokens: int
) -> None:
    with RawConnection(own_bank.port) as connection:
        connection.post(chat(stream=True, bank={"output_tokens": 100_000}), "killed:1")
        connection.read_head()
        received = connection.read_chunk()
        while received.count(b'"content":" ') < after_tokens:
            received += connection.read_chunk()
        own_bank.kill()
        with pytest.raises((EOFError, ConnectionResetError)):
            while True:
                received += connection.read_chunk()
    durable = own_bank.billed("killed:1")
    shown = received.count(b'"content":" ')
    assert durable.state == "open"
    assert after_tokens <= shown <= durable.output_tokens <= shown + 1

    own_bank.restart()

    assert own_bank.look_up("killed:1") == {
        "request_id": "killed:1",
        "model": "bank-small",
        "status": "final",
        "usage": durable.usage,
    }
    assert own_bank.billed("killed:1").outcome == "restarted"
    call(own_bank.port, chat(), "after:1")
    assert [(one.call, one.request_id) for one in own_bank.bill()] == [(1, "killed:1"), (2, "after:1")]


def test_a_stopped_bank_makes_its_open_calls_final(own_bank: Bank) -> None:
    with RawConnection(own_bank.port) as connection:
        connection.post(chat(stream=True, bank={"fault": "stall", "at": 3}), "stopped:1")
        connection.read_until(b'" runs"')
        own_bank.stop()

    billed = own_bank.billed("stopped:1")
    assert (billed.state, billed.outcome, billed.output_tokens) == ("final", "stopped", 3)


def test_a_torn_last_line_never_counted(tmp_path: Path) -> None:
    path = tmp_path / "bill.jsonl"
    bill = Bill(path)
    kept = bill.open("kept:1", "m", None)
    bill.add(kept, input_tokens=3, output=1)
    bill.close(kept, "finished")
    bill.commit_now()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-1].replace(b"kept:1", b"torn:1"))

    assert [one.request_id for one in read_bill(path)] == ["kept:1"]
    Bill(path).commit_now()
    assert path.read_bytes() == whole


def test_a_final_call_cannot_grow(tmp_path: Path) -> None:
    bill = Bill(tmp_path / "bill.jsonl")
    done = bill.open("done:1", "m", None)
    bill.close(done, "finished")
    bill.close(done, "again")

    with pytest.raises(RuntimeError, match="done:1 is final"):
        bill.add(done, output=1)
    assert (done.output_tokens, done.outcome) == (0, "finished")


def test_a_bill_that_cannot_be_written_ends_the_bank_before_another_token_is_seen(own_bank: Bank) -> None:
    with RawConnection(own_bank.port) as connection:
        connection.post(chat(stream=True, bank={"output_tokens": 10_000, "pace_ms": 2}), "full:1")
        received = connection.read_until(b'" runs"')
        os.kill(own_bank.pid, signal.SIGSTOP)
        full = own_bank.bill_path.stat().st_size
        resource.prlimit(own_bank.pid, resource.RLIMIT_FSIZE, (full, full))
        os.kill(own_bank.pid, signal.SIGCONT)
        received += connection.read_to_end()

    assert 3 <= received.count(b'"content":" ') <= own_bank.billed("full:1").output_tokens < 10_000
    assert own_bank.complaints().startswith("The bill cannot be written: ")


def test_the_look_up_says_open_and_then_final(bank: Bank) -> None:
    assert bank.look_up("looked:1") is None
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=True, bank={"fault": "stall", "at": 2, "cached_tokens": 1}), "looked:1")
        connection.read_until(b'" river"')
        during = bank.look_up("looked:1")
    bank.wait_quiet()

    assert during is not None
    assert (during["status"], during["usage"]["completion_tokens"]) == ("open", 2)
    assert bank.look_up("looked:1") == {**during, "status": "final"}
    assert bank.billed("looked:1").outcome == "peer gone"


def test_the_same_id_twice_is_billed_twice(bank: Bank) -> None:
    for _ in range(2):
        call(bank.port, chat("x"), "twice:1")

    look_up = bank.look_up("twice:1")
    assert look_up is not None
    assert (look_up["usage"]["prompt_tokens"], look_up["usage"]["completion_tokens"]) == (14, 24)
    with pytest.raises(LookupError, match="2 calls"):
        bank.billed("twice:1")


def test_a_bill_is_final_before_its_last_chunk_is_seen(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=True), "last:1")
        connection.read_until(b'"finish_reason":"stop"')
        look_up = bank.look_up("last:1")
    assert look_up is not None
    assert look_up["status"] == "final"


# Peers that leave


def leave_with_fin(connection: RawConnection) -> None:
    connection.socket.close()


def leave_with_rst(connection: RawConnection) -> None:
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.socket.close()


def leave_by_half(connection: RawConnection) -> None:
    connection.socket.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("leave", [leave_with_fin, leave_with_rst, leave_by_half])
@pytest.mark.parametrize("orders", [{"fault": "stall", "at": 4}, {"pace_ms": 600_000, "burst": 4}])
def test_a_peer_that_leaves_is_noticed_while_nothing_is_sent(bank: Bank, leave: Any, orders: dict[str, Any]) -> None:
    name = f"left-{leave.__name__}-{'-'.join(orders)}:1"
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=True, bank=orders), name)
        connection.read_until(b'" past"')
        with pytest.raises(TimeoutError, match=name):
            bank.wait_quiet(0)
        leave(connection)
        bank.wait_quiet()

    billed = bank.billed(name)
    assert (billed.state, billed.outcome, billed.output_tokens) == ("final", "peer gone", 4)


def test_an_answer_waits_before_its_first_byte_until_it_may_go(own_bank: Bank) -> None:
    with RawConnection(own_bank.port) as connection:
        connection.post(chat(bank={"first_ms": 600_000}), "held:1")
        with pytest.raises(TimeoutError, match="held:1"):
            own_bank.wait_quiet(0)
        own_bank.let_go()
        assert connection.read_reply().status == 200
    assert own_bank.billed("held:1").outcome == "finished"


def test_a_peer_that_leaves_while_its_answer_waits_is_noticed(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.post(chat(bank={"first_ms": 600_000}), "held:2")
        with pytest.raises(TimeoutError, match="held:2"):
            bank.wait_quiet(0)
    bank.wait_quiet()
    assert bank.billed("held:2").outcome == "peer gone"


def test_a_peer_that_leaves_in_mid_stream_is_billed_what_was_produced(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=True, bank={"output_tokens": 1_000_000}), "midway:1")
        connection.read_until(b'" past"')
    bank.wait_quiet()

    billed = bank.billed("midway:1")
    assert (billed.state, billed.outcome) == ("final", "peer gone")
    assert 4 <= billed.output_tokens < 1_000_000


def test_a_vendor_that_bills_anyway_finishes_without_its_reader(bank: Bank) -> None:
    orders = {"output_tokens": 50, "on_disconnect": "finish", "fault": "stall", "at": 1}
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=True, n=2, bank=orders), "anyway:1")
        connection.read_until(b'" the"')
    bank.wait_quiet()

    assert bank.billed("anyway:1").output_tokens == 100


def test_a_peer_that_leaves_before_a_slow_answer_is_billed_what_was_produced(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.post(chat(bank={"fault": "slow_headers", "at": 5}), "slow:1")
        with pytest.raises(TimeoutError, match="slow:1"):
            bank.wait_quiet(0)
    bank.wait_quiet()

    assert bank.billed("slow:1").output_tokens == 5


# Many at once


async def stream_once(port: int, number: int, tokens: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    body = {**chat(stream=True, bank={"output_tokens": tokens}), "model": f"model-{number % 3}"}
    writer.write(post_bytes(body, f"many-{number}:1"))
    await writer.drain()
    answer = await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return answer


async def test_256_streams_at_once_are_billed_exactly(own_bank: Bank) -> None:
    answers = await asyncio.gather(*(stream_once(own_bank.port, number, number % 30) for number in range(256)))

    for number, answer in enumerate(answers):
        assert answer.count(b'"delta":{"content":" ') == number % 30
    await asyncio.to_thread(own_bank.wait_quiet)
    bill = own_bank.bill()
    assert {one.request_id: one.output_tokens for one in bill} == {f"many-{n}:1": n % 30 for n in range(256)}
    assert {one.state for one in bill} == {"final"}
    assert own_bank.totals() == {
        f"model-{group}": TokenTotals(
            calls=len(range(group, 256, 3)),
            input_tokens=8 * len(range(group, 256, 3)),
            cached_input_tokens=0,
            output_tokens=sum(number % 30 for number in range(group, 256, 3)),
            reasoning_tokens=0,
        )
        for group in range(3)
    }
    assert own_bank.totals(by="authorization")[str(ADA)].calls == 256


# Steering and watching


def test_orders_are_queued_before_the_default_and_the_body_wins(bank: Bank) -> None:
    bank.set_default(output_tokens=3)
    bank.queue(2, output_tokens=4, input_tokens=50)
    for number, own in enumerate([{"output_tokens": 5}, None, None], start=1):
        call(bank.port, chat(bank=own), f"orders:{number}")

    billed = [bank.billed(f"orders:{number}") for number in (1, 2, 3)]
    assert [(one.input_tokens, one.output_tokens) for one in billed] == [(50, 5), (50, 4), (8, 3)]


@pytest.mark.parametrize(
    ("orders", "complaint"),
    [
        ({"fault": "sulk"}, "bank.fault cannot be 'sulk'"),
        ({"fault": ["stall", "reset"]}, "exclude each other"),
        ({"out_tokens": 1}, "bank.out_tokens is no field"),
        ({"output_tokens": True}, "bank.output_tokens cannot be True"),
        ({"pace_ms": -1}, "bank.pace_ms cannot be -1"),
        ({"status": 299}, "bank.status cannot be 299"),
        ({"url": "http://x/\r\nx: y"}, "bank.url cannot be"),
        ({"cached_tokens": 9}, "Of 8 input tokens no more can be cached"),
    ],
)
def test_wrong_orders_are_refused_by_name(bank: Bank, orders: dict[str, Any], complaint: str) -> None:
    name = f"wrong-{next(iter(orders))}-{len(complaint)}:1"
    reply = call(bank.port, chat(bank=orders), name)

    assert reply.status == 400
    assert complaint in reply.json["error"]["message"]
    assert reply.json["error"]["param"] == f"bank.{next(iter(orders))}"
    assert (bank.billed(name).input_tokens, bank.billed(name).outcome) == (0, "refused")


def test_a_default_that_makes_no_sense_is_refused_at_once(bank: Bank) -> None:
    with pytest.raises(ValueError, match=r"bank\.fault cannot be"):
        bank.set_default(fault="sulk")


def test_requests_are_kept_as_they_arrived(bank: Bank) -> None:
    odd = b'{ "model":"m",\n"messages":[{"role":"user","content":"\\u00e9"}], "later_field": [1.50, null] }'
    call(bank.port, odd, "kept:1")

    (arrived,) = bank.calls_received()
    assert arrived.body == odd
    assert (arrived.method, arrived.target) == ("POST", "/v1/chat/completions")
    assert arrived.header("x-client-request-id") == "kept:1"
    assert arrived.header("authorization") == "Bearer ada"


def test_a_bank_refuses_connections_and_takes_them_again(bank: Bank) -> None:
    with RawConnection(bank.port) as idle:
        idle.post(chat(), "idle:1")
        assert idle.read_reply().status == 200
        with bank.refusing():
            assert idle.read_to_end() == b""
            with pytest.raises(ConnectionRefusedError):
                RawConnection(bank.port)
    assert call(bank.port, chat(), "idle:2").status == 200


def test_quiet_waits_for_a_call_that_only_the_kernel_knows(bank: Bank) -> None:
    """What a client had sent before ``wait_quiet`` was asked, and then died, is billed and final when it returns."""
    with RawConnection(bank.port) as admin:
        admin.send(b"GET /bank/bill HTTP/1.1\r\n\r\n")
        admin.read_reply()
        os.kill(bank.pid, signal.SIGSTOP)
        try:
            with RawConnection(bank.port) as connection:
                connection.post(chat(bank={"pace_ms": 1, "on_disconnect": "finish"}), "underway:1")
            admin.send(b"GET /bank/quiet HTTP/1.1\r\n\r\n")
        finally:
            os.kill(bank.pid, signal.SIGCONT)
        assert admin.read_reply().json == {"quiet": True, "in_progress": []}

    billed = bank.billed("underway:1")
    assert (billed.state, billed.output_tokens) == ("final", 12)


# The process


def test_the_command_prints_its_port_and_ends_at_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bank", "--bill", str(tmp_path / "b"), "--port-file", str(tmp_path / "port")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert (tmp_path / "port").read_text() == f"{port}\n"
        assert call(port, chat(), "command:1").status == 200
        process.terminate()
        assert process.wait(timeout=PATIENCE_SECONDS) == 0
    assert [one.state for one in read_bill(tmp_path / "b")] == ["final"]


def test_a_bank_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, os, signal, pathlib; from tests.bank import Bank;"
        "print(Bank.start(pathlib.Path(sys.argv[1])).port, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    starter = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True)
    try:
        with RawConnection(int(starter.stdout)) as connection:
            assert connection.read_to_end() == b""
    except ConnectionError:
        pass  # it had ended already


def test_a_bank_that_cannot_start_says_why(bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="address already in use"):
        Bank.start(tmp_path, port=bank.port)


# The price of a call


@pytest.mark.parametrize(
    ("tokens", "prices", "nanos"),
    [
        ((1000, 0, 500), ("2.50", "10", None), 7_500_000),
        ((1000, 400, 500), ("2.50", "10", "1.25"), 7_000_000),
        ((1000, 400, 500), ("2.50", "10", None), 7_500_000),
        ((1, 0, 0), ("0.0001", "0", None), 1),
        ((1, 1, 1), ("0.0004", "0.0004", "0.0001"), 1),
        ((3, 0, 1), ("0.000333", "0.000001", None), 1),
        ((1000, 0, 1), ("0.001", "0.000001", None), 1001),
        ((0, 0, 0), ("2.50", "10", None), 0),
        ((7, 0, 3), ("0", "0", "0"), 0),
        ((999_999_999, 0, 999_999_999), ("999999.123456789012", "0.000000000001", None), 999_999_122_456_789_890),
    ],
)
def test_a_cost_is_exact_and_rounded_up_once(
    tokens: tuple[int, int, int], prices: tuple[str, str, str | None], nanos: int
) -> None:
    billed = BilledCall(1, "cost:1", "m", None, tokens[0], tokens[1], tokens[2])
    cached = None if prices[2] is None else Decimal(prices[2])

    assert billed.cost_nanos(Decimal(prices[0]), Decimal(prices[1]), cached) == nanos
