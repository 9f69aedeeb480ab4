"""Bills that were fetched, and how they compare with the ledger. The organisation is open."""

from datetime import UTC, date, timedelta

from django.db.models import QuerySet

from billing.bills.models import BilledDay, BillSource
from billing.spend.core.upstream_bill import CLASSES, Bill, Reconciled, Used, reconcile_bill
from billing.spend.selectors.upstream_bill import find_used
from tenants.access import Actor
from tenants.choices import Permission


def list_sources(actor: Actor) -> QuerySet[BillSource]:
    """Every upstream whose bill is fetched."""
    return BillSource.objects.filter(org=actor.org)


def find_billed(actor: Actor, source: BillSource, first: date, last: date) -> Bill:
    """What is kept of a bill's days, both ends included."""
    rows = BilledDay.objects.filter(org=actor.org, source=source, day__gte=first, day__lte=last)
    return {(row.day, row.model): Used(row.cost_nanos, *(getattr(row, name) for name in CLASSES)) for row in rows}


def compare(actor: Actor, source: BillSource, first: date, last: date) -> Reconciled:
    """These days of a bill against the ledger's. Raises Forbidden if the actor may not see money, InvalidField for more
    days than are compared at once."""
    actor.check(Permission.READ_MONEY)
    return reconcile_bill(find_billed(actor, source, first, last), find_used(actor, (first, last), source.upstream))


def compare_latest(actor: Actor, source: BillSource, days: int) -> Reconciled:
    """The last so many days that were over (UTC) when a bill was fetched; nothing where it never was. What came later
    is on no bill that is known here, and no difference. Raises what ``compare`` does."""
    if source.fetched_at is None:
        actor.check(Permission.READ_MONEY)
        return reconcile_bill({}, {})
    last = source.fetched_at.astimezone(UTC).date() - timedelta(days=1)
    return compare(actor, source, last - timedelta(days=days - 1), last)
