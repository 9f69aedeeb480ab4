"""The hot path's HTTP client against servers that do what the standard allows, and what it does not."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from proxy.upstreams import http1
from proxy.upstreams.http1 import MAX_HEAD_BYTES, Broken, ConnectFailed, Line, Pool, TimedOut
from tests.patience import PATIENCE_SECONDS
from tests.proxy.upstreams.raw_server import (
    OK,
    Caller,
    Script,
    Server,
    answer,
    answer_and_close,
    answer_and_stay,
    chunk,
    serve,
)

REQUEST = b"POST /v1/x HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\nbody"


def make_pool(port: int, *, address: str = "127.0.0.1", connect_timeout_seconds: float = 5.0) -> Pool:
    return Pool(address=address, port=port, host="test", tls=None, connect_timeout_seconds=connect_timeout_seconds)


@asynccontextmanager
async def talk_to(script: Script) -> AsyncIterator[tuple[Server, Pool]]:
    async with serve(script) as server:
        pool = make_pool(server.port)
        yield server, pool
        pool.close()


async def begin(pool: Pool, request: bytes = REQUEST, timeout_seconds: float = PATIENCE_SECONDS) -> Line:
    line = await pool.line()
    line.send(request, timeout_seconds)
    return line


async def read_all(line: Line) -> bytes:
    body = b""
    while (part := await line.read()) is not None:
        body += part
    return body


async def call(pool: Pool) -> tuple[int, bytes]:
    """One whole call, as an exchange makes it."""
    line = await begin(pool)
    try:
        return await line.head(), await read_all(line)
    finally:
        line.release()


async def let_turn(times: int = 20) -> None:
    """Let the loop see what lies in its sockets."""
    for _ in range(times):
        await asyncio.sleep(0)


class TestConnections:
    async def test_calls_one_after_the_other_share_a_connection(self) -> None:
        async with talk_to(answer(OK)) as (server, pool):
            assert [await call(pool) for _ in range(5)] == [(200, b"ok")] * 5
            assert [len(caller.asked) for caller in server.callers] == [5]
            assert {asked.body for asked in server.asked} == {b"body"}

    async def test_calls_at_a_time_have_connections_of_their_own(self) -> None:
        async with talk_to(answer(OK)) as (server, pool):
            assert await asyncio.gather(*(call(pool) for _ in range(4))) == [(200, b"ok")] * 4
            assert await asyncio.gather(*(call(pool) for _ in range(4))) == [(200, b"ok")] * 4
            assert [len(caller.asked) for caller in server.callers] == [2, 2, 2, 2]

    @pytest.mark.parametrize("sees_it_before", [True, False], ids=["the loop has seen it", "the loop has not"])
    async def test_a_resting_connection_that_its_server_closed_is_not_used_again(self, sees_it_before: bool) -> None:
        async with talk_to(answer_and_close(OK)) as (server, pool):
            assert await call(pool) == (200, b"ok")
            if sees_it_before:
                await let_turn()
            assert await call(pool) == (200, b"ok")
            assert [len(caller.asked) for caller in server.callers] == [1, 1]

    @pytest.mark.parametrize(
        "told",
        [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 2\r\n\r\nok",
            b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ],
    )
    async def test_a_connection_whose_end_is_announced_is_closed(self, told: bytes) -> None:
        async with talk_to(answer_and_stay(told)) as (server, pool):
            assert await call(pool) == (200, b"ok")
            await server.callers[0].has_gone.wait()
            assert await call(pool) == (200, b"ok")
            assert len(server.callers) == 2

    async def test_a_connection_that_rested_too_long_is_closed_unasked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http1, "IDLE_SECONDS", 0.02)
        async with talk_to(answer_and_stay(OK)) as (server, pool):
            await asyncio.gather(*(call(pool) for _ in range(3)))
            for caller in server.callers:
                await caller.has_gone.wait()

    async def test_a_closed_pool_closes_what_rests_and_what_comes_back(self) -> None:
        async with talk_to(answer_and_stay(OK)) as (server, pool):
            under_way = await begin(pool)
            assert await call(pool) == (200, b"ok")
            pool.close()
            assert (await under_way.head(), await read_all(under_way)) == (200, b"ok")
            under_way.release()
            assert len(server.callers) == 2
            for caller in server.callers:
                await caller.has_gone.wait()

    async def test_each_call_has_a_deadline_of_its_own(self) -> None:
        """Calls on one connection share a timer: a later deadline is waited for, an earlier one is kept."""
        async with talk_to(answer(OK)) as (_, pool):
            line = await begin(pool, timeout_seconds=PATIENCE_SECONDS)
            assert await line.head() == 200
            await read_all(line)
            line.release()
            line = await begin(pool, timeout_seconds=PATIENCE_SECONDS * 2)
            line._look_at_the_clock()  # as the first call's timer does
            assert (await line.head(), await read_all(line)) == (200, b"ok")
            line.release()
            line._look_at_the_clock()
            assert await call(pool) == (200, b"ok")
        async with talk_to(answer_and_stay(OK)) as (_, pool):
            assert await call(pool) == (200, b"ok")
            line = await begin(pool, timeout_seconds=0.02)
            with pytest.raises(TimedOut):
                await line.head()
            line.release()

    async def test_nobody_listens(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            pool = make_pool(taken.getsockname()[1])
            with pytest.raises(ConnectFailed):
                await pool.line()

    async def test_a_server_that_does_not_accept_is_given_up(self) -> None:
        with ExitStack() as opened:
            listener = opened.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(3):  # a queue of one, and the kernel drops what comes after it
                waiting = opened.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
            # Without the limit the kernel would try for minutes, and the test's own time would run out.
            with pytest.raises(ConnectFailed):
                await make_pool(listener.getsockname()[1], connect_timeout_seconds=0.1).line()


class TestAnswers:
    @pytest.mark.parametrize(
        ("told", "status", "body"),
        [
            (OK, 200, b"ok"),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
            (b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 3 + OK, 200, b"ok"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
            (b"HTTP/1.1 429 Slow\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n", 429, b""),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"o") + chunk(b"k") + chunk(b""),
                200,
                b"ok",
            ),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n3;n=v\r\nok!\r\n0\r\nx-sum: 7\r\n\r\n",
                200,
                b"ok!",
            ),
            # Apache offers HTTP/2 like this, and stays with HTTP/1.1.
            (
                b"HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\ncontent-length: 2\r\n\r\nok",
                200,
                b"ok",
            ),
        ],
    )
    @pytest.mark.parametrize("is_dripped", [False, True], ids=["at once", "in single bytes"])
    async def test_an_answer_is_read_however_it_comes_and_its_connection_kept(
        self, told: bytes, status: int, body: bytes, is_dripped: bool
    ) -> None:
        async def talk(caller: Caller) -> None:
            while True:
                await caller.ask()
                for piece in [told[i : i + 1] for i in range(len(told))] if is_dripped else [told]:
                    await caller.say(piece)
                    await asyncio.sleep(0)

        async with talk_to(talk) as (server, pool):
            assert await call(pool) == (status, body)
            assert await call(pool) == (status, body)
            assert len(server.callers) == 1

    async def test_headers_are_found_by_their_lower_case_name_and_the_first_one_counts(self) -> None:
        told = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nX-A: 1\r\nx-a: 2\r\nX-B: b\xe9n\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"ok") + b"0\r\nX-A: 3\r\nX-Late: 4\r\n\r\n"
        )
        async with talk_to(answer(b"HTTP/1.1 100 Continue\r\nx-early: 1\r\n\r\n" + told)) as (_, pool):
            line = await begin(pool)
            assert await line.head() == 200
            assert await read_all(line) == b"ok"
            line.release()
            told_of = {
                b"content-type": "text/x",
                b"x-a": "1",
                b"x-b": "b\u00e9n",
                b"transfer-encoding": "chunked",
                b"x-early": None,
                b"x-late": None,
            }
            assert {name: line.header(name) for name in told_of} == told_of

    async def test_what_a_call_left_unread_is_no_part_of_the_next_one(self) -> None:
        """On a connection that is kept the next answer is read by the same parser."""
        told = b"HTTP/1.1 200 OK\r\nx-turn: %d\r\ntransfer-encoding: chunked\r\n\r\n%b0\r\nx-late: %d\r\n\r\n"

        async def talk(caller: Caller) -> None:
            for turn in range(4):
                await caller.ask()
                await caller.say(told % (turn, chunk(b"body %d" % turn), turn))

        async with talk_to(talk) as (server, pool):
            for turn in range(4):
                line = await begin(pool)
                assert (await line.head(), line.header(b"x-turn"), line.header(b"x-late")) == (200, str(turn), None)
                if turn % 2:
                    assert line.read_rest(3) is None
                    assert line.read_rest(100) == b"body %d" % turn
                    assert line.read_rest(100) is None
                line.release()
            assert len(server.callers) == 1

    async def test_a_body_without_a_length_ends_with_its_connection(self) -> None:
        async with talk_to(answer_and_close(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)) as (server, pool):
            assert await call(pool) == (200, b"x" * 100_000)
            assert await call(pool) == (200, b"x" * 100_000)
            assert len(server.callers) == 2

    async def test_an_answer_before_the_request_is_through_is_an_answer_and_the_connection_closed(self) -> None:
        async def talk(caller: Caller) -> None:
            await caller.reader.readuntil(b"\r\n\r\n")
            await caller.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
            released.set()
            await caller.wait_gone()

        released = asyncio.Event()
        body = b"x" * 50_000_000
        async with talk_to(talk) as (server, pool):
            line = await begin(pool, b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            await released.wait()
            assert (await line.head(), await read_all(line)) == (413, b"no")
            line.release()
            await server.callers[0].has_gone.wait()

    async def test_a_large_answer_is_whole(self) -> None:
        body = bytes(range(256)) * 40_000
        async with talk_to(answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))) as (_, pool):
            assert await call(pool) == (200, body)
            assert await call(pool) == (200, body)


class TestOutOfStep:
    """A connection that brings more than was asked for is never used again: the next call would get what is not its
    own."""

    MINE = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmine"
    NOBODYS = b"HTTP/1.1 500 No\r\nx-whose: nobody\r\ncontent-length: 7\r\n\r\nnobodys"

    async def test_two_answers_in_one_breath(self) -> None:
        async with talk_to(answer_and_stay(self.MINE + self.NOBODYS)) as (server, pool):
            for connections in (1, 2, 3):
                line = await begin(pool)
                assert (await line.head(), await read_all(line)) == (200, b"mine")
                assert (line.header(b"content-length"), line.header(b"x-whose")) == ("4", None)
                line.release()
                assert len(server.callers) == connections
            await server.callers[0].has_gone.wait()

    async def test_a_second_answer_while_the_first_is_being_read(self) -> None:
        async def talk(caller: Caller) -> None:
            await caller.ask()
            await caller.say(self.MINE)
            await has_head.wait()
            await caller.say(self.NOBODYS)
            await caller.wait_gone()

        has_head = asyncio.Event()
        async with talk_to(talk) as (server, pool):
            line = await begin(pool)
            assert await line.head() == 200
            has_head.set()
            await server.callers[0].has_gone.wait()
            assert await read_all(line) == b"mine"
            line.release()
            assert await call(pool) == (200, b"mine")
            assert len(server.callers) == 2

    @pytest.mark.parametrize("sees_it_before", [True, False], ids=["the loop has seen it", "the loop has not"])
    async def test_a_second_answer_on_a_resting_connection(self, sees_it_before: bool) -> None:
        async def talk(caller: Caller) -> None:
            await caller.ask()
            await caller.say(self.MINE)
            await is_at_rest.wait()
            # Written in this very turn of the loop, so that it lies in the socket before the next call looks.
            os.write(caller.writer.transport.get_extra_info("socket").fileno(), self.NOBODYS)
            has_said.set()
            await caller.wait_gone()

        is_at_rest, has_said = asyncio.Event(), asyncio.Event()
        async with talk_to(talk) as (server, pool):
            assert await call(pool) == (200, b"mine")
            is_at_rest.set()
            await has_said.wait()
            if sees_it_before:
                await let_turn()
            assert await call(pool) == (200, b"mine")
            assert len(server.callers) == 2
            await server.callers[0].has_gone.wait()

    @pytest.mark.parametrize("garbage", [b"more than was announced", b"\r\n\r\nSSH-2.0", b"\x00"])
    async def test_what_follows_a_whole_answer_does_not_delay_it(self, garbage: bytes) -> None:
        async with talk_to(answer_and_stay(OK + garbage)) as (server, pool):
            assert await call(pool) == (200, b"ok")
            await server.callers[0].has_gone.wait()
            assert await call(pool) == (200, b"ok")
            assert len(server.callers) == 2


class TestNoAnswer:
    @pytest.mark.parametrize(
        "told",
        [
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x16\x03\x01\x02\x00",
            b"HTTP/2 200\r\n\r\n",
            b"<html>busy</html>",
            b"HTTP/1.1 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nx\x00y: 1\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        ],
    )
    async def test_what_is_not_http_is_told_at_once(self, told: bytes) -> None:
        async with talk_to(answer_and_stay(told)) as (server, pool):
            line = await begin(pool)
            with pytest.raises(Broken, match="not HTTP"):
                await line.head()
            line.release()
            await server.callers[0].has_gone.wait()

    @pytest.mark.parametrize(
        "told",
        [
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nshort",
        ],
    )
    async def test_an_answer_that_breaks_off_is_broken_after_what_came_of_it(self, told: bytes) -> None:
        async with talk_to(answer_and_close(told)) as (_, pool):
            line = await begin(pool)
            assert await line.head() == 200
            assert await line.read() == b"short"
            with pytest.raises(Broken, match="closed before the answer was whole"):
                await line.read()
            line.release()

    async def test_a_chunk_that_is_none_breaks_the_body(self) -> None:
        told = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nnonsense\r\n"
        async with talk_to(answer_and_stay(told)) as (_, pool):
            line = await begin(pool)
            assert await line.head() == 200
            assert await line.read() == b"ok"
            with pytest.raises(Broken, match="not HTTP"):
                await line.read()
            line.release()

    @pytest.mark.parametrize("told", [b"", b"HTTP/1.1 200 OK\r\nx-half: "])
    async def test_a_connection_that_ends_before_the_head_is_broken(self, told: bytes) -> None:
        async with talk_to(answer_and_close(told)) as (_, pool):
            line = await begin(pool)
            with pytest.raises(Broken, match="closed before the answer was whole"):
                await line.head()
            line.release()

    @pytest.mark.parametrize(
        "endless",
        [
            b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * (MAX_HEAD_BYTES + 1),
            b"HTTP/1.1 200 OK\r\n" + b"x-many: 1\r\n" * (MAX_HEAD_BYTES // 11 + 1),
            b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 25 + 1),
        ],
        ids=["one header", "many headers", "many announcements"],
    )
    async def test_a_head_that_does_not_end_is_given_up(self, endless: bytes) -> None:
        async with talk_to(answer_and_stay(endless)) as (server, pool):
            line = await begin(pool)
            with pytest.raises(Broken, match="do not end"):
                await line.head()
            line.release()
            await server.callers[0].has_gone.wait()

    async def test_trailers_that_do_not_end_are_given_up(self) -> None:
        async def talk(caller: Caller) -> None:
            await caller.ask()
            await caller.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
            has_begun.set()
            await caller.say(b"0\r\n")
            while True:
                await caller.say(b"x-trailer: 1\r\n" * 100)

        has_begun = asyncio.Event()
        async with talk_to(talk) as (_, pool):
            line = await begin(pool)
            assert await line.head() == 200
            assert await line.read() == b"ok"
            with pytest.raises(Broken, match="do not end"):
                await line.read()
            line.release()

    async def test_a_stream_of_small_chunks_is_no_endless_head(self) -> None:
        events = [b"data: %d\n\n" % number for number in range(20_000)]
        told = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"".join(map(chunk, events)) + chunk(b"")
        async with talk_to(answer(told)) as (_, pool):
            assert await call(pool) == (200, b"".join(events))

    @pytest.mark.parametrize(
        ("told", "body"),
        [
            (b"", None),
            (b"HTTP/1.1 100 Continue\r\n\r\n", None),
            (b"HTTP/1.1 200 OK\r\n", None),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", b"half"),
            (b"HTTP/1.1 200 OK\r\n\r\nhalf", b"half"),
        ],
    )
    async def test_an_answer_that_is_not_whole_in_time_is_given_up(self, told: bytes, body: bytes | None) -> None:
        async with talk_to(answer_and_stay(told)) as (server, pool):
            line = await begin(pool, timeout_seconds=0.05 if body is None else PATIENCE_SECONDS)
            if body is not None:
                assert (await line.head(), await line.read()) == (200, body)
                # Its time is over now: as long as the machine likes after the half has come.
                line._deadline = 0.0
                line._look_at_the_clock()
            with pytest.raises(TimedOut):
                await (line.head() if body is None else line.read())
            line.release()
            await server.callers[0].has_gone.wait()

    async def test_a_server_that_takes_no_request_is_given_up(self) -> None:
        async def talk(caller: Caller) -> None:
            await over.wait()

        over = asyncio.Event()
        async with talk_to(talk) as (_, pool):
            line = await begin(pool, b"x" * 50_000_000, timeout_seconds=0.05)
            with pytest.raises(TimedOut):
                await line.head()
            line.release()
            over.set()


class TestSlowReader:
    async def test_a_reader_that_is_behind_stops_the_socket(self) -> None:
        async def talk(caller: Caller) -> None:
            await caller.ask()
            await caller.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (1024 * 65_536))
            for _ in range(1024):
                await caller.say(b"x" * 65_536)
                progress.append(65_536)

        progress: list[int] = []
        async with talk_to(talk) as (_, pool):
            line = await begin(pool)
            assert await line.head() == 200
            said = -1
            while said != sum(progress):  # until the server cannot get rid of any more
                said = sum(progress)
                await let_turn(500)
            assert said < 1024 * 65_536
            largest = total = 0
            while (part := await line.read()) is not None:
                largest, total = max(largest, len(part)), total + len(part)
            line.release()
        assert total == 1024 * 65_536
        assert 256 * 1024 < largest <= 768 * 1024

    async def test_an_answer_left_unread_does_not_stop_the_next_one(self) -> None:
        """A connection that was stopped for a slow reader must not rest: it would bring nothing any more."""
        body = b"x" * 600_000
        told = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        async with talk_to(answer(told)) as (_, pool):
            line = await begin(pool)
            assert await line.head() == 200
            await let_turn(500)
            line.release()
            assert await call(pool) == (200, body)


class TestLeaving:
    @pytest.mark.parametrize("told", [b"", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"])
    async def test_a_cancelled_call_closes_its_connection_at_once(self, told: bytes) -> None:
        async with talk_to(answer_and_stay(told)) as (server, pool):
            calling = asyncio.create_task(call(pool))
            await server.arrived.wait()
            await server.callers[0].has_asked.wait()
            await let_turn()
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await server.callers[0].has_gone.wait()

    async def test_a_call_cancelled_while_connecting_leaves_no_connection(self) -> None:
        async def talk(caller: Caller) -> None:
            await caller.wait_gone()

        async with talk_to(talk) as (server, pool):
            connecting = asyncio.create_task(pool.line())
            await asyncio.sleep(0)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            await let_turn()
            for caller in server.callers:
                await caller.has_gone.wait()

    async def test_a_call_left_after_its_answer_was_whole_keeps_the_connection(self) -> None:
        async with talk_to(answer(OK)) as (server, pool):
            line = await begin(pool)
            assert await line.head() == 200
            line.release()
            assert await call(pool) == (200, b"ok")
            assert len(server.callers) == 1
