"""What a caller's wire format is to the rest of a call. Modules of ``proxy.dialects`` are of this shape."""

from collections.abc import Mapping
from typing import Protocol

from proxy.errors import ApiError
from proxy.values.attempt import Usage
from proxy.values.request import Endpoint, Operation, Request
from proxy.values.text_run import TextRun


class Translation(Protocol):
    """Puts one answer, which has the form of OpenAI's chat, into the format of its caller."""

    def whole(self, body: bytes, usage: Usage) -> bytes:
        """An answer that is no stream, and what it used."""

    def events(self, events: bytes, run: TextRun | None = None) -> bytes:
        """Some whole events of a stream; nothing where the caller has no word for them. ``run``: the texts that
        were found together in them, if somebody has looked."""

    def end(self, fields: Mapping[str, str], usage: Usage) -> bytes:
        """The last bytes of a stream, with what it cost and used."""

    def error_event(self, error: ApiError, request_id: str) -> bytes:
        """An error in the middle of a stream, which ends it."""


class Dialect(Protocol):
    """A caller's wire format.

    What goes from an upstream to a caller, answers and their events, has the caller's own form where the upstream
    speaks it, and passes untouched; else it has the form of OpenAI's chat, and is translated.
    """

    @property
    def OPERATIONS(self) -> Mapping[Endpoint, Operation]:  # noqa: N802 - a constant of a module
        """The endpoints that speak it, and what each does."""

    def parse_request(self, endpoint: Endpoint | None, raw: bytes) -> Request:
        """Read a body; without an endpoint it is that of the one that it looks like.

        Raises InvalidRequest, with ``param`` set where one field is at fault, and ModelNotPriced for a field that buys
        what has no price here.
        """

    def make_translation(self, request: Request, request_id: str, at_ms: int) -> Translation | None:
        """What translates the answer to a request, which came at a moment; None where that is chat itself."""

    def end_stream(self, fields: Mapping[str, str], closing: bytes) -> bytes:
        """The last bytes of a stream that passes untouched, with what is known only then: what it cost. ``closing`` is
        the event that was kept back for that, if there is one."""

    def render_error(self, error: ApiError, request_id: str) -> bytes:
        """An error before the first byte of an answer."""

    def render_error_event(self, error: ApiError, request_id: str) -> bytes:
        """An error in the middle of a stream, which ends it."""
