"""What our web server offers beside ASGI's messages, where it does the same with less: under another server, ASGI's way
does it all."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
#: the ASGI extension under which ``costhub.serve`` offers them
SHORTCUTS: Final = "costhub.shortcuts"


class Shortcuts(Protocol):
    """One request's. Each is told the ``receive`` or ``send`` in hand: where that is not the server's own, somebody has
    wrapped it to see what goes through, and ASGI's way is taken."""

    task: asyncio.Task[None] | None
    """In which the request is served."""

    def take_body(self, receive: Receive, most_bytes: int | None = None) -> bytes | None:
        """The whole body, if it is there already, and has at most so many bytes; else None, and ``receive`` brings
        it."""

    def watch(self, receive: Receive, leave: Callable[[], None]) -> bool:
        """Call ``leave`` if the caller closes the connection before the response is whole and the application has
        returned. False: nobody will be told, and ``receive`` says it."""

    def send_whole(self, send: Send, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Headers and body in one write: ASGI wants two messages, and they make two packets.

        False, and nothing sent, where the connection is not in its plainest state; ASGI's way then does it right.
        """

    def send_head(self, send: Send, status: int, headers: Mapping[str, str], body: bytes, *, more: bool) -> bool:
        """The head of a response whose length nobody knows yet and the beginning of its body, or where there is no
        ``more`` all of it, in one write; ``send`` takes what follows. False, and nothing sent, as above."""
