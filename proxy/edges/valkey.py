"""The hot path's connection to Valkey: one socket a process, and a tick's commands in few writes.

Why not redis-py: a call awaits one script and leaves a second behind, and redis-py's asyncio client spends 73 to 93 us
of CPU on each; packing with hiredis and answering futures from ``data_received`` costs 5 (docs/benchmarks.md). It does
nothing else: no pool, no cluster, no retries. Whoever sends a command says what an unknown outcome means.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import hiredis

_log = logging.getLogger(__name__)

_TICK_SECONDS: Final = 0.02
_RECONNECT_SECONDS: Final = 0.05
_CONNECT_TIMEOUT_SECONDS: Final = 2.0
#: so many commands go out before the tick ends: Valkey then works beside us, and not after us
_BATCH: Final = 4
_SCRIPTS: Final = Path(__file__).parent / "lua"

Argument = bytes | str | int
Answer = asyncio.Future[Any]


class ValkeyUnavailable(Exception):
    """Nothing was sent: there is no connection."""


class OutcomeUnknown(ValkeyUnavailable):
    """The command was sent and no answer came: it may have run, may yet run, or never will."""


class Script:
    """A Lua script of ours, run by its digest. What it shares with others stands before it."""

    def __init__(self, name: str, *, shares: str = "") -> None:
        names = [shares, name] if shares else [name]
        self.source = b"".join((_SCRIPTS / f"{each}.lua").read_bytes() for each in names)
        self.sha = b""


class Valkey:
    """A pipelining client with one connection, which it restores by itself.

    ``timeout_ms`` bounds how long any command waits: then the connection is given up, with everything on it, because
    behind a command that is not answered nothing else is either.
    """

    def __init__(self, url: str, scripts: Sequence[Script], timeout_ms: int) -> None:
        self._url = urlsplit(url)
        self._scripts = scripts
        self._timeout = timeout_ms / 1000
        self._line: _Line | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False
        self._restored = asyncio.Event()

    async def open(self) -> None:
        """Connect, or begin to try: a gateway starts also when Valkey does not."""
        self._keeper = asyncio.create_task(self._keep_connected())
        try:
            await asyncio.wait_for(self._restored.wait(), _CONNECT_TIMEOUT_SECONDS)
        except TimeoutError:
            _log.warning("Valkey does not answer yet: calls are refused until it does")

    async def close(self) -> None:
        """Close the connection; commands on their way have an unknown outcome."""
        self._closed = True
        if self._keeper:
            self._keeper.cancel()
        if self._line:
            self._line.abort()

    @property
    def is_connected(self) -> bool:
        """Whether a command can be sent now."""
        return self._line is not None

    async def wait_connected(self) -> None:
        """Return once there is a connection."""
        await self._restored.wait()

    def send(self, *command: Argument) -> Answer:
        """Send one command with this tick's others. The future fails with OutcomeUnknown or a server's error.

        Raises ValkeyUnavailable when there is no connection.
        """
        if self._line is None:
            raise ValkeyUnavailable
        return self._line.send(command)

    def run(self, script: Script, keys: Sequence[Argument], arguments: Sequence[Argument]) -> Answer:
        """Send one of our scripts. As ``send``."""
        if self._line is None:
            raise ValkeyUnavailable
        return self._line.send((b"EVALSHA", script.sha, len(keys), *keys, *arguments))

    async def _keep_connected(self) -> None:
        while not self._closed:
            try:
                line = await asyncio.wait_for(self._connect(), _CONNECT_TIMEOUT_SECONDS)
            except (OSError, TimeoutError, ValkeyUnavailable, hiredis.ReplyError) as error:
                _log.warning("Valkey is out of reach: %s", type(error).__name__)
                await asyncio.sleep(_RECONNECT_SECONDS)
                continue
            self._line = line
            self._restored.set()
            try:
                await line.broken
            finally:
                self._line = None
                self._restored.clear()

    async def _connect(self) -> "_Line":
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(
            lambda: _Line(loop, self._timeout),
            self._url.hostname or "127.0.0.1",
            self._url.port or 6379,
            ssl=True if self._url.scheme == "rediss" else None,
        )
        try:
            if self._url.password:
                user = unquote(self._url.username or "default")
                await line.send((b"AUTH", user, unquote(self._url.password)))
            if database := self._url.path.strip("/"):
                await line.send((b"SELECT", database))
            for script in self._scripts:
                script.sha = await line.send((b"SCRIPT", b"LOAD", script.source))
        except BaseException:
            line.abort()
            raise
        return line


class _Line(asyncio.Protocol):
    """One connection: commands out in order, answers back in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        self._loop = loop
        self._timeout = timeout
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[Answer, float]] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._is_late = False
        self._is_flush_due = False
        self.broken: asyncio.Future[None] = loop.create_future()

    def send(self, command: tuple[Argument, ...]) -> Answer:
        if self.broken.done():
            raise ValkeyUnavailable
        answer: Answer = self._loop.create_future()
        self._unsent.append(hiredis.pack_command(command))  # type: ignore[arg-type]
        self._waiting.append((answer, self._loop.time() + self._timeout))
        if len(self._unsent) >= _BATCH:
            self._flush()
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._end_tick)
        return answer

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's
        self._transport = cast("asyncio.Transport", transport)
        self._watch = self._loop.call_later(_TICK_SECONDS, self._look_at_the_clock)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            answer, _ = self._waiting.popleft()
            if answer.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                answer.set_exception(reply)
                if str(reply).startswith("NOSCRIPT"):
                    # The scripts are gone (SCRIPT FLUSH, a failover): they are loaded with a new connection.
                    self.abort()
            else:
                answer.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        if self._watch:
            self._watch.cancel()
        if not self.broken.done():
            self.broken.set_result(None)
        while self._waiting:
            answer, _ = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(OutcomeUnknown())

    def _end_tick(self) -> None:
        self._is_flush_due = False
        self._flush()

    def _flush(self) -> None:
        if self._transport and self._unsent and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _look_at_the_clock(self) -> None:
        if self._waiting and self._waiting[0][1] < self._loop.time():
            if self._is_late:
                _log.warning("Valkey did not answer in time: the connection is given up")
                self.abort()
                return
            # Perhaps it was this process that was slow, and the answer lies in the socket: read that first.
            self._is_late = True
        else:
            self._is_late = False
        self._watch = self._loop.call_later(_TICK_SECONDS, self._look_at_the_clock)
