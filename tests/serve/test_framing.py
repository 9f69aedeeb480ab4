"""Where a request ends and the next one begins, and what is refused because nobody could say.

Each case is bytes on a socket; the application behind tells which requests it was given.
"""

import asyncio
from collections.abc import Sequence

import pytest

from costhub.serve.exchange import Scope
from costhub.serve.heads import MAX_HEADERS, MAX_TRAILER_BYTES
from proxy.edges.shortcuts import Receive, Send
from tests.patience import PATIENCE_SECONDS
from tests.proxy.raw_http import make_chunk
from tests.serve.server import Recorder, answer, ask, read_body, serve, statuses

LAST = b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
POST = b"POST /first HTTP/1.1\r\nhost: x\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
INNER = b"GET /inner HTTP/1.1\r\nhost: x\r\n\r\n"

Seen = list[tuple[str, str, bytes | None]]


async def tell(*parts: bytes) -> tuple[Seen, list[int], bytes]:
    """What the application was given for these bytes, the statuses that came back, and all of what came back."""
    recorder = Recorder()
    async with serve(recorder) as server:
        answers = await ask(server.port, *parts)
    return recorder.seen, statuses(answers), answers


class TestUpgrades:
    """RFC 9110, 7.8: an offer that is not taken up changes nothing."""

    @pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.2", "h2c, websocket", "IRC/6.9", ""])
    @pytest.mark.parametrize("is_split", [False, True], ids=["at once", "body behind the head"])
    @pytest.mark.parametrize("framing", ["length", "chunked", "none"])
    async def test_a_request_that_offers_another_protocol_is_served(
        self, offer: str, is_split: bool, framing: str
    ) -> None:
        head = POST + f"connection: Upgrade, HTTP2-Settings\r\nupgrade: {offer}\r\nhttp2-settings: AAEA\r\n".encode()
        if framing == "length":
            head, body = head + b"content-length: %d\r\n\r\n" % len(INNER), INNER
        elif framing == "chunked":
            head, body = head + b"transfer-encoding: chunked\r\n\r\n", make_chunk(INNER) + make_chunk(b"")
        else:
            head, body = head + b"\r\n", b""
        seen, found, _ = await tell(*((head, body + LAST) if is_split else (head + body + LAST,)))
        assert seen == [("POST", "/first", INNER if body else b""), ("GET", "/last", b"")]
        assert found == [200, 200]

    async def test_every_byte_may_come_alone(self) -> None:
        head = POST + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 3\r\n\r\nabc"
        seen, found, _ = await tell(*(bytes([byte]) for byte in head + LAST))
        assert (seen, found) == ([("POST", "/first", b"abc"), ("GET", "/last", b"")], [200, 200])

    async def test_many_offers_on_one_connection(self) -> None:
        one = POST + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 1\r\n\r\na"
        seen, found, _ = await tell(one * 300 + LAST)
        assert seen == [("POST", "/first", b"a")] * 300 + [("GET", "/last", b"")]
        assert found == [200] * 301

    async def test_who_offers_and_closes_is_closed(self) -> None:
        head = b"GET /first HTTP/1.1\r\nhost: x\r\nconnection: close, upgrade\r\nupgrade: h2c\r\n\r\n"
        seen, found, _ = await tell(head + INNER)
        assert (seen, found) == ([("GET", "/first", b"")], [200])

    async def test_the_other_headers_stay_as_they_were(self) -> None:
        recorder = Recorder()
        async with serve(recorder) as server:
            head = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nX-A: 1 \xe9\r\nConnection: close, Upgrade\r\n\r\n"
            await ask(server.port, head)
        assert recorder.headers == [{b"host": b"x", b"x-a": b"1 \xe9", b"connection": b"close, Upgrade"}]

    async def test_two_lengths_behind_an_offer_are_two_lengths(self) -> None:
        head = POST + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"
        seen, found, _ = await tell(head + b"0\r\n\r\n" + INNER)
        assert (seen, found) == ([], [400])

    async def test_there_is_no_tunnel(self) -> None:
        seen, found, _ = await tell(b"CONNECT a.example:443 HTTP/1.1\r\nhost: a.example\r\n\r\n" + INNER)
        assert (seen, found) == ([], [405])


