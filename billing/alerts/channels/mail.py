"""Mails to members: text and HTML, with a way to have no more of them (RFC 8058)."""

import smtplib
from typing import Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string

from billing.alerts.channels.message import Message, Outcome
from billing.choices import AlertEvent

_REFUSED: Final = "The mail server refused it: {code} {reason}"


def make_mail(message: Message) -> EmailMultiAlternatives:
    """The mail. Its Message-ID is made from the message's id, so that mail stores know a second one for the first."""
    domain = settings.MAIL_FROM.rpartition("@")[2].rstrip(">")
    headers = {"Message-ID": f"<{message.id}@{domain}>", "Auto-Submitted": "auto-generated"}
    if message.mute:
        headers |= {"List-Unsubscribe": f"<{message.mute}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    context = {"message": message, "title": _title(message), "is_test": message.items[0].event is AlertEvent.TEST}
    mail = EmailMultiAlternatives(
        # Names come from callers: one line of what can be seen.
        subject=" ".join(f"[{message.org_name}] {_title(message)}".split())[:200],
        body=render_to_string("emails/alert.txt", context),
        from_email=settings.MAIL_FROM,
        to=[message.address],
        headers=headers,
    )
    mail.attach_alternative(render_to_string("emails/alert.html", context), "text/html")
    return mail


def send(message: Message) -> Outcome:
    """Hand a mail to the mail server. Whatever it refuses is tried again later, because a 5xx may be its own
    trouble."""
    mail = make_mail(message)
    try:
        with get_connection() as connection:
            connection.send_messages([mail])
    except smtplib.SMTPRecipientsRefused as error:
        code, reason = next(iter(error.recipients.values()))
        return Outcome(False, code, _REFUSED.format(code=code, reason=_text(reason)))
    except smtplib.SMTPResponseException as error:
        return Outcome(False, error.smtp_code, _REFUSED.format(code=error.smtp_code, reason=_text(error.smtp_error)))
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(False, None, f"The mail server cannot be reached: {type(error).__name__}")
    return Outcome(True, 250)


def _text(reason: bytes | str) -> str:
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason


def _title(message: Message) -> str:
    if len(message.items) == 1:
        return message.items[0].text.title
    return f"{len(message.items)} alerts"
