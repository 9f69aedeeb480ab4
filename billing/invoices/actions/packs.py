"""The finance pack: a month's invoices and notes, FOCUS, the ledger by day, chargeback and whether all books agree, in
one archive whose manifest is signed. Fetched by anybody who may see money, and mailed, put into a bucket of the
customer's or with the operator's files once a month where the account says so."""

import asyncio
import hashlib
import json
import logging
from base64 import b64encode
from datetime import date, datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import transaction

from billing.invoices.actions.documents import FORMS, get_documents
from billing.invoices.actions.mails import mail_pack
from billing.invoices.choices import NOTES, InvoiceKind, PackTo
from billing.invoices.core.packs import describe_files, is_due, make_archive
from billing.invoices.core.s3 import Bucket, address_of, sign_put
from billing.invoices.documents.pdf import NoLetters
from billing.invoices.models import BillingAccount, FinancePack, Invoice
from billing.invoices.selectors.due import NEWLY_ISSUED
from billing.invoices.selectors.packs import (
    Agreement,
    MeteredTime,
    find_agreement,
    find_metered_time,
    list_documents,
    list_owed,
    write_chargeback,
    write_focus,
    write_ledger,
)
from billing.invoices.selectors.periods import load_periods
from billing.invoices.stripe_client import Stripe, StripeRefused, StripeUnavailable, stripe_from_settings
from costhub.lib import clock, secrets
from costhub.lib.errors import AppError, Conflict, InvalidField
from costhub.lib.money import format_usd
from costhub.lib.net import Unreachable, gate_from_settings, parse_url
from costhub.lib.objects import Objects
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.choices import Permission

_log = logging.getLogger(__name__)

PURPOSE: Final = "finance packs"
#: no mail server takes more
_MOST_MAILED_BYTES: Final = 20 * 1024 * 1024
_PUT_SECONDS: Final = 60.0
_STORED: Final = 200


class BucketRefused(AppError):
    """A customer's bucket does not take the papers."""

    code: ClassVar[str] = "bucket_refused"
    http_status: ClassVar[int] = 502


class MailRefused(AppError):
    """No mail server takes the papers."""

    code: ClassVar[str] = "mail_refused"
    http_status: ClassVar[int] = 502


#: where the papers were to go takes none now
_NOT_TAKEN: Final = (BucketRefused, MailRefused, Unreachable)


def make_pack(actor: Actor, month: date, now: datetime, metered: int | None) -> tuple[bytes, dict[str, Any]]:
    """The archive of a month that is over, in the organisation's time zone, and digests of its files by name. After a
    change of the zone a month is from where its invoice begins to where it ends. ``metered`` is what ``read_meter``
    gave.

    Made of the ledger and the invoices of now: as long as nothing comes late it is the same bytes. Raises Forbidden if
    the actor may not see money, InvalidField for a month that is not over.
    """
    actor.check(Permission.READ_MONEY)
    start, end = _bounds(actor, month)
    if end > now:
        raise InvalidField("Give a month that is over, such as 2026-10.", field="month")
    documents = list_documents(actor, start, end)
    files = {
        f"{'notes' if document.kind in NOTES else 'invoices'}/{document.number}.{form}": content
        for document in documents
        for form, content in _get_documents(actor, document)
    }
    files["focus.csv"], focus = write_focus(actor, start, end)
    files["ledger.csv"] = write_ledger(actor, start, end)
    files["chargeback.csv"], chargeback = write_chargeback(actor, start, end, now)
    agreement = find_agreement(actor, start, end, focus=focus, chargeback=chargeback, metered=metered)
    files["reconciliation.json"] = json.dumps(show_agreement(agreement), indent=2).encode()
    facts = {
        "organization": str(actor.org.pk),
        "name": actor.org.name,
        "month": f"{month:%Y-%m}",
        "from": start.isoformat(),
        "to": end.isoformat(),
        "usd": show_agreement(agreement),
        "documents": [_show_document(document) for document in documents],
        "public_key": show_public_key(),
    }
    archive = make_archive(files, facts, secrets.signing_key(settings.MASTER_KEYS, PURPOSE).sign)
    return archive, describe_files(files)


def read_meter(gateway: Stripe | None, time: MeteredTime | None) -> int | None:
    """What Stripe's meter says of these hours, in nano-USD. None where there is nothing to ask, and where Stripe does
    not answer."""
    if gateway is None or time is None:
        return None
    try:
        found = gateway.read_usage(meter=time.meter, customer=time.customer, start=time.start, end=time.end)
    except (StripeRefused, StripeUnavailable) as error:
        _log.warning("a meter could not be read", extra={"meter": time.meter, "reason": error.message})
        return None
    return sum(found.values())


