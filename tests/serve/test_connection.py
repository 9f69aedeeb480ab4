"""One connection: its limits of time, its paths, and the shortcuts past ASGI."""

import asyncio
from typing import Any

import pytest

from costhub.serve.exchange import Scope
from proxy.edges.shortcuts import Receive, Send
from tests.patience import PATIENCE_SECONDS
from tests.proxy.raw_http import connect
from tests.serve.server import answer, ask, read_body, serve, shortcuts_of


async def test_a_slow_head_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("costhub.serve.connection.HEAD_SECONDS", 0.05)
    async with serve(_nothing_is_served) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost:")
        assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
        writer.close()


async def test_a_connection_at_rest_is_closed() -> None:
    async with serve(_answer_all, keep_alive_seconds=0.05) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
        writer.close()


async def test_a_rest_that_ended_long_ago_closes_nothing() -> None:
    """The timer of one rest serves the next ones too: it looks while a call is served, and while a rest is young."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        server.connections[0]._close_rested()
        await answer(send)

    async with serve(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            server.connections[0]._close_rested()
        writer.close()


@pytest.mark.parametrize("path", ["/a%20b?q=%20", "/%E2%82%AC", "http://other/a%20b?q=%20"])
async def test_paths_are_decoded_once_and_queries_not(path: str) -> None:
    seen: list[tuple[str, bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["path"], scope["raw_path"], scope["query_string"]))
        await answer(send)

    async with serve(app) as server:
        await ask(server.port, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert seen == [("/\u20ac", b"/%E2%82%AC", b"") if "%E2" in path else ("/a b", b"/a%20b", b"q=%20")]


async def test_a_caller_who_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Money is held for it: it may be slow, and not asleep."""
    monkeypatch.setattr("costhub.serve.connection.SLOW_READER_SECONDS", 0.05)
    has_left = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        shortcuts_of(scope).watch(receive, has_left.set)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not has_left.is_set():
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})

    async with serve(app) as server:
        with connect(server.port) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.wait_for(has_left.wait(), PATIENCE_SECONDS)


