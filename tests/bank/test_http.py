"""The bank's HTTP: connections that are used again, and requests that make no sense."""

import pytest

from tests.bank import Bank
from tests.bank.raw import RawConnection, call, chat, post_bytes


def test_a_connection_serves_many_calls(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        for number in range(3):
            connection.post(chat(stream=number == 1), f"again:{number}")
            assert connection.read_reply().status == 200
        connection.post(b"{", "again:3")
        assert connection.read_reply().status == 400
        connection.post(chat(bank={"fault": "http_503"}), "again:4")
        assert connection.read_reply().status == 503

    assert len({request.connection for request in bank.calls_received()}) == 1
    assert [bank.billed(f"again:{number}").output_tokens for number in range(5)] == [12, 12, 12, 0, 0]


def test_pipelined_calls_are_answered_in_order(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        calls = [chat(stream=number == 1, bank={"output_tokens": number + 1}) for number in range(3)]
        connection.send(b"".join(post_bytes(body, f"pipe:{number}") for number, body in enumerate(calls)))
        replies = [connection.read_reply() for _ in calls]

    assert [replies[0].json["usage"]["completion_tokens"], replies[2].json["usage"]["completion_tokens"]] == [1, 3]
    assert replies[1].events[-2]["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_a_chunked_request_body_in_any_pieces(bank: Bank, step: int) -> None:
    payload = post_bytes(chat(), "x").partition(b"\r\n\r\n")[2]
    pieces = [payload[start : start + 7] for start in range(0, len(payload), 7)]
    chunks = b"".join(b"%X;note=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nTrailer: x\r\n\r\n"
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
        b"x-client-request-id: chunked-%d:1\r\n\r\n" % step
    ) + chunks
    with RawConnection(bank.port) as connection:
        for start in range(0, len(request), step):
            connection.send(request[start : start + step])
        assert connection.read_reply().status == 200
    assert bank.calls_received()[-1].body == payload


def test_a_peer_that_asks_is_told_to_go_on(bank: Bank) -> None:
    head, _, payload = post_bytes(chat(), "expect:1").partition(b"\r\n\r\n")
    with RawConnection(bank.port) as connection:
        connection.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert connection.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(payload)
        assert connection.read_reply().status == 200


def test_http_1_0_gets_a_stream_that_ends_with_the_connection(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.send(post_bytes(chat(stream=True), "old:1").replace(b"HTTP/1.1", b"HTTP/1.0"))
        status, headers = connection.read_head()
        assert (status, headers["connection"], "transfer-encoding" in headers) == (200, "close", False)
        assert connection.read_to_end().endswith(b"\n\ndata: [DONE]\n\n")


def test_connection_close_is_honoured(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.send(post_bytes(chat(), "close:1").replace(b"Host: bank", b"Connection: close"))
        assert connection.read_reply().headers["connection"] == "close"
        assert connection.read_to_end() == b""


@pytest.mark.parametrize(
    ("garbage", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /v1/models HTTP/2.0\r\n\r\n", 505),
        (b"G\xc9T /v1/models HTTP/1.1\r\n\r\n", 400),
        (b"GET v1/models HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\nname : value\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\na: b\n c: d\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\na: \0\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\na: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"POST /v1/embeddings HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /v1/embeddings HTTP/1.1\r\ncontent-length: 1_0\r\n\r\n", 400),
        (b"POST /v1/embeddings HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", 400),
        (b"POST /v1/embeddings HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", 413),
        (b"POST /v1/embeddings HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}", 400),
        (b"POST /v1/embeddings HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 400),
        (b"POST /v1/embeddings HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n", 400),
        (b"POST /v1/embeddings HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}}}", 400),
        (b"POST /v1/embeddings HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 70_000, 400),
    ],
)
def test_garbage_is_a_400_and_the_end_of_the_connection(bank: Bank, garbage: bytes, status: int) -> None:
    with RawConnection(bank.port) as connection:
        connection.send(garbage)
        assert connection.read_reply().status == status
    assert call(bank.port, chat(), f"after-garbage-{hash(garbage)}:1").status == 200


def test_half_a_head_is_a_400_once_it_ends(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.send(b"GET /v1/models HTTP/1.1\r\nhost:")
        connection.socket.shutdown(1)
        assert connection.read_reply().status == 400


def test_half_a_body_is_no_call(bank: Bank) -> None:
    with RawConnection(bank.port) as connection:
        connection.send(post_bytes(chat(), "half:1")[:-1])
    bank.wait_quiet()

    assert bank.look_up("half:1") is None
    assert bank.calls_received() == []


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", b"", None),
        ("/v1/chat/completions", b"[]", None),
        ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user","content":NaN}]}', None),
        ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}', None),
        ("/v1/chat/completions", b'{"messages":[]}', "model"),
        ("/v1/chat/completions", b'{"model":7}', "model"),
        ("/v1/chat/completions", b'{"model":"m"}', "messages"),
        ("/v1/chat/completions", b'{"model":"m","messages":[]}', "messages"),
        ("/v1/chat/completions", b'{"model":"m","messages":["hi"]}', "messages[0]"),
        ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user","content":7}]}', "messages[0].content"),
        ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user"}],"n":0}', "n"),
        ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user"}],"max_tokens":true}', "max_tokens"),
        ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user"}],"stream":"yes"}', "stream"),
        ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"u"}],"tools":[{}]}', "tools[0]"),
        (
            "/v1/chat/completions",
            b'{"model":"m","messages":[{"role":"u"}],"stream_options":{"include_usage":true}}',
            "stream_options",
        ),
        ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"u"}],"bank":7}', "bank"),
        ("/v1/completions", b'{"model":"m","prompt":[]}', "prompt"),
        ("/v1/embeddings", b'{"model":"m","input":[1,"a"]}', "input"),
        ("/v1/embeddings", b'{"model":"m","input":"a","encoding_format":"hex"}', "encoding_format"),
    ],
)
def test_a_body_that_makes_no_sense_names_the_field_and_costs_nothing(
    bank: Bank, path: str, body: bytes, param: str | None
) -> None:
    bank.wait_quiet()
    before = len(bank.bill())
    reply = call(bank.port, body, "senseless:1", path)

    assert reply.status == 400
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert reply.json["error"]["param"] == param
    (billed,) = bank.bill()[before:]
    assert (billed.input_tokens, billed.output_tokens, billed.state) == (0, 0, "final")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /v1/nothing", 404),
        (b"DELETE /v1/models", 404),
        (b"PUT /v1/chat/completions", 405),
        (b"GET /v1/costhub/bill", 404),
        (b"POST /bank/fault", 400),
        (b"GET /bank/quiet?timeout_ms=soon", 400),
    ],
)
def test_an_unknown_address(bank: Bank, line: bytes, status: int) -> None:
    with RawConnection(bank.port) as connection:
        connection.send(line + b" HTTP/1.1\r\n\r\n")
        assert connection.read_reply().status == status
