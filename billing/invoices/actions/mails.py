"""Mails to finance contacts: an invoice with its PDF and CSV, and reminders."""

import logging
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from threading import local
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string

from billing.invoices.actions.documents import get_documents
from billing.invoices.choices import DunningStage, InvoiceKind
from billing.invoices.documents.content import TITLES, show_cents
from billing.invoices.documents.pdf import NoLetters
from billing.invoices.models import BillingAccount, Invoice, Subscription
from billing.invoices.selectors.periods import load_periods
from billing.spend.core.bridge_texts import describe_change, describe_parts
from billing.spend.core.waterfall import LyingBar, lay_down
from billing.spend.selectors.bridge import find_bridge
from costhub.lib.money import NANOS_PER_USD
from tenants.access import Actor

_log = logging.getLogger(__name__)

#: what a server says that takes no more over a connection
_CLOSING: Final = 421
#: the line that a thread keeps open, as ``line``
_own = local()
_CENT: Final = NANOS_PER_USD // 100
_REMINDERS: Final[dict[DunningStage, str]] = {
    DunningStage.REMINDED: "It was due on {due}. If you have paid in the last days, there is nothing to do.",
    DunningStage.WARNED: "It was due on {due}. In a week your organisation becomes read-only.",
    DunningStage.READ_ONLY: "It was due on {due}. Your organisation is read-only now; in a week calls are refused too.",
    DunningStage.SUSPENDED: "It was due on {due}. Calls are refused until it is paid; they work again within seconds.",
}


@contextmanager
def line_kept_open() -> Iterator[None]:
    """For many mails after each other: until the block ends this thread's go over one connection."""
    _own.line = get_connection()
    try:
        yield
    finally:
        _hang_up(_own.line)
        del _own.line


def mail_invoice(actor: Actor, invoice: Invoice, now: datetime) -> bool:
    """Send an issued invoice to the finance contacts, once, as soon as there are any; says whether it is sent. Of an
    invoice the mail says why the month cost more or less than the one before."""
    if invoice.mailed_at is not None or not invoice.number:
        return invoice.mailed_at is not None
    account = BillingAccount.objects.get(org=actor.org)
    if not account.emails:
        return False
    title = f"{TITLES[invoice.kind]} {invoice.number}"
    due = (
        f"To pay by {invoice.due_at:%d %B %Y}." if invoice.due_at and invoice.due_cents else "There is nothing to pay."
    )
    lines = [
        f"{title} of {invoice.seller['name']} to {invoice.buyer['name']}: {_amount(invoice)}.",
        f"It is paid: {invoice.reason}." if invoice.kind == InvoiceKind.PREPAYMENT else due,
    ]
    page = ""
    attachments, lack = _attach(actor, invoice)
    if lack:
        lines.append(lack)
    if invoice.kind == InvoiceKind.INVOICE:
        told = lines
        reasons, bars = _bridge_lines(actor, invoice)
        lines = [*told, "", "Why this month cost what it did:", *reasons]
        context = {"title": title, "told": told, "reasons": reasons, "bars": bars}
        page = render_to_string("emails/invoice.html", context)
    if not _send(account, title, lines, attachments, mail_id=f"{invoice.pk}", page=page):
        return False
    invoice.mailed_at = now
    invoice.save(update_fields=["mailed_at"])
    return True


def mail_reminder(actor: Actor, invoice: Invoice, stage: DunningStage, cents: int) -> bool:
    """Remind of an invoice of which so many cents are owed; says whether the mail was taken."""
    account = BillingAccount.objects.get(org=actor.org)
    due = f"{invoice.due_at:%d %B %Y}" if invoice.due_at else ""
    lines = [f"Invoice {invoice.number} over {_amount(invoice)} is not paid."]
    if cents != invoice.total_cents:
        lines += [f"Of it {invoice.currency} {show_cents(cents)} are owed."]
    lines += [_REMINDERS[stage].format(due=due)]
    return _send(account, f"Unpaid: invoice {invoice.number}", lines, [], mail_id=f"{invoice.pk}.{stage.value}")


def mail_end(actor: Actor, account: BillingAccount, ended: Subscription, now: datetime) -> bool:
    """Say that the plan has ended, and from when on calls are refused; says whether the mail was taken."""
    zone = ZoneInfo(actor.org.time_zone)
    name, until = ended.plan.name, account.admitted_until
    lines = [f"The plan {name} of {actor.org.name} ended on {(ended.ends_at or now).astimezone(zone):%d %B %Y, %H:%M}."]
    if until is not None and until > now:
        lines += [f"Calls are still taken until {until.astimezone(zone):%d %B %Y, %H:%M}, and refused from then on."]
    else:
        lines += ["Calls are refused since then."]
    lines += ["Choose a plan under Invoices & billing: calls are taken again within seconds."]
    return _send(account, f"The plan {name} has ended", lines, [], mail_id=f"{ended.pk}.end")


