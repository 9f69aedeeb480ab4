"""A real SMTP server for tests, which takes mails, or refuses them as it is told to."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from costhub.stack.ports import find_free_port
from tests.listening import close


class MailSink:
    """What arrived, and the answers that are to be given first: ``refusals`` to DATA, one a mail, before any is
    taken."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refusals: list[str] = []
        self.refused_recipients: dict[str, str] = {}
        #: over which connection each mail came that was taken
        self.connections: list[object] = []
        self.port = find_free_port()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if answer := self.refused_recipients.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusals:
            return self.refusals.pop(0)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.connections.append(session.peer)
        return "250 taken"

    def subjects(self) -> list[str]:
        """Of what arrived, in order."""
        return [str(mail["Subject"]) for mail in self.mails]


class _Ending(Controller):
    """Ends its connections with itself: what is still open when the loop stops would stay so until it is collected,
    by whichever test."""

    sessions: list[SMTP]

    def factory(self) -> SMTP:
        session: SMTP = super().factory()  # type: ignore[no-untyped-call]
        self.sessions.append(session)
        return session

    def end(self) -> None:
        asyncio.run_coroutine_threadsafe(self._abort_all(), self.loop).result()
        self.stop()

    async def _abort_all(self) -> None:
        assert self.server is not None
        await close(self.server)
        for session in self.sessions:
            if isinstance(session.transport, asyncio.WriteTransport):
                session.transport.abort()
        # in which it is told that they are lost
        await asyncio.sleep(0)


@contextmanager
def run_mail_sink() -> Iterator[MailSink]:
    """One that listens on loopback until the block ends."""
    sink = MailSink()
    controller = _Ending(sink, hostname="127.0.0.1", port=sink.port)
    controller.sessions = []
    controller.start()
    try:
        yield sink
    finally:
        controller.end()
