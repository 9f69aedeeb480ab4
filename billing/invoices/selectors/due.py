"""Of many customers those for whom there is something to do, by a few statements for hundreds of them: looking at each
costs as much as doing it would."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Max

from billing.invoices.choices import InvoiceKind, InvoiceState, PackTo
from billing.invoices.models import BillingAccount, FinancePack, Invoice, Subscription
from tenants.access import org_scope
from tenants.models import Organization
from tenants.periods import period_bounds, previous_bounds

#: organisations whose rows are open at once
_TOGETHER: Final = 500
#: an invoice ends with its month, in whatever time zone
_HALF_A_MONTH: Final = timedelta(days=15)


def list_to_close(org_ids: Sequence[UUID], now: datetime) -> list[UUID]:
    """Those with a draft whose days of grace are over, of whatever month; and those with a contract in the last month
    that is over, in their time zone, of which there is neither an invoice nor a draft."""
    return _in_batches(org_ids, lambda batch: _to_close(batch, now))


def list_to_tax(org_ids: Sequence[UUID]) -> list[UUID]:
    """Those whose seller has Stripe Tax asked."""
    return _in_batches(org_ids, _to_tax)


def list_to_mail(org_ids: Sequence[UUID]) -> list[UUID]:
    """Those with a document that has a number and was not mailed."""
    return _in_batches(org_ids, _to_mail)


def list_to_pack(org_ids: Sequence[UUID]) -> list[UUID]:
    """Those who want finance packs and have had none since their last invoice."""
    return _in_batches(org_ids, _to_pack)


def _in_batches(org_ids: Sequence[UUID], find: Callable[[Sequence[UUID]], set[UUID]]) -> list[UUID]:
    """Those that ``find`` gives, each once, in their order."""
    found: list[UUID] = []
    for batch in _cut(list(dict.fromkeys(org_ids))):
        with org_scope(*batch):
            chosen = find(batch)
        found += (org_id for org_id in batch if org_id in chosen)
    return found


def _cut(org_ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(org_ids), _TOGETHER):
        yield org_ids[start : start + _TOGETHER]


def _to_close(batch: Sequence[UUID], now: datetime) -> set[UUID]:
    zones = dict(Organization.objects.filter(pk__in=batch).values_list("pk", "time_zone"))
    months = {zone: _last_month(now, zone) for zone in set(zones.values())}
    invoices = Invoice.objects.filter(org__in=batch, kind=InvoiceKind.INVOICE.value).order_by()
    billed = dict(invoices.exclude(number="").values_list("org").annotate(until=Max("period_end")))
    drafts = invoices.filter(number="", state=InvoiceState.GRACE.value)
    waiting: dict[UUID, datetime] = dict(
        drafts.filter(grace_until__gt=now).values_list("org").annotate(until=Max("period_end"))
    )
    found = set(drafts.filter(grace_until__lte=now).values_list("org", flat=True))
    for org_id, since, until in Subscription.objects.filter(org__in=batch).values_list("org", "starts_at", "ends_at"):
        start, end = months[zones[org_id]]
        has_contract = since < end and (until is None or until > start)
        if has_contract and not any(done and done >= end for done in (billed.get(org_id), waiting.get(org_id))):
            found.add(org_id)
    return found


def _last_month(now: datetime, zone: str) -> tuple[datetime, datetime]:
    start, _ = period_bounds("month", now, zone)
    return previous_bounds("month", start, zone)


def _to_tax(batch: Sequence[UUID]) -> set[UUID]:
    asking = BillingAccount.objects.filter(org__in=batch, legal_entity__uses_stripe_tax=True)
    return set(asking.values_list("org", flat=True))


def _to_mail(batch: Sequence[UUID]) -> set[UUID]:
    waiting = Invoice.objects.filter(org__in=batch, mailed_at=None).exclude(number="")
    return set(waiting.values_list("org", flat=True))


def _to_pack(batch: Sequence[UUID]) -> set[UUID]:
    wanted = set(
        BillingAccount.objects.filter(org__in=batch).exclude(pack_to=PackTo.NOBODY.value).values_list("org", flat=True)
    )
    if not wanted:
        return wanted
    issued = Invoice.objects.filter(org__in=wanted, kind=InvoiceKind.INVOICE.value).exclude(number="")
    last = dict(issued.values_list("org").annotate(ends=Max("period_end")).order_by())
    packs = FinancePack.objects.filter(org__in=wanted).exclude(delivered_at=None)
    packed = dict(packs.values_list("org").annotate(month=Max("month")).order_by())
    return {org_id for org_id, ends in last.items() if org_id not in packed or packed[org_id] < _month_before(ends)}


def _month_before(end: datetime) -> date:
    return (end - _HALF_A_MONTH).date().replace(day=1)
