"""Credits that are bought by card: on a page of Stripe's, or by themselves when what is left falls below a bound."""

from typing import Final

from django.conf import settings

from billing.invoices.actions.wallet import add_credits, find_available
from billing.invoices.choices import Collection, WalletAccount
from billing.invoices.models import BillingAccount, WalletTransfer
from billing.invoices.selectors.accounts import find_account
from billing.invoices.stripe_client import Stripe, stripe_from_settings
from costhub.lib.errors import Conflict, InvalidField
from tenants.access import Actor, org_scope
from tenants.actions.changes import store_changes
from tenants.choices import Permission

NANOS_A_CENT: Final = 10_000_000
#: what a payment by card is worth its fee from on
LEAST_CENTS: Final = 500
MOST_CENTS: Final = 10_000_000
_CURRENCY: Final = "USD"


def set_top_up(*, actor: Actor, account: BillingAccount, below: int | None, amount: int | None) -> BillingAccount:
    """Buy ``amount`` nano-USD of credits whenever fewer than ``below`` are left; None for both ends that. Raises
    InvalidField for one without the other, or an amount that cannot be charged."""
    actor.check(Permission.WRITE_MONEY)
    if (below is None) != (amount is None):
        raise InvalidField("Give both, the bound and the amount, or neither.", field="top_up_amount")
    if below is not None and below < 0:
        raise InvalidField("Give a bound of at least zero.", field="top_up_below")
    if amount is not None:
        to_cents(amount, "top_up_amount")
    store_changes(actor, account, {"top_up_below_nanos": below, "top_up_nanos": amount})
    return account


def top_up(actor: Actor, gateway: Stripe) -> int:
    """Charge the customer if the credits are below the bound. Gives 1 if it did.

    Not within a transaction. The payment's key counts the top-ups so far: whoever dies between payment and credits
    asks for the same payment again, and its webhook brings the same credits. Raises StripeUnavailable, StripeRefused.
    """
    with org_scope(actor.org.pk):
        account = BillingAccount.objects.filter(org=actor.org, collection=Collection.STRIPE.value).first()
        if account is None or account.top_up_nanos is None or account.top_up_below_nanos is None:
            return 0
        if find_available(actor) >= account.top_up_below_nanos:
            return 0
        bought = WalletTransfer.objects.filter(org=actor.org, debit=WalletAccount.CASH.value).count()
    payment = gateway.charge(
        customer=account.stripe_customer,
        org_id=str(actor.org.pk),
        cents=account.top_up_nanos // NANOS_A_CENT,
        currency=_CURRENCY,
        key=f"top-up:{actor.org.pk}:{bought}",
    )
    if not payment.is_paid:
        return 0
    with org_scope(actor.org.pk):
        add_credits(
            actor=actor, amount_nanos=payment.cents * NANOS_A_CENT, reference=payment.id, reason="Paid by Stripe"
        )
    return 1


def open_checkout(*, actor: Actor, amount: int, key: str) -> str:
    """The address of a page at which nano-USD of credits are paid for; they come with its webhook. Raises Conflict
    where nobody can be charged."""
    actor.check(Permission.WRITE_MONEY)
    gateway, account = _collecting(actor)
    _, url = gateway.open_checkout(
        customer=account.stripe_customer,
        org_id=str(actor.org.pk),
        cents=to_cents(amount, "amount"),
        currency=_CURRENCY,
        back_to=settings.PUBLIC_URL or "http://127.0.0.1:8000",
        key=f"checkout:{actor.org.pk}:{key}",
    )
    return url


def open_portal(*, actor: Actor) -> str:
    """The address of Stripe's page at which the customer keeps its means of payment. Raises Conflict as above."""
    actor.check(Permission.WRITE_MONEY)
    gateway, account = _collecting(actor)
    return gateway.open_portal(customer=account.stripe_customer, back_to=settings.PUBLIC_URL or "http://127.0.0.1:8000")


def to_cents(nanos: int, field: str) -> int:
    """Whole cents of an amount that can be charged. Raises InvalidField."""
    cents, rest = divmod(nanos, NANOS_A_CENT)
    if rest or not LEAST_CENTS <= cents <= MOST_CENTS:
        raise InvalidField("Give an amount from 5.00 to 100000.00 USD, in whole cents.", field=field)
    return cents


def is_collected(account: BillingAccount | None) -> bool:
    """Whether Stripe has pages for this customer to pay at."""
    return bool(settings.STRIPE_API_KEY and account is not None and account.stripe_customer)


def _collecting(actor: Actor) -> tuple[Stripe, BillingAccount]:
    gateway, account = stripe_from_settings(), find_account(actor)
    if gateway is None or account is None or not account.stripe_customer:
        raise Conflict("Nothing is collected by Stripe here: ask the operator of this installation how to pay.")
    return gateway, account