def read_meter_of(actor: Actor, month: date) -> int | None:
    """The same of a month, for who asks for its papers."""
    actor.check(Permission.READ_MONEY)
    return read_meter(stripe_from_settings(), find_metered_time(actor, *_bounds(actor, month)))


def _bounds(actor: Actor, month: date) -> tuple[datetime, datetime]:
    return load_periods(actor).of_month(month)


def show_public_key() -> str:
    """The Ed25519 key that verifies manifests, its 32 bytes in base 64."""
    key = secrets.signing_key(settings.MASTER_KEYS, PURPOSE).public_key()
    return b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def show_agreement(found: Agreement) -> dict[str, Any]:
    """The month's usage in every book, in USD."""
    return {
        "ledger": format_usd(found.ledger),
        "billed": format_usd(found.billed),
        "late": format_usd(found.late),
        "focus": format_usd(found.focus),
        "chargeback": format_usd(found.chargeback),
        "to_meter": format_usd(found.to_meter) if found.to_meter is not None else None,
        "metered": format_usd(found.metered) if found.metered is not None else None,
        "agrees": found.is_whole,
    }


def deliver_packs(actor: Actor, now: datetime, gateway: Stripe | None) -> int:
    """Send the packs that are owed and whose turn it is to where the account says, the oldest month first, each once.
    Gives how many went out.

    Not within a transaction: Stripe and a store of files are slow. Whoever dies after sending sends the same archive
    again, under the same name, or as the same mail."""
    with job_scope(actor.org.pk) as owner:
        account = BillingAccount.objects.filter(org=actor.org).exclude(pack_to=PackTo.NOBODY.value).first()
        if account is None:
            return 0
        owed = _note_owed(owner, now)
        if account.pack_to == PackTo.MAIL and not account.emails:
            problem = "There is no address to mail it to: give one in the billing account."
            FinancePack.objects.filter(pk__in=[row.pk for row in owed]).update(problem=problem)
            return 0
    due = [row for row in owed if is_due(now, row.created_at, row.tried_at)]
    delivered = 0
    for row in due:
        try:
            delivered += _deliver_pack(actor, account, row, now, gateway)
        except _NOT_TAKEN:
            # Nor will it take the next one: others have their turn, and this customer's other months the next run's.
            break
    return delivered


def _note_owed(actor: Actor, now: datetime) -> list[FinancePack]:
    """The packs that were not delivered, oldest month first, with those of months that were invoiced since the last
    run: each has its row from then on, and is owed until it is delivered. Who has packs sent from today on has that of
    the last invoiced month, and none of months long ago."""
    issued = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.INVOICE.value).exclude(number="")
    bounds = list(issued.filter(issued_at__gt=now - NEWLY_ISSUED).values_list("period_start", "period_end"))
    if last := issued.order_by("-period_start").first():
        bounds.append((last.period_start, last.period_end))
    periods = load_periods(actor)
    for month in {periods.name(each) for each in bounds}:
        FinancePack.objects.get_or_create(org=actor.org, month=month, defaults={"created_at": now})
    return list_owed(actor)


def _deliver_pack(
    actor: Actor, account: BillingAccount, row: FinancePack, now: datetime, gateway: Stripe | None
) -> int:
    """One month's; why it fails is kept in its row. Gives how many went out. Raises what a store says that does not
    take it, and MailRefused."""
    # Who dies of it, such as for want of memory, writes nothing afterwards: it is not the first of each run for that.
    _put_off(actor, row, now, "It was begun, and has not come to its end.")
    try:
        to, digest = _make_and_send(actor, account, row, now, gateway)
    except SoftTimeLimitExceeded:
        raise
    except _NOT_TAKEN as error:
        _put_off(actor, row, now, error.message)
        raise
    except AppError as error:
        return _put_off(actor, row, now, error.message)
    except Exception:  # noqa: BLE001 - whatever it is, the next month has done nothing wrong
        _log.exception("a finance pack failed", extra={"org": str(actor.org.pk), "month": f"{row.month:%Y-%m}"})
        return _put_off(actor, row, now, "It could not be made: the log of the installation's jobs says why.")
    with job_scope(actor.org.pk) as owner, transaction.atomic():
        FinancePack.objects.filter(pk=row.pk).update(
            delivered_at=now, delivered_to=to[:300], problem="", tried_at=row.tried_at
        )
        record(owner, "delivered", row, month=f"{row.month:%Y-%m}", to=account.pack_to, digest=digest)
    return 1


