"""The hot path's own client of Valkey, on a server that is stopped, killed and flushed under it."""

import asyncio
import os
import shutil
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import hiredis
import pytest
import redis
from django.conf import settings

from costhub.lib import clock
from costhub.lib.redis import connect as connect_blocking
from costhub.lib.redis import connect_async
from costhub.stack.ports import HOST
from costhub.stack.valkey import Valkey as Server
from proxy.edges.settle_batch import SETTLE, Settle, settle_command
from proxy.edges.valkey import OutcomeUnknown, Script, Valkey, ValkeyUnavailable
from tests.patience import PATIENCE_SECONDS
from tests.proxy.edges.test_standing_tasks import count_faults
from tests.valkeys import Certificates

TIMEOUT_MS = PATIENCE_SECONDS * 1000
#: a script's keys and arguments, of a hold that nobody has
OF_NOBODY = settle_command(99, [Settle("nobody", 0, b"{}", b"")], 1)

Connect = Callable[..., Coroutine[Any, Any, Valkey]]


@pytest.fixture
def server() -> Iterator[Server]:
    """A Valkey of this test alone, to be broken."""
    directory = Path(tempfile.mkdtemp(prefix="costhub-valkey-"))
    server = Server(directory)
    server.start()
    server.wait_ready()
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open a client; it is closed when the test ends."""
    opened: list[Valkey] = []

    async def open_one(url: str = settings.REDIS_URL, scripts: tuple[Script, ...] = ()) -> Valkey:
        opened.append(Valkey(url, scripts, TIMEOUT_MS))
        await opened[-1].open()
        return opened[-1]

    yield open_one
    for valkey in opened:
        await valkey.close()


class TestAnswers:
    async def test_they_come_back_in_the_order_of_the_questions(self, connect: Connect) -> None:
        valkey = await connect()
        answers = await asyncio.gather(*(valkey.send("ECHO", str(number)) for number in range(1_000)))
        assert answers == [str(number).encode() for number in range(1_000)]

    async def test_an_error_is_for_its_own_command(self, connect: Connect) -> None:
        valkey = await connect()
        first, wrong, last = (valkey.send(*command) for command in (("ECHO", "a"), ("NONSENSE",), ("ECHO", "b")))
        assert (await first, await last) == (b"a", b"b")
        with pytest.raises(hiredis.ReplyError, match="unknown command 'NONSENSE'"):
            await wrong

    async def test_one_that_nobody_waits_for_any_more_disturbs_no_other(self, connect: Connect) -> None:
        valkey = await connect()
        first, second, third = (valkey.send("ECHO", word) for word in "abc")
        second.cancel()
        assert (await first, await third) == (b"a", b"c")

    async def test_large_and_binary_arguments_arrive(self, connect: Connect) -> None:
        valkey = await connect()
        large = os.urandom(3_000_000)
        assert await valkey.send("ECHO", large) == large
        assert await valkey.send("ECHO", "Zoë 🙂") == "Zoë 🙂".encode()
        assert await valkey.send("ECHO", 2**62) == str(2**62).encode()

    async def test_a_script_runs_by_its_digest(self, connect: Connect) -> None:
        valkey = await connect(scripts=(SETTLE,))
        assert len(SETTLE.sha) == 40
        assert await valkey.run(SETTLE, *OF_NOBODY) == [0]


class TestUnreachable:
    async def test_nothing_is_sent_without_a_connection(self, connect: Connect, server: Server) -> None:
        valkey = await connect(server.url)
        server.stop()
        await disconnected(valkey)
        assert not valkey.is_connected
        with pytest.raises(ValkeyUnavailable) as caught:
            valkey.send("PING")
        assert not isinstance(caught.value, OutcomeUnknown)

    async def test_a_server_that_hangs_leaves_the_outcome_unknown_in_time(
        self, connect: Connect, server: Server
    ) -> None:
        valkey = await connect(server.url)
        assert server.pid is not None
        assert valkey._line is not None
        valkey._line._timeout = 0.15
        os.kill(server.pid, signal.SIGSTOP)
        try:
            # Stopped, the server would never answer: without a deadline this would wait for ever.
            answers = [valkey.send("INCR", "n") for _ in range(3)]
            outcomes = await asyncio.gather(*answers, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown] * 3
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await asyncio.wait_for(valkey.wait_connected(), PATIENCE_SECONDS)
        assert await valkey.send("GET", "n") in {b"3", None}, "it may have run, all of it, or never will"

    async def test_a_server_that_is_killed_and_comes_back_knows_the_scripts(
        self, connect: Connect, server: Server
    ) -> None:
        valkey = await connect(server.url, (SETTLE,))
        await valkey.send("SET", "kept", "1")
        server.kill()
        server.reap()
        await disconnected(valkey)
        server.start()
        await asyncio.to_thread(server.wait_ready)
        await asyncio.wait_for(valkey.wait_connected(), PATIENCE_SECONDS)
        assert await valkey.send("GET", "kept") == b"1"
        assert await valkey.run(SETTLE, *OF_NOBODY) == [0]

    async def test_a_server_that_answers_what_nobody_expects_is_asked_again(self, connect: Connect) -> None:
        """A number in the place of what it tells of itself, to the first connection."""
        answers, before = [b":1\r\n"], count_faults("valkey")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answer = answers.pop() if answers else b"$4\r\nfine\r\n"
            while await reader.read(1_000):
                writer.write(answer)
            writer.close()

        async with await asyncio.start_server(serve, HOST, 0) as odd:
            valkey = await connect(f"redis://{HOST}:{odd.sockets[0].getsockname()[1]}/0")
            await asyncio.wait_for(valkey.wait_connected(), PATIENCE_SECONDS)
            assert await valkey.send("PING") == b"fine"
            assert count_faults("valkey") - before == 1
            await valkey.close()

    async def test_scripts_that_were_flushed_are_loaded_again(self, connect: Connect, server: Server) -> None:
        valkey = await connect(server.url, (SETTLE,))
        await valkey.send("SCRIPT", "FLUSH")
        with pytest.raises(hiredis.ReplyError, match="NOSCRIPT"):
            await valkey.run(SETTLE, *OF_NOBODY)
        await disconnected(valkey)
        await asyncio.wait_for(valkey.wait_connected(), PATIENCE_SECONDS)
        assert await valkey.run(SETTLE, *OF_NOBODY) == [0]

    async def test_a_connection_that_is_killed_is_made_again(self, connect: Connect, server: Server) -> None:
        valkey = await connect(server.url)
        number = await valkey.send("CLIENT", "ID")
        with redis.Redis.from_url(server.url) as other:
            other.execute_command("CLIENT", "KILL", "ID", number)
        await disconnected(valkey)
        await asyncio.wait_for(valkey.wait_connected(), PATIENCE_SECONDS)
        assert await valkey.send("CLIENT", "ID") > number

    async def test_what_is_on_its_way_when_it_is_closed_is_unknown(self, connect: Connect) -> None:
        valkey = await connect()
        answer = valkey.send("BLPOP", f"nothing:{clock.monotonic_ns()}", "60")
        await valkey.close()
        with pytest.raises(OutcomeUnknown):
            await answer


class TestPassword:
    async def test_a_wrong_one_is_no_connection(
        self, connect: Connect, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        secret = "not-the-password"
        valkey = Valkey(f"redis://:{secret}@127.0.0.1:{server.port}/0", (), TIMEOUT_MS)
        opening = asyncio.create_task(valkey.open())
        await logged(caplog, "Valkey is out of reach")
        assert not valkey.is_connected
        with pytest.raises(ValkeyUnavailable):
            valkey.send("PING")
        await valkey.close()
        opening.cancel()
        assert secret not in caplog.text

    async def test_one_with_special_characters_is_unquoted(self, connect: Connect, server: Server) -> None:
        with redis.Redis.from_url(server.url) as admin:
            admin.execute_command("ACL", "SETUSER", "gateway", "on", ">p@ss/w:rd%", "~*", "+@all")
        valkey = await connect(f"redis://gateway:p%40ss%2Fw%3Ard%25@127.0.0.1:{server.port}/3")
        assert await valkey.send("ACL", "WHOAMI") == b"gateway"
        assert b" db=3 " in await valkey.send("CLIENT", "INFO")


async def disconnected(valkey: Valkey) -> None:
    """Return when the client has noticed that its connection is gone."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while valkey.is_connected and valkey._restored.is_set():
            await asyncio.sleep(0)


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Return when a message was logged."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while text not in caplog.text:
            await asyncio.sleep(0.01)