def mail_pack(account: BillingAccount, month: date, name: str, archive: bytes, pack_id: str) -> bool:
    """Send a month's papers to the finance contacts; says whether the mail was taken."""
    lines = [
        f"The papers of {month:%B %Y} for {account.name}: invoices and notes, FOCUS, the ledger by day, chargeback by",
        "project and tag, and whether all of them agree. The manifest inside is signed.",
    ]
    attachments = [(name, archive, "application/zip")]
    return _send(account, f"Finance pack of {month:%B %Y}", lines, attachments, mail_id=f"{pack_id}")


def _attach(actor: Actor, invoice: Invoice) -> tuple[list[tuple[str, bytes, str]], str]:
    """The document's page and table; where its names have letters that no font here has, the e-invoice in place of the
    page, and a sentence that says so."""
    name, lack = invoice.number, ""
    try:
        page, table = get_documents(actor, invoice, ["pdf", "csv"])
        attached = (f"{name}.pdf", page, "application/pdf")
    except NoLetters:
        page, table = get_documents(actor, invoice, ["xml", "csv"])
        attached = (f"{name}.xml", page, "application/xml")
        lack = "It has no PDF, as no font here has all letters of its names: the e-invoice (XML) is attached."
    return [attached, (f"{name}.csv", table, "text/csv")], lack


def _bridge_lines(actor: Actor, invoice: Invoice) -> tuple[list[str], list[LyingBar]]:
    """The sentences, and the bars for those who read the mail as a page."""
    after = invoice.period_start, invoice.period_end
    # After a change of the time zone the invoice before does not begin with the month either.
    before = load_periods(actor).find(after[0] - timedelta(microseconds=1))
    bridge = find_bridge(actor, before=before, after=after).bridge
    zone = ZoneInfo(invoice.time_zone)
    # The middle: after a change of the time zone an invoice does not begin with the month.
    names = [f"{(start + (end - start) / 2).astimezone(zone):%B}" for start, end in (before, after)]
    # The console and the API have what is below a cent, too.
    sentences = [describe_change(bridge), *(f"- {text}" for text in describe_parts(bridge, least=_CENT))]
    return sentences, lay_down(bridge, *names)


def _amount(invoice: Invoice) -> str:
    return f"{invoice.currency} {show_cents(invoice.total_cents)}"


def _send(
    account: BillingAccount,
    subject: str,
    lines: list[str],
    attachments: list[tuple[str, bytes, str]],
    *,
    mail_id: str,
    page: str = "",
) -> bool:
    """``page`` is the same as HTML. Says whether the mail was taken: without an address it waits for one, and the
    console and the API have what it is about."""
    if not account.emails:
        return False
    domain = settings.MAIL_FROM.rpartition("@")[2].rstrip(">")
    mail = EmailMultiAlternatives(
        subject=" ".join(subject.split())[:200],
        body="\n".join(lines),
        from_email=settings.MAIL_FROM,
        to=account.emails,
        # The same mail has the same id, so that one that was sent twice is one to its reader.
        headers={"Message-ID": f"<{mail_id}@{domain}>", "Auto-Submitted": "auto-generated"},
        attachments=attachments,
    )
    if page:
        mail.attach_alternative(page, "text/html")
    line: BaseEmailBackend | None = getattr(_own, "line", None)
    try:
        if line is None:
            get_connection().send_messages([mail])
        elif line.open():
            line.send_messages([mail])
        else:
            _send_again(line, mail)
    except (smtplib.SMTPException, OSError) as error:
        if line is not None:
            _hang_up(line)
        _log.warning("a mail of billing was not taken", extra={"mail": mail_id, "reason": type(error).__name__})
        return False
    return True


def _send_again(line: BaseEmailBackend, mail: EmailMessage) -> None:
    """Over a line that has been used: one that its server has closed meanwhile is opened anew."""
    try:
        line.send_messages([mail])
    except (smtplib.SMTPServerDisconnected, smtplib.SMTPResponseException, OSError) as error:
        if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code != _CLOSING:
            raise
        _hang_up(line)
        line.open()
        line.send_messages([mail])


def _hang_up(line: BaseEmailBackend) -> None:
    # Whoever does not answer has hung up, too.
    with suppress(smtplib.SMTPException, OSError):
        line.close()
