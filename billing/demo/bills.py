"""What the demo's provider bills: as the ledger has it, but for a model that was dearer for two days than its price."""

from datetime import UTC, datetime, timedelta
from typing import Final

from billing.bills.actions import FIRST_DAYS, connect_bill
from billing.bills.models import BilledDay
from billing.spend.core.upstream_bill import CLASSES
from billing.spend.selectors.upstream_bill import find_used
from tenants.access import Actor
from tenants.models import Upstream

_DEARER: Final = "gpt-4.1"
_DEARER_PER_CENT: Final = 110
#: so many days ago
_DEARER_DAYS: Final = (4, 3)


def make_bill(actor: Actor, upstream: Upstream, now: datetime) -> None:
    """A bill that was fetched a moment ago. It is fetched no more: nobody is called for a demo."""
    source = connect_bill(actor=actor, upstream=upstream, credential="sk-admin-of-the-demo")
    source.fetched_at = now
    source.save(update_fields=["fetched_at"])
    today = now.astimezone(UTC).date()
    dearer = {(today - timedelta(days=days), _DEARER) for days in _DEARER_DAYS}
    used = find_used(actor, (today - timedelta(days=FIRST_DAYS), today - timedelta(days=1)), upstream.pk)
    BilledDay.objects.bulk_create(
        BilledDay(
            org=actor.org,
            source=source,
            day=day,
            model=model,
            cost_nanos=(here.cost or 0) * (_DEARER_PER_CENT if (day, model) in dearer else 100) // 100,
            **{name: getattr(here, name) for name in CLASSES},
        )
        for (day, model), here in sorted(used.items())
    )