class TestTrailers:
    async def test_what_stands_behind_a_body_is_no_header(self) -> None:
        recorder = Recorder()
        trailers = b"Authorization: Bearer x\r\nX-CostHub-User: mallory\r\nconnection: upgrade\r\nupgrade: h2c\r\n"
        async with serve(recorder) as server:
            answers = await ask(server.port, CHUNKED + make_chunk(b"a") + b"0\r\n" + trailers + b"\r\n" + LAST)
        assert recorder.seen == [("POST", "/first", b"a"), ("GET", "/last", b"")]
        assert recorder.headers[0] == {b"host": b"x", b"transfer-encoding": b"chunked"}
        assert statuses(answers) == [200, 200]

    @pytest.mark.parametrize(
        "line",
        [b"x: " + b"y" * 1_000 + b"\r\n", b"x: y\r\n", b"x-" + b"y" * 5_000 + b": z\r\n"],
        ids=["long", "short", "long names"],
    )
    async def test_there_is_an_end_of_them(self, line: bytes) -> None:
        many = line * (MAX_TRAILER_BYTES // len(line) * 4)
        seen, found, said = await tell(CHUNKED + make_chunk(b"a") + b"0\r\n" + many)
        assert seen == [("POST", "/first", None)]
        assert (found, b'"code":"trailers_too_large"' in said) == ([431], True)

    @pytest.mark.parametrize("start", [b"0\r\nx: ", b"1;x=", b"0\r\n" + b"x" * 10], ids=["value", "extension", "name"])
    async def test_one_that_does_not_end_is_cut_off(self, start: bytes) -> None:
        parts = [CHUNKED + make_chunk(b"a") + start, *[b"y" * 8_000] * 4]
        seen, found, _ = await tell(*parts)
        assert (seen, found) == ([("POST", "/first", None)], [431])

    async def test_small_chunks_are_no_trailers(self) -> None:
        seen, found, _ = await tell(CHUNKED, *[make_chunk(b"a") * 5_000] * 4, make_chunk(b"") + LAST)
        assert seen == [("POST", "/first", b"a" * 20_000), ("GET", "/last", b"")]
        assert found == [200, 200]


REFUSED = {
    "two lengths": POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabc",
    "one length twice": POST + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "a list of lengths": POST + b"content-length: 3, 3\r\n\r\nabc",
    "a signed length": POST + b"content-length: +3\r\n\r\nabc",
    "a hexadecimal length": POST + b"content-length: 0x3\r\n\r\nabc",
    "an empty length": POST + b"content-length:\r\n\r\nabc",
    "a length without end": POST + b"content-length: 99999999999999999999999\r\n\r\nabc",
    "a length beside a coding": POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding beside a length": POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "an unknown coding": POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"transfer-encoding: identity\r\n\r\nabc",
    "compressed chunks": POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked behind a vertical tab": POST + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks over HTTP/1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": POST + b"x-a: b\r\n c\r\n\r\n",
    "a folded first line": b"POST / HTTP/1.1\r\n host: x\r\n\r\n",
    "line feeds alone": b"GET / HTTP/1.1\nhost: x\n\n",
    "one line feed alone": b"GET / HTTP/1.1\r\nhost: x\r\nx-a: b\nx-c: d\r\n\r\n",
    "a carriage return alone": b"GET / HTTP/1.1\r\nhost: x\r\nx-a: b\rx-c: d\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nhost: x\r\nx-a: b\0c\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nhost: x\r\n: b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: x\r\nHost: x\r\n\r\n",
    "two hosts over HTTP/1.0": b"GET / HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n",
    "a chunk of signed size": CHUNKED + b"+1\r\na\r\n0\r\n\r\n",
    "a chunk of size 0x1": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "a chunk size with a blank": CHUNKED + b"1 \r\na\r\n0\r\n\r\n",
    "a chunk size without end": CHUNKED + b"fffffffffffffffff\r\na\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
    "chunks with line feeds alone": CHUNKED + b"1\na\n0\n\n",
    "a line break in a chunk's extension": CHUNKED + b'1;a="b\r\nc"\r\na\r\n0\r\n\r\n',
    "a length behind the chunks": CHUNKED + b"1\r\na\r\n0\r\ncontent-length: 40\r\n\r\n",
    "an unknown method": b"BREW / HTTP/1.1\r\nhost: x\r\n\r\n",
    "a blank in the path": b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
    "bytes in the path": b"GET /\xc3\xa9 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a port that is none": b"GET http://x:99999999/ HTTP/1.1\r\nhost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
async def test_what_could_be_read_in_two_ways_is_refused_and_closed(request_bytes: bytes) -> None:
    seen, found, said = await tell(request_bytes + INNER)
    # one whose body broke had been called already, and learnt that its caller is gone
    assert [body for _, _, body in seen] in ([], [None])
    assert found == [400]
    assert b"\r\nconnection: close\r\n" in said
    assert b'"type":"invalid_request_error"' in said


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9"])
async def test_other_versions_are_refused(version: bytes) -> None:
    assert (await tell(b"GET / %b\r\nhost: x\r\n\r\n" % version))[:2] == ([], [505])


async def test_headers_have_a_number() -> None:
    lines = b"x: y\r\n" * (MAX_HEADERS - 2)
    assert (await tell(LAST[:-2] + lines + b"\r\n"))[1] == [200]
    assert (await tell(LAST[:-2] + lines + b"x: y\r\n\r\n"))[1] == [431]


class TestOrder:
    async def test_answers_come_in_the_order_of_the_requests(self) -> None:
        """However long each takes; and a refused one waits for its turn too."""
        gates: dict[str, asyncio.Event] = {"/1": asyncio.Event(), "/2": asyncio.Event()}
        begun: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            begun.append(scope["path"])
            await gates[scope["path"]].wait()
            await answer(send, scope["path"].encode())

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % n for n in (1, 2)) + b"nonsense\r\n\r\n")
            while begun != ["/1"]:
                await asyncio.sleep(0)
            gates["/2"].set()
            gates["/1"].set()
            answers = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
            writer.close()
        assert begun == ["/1", "/2"]
        assert statuses(answers) == [200, 200, 400]
        assert answers.index(b"\r\n\r\n/1") < answers.index(b"\r\n\r\n/2")

    async def test_a_body_that_breaks_ahead_of_its_turn_takes_no_turn(self) -> None:
        seen, found, _ = await tell(INNER + CHUNKED + b"zz\r\n" + LAST)
        assert (seen, found) == ([("GET", "/inner", b"")], [200, 400])

    @pytest.mark.parametrize("count", [3_000, 20])
    async def test_more_than_is_held_comes_through(self, count: int) -> None:
        """Hundreds of small requests, or bodies that are larger than what is held ahead of its turn."""
        body = b"y" * (200_000 if count == 20 else 0)
        one = POST + b"content-length: %d\r\n\r\n" % len(body) + body
        seen, found, _ = await tell(one * count + LAST)
        assert len(seen) == len(found) == count + 1
        assert {each for _, _, each in seen[:-1]} == {body}

    async def test_nothing_is_answered_behind_a_request_that_closes(self) -> None:
        seen, found, _ = await tell(LAST + INNER)
        assert (seen, found) == ([("GET", "/last", b"")], [200])

    @pytest.mark.parametrize("ahead", [INNER, INNER * 5_000, POST + b"content-length: 120000\r\n\r\n" + b"y" * 120_000])
    async def test_who_leaves_with_requests_ahead_has_left(self, ahead: bytes) -> None:
        """Few are read on; of many the kernel tells."""
        left = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert scope["path"] == "/last", "nobody waits for the others"
            await read_body(receive)
            assert (await receive())["type"] == "http.disconnect"
            left.set()

        async with serve(app) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(LAST.replace(b"connection: close\r\n", b"") + ahead)
            writer.close()
            await asyncio.wait_for(left.wait(), PATIENCE_SECONDS)