class TestTls:
    @pytest.fixture
    async def tls(self, server: Server, tmp_path: Path) -> AsyncIterator[tuple[Certificates, int]]:
        """The server behind TLS, with a certificate of the test's own: (certificates, port). The one that our package
        brings speaks none itself."""
        made = Certificates(tmp_path)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(made.cert, made.key)

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            to_server = await asyncio.open_connection(HOST, server.port)
            await asyncio.gather(pass_on(reader, to_server[1]), pass_on(to_server[0], writer))

        listening = await asyncio.start_server(relay, HOST, 0, ssl=context)
        async with listening:
            yield made, listening.sockets[0].getsockname()[1]

    def url(self, server: Server, port: int, more: str) -> str:
        secret = server.url.split("@")[0].removeprefix("redis://")
        return f"valkeys://{secret}@{HOST}:{port}/0{more}"

    async def test_calls_and_jobs_speak_it(
        self, server: Server, tls: tuple[Certificates, int], connect: Connect
    ) -> None:
        made, port = tls
        url = self.url(server, port, f"?ca={made.ca}")
        valkey = await connect(url, (SETTLE,))
        assert await valkey.send(b"SET", "through", "tls") == b"OK"
        assert await valkey.run(SETTLE, *OF_NOBODY) == [0]

        def read() -> Any:
            with connect_blocking(url) as client:
                return client.get("through")

        assert await asyncio.to_thread(read) == b"tls"
        client = connect_async(url, seconds=2)
        assert await client.get("through") == b"tls"
        await client.aclose()

    async def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, server: Server, tls: tuple[Certificates, int]
    ) -> None:
        valkey = Valkey(self.url(server, tls[1], ""), (), TIMEOUT_MS)
        dial = valkey._dial
        with pytest.raises(ssl.SSLCertVerificationError):
            await dial.master()

        def ping() -> Any:
            with connect_blocking(self.url(server, tls[1], "")) as client:
                return client.ping()

        with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
            await asyncio.to_thread(ping)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until it ends, or breaks."""
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
