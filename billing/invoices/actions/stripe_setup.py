"""What Stripe has to have before it collects: once an installation its meter and the prices of plans, and a customer
for each organisation that it collects from."""

from typing import Final

from django.db import transaction

from billing.invoices.actions.subscriptions import list_prices
from billing.invoices.choices import Collection
from billing.invoices.core.terms import parse_terms
from billing.invoices.models import BillingAccount, Plan
from billing.invoices.selectors.accounts import find_subscription
from billing.invoices.stripe_billing import ensure_meter, ensure_price
from billing.invoices.stripe_client import Stripe
from costhub.lib import clock
from tenants.access import Actor, org_scope
from tenants.actions.audit import record

#: the name of the events of the installation's meter
METER: Final = "costhub_usage"
_METER_TITLE: Final = "CostHub usage, in nano-USD"


def set_up(gateway: Stripe) -> list[tuple[str, str]]:
    """The installation's meter, and the prices of every active plan in USD, made where they are not there: what for,
    and Stripe's id. May be repeated. Raises StripeUnavailable, StripeRefused."""
    meter = ensure_meter(gateway, METER, _METER_TITLE)
    found = [(f"meter {METER}", meter)]
    for plan in Plan.objects.filter(is_active=True).order_by("name", "version"):
        terms = parse_terms(plan.terms)
        if terms.currency == "USD":
            prices = list_prices(str(plan.pk), plan.name, terms, "" if terms.pass_through else meter)
            found += [(f"{plan.name} {plan.version}", ensure_price(gateway, each, terms.currency)) for each in prices]
    return found


def ensure_customer(actor: Actor, gateway: Stripe) -> int:
    """Make the organisation a customer of Stripe's, where Stripe is to collect from it and it has a plan. Its usage
    goes to the installation's meter, if there is one and the operator named no other. Gives 1 if it did.

    Not within a transaction. Whoever dies after Stripe made it asks for the same one again. Raises StripeUnavailable,
    StripeRefused."""
    with org_scope(actor.org.pk):
        account = BillingAccount.objects.filter(
            org=actor.org, collection=Collection.STRIPE.value, stripe_customer=""
        ).first()
        if account is None or actor.org.is_demo or find_subscription(actor) is None:
            return 0
    email = account.emails[0] if account.emails else ""
    customer = gateway.ensure_customer(org_id=str(actor.org.pk), name=account.name, email=email)
    meter = account.stripe_meter or (METER if gateway.find_meter(METER) else "")
    with org_scope(actor.org.pk), transaction.atomic():
        made = {"stripe_customer": customer, "stripe_meter": meter}
        if BillingAccount.objects.filter(pk=account.pk, stripe_customer="").update(**made, metered_from=clock.now()):
            record(actor, "updated", account, **made)
    return 1
