"""A whole answer of a model, as a value: to be kept, compared, or given to somebody else."""

from typing import Final, NamedTuple, Protocol

from proxy.values.attempt import Certainty, Usage
from proxy.values.text_run import TextRun

#: a longer answer is of no use to anybody who wants it as it came: the cache keeps none, nor is one compared
MOST_KEPT_BYTES: Final = 1024 * 1024


class Answer(NamedTuple):
    """What an upstream answered with 200, in the form of OpenAI's chat.

    ``parts`` are the body, or a stream's events in the pieces in which they came, without the closing ``[DONE]``; empty
    where nobody wanted to keep them, or a stream is longer than ``MOST_KEPT_BYTES``. ``is_complete``: every choice said
    why it ended.
    """

    content_type: str
    is_stream: bool
    parts: tuple[bytes, ...]
    model: str
    usage: Usage
    certainty: Certainty
    finish_reason: str
    is_complete: bool
    status: int = 200

    @property
    def body(self) -> bytes:
        """The whole answer, or all of a stream's events."""
        return b"".join(self.parts)


class Sink(Protocol):
    """Where an answer goes while it comes. Nothing of a try that fails before it ``has_begun`` has gone anywhere."""

    @property
    def has_begun(self) -> bool:
        """Whether something was handed on that cannot be taken back."""

    async def begin(self) -> None:
        """A stream begins: its first events follow."""

    async def chunk(self, events: bytes, run: TextRun | None = None) -> None:
        """Events of a stream, one or several. ``run``: the texts that were found together in them, if any were."""

    async def end_stream(self, closing: bytes, events: bytes = b"", run: TextRun | None = None) -> None:
        """The stream is over, and what it cost is known. ``closing`` is the event that reports usage, where the caller
        asked for it; ``events`` came with the end, and are handed on with it, as ``chunk`` would."""

    async def whole(self, content_type: str, body: bytes) -> None:
        """An answer that is no stream, and what it cost is known."""

    @property
    def parts(self) -> tuple[bytes, ...]:
        """What is kept of the answer so far."""
