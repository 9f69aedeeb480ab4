"""The demo organisation as a customer: a plan since its history began, the invoices of the months since, and a note."""

from datetime import datetime, timedelta
from typing import Any, Final

from billing.invoices.actions.accounts import open_account, subscribe
from billing.invoices.actions.closing import close_period
from billing.invoices.actions.notes import make_note, mark_paid
from billing.invoices.actions.sellers import create_legal_entity, create_plan
from billing.invoices.models import Invoice, LegalEntity, Plan
from tenants.access import Actor
from tenants.periods import period_bounds, previous_bounds

SELLER: Final = "CostHub Demo GmbH (demo)"
PLAN: Final = "Team (demo)"
_SELLER: Final[dict[str, Any]] = {
    "street": "Musterstr. 1",
    "postcode": "10115",
    "city": "Berlin",
    "country": "DE",
    "tax_id": "DE123456789",
    "email": "billing@costhub.example",
    "prefix": "DEMO-",
    "tax_rates": {"DE": "19"},
}
_BUYER: Final[dict[str, Any]] = {
    "name": "Northwind Labs GmbH (demo)",
    "street": "Speicherstadt 12",
    "postcode": "20457",
    "city": "Hamburg",
    "country": "DE",
    "tax_id": "DE987654321",
    "po_number": "PO-2026-117",
}
_TERMS: Final = {"fee": "49.00", "markup": "5", "grace_days": 0}
#: as many months that are over are billed: its history has about as many
_MONTHS: Final = 2
_PAYS_AFTER: Final = timedelta(days=9)
#: of the older invoice's fee
_GIVEN_BACK: Final = 10 * 10**9


def make_invoices(actor: Actor, email: str, now: datetime) -> list[Invoice]:
    """Bill the months of the history that are over, each on the day after: the newest is open, those before are paid,
    and the first has a credit note. Gives the invoices. ``email`` gets the mails."""
    zone = actor.org.time_zone
    months = [previous_bounds("month", period_bounds("month", now, zone)[0], zone)]
    while len(months) < _MONTHS:
        months.insert(0, previous_bounds("month", months[0][0], zone))
    open_account(actor=actor, legal_entity=_find_seller(), emails=[email], **_BUYER)
    subscribe(actor=actor, plan=_find_plan(), at=months[0][0])
    issued: list[Invoice] = []
    for _, end in months:
        day_after = min(end + timedelta(days=1), now)
        issued += close_period(actor, day_after)
    for invoice in issued[:-1]:
        mark_paid(actor=actor, invoice=invoice, now=min(invoice.period_end + _PAYS_AFTER, now), reference="transfer")
    make_note(
        actor=actor,
        invoice=issued[0],
        amounts={1: _GIVEN_BACK},
        reason="Goodwill for a slow start",
        now=min(months[0][1] + _PAYS_AFTER, now),
    )
    return issued


def _find_seller() -> LegalEntity:
    return LegalEntity.objects.filter(name=SELLER).first() or create_legal_entity(name=SELLER, **_SELLER)


def _find_plan() -> Plan:
    return Plan.objects.filter(name=PLAN).order_by("-version").first() or create_plan(name=PLAN, terms=_TERMS)
