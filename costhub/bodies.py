"""Request bodies outside ``/v1``: whole in memory within bounds of size and time, before Django is asked.

Django writes a body of any length to a temporary file, from anybody, for as long as it comes. What is sent to a form or
to the management API is small: more than that is refused, in the words of whoever would have answered.
"""

import asyncio
from collections.abc import Iterable, MutableMapping
from typing import Any, Final

from costhub.refusals import refuse
from proxy.edges.shortcuts import Receive, Send

#: a body that is not whole by then never will be
BODY_SECONDS: Final = 30
#: what all that come at once, or are being answered, may take of a process's memory
MOST_WAITING_BYTES: Final = 128 * 1024 * 1024

_CODES: Final = {408: "body_timeout", 413: "body_too_large", 503: "too_many_bodies"}


class _Refused(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class BoundedBodies:
    """An ASGI application before ``app`` that reads each body of at most ``most_bytes``."""

    def __init__(self, app: Any, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._waiting_bytes = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Read the body, then let the application answer; or refuse it."""
        announced = _announced(scope["headers"])
        if announced == 0:
            await self._app(scope, receive, send)
            return
        body, held = bytearray(), 0
        try:
            if not await self._read(announced, receive, body):
                return  # nobody is there any more
            waiting, held = [bytes(body)], len(body)
            # It is the application's from here on, and not here a second time.
            body.clear()

            async def receive_again() -> dict[str, Any]:
                if waiting:
                    return {"type": "http.request", "body": waiting.pop(), "more_body": False}
                return await receive()

            await self._app(scope, receive_again, send)
        except _Refused as refused:
            await refuse(scope["path"], refused.status, _CODES[refused.status], str(refused), send)
        finally:
            self._waiting_bytes -= held or len(body)

    async def _read(self, announced: int | None, receive: Receive, body: bytearray) -> bool:
        """Gather it in ``body``, which counts among all that wait. False where the caller has left. Raises _Refused."""
        too_large = _Refused(413, f"The body is larger than {self._most_bytes} bytes, the most that is taken here.")
        if announced is not None and announced > self._most_bytes:
            raise too_large
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return False
                    part = message.get("body", b"")
                    self._waiting_bytes += len(part)
                    body += part
                    if len(body) > self._most_bytes:
                        raise too_large
                    # Whoever brings it over the bound is refused: what the others have brought is not in vain.
                    if self._waiting_bytes > MOST_WAITING_BYTES:
                        raise _Refused(503, "Too many requests with a body come at once. Try again.")
                    if not message.get("more_body"):
                        return True
        except TimeoutError as error:
            raise _Refused(408, f"The body did not arrive within {BODY_SECONDS} s.") from error


def _announced(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """How long the body says it is; None where only its end will tell."""
    length = 0
    for name, value in headers:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            length = int(value)
    return length
