"""Each fault does what it says, on the wire and in the bill."""

import gzip
import io
import socket
from typing import Any

import orjson
import pytest

from tests.bank import Bank, answer_text
from tests.bank.behaviour import FAULTS
from tests.bank.bomb import make_bomb
from tests.bank.raw import RawConnection, RawReply, call, chat


def stream(bank: Bank, name: str, **orders: Any) -> RawReply:
    return call(bank.port, chat(stream=True, bank=orders), name)


def whole(bank: Bank, name: str, **orders: Any) -> RawReply:
    return call(bank.port, chat(bank=orders), name)


def assert_billed(bank: Bank, name: str, input_tokens: int, output_tokens: int, outcome: str) -> None:
    bank.wait_quiet()
    billed = bank.billed(name)
    assert (billed.input_tokens, billed.output_tokens, billed.state, billed.outcome) == (
        input_tokens,
        output_tokens,
        "final",
        outcome,
    )


# Refused


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("orders", "status"),
    [
        ({"fault": "http_500"}, 500),
        ({"fault": "http_502"}, 502),
        ({"fault": "http_503"}, 503),
        ({"fault": "http_error", "status": 408}, 408),
    ],
)
def test_http_errors_cost_nothing(bank: Bank, orders: dict[str, Any], status: int, is_stream: bool) -> None:
    name = f"error-{status}-{is_stream}:1"
    reply = call(bank.port, chat(stream=is_stream, bank=orders), name)

    assert reply.status == status
    assert set(reply.json["error"]) == {"message", "type", "param", "code"}
    assert_billed(bank, name, 0, 0, "refused")


def test_rate_limited(bank: Bank) -> None:
    reply = stream(bank, "limited:1", fault="rate_limited", retry_after=17)

    assert reply.status == 429
    assert reply.headers["retry-after"] == "17"
    assert reply.headers["x-ratelimit-remaining-requests"] == "0"
    assert reply.json["error"]["code"] == "rate_limit_exceeded"
    assert_billed(bank, "limited:1", 0, 0, "refused")


def test_redirect(bank: Bank) -> None:
    reply = whole(bank, "moved:1", fault="redirect", url="http://169.254.169.254/latest", status=307)

    assert (reply.status, reply.headers["location"]) == (307, "http://169.254.169.254/latest")
    assert_billed(bank, "moved:1", 0, 0, "refused")


def test_not_json(bank: Bank) -> None:
    reply = whole(bank, "page:1", fault="not_json")

    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert reply.body.startswith(b"<!doctype html>")
    assert_billed(bank, "page:1", 0, 0, "refused")


# No answer


@pytest.mark.parametrize("is_stream", [False, True])
def test_error_after_tokens_costs_the_tokens(bank: Bank, is_stream: bool) -> None:
    name = f"worked-{is_stream}:1"
    reply = call(bank.port, chat(stream=is_stream, bank={"fault": "error_after_tokens", "at": 5}), name)

    assert reply.status == 500
    assert_billed(bank, name, 8, 5, "ordered: error_after_tokens")


def test_hang_up_sends_nothing_at_all(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.post(chat(bank={"fault": "hang_up", "at": 2}), "hung:1")
        assert connection.read_to_end() == b""
    assert_billed(bank, "hung:1", 8, 2, "ordered: hang_up")


def test_slow_headers_send_nothing_until_the_peer_leaves(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.post(chat(bank={"fault": "slow_headers", "at": 0}), "slow:1")
        with pytest.raises(TimeoutError, match=r"slow:1"):
            bank.wait_quiet(0)
        look_up = bank.look_up("slow:1")
        connection.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.socket.recv(1)
    assert look_up is not None
    assert (look_up["status"], look_up["usage"]["total_tokens"]) == ("open", 8)
    assert_billed(bank, "slow:1", 8, 0, "peer gone")


# Broken


def read_broken(connection: RawConnection) -> tuple[bytes, str]:
    """All bytes up to the end of the connection, and how it ended."""
    received = b""
    try:
        while piece := connection.socket.recv(65536):
            received += piece
    except ConnectionResetError:
        return received, "reset"
    return received, "closed"


def body_of_chunks(raw: bytes) -> bytes:
    """The body of a chunked answer that may break off anywhere."""
    body, rest = b"", raw.partition(b"\r\n\r\n")[2]
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


@pytest.mark.parametrize(("fault", "end"), [("reset", "reset"), ("eof", "closed")])
@pytest.mark.parametrize("at", [0, 1, 5, 12, 99])
def test_a_stream_breaks_at_a_token(bank: Bank, fault: str, end: str, at: int) -> None:
    name = f"{fault}-{at}:1"
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=True, bank={"fault": fault, "at": at}), name)
        received, ended = read_broken(connection)

    assert ended == end
    assert received.count(b'"content":" ') == min(at, 12)
    assert b"[DONE]" not in received
    assert not received.endswith(b"0\r\n\r\n")
    assert_billed(bank, name, 8, min(at, 12), f"ordered: {fault}")


