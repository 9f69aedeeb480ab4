"""Requests outside ``/v1`` take turns: so many are answered at once, and no crowd keeps everybody else waiting.

While Django answers one it has a thread and a connection to PostgreSQL. Without a bound a burst from anybody, of wrong
passwords say, would take every connection that PostgreSQL has, those of jobs and of calls too, and each would wait for
all the others. So whoever waits is let in caller by caller, and no caller ever has all the places.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import MutableMapping
from typing import Any, Final

from django.conf import settings

from costhub.lib.addresses import find_caller, network_of
from costhub.refusals import refuse
from proxy.edges.shortcuts import Receive, Send

#: answered at once by one process. Each has a thread, which waits for the interpreter as long as there are threads; and
#: of PostgreSQL's connections (100, where nobody says otherwise) jobs, calls and other such processes want some
MOST: Final = 16
#: by one address, which may be a house of people, or the operator's own proxy where nobody said that there is one
MOST_OF_A_CALLER: Final = 12
#: who waits, and for how long
MOST_WAITING: Final = 256
WAIT_SECONDS: Final = 10

_FORWARDED: Final = b"x-forwarded-for"


class TooManyWait(Exception):
    """There is no place, and no room to wait for one."""


class Turns:
    """Places, ``most`` in all and ``most_of_a_caller`` for each caller, for which ``most_waiting`` may wait, of one
    caller as large a part as of the places. Callers that wait are served one after the other, however many turns each
    of them wants."""

    def __init__(self, most: int, most_of_a_caller: int, most_waiting: int) -> None:
        self._most = most
        self._most_of_a_caller = most_of_a_caller
        self._most_waiting = most_waiting
        self._taken: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting_count = 0

    async def take(self, caller: str, patience_seconds: float) -> None:
        """Wait for a place; ``leave`` gives it back. Raises TooManyWait, and TimeoutError."""
        if self._is_free_for(caller):
            self._taken[caller] += 1
            return
        if self._is_full_for(caller):
            raise TooManyWait
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        self._waiting_count += 1
        try:
            async with asyncio.timeout(patience_seconds):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave(caller)  # it came in the moment in which nobody wanted it any more
            else:
                self._forget(caller, turn)
            raise

    def leave(self, caller: str) -> None:
        """Give a place back: whoever waits has it."""
        self._taken[caller] -= 1
        if not self._taken[caller]:
            del self._taken[caller]
        for waiting, turns in self._waiting.items():
            # Whoever has given up takes itself out in a moment.
            turn = next((turn for turn in turns if not turn.done()), None)
            if turn is not None and self._is_free_for(waiting):
                self._let_in(waiting, turn)
                return

    def _is_free_for(self, caller: str) -> bool:
        return self._taken.total() < self._most and self._taken[caller] < self._most_of_a_caller

    def _is_full_for(self, caller: str) -> bool:
        # One crowd would else have the whole room, and everybody beside it be refused.
        own = len(self._waiting.get(caller, ()))
        has_its_share = own * self._most >= self._most_waiting * self._most_of_a_caller
        return has_its_share or self._waiting_count >= self._most_waiting

    def _let_in(self, caller: str, turn: "asyncio.Future[None]") -> None:
        self._forget(caller, turn)
        if caller in self._waiting:
            self._waiting.move_to_end(caller)
        self._taken[caller] += 1
        turn.set_result(None)

    def _forget(self, caller: str, turn: "asyncio.Future[None]") -> None:
        self._waiting[caller].remove(turn)
        self._waiting_count -= 1
        if not self._waiting[caller]:
            del self._waiting[caller]


class InTurn:
    """An ASGI application that lets ``app`` answer so many requests at once. A turn ends where the answer begins:
    whoever reads it slowly, or a stream of it for hours, keeps nobody waiting."""

    def __init__(self, app: Any, turns: Turns | None = None, *, patience_seconds: float = WAIT_SECONDS) -> None:
        self._app = app
        self._turns = turns or Turns(MOST, MOST_OF_A_CALLER, MOST_WAITING)
        self._patience_seconds = patience_seconds

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Wait for a turn, and have the application answer; or refuse."""
        caller = _find_caller(scope)
        try:
            await self._turns.take(caller, self._patience_seconds)
        except (TooManyWait, TimeoutError):
            sentence = "Too many requests wait for an answer at this moment. Try again in a second."
            await refuse(scope["path"], 503, "too_many_at_once", sentence, send)
            return
        has_turn = True

        async def send_on(message: dict[str, Any]) -> None:
            nonlocal has_turn
            if has_turn:
                has_turn = False
                self._turns.leave(caller)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            if has_turn:
                self._turns.leave(caller)


def _find_caller(scope: MutableMapping[str, Any]) -> str:
    peer, _ = scope.get("client") or ("", 0)
    forwarded = b",".join(value for name, value in scope["headers"] if name == _FORWARDED)
    return network_of(find_caller(peer, forwarded.decode("latin-1"), settings.TRUSTED_PROXIES))
