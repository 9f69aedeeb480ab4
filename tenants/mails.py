"""Mails about membership and requests: written in the transaction of what they tell of, sent once it is committed."""

import logging
import smtplib
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string

_log = logging.getLogger(__name__)


def send_mail(template: str, address: str, context: Mapping[str, Any]) -> None:
    """Send ``templates/emails/<template>`` to one address: its .txt, whose first line is the subject, and its .html.

    ``path`` in the context becomes a whole address. Never raises: who waits for the mail is told what else to do.
    """
    whole = {"base_url": find_base_url(), **context}
    subject, _, body = render_to_string(f"emails/{template}.txt", whole).strip().partition("\n")
    mail = EmailMultiAlternatives(
        # Names come from people: one line of what can be seen.
        subject=" ".join(subject.split())[:200],
        body=body.strip() + "\n",
        from_email=settings.MAIL_FROM,
        to=[address],
        headers={"Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"emails/{template}.html", whole), "text/html")
    transaction.on_commit(partial(send_or_log, mail, template))


def find_base_url() -> str:
    """Where links in mails lead: the console's public address, or this machine's where it has none."""
    return settings.PUBLIC_URL or "http://127.0.0.1:8000"


def send_or_log(mail: EmailMessage, template: str) -> None:
    """Hand a mail to the mail server; a failure is the operator's to read of."""
    try:
        mail.send()
    except (smtplib.SMTPException, OSError):
        _log.warning("mail_not_sent", extra={"template": template}, exc_info=True)
