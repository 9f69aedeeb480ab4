"""Customers for tests: a seller in Berlin, Acme in Amsterdam, and a plan since September 2026."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from billing.bills.models import BilledDay, BillSource
from billing.gpu.models import GpuEndpoint
from billing.invoices.actions.accounts import open_account, subscribe
from billing.invoices.actions.closing import close_period
from billing.invoices.actions.documents import get_document
from billing.invoices.actions.notes import make_note
from billing.invoices.actions.sellers import create_legal_entity, create_plan
from billing.invoices.actions.wallet import add_credits
from billing.invoices.models import (
    BillingAccount,
    FinancePack,
    Invoice,
    InvoiceLine,
    LegalEntity,
    MeterDelta,
    Plan,
    Rerating,
    StripeEvent,
)
from tenants.access import org_scope
from tests.world import Tenant

SEPTEMBER = datetime(2026, 9, 1, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def make_seller(**options: Any) -> LegalEntity:
    """CostHub GmbH of Berlin, with number prefixes of its own."""
    mark = uuid4().hex[:6].upper()
    values = {
        "name": f"CostHub GmbH {mark}",
        "street": "Musterstr. 1",
        "postcode": "10115",
        "city": "Berlin",
        "country": "DE",
        "tax_id": "DE123456789",
        "email": "billing@costhub.example",
        "prefix": f"{mark}-",
        "tax_rates": {"DE": "19", "FR": "20"},
    }
    return create_legal_entity(**(values | options))


def make_plan(**terms: Any) -> Plan:
    """A plan of a name of its own."""
    return create_plan(name=f"Plan {uuid4().hex[:8]}", terms=terms, is_public=True)


def make_customer(
    tenant: Tenant,
    *,
    seller: LegalEntity | None = None,
    plan: Plan | None = None,
    since: datetime = SEPTEMBER,
    coupon: dict[str, Any] | None = None,
    account: dict[str, Any] | None = None,
    **terms: Any,
) -> BillingAccount:
    """Make a tenant a customer under a plan of these terms."""
    address = {
        "name": "Tulip Data B.V.",
        "street": "Keizersgracht 100",
        "postcode": "1015",
        "city": "Amsterdam",
        "country": "NL",
        "tax_id": "NL123456782B01",
        "po_number": "PO-77",
        "emails": ["finance@acme.example"],
    }
    with org_scope(tenant.org.pk):
        made = open_account(actor=tenant.owner, legal_entity=seller or make_seller(), **(address | (account or {})))
        subscribe(actor=tenant.owner, plan=plan or make_plan(**terms), at=since, coupon=coupon)
    return made


def close(tenant: Tenant, now: datetime) -> list[Invoice]:
    """What the job does for one organisation at a moment."""
    with org_scope(tenant.org.pk):
        return close_period(tenant.owner, now)


def lines_of(tenant: Tenant, invoice: Invoice) -> list[InvoiceLine]:
    """In order."""
    with org_scope(tenant.org.pk):
        return list(InvoiceLine.objects.filter(invoice=invoice).order_by("position"))


def show_lines(tenant: Tenant, invoice: Invoice) -> list[tuple[str, str, int]]:
    """Kind, text and nano-USD of each."""
    return [(line.kind, line.text, line.nanos) for line in lines_of(tenant, invoice)]


def furnish_billing(tenant: Tenant) -> dict[str, list[str]]:
    """A row in every table of invoices; the ids of those that the API names, by resource."""
    make_customer(tenant, since=OCTOBER, fee="1")
    (invoice,) = close(tenant, NOVEMBER + DAY * 3)
    with org_scope(tenant.org.pk):
        get_document(tenant.owner, invoice, "csv")
        add_credits(actor=tenant.owner, amount_nanos=1, reference="first")
        note = make_note(actor=tenant.owner, invoice=invoice, amounts=None, reason="All", now=NOVEMBER + DAY * 4)
        MeterDelta.objects.create(
            org=tenant.org,
            customer="cus_1",
            meter="usage",
            hour=OCTOBER,
            sequence=1,
            value=1,
            identifier=f"{tenant.org_id}:1",
        )
        pack = FinancePack.objects.create(org=tenant.org, month=OCTOBER.date(), digest="0" * 64)
        rerating = Rerating.objects.create(org=tenant.org, model="small", start=OCTOBER, end=NOVEMBER, reason="Wrong")
        gpus = GpuEndpoint.objects.create(
            org=tenant.org,
            name="llama",
            upstream=uuid4(),
            project=tenant.project.pk,
            gpus=1,
            hour_nanos=1,
            basis="usage",
            starts_at=OCTOBER,
            charged_until=OCTOBER,
        )
        bill = BillSource.objects.create(org=tenant.org, upstream=uuid4(), credential=b"sealed")
        BilledDay.objects.create(org=tenant.org, source=bill, day=OCTOBER.date(), model="small", cost_nanos=1)
        # No tenant's row: whose it is says what it tells of.
        name = f"evt_{tenant.org_id}"
        told = json.dumps({"id": name, "type": "invoice.paid", "data": {"object": {}}}).encode()
        event = StripeEvent.objects.create(id=name, kind="invoice.paid", body=told, tries=20, given_up_at=NOVEMBER)
    return {
        "bill-sources": [str(bill.pk)],
        "stripe-events": [event.pk],
        "invoices": [str(invoice.pk)],
        "credit-notes": [str(note.pk)],
        "finance-packs": [str(pack.pk)],
        "reratings": [str(rerating.pk)],
        "gpu-endpoints": [str(gpus.pk)],
    }