@pytest.mark.parametrize(("fault", "end"), [("reset", "reset"), ("eof", "closed")])
@pytest.mark.parametrize("at_byte", [0, 1, 300, 777, 1500])
def test_a_stream_breaks_at_a_byte(bank: Bank, fault: str, end: str, at_byte: int) -> None:
    name = f"{fault}-byte-{at_byte}:1"
    full = stream(bank, f"{name}-full").body
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=True, bank={"fault": fault, "at_byte": at_byte}), name)
        received, ended = read_broken(connection)

    assert ended == end
    body = body_of_chunks(received)
    assert len(body) == at_byte
    bank.wait_quiet()
    assert body.count(b'"content":" ') <= bank.billed(name).output_tokens <= body.count(b'"content":" ') + 1
    assert bank.billed(name).outcome == f"ordered: {fault}"
    assert len(full) > 1500


def test_a_clean_end_without_done(bank: Bank) -> None:
    reply = stream(bank, "ended:1", fault="eof", at=3, terminate=True)

    assert reply.text == answer_text(3)
    assert "[DONE]" not in reply.events
    assert_billed(bank, "ended:1", 8, 3, "ordered: eof")


@pytest.mark.parametrize(("fault", "end"), [("reset", "reset"), ("eof", "closed")])
def test_a_whole_answer_breaks_in_its_body_or_before_it(bank: Bank, fault: str, end: str) -> None:
    with RawConnection(bank.port) as connection:
        connection.post(chat(bank={"fault": fault}), f"half-{fault}:1")
        received, ended = read_broken(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    assert (ended, len(body)) == (end, length // 2)
    assert_billed(bank, f"half-{fault}:1", 8, 12, "finished")

    with RawConnection(bank.port) as connection:
        connection.post(chat(bank={"fault": fault, "at": 4}), f"none-{fault}:1")
        assert read_broken(connection) == (b"", end)
    assert_billed(bank, f"none-{fault}:1", 8, 4, f"ordered: {fault}")


def test_a_stall_at_a_byte_sends_so_many_and_waits(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=True, bank={"fault": "stall", "at_byte": 600}), "stall:1")
        connection.read_head()
        received = b""
        while len(received) < 600:
            received += connection.read_chunk()
        with pytest.raises(TimeoutError, match=r"stall:1"):
            bank.wait_quiet(0)
        connection.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.socket.recv(1)
    assert len(received) == 600
    shown = received.count(b'"content":" ')
    bank.wait_quiet()
    assert shown <= bank.billed("stall:1").output_tokens <= shown + 1


def test_an_error_event_comes_after_the_tokens(bank: Bank) -> None:
    reply = stream(bank, "event:1", fault="error_event", at=4)
    body = whole(bank, "event:2", fault="error_event", at=4)

    assert reply.status == body.status == 200
    assert reply.events[-1]["error"]["type"] == body.json["error"]["type"] == "server_error"
    assert reply.body.count(b'"content":" ') == 4
    assert_billed(bank, "event:1", 8, 4, "ordered: error_event")
    assert_billed(bank, "event:2", 8, 4, "ordered: error_event")


# Usage


def test_no_usage(bank: Bank) -> None:
    assert b"usage" not in stream(bank, "no-usage:1", fault="no_usage").body
    assert "usage" not in whole(bank, "no-usage:2", fault="no_usage").json
    assert_billed(bank, "no-usage:1", 8, 12, "finished")


def test_zero_usage(bank: Bank) -> None:
    for usage in (
        stream(bank, "zero:1", fault="zero_usage").events[-2]["usage"],
        whole(bank, "zero:2", fault="zero_usage").json["usage"],
    ):
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (0, 0, 0)
    assert_billed(bank, "zero:1", 8, 12, "finished")


def test_cumulative_usage(bank: Bank) -> None:
    chunks = stream(bank, "running:1", fault="cumulative_usage", output_tokens=4).events[:-1]

    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [0, 1, 2, 3, 4, 4, 4]


def test_usage_before_finish(bank: Bank) -> None:
    *_, usage, finish, done = stream(bank, "early:1", fault="usage_before_finish").events

    assert usage["usage"]["completion_tokens"] == 12
    assert (finish["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")


def test_a_reported_usage_may_be_any_lie(bank: Bank) -> None:
    lie = {"prompt_tokens": -1, "completion_tokens": "many"}

    assert stream(bank, "lie:1", report_usage=lie).events[-2]["usage"] == lie
    assert_billed(bank, "lie:1", 8, 12, "finished")


def test_duplicate_final(bank: Bank) -> None:
    *_, one, two, done = stream(bank, "double:1", fault="duplicate_final").events

    assert one == two
    assert (one["usage"]["completion_tokens"], done) == (12, "[DONE]")
    *_, one, two, done = stream(bank, "double:2", fault=["duplicate_final", "no_usage"]).events
    assert one == two
    assert one["choices"][0]["finish_reason"] == "stop"
    assert_billed(bank, "double:1", 8, 12, "finished")


# Malformed events


def test_no_done(bank: Bank) -> None:
    assert stream(bank, "undone:1", fault="no_done").events[-1]["usage"]["completion_tokens"] == 12


@pytest.mark.parametrize(("fault", "line_end"), [("crlf", b"\r\n"), ("cr", b"\r")])
def test_line_ends(bank: Bank, fault: str, line_end: bytes) -> None:
    body = stream(bank, f"{fault}:1", fault=fault).body

    assert body.count(line_end) == body.count(b"\r") == 2 * 16
    assert body.count(b"\n") == (32 if fault == "crlf" else 0)
    assert RawReply(200, {}, body.replace(line_end, b"\n")).text == answer_text(12)


def test_comments(bank: Bank) -> None:
    lines = stream(bank, "comments:1", fault="comments").body.split(b"\n")

    assert lines.count(b": keep-alive") == 15
    assert lines.count(b":") == 15


def test_multi_line_data(bank: Bank) -> None:
    events = stream(bank, "lines:1", fault="multi_line", output_tokens=2).body.decode().split("\n\n")[:-1]

    joined = ["\n".join(line.removeprefix("data: ") for line in event.split("\n")) for event in events]
    assert all("\n" in text for text in joined[:-1])
    words = [orjson.loads(text)["choices"][0]["delta"].get("content") for text in joined[:-2]]
    assert words == ["", " the", " river", None]


def test_a_character_is_split_over_two_writes(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=True, bank={"fault": "split_utf8", "output_tokens": 4}), "split:1")
        connection.read_head()
        chunks = list(iter(connection.read_chunk, b""))
    heads = [chunk for chunk in chunks if chunk[-1] >= 0xC0]
    assert len(heads) == 4
    for head in heads:
        with pytest.raises(UnicodeDecodeError):
            head.decode()
    assert RawReply(200, {}, b"".join(chunks)).text == " für año € 😀"
    assert_billed(bank, "split:1", 8, 4, "finished")
    content = whole(bank, "split:2", fault="split_utf8").json["choices"][0]["message"]["content"]
    assert content == " für año € 😀" * 3


def test_a_long_line(bank: Bank) -> None:
    lines = stream(bank, "long:1", fault="long_line").body.split(b"\n")
    assert [len(line) > 10 << 20 for line in lines].count(True) == 1
    assert len(whole(bank, "long:2", fault="long_line", size=100_000).body) > 100_000
    assert_billed(bank, "long:1", 8, 12, "finished")


@pytest.mark.parametrize("fault", ["nul", "garbage"])
def test_an_event_that_is_no_json(bank: Bank, fault: str) -> None:
    broken = stream(bank, f"{fault}:1", fault=fault, at=2).body.split(b"\n\n")[:-2]
    bad = []
    for index, event in enumerate(broken):
        try:
            orjson.loads(event.removeprefix(b"data: "))
        except orjson.JSONDecodeError:
            bad.append(index)
    assert bad == [3]
    assert (b"\0" in broken[3]) == (fault == "nul")
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(whole(bank, f"{fault}:2", fault=fault).body)
    assert_billed(bank, f"{fault}:1", 8, 12, "finished")


# Bodies


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_gzip_bomb_is_a_valid_answer_of_a_gigabyte(bank: Bank, is_stream: bool) -> None:
    reply = call(bank.port, chat(stream=is_stream, bank={"fault": "gzip_bomb"}), f"bomb-{is_stream}:1")

    assert reply.headers["content-encoding"] == "gzip"
    assert len(reply.body) < 2 << 20
    size, tail = 0, b""
    with gzip.open(io.BytesIO(reply.body)) as unpacked:
        while piece := unpacked.read(1 << 24):
            size, tail = size + len(piece), (tail + piece)[-10_000:]
    assert size >= 1 << 30
    assert tail.endswith(b"data: [DONE]\n\n" if is_stream else b"}")
    assert_billed(bank, f"bomb-{is_stream}:1", 8, 12, "finished")


def test_a_small_bomb_unpacks_to_the_answer() -> None:
    unpacked = gzip.decompress(make_bomb(b'{"a":1}', b" ", 3 << 20))

    assert len(unpacked) == (3 << 20) + 7
    assert orjson.loads(unpacked) == {"a": 1}


@pytest.mark.parametrize("by", [10, -10])
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_wrong_content_length(bank: Bank, by: int, is_stream: bool) -> None:
    name = f"length-{by}-{is_stream}:1"
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=is_stream, bank={"fault": "wrong_content_length", "by": by}), name)
        _, headers = connection.read_head()
        body = connection.read_to_end()
    assert int(headers["content-length"]) == len(body) + by
    assert body.endswith(b"data: [DONE]\n\n" if is_stream else b"}")
    assert_billed(bank, name, 8, 12, "finished")


