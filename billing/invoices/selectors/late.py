"""What came to months after their invoices: which of them may have any, and whether they have. The organisation is
open."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.conf import settings

from billing.invoices.choices import InvoiceKind
from billing.invoices.core.calendar import billed_spans, find_stretches
from billing.invoices.models import Invoice
from billing.invoices.selectors.accounts import list_contracts
from billing.invoices.selectors.usage import find_cost, sum_billed
from costhub.lib import clock
from tenants.access import Actor
from tenants.periods import add_months


def list_invoiced(actor: Actor, before: datetime) -> list[Invoice]:
    """The issued invoices of months that began before a moment, oldest first; not of those that the ledger may have
    lost."""
    rows = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.INVOICE.value, period_start__lt=before)
    if settings.LEDGER_MONTHS:
        kept = add_months(clock.now().date(), -settings.LEDGER_MONTHS)
        rows = rows.filter(period_start__gte=datetime(kept.year, kept.month, 1, tzinfo=UTC))
    return list(rows.exclude(number="").order_by("period_start"))


def is_billed(actor: Actor, invoices: Sequence[Invoice]) -> bool:
    """Whether all usage from the first of these months to the last was billed, by its sum."""
    if not invoices:
        return True
    first, last = invoices[0].period_start, invoices[-1].period_end
    spans = billed_spans(find_stretches(list_contracts(actor, first, last), first, last), by_rule=False)
    return sum(find_cost(actor, span.start, span.end) for span in spans) == sum_billed(actor, first, last)
