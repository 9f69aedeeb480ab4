"""Stripe's subscription of a customer: fee and metered usage as prices, kept as the plan has them.

CostHub's invoice stays the truth. What Stripe's prices cannot say (proration, tiers, markups by model, included usage,
minimum, coupons, late usage, tax, credits) is one item that brings Stripe's draft onto our invoice.
"""

from decimal import Decimal
from typing import Final

from billing.invoices.choices import Collection, InvoiceKind
from billing.invoices.core.terms import WHOLE, Terms
from billing.invoices.models import BillingAccount, Invoice, Subscription
from billing.invoices.selectors.accounts import find_billed_until, find_subscription, terms_of
from billing.invoices.stripe_billing import (
    CENTS_A_NANO,
    WantedPrice,
    cancel_subscription,
    ensure_price,
    ensure_subscription,
    hold_drafts,
)
from billing.invoices.stripe_client import Stripe
from costhub.lib import clock
from costhub.lib.errors import Conflict
from tenants.access import Actor, org_scope
from tenants.actions.audit import record
from tenants.choices import Permission
from tenants.periods import period_bounds

#: in place of an id: one is to be made
WANTED: Final = "wanted"


def want_subscription(*, actor: Actor) -> BillingAccount:
    """Have Stripe bill the customer's fee and meter by a subscription, from the next month on. Again it changes
    nothing. Raises Conflict for a customer that Stripe does not collect from, or a plan that is not in USD."""
    actor.check(Permission.WRITE_MONEY)
    account = BillingAccount.objects.select_for_update().filter(org=actor.org).first()
    if account is None or account.collection != Collection.STRIPE or not account.stripe_customer:
        raise Conflict("Stripe does not collect from this organisation: give it a Stripe customer first.")
    present = find_subscription(actor)
    if present is None or terms_of(present).currency != "USD":
        raise Conflict("Stripe's subscription is in USD, as meters are: put the organisation under such a plan first.")
    if not account.stripe_subscription:
        account.stripe_subscription = WANTED
        account.save(update_fields=["stripe_subscription"])
        record(actor, "updated", account, stripe_subscription=WANTED)
    return account


def sync_subscription(actor: Actor, gateway: Stripe) -> int:
    """Bring Stripe's subscription to the plan that holds now; gives how many were looked at. Not within a
    transaction."""
    with org_scope(actor.org.pk):
        account = BillingAccount.objects.filter(org=actor.org, collection=Collection.STRIPE.value).first()
        if account is None or not account.stripe_subscription or not account.stripe_customer:
            return 0
        present = find_subscription(actor)
        terms = terms_of(present) if present else None
    known = "" if account.stripe_subscription == WANTED else account.stripe_subscription
    if known:
        hold_drafts(gateway, known)
    if present is None or terms is None or terms.currency != "USD":
        if known:
            cancel_subscription(gateway, known)
        if not known or _is_all_told(actor):
            _keep(actor, account, "")
        return 1
    meter = gateway.meter_id(account.stripe_meter) if account.stripe_meter and not terms.pass_through else ""
    wanted = list_prices(str(present.plan_id), present.plan.name, terms, meter)
    prices = [ensure_price(gateway, price, terms.currency) for price in wanted]
    _, anchor = period_bounds("month", clock.now(), actor.org.time_zone)
    made = ensure_subscription(
        gateway,
        customer=account.stripe_customer,
        org_id=str(actor.org.pk),
        prices=prices,
        anchor=anchor,
        due_days=terms.payment_days,
    )
    if made != account.stripe_subscription:
        _keep(actor, account, made)
    return 1


def list_prices(plan: str, name: str, terms: Terms, meter: str) -> list[WantedPrice]:
    """A plan's prices at Stripe: its fee, and a nano-USD of metered usage with the plan's markup."""
    prices = [WantedPrice(f"fee:{plan}:{terms.fee}", f"{name}: subscription", terms.fee * CENTS_A_NANO)]
    if meter:
        cents = CENTS_A_NANO * (WHOLE + terms.markup) / Decimal(WHOLE)
        prices.append(WantedPrice(f"usage:{meter}:{terms.markup}", f"{name}: usage", cents, meter))
    return prices


def _is_all_told(actor: Actor) -> bool:
    """Whether every month of the plans that are over is invoiced, and Stripe knows of it: until then its drafts are
    wanted."""
    with org_scope(actor.org.pk):
        last = Subscription.objects.filter(org=actor.org).order_by("-starts_at").first()
        billed = find_billed_until(actor)
        untold = Invoice.objects.filter(org=actor.org, stripe_invoice="").exclude(number="")
        is_billed = last is None or (billed is not None and last.ends_at is not None and billed >= last.ends_at)
        return is_billed and not untold.filter(kind=InvoiceKind.INVOICE.value).exists()


def _keep(actor: Actor, account: BillingAccount, subscription: str) -> None:
    with org_scope(actor.org.pk):
        BillingAccount.objects.filter(pk=account.pk).update(stripe_subscription=subscription)
