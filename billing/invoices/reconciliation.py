"""Stripe's meters against the ledger, every night: what an hour has there must be what was sent, and what was sent what
the ledger has."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q, Sum

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import Fact
from billing.choices import AlertKind
from billing.invoices.actions.outbox import OLDEST, fill_outbox
from billing.invoices.choices import OutboxState
from billing.invoices.models import BillingAccount, MeterDelta
from billing.invoices.selectors.accounts import find_metered
from billing.invoices.selectors.usage import floor_hour, hourly_usage
from billing.invoices.stripe_client import Stripe
from tenants.access import Actor

_HOUR: Final = timedelta(hours=1)
#: a meter knows of what it took within minutes
_SETTLING: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Difference:
    """An hour in which Stripe's meter, what was sent and the ledger are not one; nano-USD."""

    hour: datetime
    ledger: int
    sent: int
    stripe: int


def reconcile(actor: Actor, gateway: Stripe, now: datetime) -> list[Difference]:
    """Compare every hour that a meter takes, and alert where they differ. What the ledger has and was not sent yet
    (late rows) is put into the outbox first, and is no difference. Nor are hours of which something was sent in the
    last minutes, or while this compares, looked at: the meter may know of it or not."""
    account = find_metered(actor)
    if account is None or account.metered_from is None:
        return []
    end = floor_hour(now)
    start = max(end - OLDEST + _HOUR, floor_hour(account.metered_from))
    if start >= end:
        return []
    fill_outbox(actor, now, since=start)
    there = gateway.read_usage(meter=account.stripe_meter, customer=account.stripe_customer, start=start, end=end)
    sent, waiting = (_sums(actor, account, start, end, state) for state in (OutboxState.SENT, OutboxState.PENDING))
    ledger = hourly_usage(actor, start, end)
    deltas = MeterDelta.objects.filter(org=actor.org, meter=account.stripe_meter)
    sent_now = Q(sent_at__gt=now - _SETTLING) | Q(state=OutboxState.PENDING.value, first_tried_at__gt=now - _SETTLING)
    unsettled = set(deltas.filter(sent_now).values_list("hour", flat=True))
    differing = [
        Difference(hour, ledger.get(hour, 0), sent.get(hour, 0), there.get(hour, 0))
        for hour in sorted({*ledger, *sent, *there})
        if there.get(hour, 0) != sent.get(hour, 0) or ledger.get(hour, 0) != sent.get(hour, 0) + waiting.get(hour, 0)
    ]
    found = [each for each in differing if each.hour not in unsettled]
    # Hours that are not looked at yet tell of nothing new, and of nothing that is over.
    _alert(actor, account, found or differing, now, opens=bool(found))
    return found


def _alert(actor: Actor, account: BillingAccount, found: list[Difference], now: datetime, *, opens: bool) -> None:
    details = {
        "meter": account.stripe_meter,
        "hours": len(found),
        "ledger": sum(each.ledger for each in found),
        "stripe": sum(each.stripe for each in found),
    }
    fact = Fact(AlertKind.METER, account.stripe_meter, len(found), details, opens=opens)
    report(actor.org, AlertKind.METER, [fact], now=now, is_complete=True)


def _sums(
    actor: Actor, account: BillingAccount, start: datetime, end: datetime, state: OutboxState
) -> dict[datetime, int]:
    rows = MeterDelta.objects.filter(
        org=actor.org, meter=account.stripe_meter, hour__gte=start, hour__lt=end, state=state.value
    )
    return {hour: int(total) for hour, total in rows.values_list("hour").annotate(total=Sum("value")).order_by()}
