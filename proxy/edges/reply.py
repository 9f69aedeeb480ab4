"""The way back to the caller: headers once, then bytes, in ASGI's messages."""

from collections.abc import Callable, Mapping
from typing import Final

from proxy.edges.shortcuts import Send, Shortcuts
from proxy.errors import ApiError

#: what comes from an upstream is never taken for a page
NO_GUESSING: Final[Mapping[str, str]] = {"x-content-type-options": "nosniff"}


class Reply:
    """One response. ``transcript`` keeps what was sent when somebody wants to replay it, unless that is too long.

    What is so at first stands in the class: every call makes one."""

    has_begun = False
    # The caller has left, and the upstream is read to its end all the same: what comes is dropped.
    is_gone = False
    transcript: list[bytes] | None = None
    _room = 0
    content_type = ""
    status = 200
    # what goes with every answer
    more_headers = NO_GUESSING
    # How an error ends the stream that has begun, where that depends on what was sent.
    render_error_event: Callable[[ApiError, str], bytes] | None = None

    def __init__(self, send: Send, shortcuts: Shortcuts | None = None) -> None:
        self._send = send
        self._shortcuts = shortcuts

    def keep_transcript(self, most_bytes: int) -> None:
        """Keep what is sent from now on, up to so many bytes."""
        self.transcript, self._room = [], most_bytes

    def send_at_once(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Send a whole response in one write to the socket. False, and nothing sent, where the server cannot."""
        if self._shortcuts is None or self.transcript is not None or self.is_gone:
            return False
        self.has_begun = True
        return self._shortcuts.send_whole(self._send, status, {**headers, **self.more_headers}, body)

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole response."""
        if self.send_at_once(status, headers, body):
            return
        await self.begin(status, {**headers, "content-length": str(len(body))})
        await self.end(body)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status and headers; bytes follow."""
        self.has_begun = True
        self.status, self.content_type = status, headers.get("content-type", "")
        if not self.is_gone:
            await self._send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": [
                        (name.encode(), value.encode("latin-1", "replace"))
                        for name, value in {**headers, **self.more_headers}.items()
                    ],
                }
            )

    async def begin_stream(self, headers: Mapping[str, str], data: bytes, *, more: bool) -> None:
        """Send status 200, the headers of a stream and its first bytes, or all of them where there is no ``more``: a
        write to the socket costs as much as all that is done to a part of a stream."""
        shortcuts = self._shortcuts
        if shortcuts is not None and not self.is_gone:
            told = {**headers, **self.more_headers}
            if shortcuts.send_head(self._send, 200, told, data, more=more):
                self.has_begun, self.content_type = True, headers.get("content-type", "")
                self._keep(data)
                return
        await self.begin(200, headers)
        await self._body(data, more=more)

    async def chunk(self, data: bytes) -> None:
        """Send more bytes, as they are."""
        await self._body(data, more=True)

    async def end(self, data: bytes) -> None:
        """Send the last bytes."""
        await self._body(data, more=False)

    async def _body(self, data: bytes, *, more: bool) -> None:
        self._keep(data)
        if not self.is_gone:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    def _keep(self, data: bytes) -> None:
        if self.transcript is not None:
            self._room -= len(data)
            self.transcript.append(data)
            if self._room < 0:
                self.transcript = None
