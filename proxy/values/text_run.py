"""Events of a streamed chat that each add a text and nothing else, as a value."""

from typing import NamedTuple


class TextRun(NamedTuple):
    """Where in some events such ones begin and end, the ``first`` of them, and the texts of all, also as the server
    wrote them.

    Who translates an answer may be given what its reader has found: nobody changes the lists.
    """

    events: bytes
    begins: int
    ends: int
    first: bytes
    texts: list[str]
    raws: list[bytes]

    @property
    def before(self) -> bytes:
        """The events before them."""
        return self.events[: self.begins]

    @property
    def after(self) -> bytes:
        """The events behind them."""
        return self.events[self.ends :]

    def within(self, events: bytes) -> "TextRun | None":
        """The same of the first of these events, which stand alone now; None where they are not all in what stands."""
        if len(events) < self.ends or not self.events.startswith(events):
            return None
        return TextRun(events, *self[1:])
