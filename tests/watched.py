"""Which of our functions run in a thread, and what they give: seen by the interpreter, so that none is replaced."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import unwrap
from types import FrameType
from typing import Any, NamedTuple


class Seen(NamedTuple):
    """A function that came to its end, or a coroutine or generator that rests."""

    #: with its class's
    name: str
    #: its arguments and its other local names, as they were then
    names: dict[str, Any]
    #: None of one that raised
    result: Any


@contextmanager
def watched(*functions: Callable[..., Any]) -> Iterator[list[Seen]]:
    """What these functions do in this thread, in an asynchronous test the event loop's. One block at a time."""
    codes = {unwrap(function).__code__ for function in functions}
    seen = list[Seen]()

    def note(frame: FrameType, event: str, result: Any) -> None:
        if event == "return" and frame.f_code in codes:
            seen.append(Seen(frame.f_code.co_qualname, dict(frame.f_locals), result))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(before)
