"""Credits that are bought by card: on a page of Stripe's, or by themselves when what is left falls below a bound."""

import hashlib
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import Fact
from billing.alerts.models import Alert
from billing.choices import AlertKind
from billing.invoices.actions.prepayments import NANOS_A_CENT, book_payment, price_credits
from billing.invoices.actions.wallet import find_available, find_credit_budget, follow_wallet, stop_top_up
from billing.invoices.choices import Collection, WalletAccount
from billing.invoices.models import BillingAccount, WalletTransfer
from billing.invoices.selectors.accounts import find_account, find_contract
from billing.invoices.stripe_client import Stripe, StripeRefused, stripe_from_settings
from costhub.lib import clock
from costhub.lib.database import try_to_be_only
from costhub.lib.errors import Conflict, InvalidField
from tenants.access import Actor, org_scope
from tenants.actions.changes import store_changes
from tenants.choices import Permission

#: what a payment by card is worth its fee from on
LEAST_CENTS: Final = 500
MOST_CENTS: Final = 10_000_000
#: so often within a day credits are bought by themselves
MOST_A_DAY: Final = 10
_DAY: Final = timedelta(days=1)
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
    with transaction.atomic():
        store_changes(actor, account, {"top_up_below_nanos": below, "top_up_nanos": amount})
        if amount is None:
            end_trouble(actor, "declined")
    return account


def top_up(actor: Actor, gateway: Stripe) -> int:
    """Charge the customer if its plan is prepaid and its credits are below the bound. Gives 1 if it did.

    Not within a transaction; one at a time for a customer. The payment's key counts those that were made by themselves
    so far: whoever dies between payment and credits asks for the same payment again, and its webhook brings the same
    credits. Finance is told of a card that is declined, which is charged again after an hour, and then ever less often;
    of a tax rate that is missing; of a day in which the most were bought; and of a payment that lifts the stop at zero
    by nothing: then no more are made. Raises StripeUnavailable, StripeRefused.
    """
    with try_to_be_only(_lock_of(actor)) as is_ours:
        return _top_up(actor, gateway) if is_ours else 0


def _top_up(actor: Actor, gateway: Stripe) -> int:
    now = clock.now()
    with org_scope(actor.org.pk):
        accounts = BillingAccount.objects.select_related("legal_entity")
        account = accounts.filter(org=actor.org, collection=Collection.STRIPE.value).first()
        contract = find_contract(actor, now)
        if account is None or account.top_up_nanos is None or account.top_up_below_nanos is None:
            return 0
        if contract is None or not contract.terms.prepaid or not actor.org.is_active:
            # Also of who is closed: nobody can spend what would be bought.
            return 0
        # In this order: a webhook that brings credits meanwhile makes no other key, and is seen in what is available.
        follow_wallet(actor)
        before = _find_stop(account)
        bought = WalletTransfer.objects.filter(
            org=actor.org, debit=WalletAccount.CASH.value, reference__regex=r"^pi_[^:]*$"
        )
        key = f"top-up:{actor.org.pk}:auto:{bought.count()}"
        if find_available(actor) >= account.top_up_below_nanos:
            end_trouble(actor, "declined")
            return 0
        if bought.filter(created_at__gt=now - _DAY).count() >= MOST_A_DAY:
            _tell(actor, "limit", amount=account.top_up_nanos, times=MOST_A_DAY)
            return 0
        cents = account.top_up_nanos // NANOS_A_CENT
        try:
            sale = price_credits(actor, account, cents)
        except InvalidField as error:
            _tell(actor, "declined", amount=account.top_up_nanos, reason=error.message)
            return 0
    try:
        payment = gateway.charge(
            customer=account.stripe_customer,
            org_id=str(actor.org.pk),
            cents=cents,
            currency=_CURRENCY,
            key=key,
            sale=sale,
        )
    except StripeRefused as error:
        with org_scope(actor.org.pk):
            _tell(actor, "declined", amount=account.top_up_nanos, reason=error.message)
        raise
    if not payment.is_paid:
        return 0
    with org_scope(actor.org.pk):
        book_payment(actor, payment, now)
        end_trouble(actor, "declined")
        # What is left may be less all the same: calls go on meanwhile.
        if _find_stop(account) <= before:
            _tell(actor, "useless", amount=account.top_up_nanos)
            stop_top_up(actor)
    return 1


def _find_stop(account: BillingAccount) -> int:
    """Where the stop at zero credits is, in nano-USD that were ever spent."""
    account.refresh_from_db(fields=["credit_budget"])
    budget = find_credit_budget(account)
    return budget.limit_nanos if budget is not None else 0


def end_trouble(actor: Actor, trouble: str) -> None:
    """A trouble with buying credits by themselves is over: credits were bought, enough are left, or none are to be. To
    be called as often as anybody likes."""
    standing = Alert.objects.filter(org=actor.org, kind=AlertKind.TOP_UP.value, subject=trouble, ended_at=None)
    if standing.exists():
        _tell(actor, trouble, 0)


def _tell(actor: Actor, trouble: str, value: int = 1, **details: Any) -> None:
    """Once a day for each kind of trouble; with a ``value`` of 0, that it is over."""
    now = clock.now()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    fact = Fact(AlertKind.TOP_UP, trouble, value, {"trouble": trouble, **details}, window_start=day)
    report(actor.org, AlertKind.TOP_UP, [fact], now=now, is_complete=False)


def _lock_of(actor: Actor) -> int:
    return int.from_bytes(hashlib.sha256(f"top-up:{actor.org.pk}".encode()).digest()[:8], signed=True)


def open_checkout(*, actor: Actor, amount: int, key: str) -> str:
    """The address of a page at which nano-USD of credits are paid for, with their tax where they are sold with an
    invoice; they come with its webhook. Raises Conflict where nobody can be charged, InvalidField for an amount that
    cannot be, or where a tax rate is missing."""
    actor.check(Permission.WRITE_MONEY)
    gateway, account = _collecting(actor)
    cents = to_cents(amount, "amount")
    _, url = gateway.open_checkout(
        customer=account.stripe_customer,
        org_id=str(actor.org.pk),
        cents=cents,
        sale=price_credits(actor, account, cents),
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
