"""The way back to the caller: headers once, then bytes, in ASGI's messages."""

from collections.abc import Mapping

from proxy.edges.shortcuts import Send, Shortcuts


class Reply:
    """One response. ``transcript`` keeps what was sent when somebody wants to replay it."""

    __slots__ = ("_send", "_shortcuts", "has_begun", "is_gone", "transcript")

    def __init__(self, send: Send, shortcuts: Shortcuts | None = None) -> None:
        self._send = send
        self._shortcuts = shortcuts
        self.has_begun = False
        # The caller has left, and the upstream is read to its end all the same: what comes is dropped.
        self.is_gone = False
        self.transcript: list[bytes] | None = None

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole response; in one write to the socket where the server can."""
        if self._shortcuts is not None and self.transcript is None and not self.is_gone:
            self.has_begun = True
            if self._shortcuts.send_whole(self._send, status, headers, body):
                return
        await self.begin(status, {**headers, "content-length": str(len(body))})
        await self.end(body)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers; bytes follow."""
        self.has_begun = True
        if not self.is_gone:
            await self._send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()],
                }
            )

    async def chunk(self, data: bytes) -> None:
        """More bytes, sent as they are."""
        await self._body(data, more=True)

    async def end(self, data: bytes) -> None:
        """The last bytes."""
        await self._body(data, more=False)

    async def _body(self, data: bytes, *, more: bool) -> None:
        if self.transcript is not None:
            self.transcript.append(data)
        if not self.is_gone:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
