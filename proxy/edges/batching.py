"""What happens in one turn of the loop, sent together: at full speed calls come and end seven or eight at a time, and
what they share is then read and written once for all of them. What comes alone goes alone, and no later.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

import hiredis

from proxy.edges.valkey import Answer

#: no script keeps the others waiting for longer than these take: so many calls, and about so many counters and windows
_MOST_TOGETHER: Final = 16
_MOST_BREADTH: Final = 500

Name = TypeVar("Name", bound=Hashable)
Thing = TypeVar("Thing")


class Tick(Generic[Name, Thing]):
    """Gathers a turn's things by name. ``send`` sends those of one name; what it is answered has an answer for each.

    ``apart``: when the server says that it cannot do them all, each is sent alone: only where nothing is done then.
    """

    def __init__(self, send: Callable[[Name, Sequence[Thing]], Answer], *, apart: bool) -> None:
        self._send = send
        self._apart = apart
        self._gathered: dict[Name, tuple[list[Thing], list[Answer]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, name: Name, thing: Thing, breadth: int) -> Answer:
        """Have it sent with this turn's others of that name. ``breadth``: how many counters and windows it reads or
        writes.

        The future has its answer, and fails as that of all does.
        """
        # Asked for once: each time asyncio asks the kernel which process this is.
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        gathered = self._gathered.get(name)
        if gathered is None:
            gathered = self._gathered[name] = ([], [])
            loop.call_soon(self._end, name)
        things, answers = gathered
        things.append(thing)
        answers.append(answer)
        count = len(things)
        if count == _MOST_TOGETHER or count * breadth >= _MOST_BREADTH:
            self._end(name)
        return answer

    def _end(self, name: Name) -> None:
        if gathered := self._gathered.pop(name, None):
            self._send_all(name, *gathered)

    def _send_all(self, name: Name, things: Sequence[Thing], answers: Sequence[Answer]) -> None:
        try:
            sent = self._send(name, things)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            _fail(answers, error)
            return
        sent.add_done_callback(partial(self._tell, name, things, answers))

    def _tell(self, name: Name, things: Sequence[Thing], answers: Sequence[Answer], done: Answer) -> None:
        error = done.exception()
        if error is None:
            for answer, result in zip(answers, done.result(), strict=True):
                # who waits no longer does not need it
                if not answer.done():
                    answer.set_result(result)
        elif self._apart and isinstance(error, hiredis.ReplyError) and len(things) > 1:
            for thing, answer in zip(things, answers, strict=True):
                self._send_all(name, [thing], [answer])
        else:
            _fail(answers, error)


def _fail(answers: Sequence[Answer], error: BaseException) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(error)