# Lies about the answer


def test_overrun(bank: Bank) -> None:
    body = chat(stream=True, max_tokens=4, n=2, bank={"fault": "overrun", "by": 3})
    reply = call(bank.port, body, "over:1")

    assert reply.text == answer_text(7)
    assert reply.events[-3]["choices"][0]["finish_reason"] == "stop"
    assert_billed(bank, "over:1", 8, 14, "finished")


def test_wrong_model(bank: Bank) -> None:
    assert whole(bank, "who:1", fault="wrong_model").json["model"] == "bank-impostor"
    assert stream(bank, "who:2", as_model="other").events[0]["model"] == "other"
    assert bank.billed("who:1").model == bank.billed("who:2").model == "bank-small"


# All of them


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_leaves_a_final_call_and_a_bank_that_serves_on(bank: Bank, fault: str, is_stream: bool) -> None:
    name = f"all-{fault}-{is_stream}:1"
    with RawConnection(bank.port) as connection:
        connection.post(chat(stream=is_stream, bank={"fault": fault, "size": 1000}), name)
        if fault not in ("stall", "slow_headers"):
            connection.socket.shutdown(socket.SHUT_RD) if fault == "hang_up" else connection.socket.recv(1)
    bank.wait_quiet()

    assert bank.billed(name).state == "final"
    assert bank.billed(name).outcome in ("refused", "finished", "peer gone", f"ordered: {fault}")
    assert call(bank.port, chat(), f"{name}-after").status == 200


def test_faults_reach_calls_that_say_nothing_themselves(bank: Bank) -> None:
    bank.queue(2, fault="http_503")
    statuses = [call(bank.port, chat(), f"queue:{number}").status for number in range(3)]
    assert statuses == [503, 503, 200]

    bank.set_default(fault="rate_limited")
    assert call(bank.port, chat(), "default:1").status == 429
    bank.set_default()
    assert call(bank.port, chat(), "default:2").status == 200


def test_embeddings_know_the_faults_that_fit_them(bank: Bank) -> None:
    def embed(name: str, **orders: Any) -> RawReply:
        return call(bank.port, {"model": "m", "input": "a b c", "bank": orders}, name, "/v1/embeddings")

    assert embed("vector:1", fault="rate_limited").status == 429
    assert embed("vector:2", fault="error_after_tokens").status == 500
    assert embed("vector:3", fault="zero_usage").json["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
    assert_billed(bank, "vector:1", 0, 0, "refused")
    assert_billed(bank, "vector:2", 3, 0, "ordered: error_after_tokens")
    assert_billed(bank, "vector:3", 3, 0, "finished")
