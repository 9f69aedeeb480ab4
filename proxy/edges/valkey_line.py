"""One connection to a Valkey: commands out in order, few writes a tick, answers back in order."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

_log = logging.getLogger(__name__)

_TICK_SECONDS: Final = 0.02
#: so many commands go out before the tick ends: Valkey then works beside us, and not after us
_BATCH: Final = 4
_ASKING: Final = b"*1\r\n$6\r\nASKING\r\n"
#: a server says this instead of running a command: nothing has happened
NOT_RUN: Final = frozenset({"CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOREPLICAS", "READONLY", "TRYAGAIN"})

Argument = bytes | str | int
Answer = asyncio.Future[Any]
#: what else may be done about an error than telling it: (line, answer, error, command); False where nothing is
Refused = Callable[["Line", Answer, hiredis.ReplyError, bytes], bool]


class ValkeyUnavailable(Exception):
    """Nothing was sent, or nothing was done: there is no connection, or a server that takes no commands."""


class OutcomeUnknown(ValkeyUnavailable):
    """The command was sent and no answer came: it may have run, may yet run, or never will."""


class Line(asyncio.Protocol):
    """One connection. It is given up, with everything on it, when a command waits longer than ``timeout`` seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float, refused: Refused | None = None) -> None:
        self._loop = loop
        self._timeout = timeout
        self._refused = refused
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[Answer, float, bytes]] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._is_late = False
        self._is_flush_due = False
        #: the server's process, as it calls itself
        self.run_id = b""
        self.broken: asyncio.Future[None] = loop.create_future()

    def send(self, command: tuple[Argument, ...]) -> Answer:
        """Send with this tick's others. Raises ValkeyUnavailable on a broken connection."""
        return self.put(hiredis.pack_command(command), self._loop.create_future())  # type: ignore[arg-type]

    def put(self, packed: bytes, answer: Answer) -> Answer:
        """As ``send``: a command as it goes over the wire, and whom to tell. Raises ValkeyUnavailable on a broken
        connection."""
        if self.broken.done():
            raise ValkeyUnavailable
        self._unsent.append(packed)
        self._waiting.append((answer, self._loop.time() + self._timeout, packed))
        if len(self._unsent) >= _BATCH:
            self._flush()
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._end_tick)
        return answer

    def put_asking(self, packed: bytes, answer: Answer) -> None:
        """As ``put``, for a slot that is on its way to this server. Nothing may come between the two: a server forgets
        that it was asked to with the next command, whichever that is."""
        if len(self._unsent) + 2 > _BATCH:
            self._flush()
        asking: Answer = self._loop.create_future()
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.put(_ASKING, asking)
        self.put(packed, answer)

    def abort(self) -> None:
        """Give the connection up: what is on it has an unknown outcome."""
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's
        self._transport = cast("asyncio.Transport", transport)
        self._watch = self._loop.call_later(_TICK_SECONDS, self._look_at_the_clock)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            answer, _, packed = self._waiting.popleft()
            if answer.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                self._refuse(answer, reply, packed)
            else:
                answer.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        if self._watch:
            self._watch.cancel()
        if not self.broken.done():
            self.broken.set_result(None)
        while self._waiting:
            answer, _, _ = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(OutcomeUnknown())

    def _refuse(self, answer: Answer, error: hiredis.ReplyError, packed: bytes) -> None:
        if self._refused is not None and self._refused(self, answer, error, packed):
            return
        word = str(error).partition(" ")[0]
        answer.set_exception(ValkeyUnavailable(word) if word in NOT_RUN else error)
        if word in {"NOSCRIPT", "READONLY"}:
            # The scripts are gone (SCRIPT FLUSH), or this is no master any more: a new connection sets both right.
            self.abort()

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


class ConfirmedLine(Line):
    """A connection on which nothing counts as done before ``replicas`` replicas have it: after each write it asks how
    many do (WAIT), and tells answers only then. What too few have has an unknown outcome: the next failover may undo
    it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timeout: float, refused: Refused | None = None, *, replicas: int
    ) -> None:
        super().__init__(loop, timeout, refused)
        self._replicas = replicas
        # sooner than the line is given up
        self._wait: bytes = hiredis.pack_command((b"WAIT", replicas, max(1, int(timeout * 800))))  # type: ignore[arg-type]
        self._marks: set[Answer] = set()
        self._unconfirmed: list[tuple[Answer, Any, bytes]] = []

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            answer, _, packed = self._waiting.popleft()
            if answer not in self._marks:
                self._unconfirmed.append((answer, reply, packed))
                continue
            self._marks.remove(answer)
            confirmed, self._unconfirmed = self._unconfirmed, []
            is_kept = isinstance(reply, int) and reply >= self._replicas
            for waiting, its_reply, its_command in confirmed:
                if waiting.done():
                    continue
                if isinstance(its_reply, hiredis.ReplyError):
                    self._refuse(waiting, its_reply, its_command)
                elif is_kept:
                    waiting.set_result(its_reply)
                else:
                    waiting.set_exception(OutcomeUnknown())

    def connection_lost(self, error: Exception | None) -> None:
        for answer, _, _ in self._unconfirmed:
            if not answer.done():
                answer.set_exception(OutcomeUnknown())
        self._unconfirmed.clear()
        super().connection_lost(error)
        for mark in self._marks:
            mark.exception()  # nobody waits for it
        self._marks.clear()

    def _flush(self) -> None:
        if self._unsent and self._transport and not self._transport.is_closing():
            mark: Answer = self._loop.create_future()
            self._marks.add(mark)
            self._unsent.append(self._wait)
            self._waiting.append((mark, self._loop.time() + self._timeout, self._wait))
        super()._flush()