class TestShortcuts:
    async def test_a_body_that_came_with_its_head_is_there_at_once(self) -> None:
        bodies: list[bytes | None] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            bodies.append(shortcuts_of(scope).take_body(receive))
            await answer(send)

        async with serve(app) as server:
            await ask(server.port, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        assert bodies == [b"{}"]

    @pytest.mark.parametrize("has_begun", [True, False], ids=["a part of it came", "the caller waits to be asked"])
    async def test_a_body_that_is_not_whole_is_not_taken(self, has_begun: bool) -> None:
        seen: list[object] = []
        has_looked = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(shortcuts_of(scope).take_body(receive))
            has_looked.set()
            body = b""
            while len(body) < 2:
                body += (await receive())["body"]
            seen.append(body)
            await answer(send)

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n"
            writer.write(head + (b"\r\n{" if has_begun else b"expect: 100-continue\r\n\r\n"))
            await has_looked.wait()
            writer.write(b"}" if has_begun else b"{}")
            await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
            writer.close()
        assert seen == [None, b"{}"]

    async def test_who_watches_is_told_that_the_caller_has_left(self) -> None:
        has_left, is_watched = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            shortcuts_of(scope).watch(receive, has_left.set)
            is_watched.set()
            await has_left.wait()

        async with serve(app) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await is_watched.wait()
            assert not has_left.is_set()
            writer.close()
            await asyncio.wait_for(has_left.wait(), PATIENCE_SECONDS)

    @pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "given up"])
    async def test_who_leaves_afterwards_has_not_left(self, is_answered: bool) -> None:
        left: list[str] = []
        is_over = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            shortcuts = shortcuts_of(scope)
            shortcuts.watch(receive, lambda: left.append("left"))
            is_over.set()
            if is_answered:
                await answer(send)
                await server.has_lost_one.wait()

        async with serve(app) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await is_over.wait()
            writer.close()
            await server.has_lost_one.wait()
        assert left == []

    async def test_a_header_cannot_end_its_line(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            headers = {"x-model": "a\r\nx-evil: 1\0", "connection": "close"}
            assert shortcuts_of(scope).send_whole(send, 200, headers, b"ok")

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
        assert b"\r\nx-model: a  x-evil: 1 \r\n" in head

    @pytest.mark.parametrize("way", ["send_whole", "send_head"])
    @pytest.mark.parametrize(
        ("told", "sent"),
        [
            ("a\tb", b"a\tb"),
            ("\u00e9\u0085", b"\xe9\x85"),
            *((f"a{chr(code)}b", b"a b") for code in (*range(9), *range(10, 32), 127)),
        ],
    )
    async def test_a_control_character_goes_out_as_a_blank(self, way: str, told: str, sent: bytes) -> None:
        """The same that ASGI's way refuses: all but the tab."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            ways = shortcuts_of(scope)
            headers = {"x-model": told, "x-route": "direct"}
            if way == "send_whole":
                assert ways.send_whole(send, 200, headers, b"ok")
            else:
                assert ways.send_head(send, 200, headers, b"", more=True)
                await send({"type": "http.response.body"})

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
        status, model, route, *_ = head.split(b"\r\n")
        assert (status, model, route) == (b"HTTP/1.1 200 OK", b"x-model: " + sent, b"x-route: direct")

    async def test_the_head_of_a_stream_goes_out_as_asgi_s_would(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            headers = {"content-type": "text/event-stream", "x-model": "a\r\nx-evil: 1"}
            shortcuts, is_modern = shortcuts_of(scope), scope["http_version"] == "1.1"
            assert shortcuts.send_head(send, 200, headers, b"data: 0\n\n", more=True) == is_modern
            assert not shortcuts.send_head(send, 200, headers, b"", more=True), "it has begun, or never will"
            if not is_modern:
                await answer(send)
                return
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        async with serve(app) as server:
            for version in (b"1.1", b"1.0"):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(b"GET / HTTP/%b\r\nhost: x\r\n\r\n" % version)
                told = await reader.readuntil(b"0\r\n\r\n" if version == b"1.1" else b"\r\n\r\n")
                writer.close()
                if version == b"1.1":
                    assert told == (
                        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-model: a  x-evil: 1\r\n"
                        b"transfer-encoding: chunked\r\n\r\n"
                        b"9\r\ndata: 0\n\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n"
                    )

    async def test_a_stream_that_is_whole_goes_out_at_once_and_the_next_request_has_its_turn(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert shortcuts_of(scope).send_head(send, 200, {"x-path": scope["path"]}, b"data: 0\n\n", more=False)
            with pytest.raises(RuntimeError, match="after the end"):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for path in (b"/1", b"/2"):
                writer.write(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path)
                assert await reader.readuntil(b"0\r\n\r\n") == (
                    b"HTTP/1.1 200 OK\r\nx-path: %b\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 0\n\n\r\n0\r\n\r\n"
                    % path
                )
            writer.close()


async def _answer_all(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send)


async def _nothing_is_served(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("no request is whole")


class TestWrapped:
    """Whoever wraps ``receive`` or ``send`` wants to see what goes through: the shortcuts stand back."""

    async def test_a_wrapped_receive_brings_the_body_and_tells_who_leaves(self) -> None:
        seen: list[object] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def wrapped() -> dict[str, Any]:
                return await receive()

            shortcuts = shortcuts_of(scope)
            seen.append(shortcuts.take_body(wrapped))
            seen.append(shortcuts.watch(wrapped, lambda: seen.append("told")))
            seen.append((await wrapped())["body"])
            await answer(send)

        async with serve(app) as server:
            await ask(server.port, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        assert seen == [None, False, b"{}"]

    async def test_a_wrapped_send_gets_the_answer_in_messages(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def wrapped(message: dict[str, Any]) -> None:
                await send(message)

            assert not shortcuts_of(scope).send_whole(wrapped, 200, {}, b"")
            await answer(wrapped, b"ok")

        async with serve(app) as server:
            said = await ask(server.port, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert said == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"

    @pytest.mark.parametrize("what", ["receive", "send"])
    async def test_another_requests_callables_are_not_this_ones(self, what: str) -> None:
        calls: list[tuple[Scope, Receive, Send]] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            calls.append((scope, receive, send))
            if len(calls) == 2:
                shortcuts = shortcuts_of(scope)
                if what == "receive":
                    assert shortcuts.take_body(calls[0][1]) is None
                else:
                    assert not shortcuts.send_whole(calls[0][2], 200, {}, b"")
            await answer(send)

        async with serve(app) as server:
            one = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
            said = await ask(server.port, one + one.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        assert said.count(b"HTTP/1.1 200 OK") == 2


class TestStopping:
    async def test_what_is_being_answered_is_answered(self) -> None:
        """With the rest of its body, though nothing else is read any more."""
        has_begun = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert scope["path"] == "/a"
            has_begun.set()
            await answer(send, await read_body(receive) or b"left")

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab")
            await has_begun.wait()
            server.connections[0].shutdown()
            writer.write(b"cd" + b"GET /b HTTP/1.1\r\nhost: x\r\n\r\n")
            said = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
            writer.close()
        assert said == b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nabcd"

    @pytest.mark.parametrize("comes_early", [False, True])
    async def test_behind_an_answer_that_said_the_connection_stays_one_more_is_answered(
        self, comes_early: bool
    ) -> None:
        """Who keeps connections may have sent it before he hears that this one closes."""
        may_end = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": scope["path"].encode(), "more_body": True})
            if scope["path"] == "/a":
                await may_end.wait()
            await send({"type": "http.response.body", "body": b"."})

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n")
            first = await asyncio.wait_for(reader.readuntil(b"/a\r\n"), PATIENCE_SECONDS)
            server.connections[0].shutdown()
            request = b"GET /b HTTP/1.1\r\nhost: x\r\n\r\n"
            if comes_early:
                writer.write(request)
            may_end.set()
            rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), PATIENCE_SECONDS)
            if not comes_early:
                writer.write(request)
            second = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
            writer.close()
        assert b"connection: close" not in first + rest
        assert second == (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\n/b\r\n1\r\n.\r\n0\r\n\r\n"
        )

    async def test_behind_such_an_answer_those_who_wait_are_answered_in_their_order(self) -> None:
        """One that was left out would get the answer of the next."""
        may_end = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            body = scope["path"].encode() + await read_body(receive)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body, "more_body": True})
            if scope["path"] == "/a":
                await may_end.wait()
            await send({"type": "http.response.body", "body": b"."})

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.wait_for(reader.readuntil(b"/a\r\n"), PATIENCE_SECONDS)
            connection = server.connections[0]
            writer.write(b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n1")
            while not connection._queue:
                await asyncio.sleep(0)
            connection.shutdown()
            writer.write(b"2" + b"GET /c HTTP/1.1\r\nhost: x\r\n\r\n")
            may_end.set()
            said = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
            writer.close()
        bodies = [part for part in said.split(b"\r\n") if part.startswith(b"/")]
        assert bodies == [b"/b12", b"/c"]

    @pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost:"])
    async def test_who_waits_for_nothing_is_closed(self, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("costhub.serve.connection.LAST_REQUEST_SECONDS", 0.01)
        async with serve(_nothing_is_served) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(sent)
            while not server.connections:
                await asyncio.sleep(0)
            server.connections[0].shutdown()
            await asyncio.wait_for(server.has_lost_one.wait(), PATIENCE_SECONDS)
            writer.close()

    async def test_a_request_that_was_on_its_way_is_answered_and_is_the_last(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await answer(send, scope["path"].encode())

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"/a")
            server.connections[0].shutdown()
            writer.write(b"GET /b HTTP/1.1\r\nhost: x\r\n\r\nGET /c HTTP/1.1\r\nhost: x\r\n\r\n")
            said = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
            writer.close()
        assert said == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n/b"