def _put_off(actor: Actor, row: FinancePack, now: datetime, problem: str) -> int:
    with job_scope(actor.org.pk):
        FinancePack.objects.filter(pk=row.pk).update(tried_at=now, problem=problem[:300])
    return 0


def _make_and_send(
    actor: Actor, account: BillingAccount, row: FinancePack, now: datetime, gateway: Stripe | None
) -> tuple[str, str]:
    """Make the archive and send it: gives where it went, and its digest. Raises what the store or the mail server
    raises."""
    with job_scope(actor.org.pk) as owner:
        time = find_metered_time(owner, *_bounds(owner, row.month))
    metered = read_meter(gateway, time)
    with job_scope(actor.org.pk) as owner:
        archive, files = make_pack(owner, row.month, now, metered)
        digest = hashlib.sha256(archive).hexdigest()
        FinancePack.objects.filter(pk=row.pk).update(digest=digest, files=files)
        bucket = _open_bucket(owner, account) if account.pack_to == PackTo.BUCKET else None
    return _deliver(account, bucket, row.month, archive, str(row.pk)), digest


def send_pack_again(*, actor: Actor, pack: FinancePack) -> FinancePack:
    """Have a pack that could not be delivered tried again with the next run, within minutes. Raises Conflict where it
    was delivered, or where packs go nowhere by themselves."""
    actor.check(Permission.WRITE_MONEY)
    if pack.delivered_at is not None:
        raise Conflict(f"The pack of {pack.month:%B %Y} was delivered: download it instead.")
    if not BillingAccount.objects.filter(org=actor.org).exclude(pack_to=PackTo.NOBODY.value).exists():
        raise Conflict("Papers go nowhere by themselves: say first where they are to go.", field="pack_to")
    pack.tried_at = None
    pack.save(update_fields=["tried_at"])
    record(actor, "tried_again", pack, month=f"{pack.month:%Y-%m}")
    return pack


def _open_bucket(actor: Actor, account: BillingAccount) -> Bucket:
    """With the secret in clear. Raises UnusableCredential."""
    secret = secrets.unseal(
        settings.MASTER_KEYS,
        bytes(actor.org.data_key),
        org_id=str(actor.org.pk),
        origin=parse_url(account.bucket_url).origin,
        sealed=bytes(account.bucket_secret or b""),
    )
    return Bucket(account.bucket_url, account.bucket_region, account.bucket_key_id, secret)


def _deliver(account: BillingAccount, bucket: Bucket | None, month: date, archive: bytes, pack_id: str) -> str:
    """Send the archive: gives where it went. Raises MailRefused, and what the store raises."""
    name = f"finance-{month:%Y-%m}.zip"
    if bucket is not None:
        return _put(bucket, name, archive)
    if account.pack_to == PackTo.MAIL and len(archive) <= _MOST_MAILED_BYTES:
        if not mail_pack(account, month, name, archive, pack_id):
            raise MailRefused("The mail server did not take the mail.")
        return ", ".join(account.emails)
    path = f"{packs_folder(account.org_id)}/{name}"
    asyncio.run(_store(path, archive))
    return path


def packs_folder(org_id: UUID) -> str:
    """Where an organisation's packs lie in the store of files."""
    return f"finance-packs/{org_id}"


def _put(bucket: Bucket, name: str, archive: bytes) -> str:
    address = address_of(bucket, name)
    answer = gate_from_settings().fetch_now(
        "PUT",
        address,
        # The store compares this with its own clock.
        headers=sign_put(bucket, name, archive, clock.now()),
        content=archive,
        timeout_seconds=_PUT_SECONDS,
    )
    if answer.status != _STORED:
        raise BucketRefused(f"The bucket answered {answer.status}: look at its name, region, key and rights.")
    return address


async def _store(path: str, archive: bytes) -> None:
    async with Objects(settings.FILES_URL).writer(path) as writer:
        await writer.write(archive)


def _get_documents(actor: Actor, document: Invoice) -> list[tuple[str, bytes]]:
    """All forms with what they hold; without the page of one whose letters no font here has."""
    try:
        forms = [*FORMS]
        return list(zip(forms, get_documents(actor, document, forms), strict=True))
    except NoLetters:
        forms = [form for form in FORMS if form != "pdf"]
        return list(zip(forms, get_documents(actor, document, forms), strict=True))


def _show_document(document: Invoice) -> dict[str, str]:
    return {
        "number": document.number,
        "kind": document.kind,
        "state": document.state,
        "currency": document.currency,
        "total_cents": str(document.total_cents),
        "usage_usd": format_usd(document.usage_nanos),
    }
