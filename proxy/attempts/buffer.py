"""An answer that nobody waits for at a socket: kept whole, to be looked at first."""

from collections.abc import Awaitable, Callable, Sequence

from proxy.values.answer import Sink
from proxy.values.text_run import TextRun


class Buffer:
    """Keeps an answer and hands nothing on, so that a try that breaks off in the middle can be followed by another."""

    __slots__ = ("_closing", "_content_type", "_kept")

    has_begun = False

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._content_type = ""
        self._closing = b""

    @property
    def parts(self) -> tuple[bytes, ...]:
        """What has come so far."""
        return tuple(self._kept)

    async def begin(self) -> None:
        """Begin a stream, and drop what an earlier try left."""
        self._kept.clear()

    async def chunk(self, events: bytes, run: TextRun | None = None) -> None:
        """Keep events of a stream."""
        self._kept.append(events)

    async def end_stream(self, closing: bytes, events: bytes = b"", run: TextRun | None = None) -> None:
        """Keep the last events of a stream: it is whole."""
        if events:
            self._kept.append(events)
        self._closing = closing

    async def whole(self, content_type: str, body: bytes) -> None:
        """Keep an answer that is no stream."""
        self._content_type = content_type
        self._kept[:] = [body]

    async def pour(
        self, sink: Sink, change: Callable[[tuple[bytes, ...]], Awaitable[Sequence[bytes]]] | None = None
    ) -> None:
        """Hand on what is kept, as it came or changed."""
        parts: Sequence[bytes] = self.parts
        closing: Sequence[bytes] = (self._closing,)
        if change is not None:
            # Of Responses the last event has the whole answer once more.
            parts, closing = await change(self.parts), await change((self._closing,))
        if self._content_type:
            await sink.whole(self._content_type, b"".join(parts))
            return
        await sink.begin()
        for part in parts:
            await sink.chunk(part)
        await sink.end_stream(b"".join(closing))