class TestHttp10:
    async def test_a_stream_ends_with_the_connection(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/x")]})
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"data: 2\n\n"})

        async with serve(app) as server:
            head, _, body = (await ask(server.port, b"GET / HTTP/1.0\r\n\r\n")).partition(b"\r\n\r\n")
        assert head == b"HTTP/1.1 200 OK\r\ncontent-type: text/x\r\nconnection: close"
        assert body == b"data: 1\n\ndata: 2\n\n"

    @pytest.mark.parametrize("more", [b"", b"connection: keep-alive\r\n", b"connection: upgrade\r\nupgrade: h2c\r\n"])
    async def test_its_connection_is_closed(self, more: bytes) -> None:
        seen, found, said = await tell(b"POST /a HTTP/1.0\r\n" + more + b"content-length: 2\r\n\r\n{}" + INNER)
        assert (seen, found) == ([("POST", "/a", b"{}")], [200])
        assert b"\r\nconnection: close\r\n" in said

    async def test_it_is_not_asked_for_its_body(self) -> None:
        seen, found, _ = await tell(b"POST /a HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n", b"{}")
        assert (seen, found) == ([("POST", "/a", b"{}")], [200])


class TestAsking:
    @pytest.mark.parametrize("expect", [b"100-continue", b"100-Continue"])
    async def test_who_waits_to_be_asked_for_a_body_is_asked(self, expect: bytes) -> None:
        recorder = Recorder()
        async with serve(recorder) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(POST + b"expect: " + expect + b"\r\ncontent-length: 2\r\n\r\n")
            assert (
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)
                == b"HTTP/1.1 100 Continue\r\n\r\n"
            )
            writer.write(b"{}")
            assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS) == (
                b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n"
            )
            writer.close()
        assert recorder.seen == [("POST", "/first", b"{}")]

    async def test_who_is_refused_before_its_body_is_not_asked_for_it(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await answer(send)

        async with serve(app) as server:
            said = await ask(server.port, POST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert said == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class TestAnsweredEarly:
    """An answer before the end of its request: its caller may read it, and no byte of the body is a request."""

    @pytest.mark.parametrize("framing", [b"content-length: 3000000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n"])
    async def test_the_rest_of_the_body_is_dropped(self, framing: bytes) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await answer(send, b"no")

        async with serve(app) as server:
            said = await ask(server.port, POST + framing, *[INNER * 3_000] * 10)
        assert said == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"

    async def test_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("costhub.serve.connection.LINGER_BYTES", 1_000_000)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await answer(send)

        async with serve(app) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(POST + b"content-length: 99999999\r\n\r\n")
            with pytest.raises(ConnectionError):
                while True:
                    writer.write(b"y" * 100_000)
                    await writer.drain()
            await asyncio.wait_for(server.has_lost_one.wait(), PATIENCE_SECONDS)

    async def test_nor_for_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("costhub.serve.connection.LINGER_SECONDS", 0.05)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await answer(send)

        async with serve(app) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(POST + b"content-length: 99999999\r\n\r\n")
            await asyncio.wait_for(server.has_lost_one.wait(), PATIENCE_SECONDS)
            writer.close()


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], [500]),
        ([("start", 200, {})], [200]),
        ([("start", 200, {"content-length": "5"}), ("body", b"abc")], [200]),
        ([("start", 200, {"content-length": "2"}), ("body", b"abc")], [200]),
        ([("start", 200, {"x-a": "b\r\nx-c: d"})], [500]),
        ([("start", 200, {"x a": "b"})], [500]),
        ([("body", b"abc")], [500]),
    ],
)
async def test_an_answer_that_is_none_is_not_passed_off_as_one(
    messages: Sequence[tuple[str, int, dict[str, str]] | tuple[str, bytes]], said: list[int]
) -> None:
    """Without a word before its head, 500; behind it the connection closes before the announced end."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            if message[0] == "start":
                _, status, headers = message  # type: ignore[misc]
                lines = [(name.encode(), value.encode()) for name, value in headers.items()]
                await send({"type": "http.response.start", "status": status, "headers": lines})
            else:
                await send({"type": "http.response.body", "body": message[1], "more_body": False})

    async with serve(app) as server:
        answers = await ask(server.port, INNER + INNER)
    assert statuses(answers) == said
    assert not answers.endswith((b"0\r\n\r\n", b"abcde"))
