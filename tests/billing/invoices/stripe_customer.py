"""Acme as a customer that Stripe collects from."""

from datetime import datetime
from typing import Any

from billing.invoices.models import BillingAccount
from billing.invoices.stripe_client import Stripe
from tenants.access import org_scope
from tests.billing.invoices.examples import SEPTEMBER, make_customer
from tests.world import Tenant


def make_stripe_customer(
    tenant: Tenant, gateway: Stripe, *, metered_from: datetime = SEPTEMBER, **terms: Any
) -> BillingAccount:
    """With a meter called ``usage``."""
    account = make_customer(tenant, **terms)
    customer = gateway.ensure_customer(org_id=tenant.org_id, name=account.name, email="finance@acme.example")
    with org_scope(tenant.org.pk):
        account.refresh_from_db()
        account.collection, account.stripe_customer = "stripe", customer
        account.stripe_meter, account.metered_from = "usage", metered_from
        account.save()
    return account
