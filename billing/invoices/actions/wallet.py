"""Prepaid credits: bought, given, used and refunded, each by one transfer that balances by itself.

The hard stop at zero is a budget of the organisation's, over all of time: its limit is what had been spent when credits
began, and all that can be spent of them since. So a call is held to the credits by the same script, and to the nano, as
to any budget, and nothing on a call's way knows of wallets. With a markup, a credit of a dollar pays for less than a
dollar of usage.
"""

from django.db import transaction

from billing.invoices.choices import LineKind, WalletAccount
from billing.invoices.core.terms import WHOLE
from billing.invoices.models import BillingAccount, Invoice, WalletTransfer
from billing.invoices.selectors.accounts import find_prepaid_since, find_subscription, terms_of
from billing.invoices.selectors.usage import find_cost
from billing.invoices.selectors.wallet import find_balance
from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import MAX_LIMIT_NANOS, Nanos, format_usd
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.budgets import follow_credits
from tenants.choices import Permission
from tenants.models import Budget
from tenants.periods import EPOCH


def add_credits(
    *,
    actor: Actor,
    amount_nanos: int,
    reference: str,
    source: WalletAccount = WalletAccount.CASH,
    reason: str = "",
) -> WalletTransfer:
    """Credits that were paid for (or given, from PROMOTIONS), once a ``reference``: the same one again gives the first
    transfer. Calls may use them within a second. Raises InvalidField for an amount that cannot be, Conflict for a
    reference that stands for another amount."""
    actor.check(Permission.WRITE_MONEY)
    if not 0 < amount_nanos <= MAX_LIMIT_NANOS:
        raise InvalidField("Give an amount above zero and up to $9,000,000.", field="amount")
    transfer = _transfer(actor, source, WalletAccount.CREDITS, amount_nanos, reference, reason)
    follow_wallet(actor)
    return transfer


def refund_credits(*, actor: Actor, amount_nanos: int, reference: str, reason: str = "") -> WalletTransfer:
    """Give money back of credits that nothing was spent of. Raises InvalidField for more than are left."""
    actor.check(Permission.WRITE_MONEY)
    with transaction.atomic():
        _lock(actor)
        left = find_available(actor)
        if not 0 < amount_nanos <= left:
            raise InvalidField(f"Give an amount above zero and up to {format_usd(max(left, 0))} USD.", field="amount")
        transfer = _transfer(actor, WalletAccount.CREDITS, WalletAccount.CASH, amount_nanos, reference, reason)
        follow_wallet(actor)
    return transfer


def use_credits(actor: Actor, invoice: Invoice) -> WalletTransfer | None:
    """Book what of an invoice is paid from credits; once."""
    lines = invoice.lines.filter(kind=LineKind.CREDIT.value, group="prepaid")
    paid = -sum(line.nanos for line in lines)
    if not paid:
        return None
    used = _transfer(
        actor, WalletAccount.CREDITS, WalletAccount.USAGE, paid, f"invoice:{invoice.pk}", f"Invoice {invoice.number}"
    )
    follow_wallet(actor)
    return used


def give_back_credits(actor: Actor, invoice: Invoice) -> WalletTransfer | None:
    """Give back what of an invoice was paid from credits, because it is void; once. They can be spent again: what they
    had paid for is still spent, and so the budget's limit rises by as much."""
    used = WalletTransfer.objects.filter(org=actor.org, reference=f"invoice:{invoice.pk}").first()
    if used is None:
        return None
    back = _transfer(
        *(actor, WalletAccount.USAGE, WalletAccount.CREDITS, used.amount_nanos),
        *(f"void:{invoice.pk}", f"Invoice {invoice.number} is void"),
    )
    follow_wallet(actor)
    return back


def find_available(actor: Actor) -> int:
    """Nano-USD of credits that are neither booked as used nor spent since the last invoice."""
    account = BillingAccount.objects.get(org=actor.org)
    budget = _find_budget(account)
    if budget is None:
        return find_balance(actor)
    left = budget.limit_nanos - find_cost(actor, EPOCH, clock.now())
    return min(find_balance(actor), with_markup(left, _markup(actor)))


def follow_wallet(actor: Actor) -> Budget | None:
    """Set the managed budget to what the credits allow, where the organisation's plan is prepaid; made at the first
    credits. May be repeated."""
    account = BillingAccount.objects.filter(org=actor.org).first()
    subscription = find_subscription(actor)
    if account is None or subscription is None or not terms_of(subscription).prepaid:
        return None
    with transaction.atomic():
        # One at a time: of two that follow at once, the later one sees the transfers of both.
        account = BillingAccount.objects.select_for_update().get(pk=account.pk)
        budget = _find_budget(account)
        base = _spent_before(actor)
        bought = find_balance(actor) + _used(actor)
        budget = follow_credits(
            actor=actor, budget=budget, limit_nanos=Nanos(base + without_markup(bought, _markup(actor)))
        )
        if account.credit_budget != budget.pk:
            account.credit_budget = budget.pk
            account.save(update_fields=["credit_budget"])
    return budget


def _find_budget(account: BillingAccount) -> Budget | None:
    if account.credit_budget is None:
        return None
    return Budget.objects.filter(org=account.org_id, pk=account.credit_budget).first()


def without_markup(nanos: int, share: int) -> int:
    """How much usage so many credits pay for, rounded down: never more than was bought."""
    return nanos * WHOLE // (WHOLE + share) if share > -WHOLE else nanos


def with_markup(nanos: int, share: int) -> int:
    """How many credits so much usage takes, rounded down."""
    return nanos * (WHOLE + share) // WHOLE


def _markup(actor: Actor) -> int:
    """The dearest markup that any usage may have: credits are never overspent by it."""
    subscription = find_subscription(actor)
    if subscription is None:
        return 0
    terms = terms_of(subscription)
    return max(terms.markup, *terms.models.values(), *(tier.markup for tier in terms.tiers), 0)


def _spent_before(actor: Actor) -> int:
    """What the organisation had spent when its first prepaid plan began. A later one frees nothing that was spent of
    credits since."""
    began = find_prepaid_since(actor)
    return find_cost(actor, EPOCH, began) if began else 0


def _used(actor: Actor) -> int:
    rows = WalletTransfer.objects.filter(org=actor.org, credit=WalletAccount.USAGE.value)
    return sum(rows.values_list("amount_nanos", flat=True))


def _transfer(
    actor: Actor, debit: WalletAccount, credit: WalletAccount, amount: int, reference: str, reason: str
) -> WalletTransfer:
    transfer, is_new = WalletTransfer.objects.get_or_create(
        org=actor.org,
        reference=reference,
        defaults={
            "debit": debit.value,
            "credit": credit.value,
            "amount_nanos": amount,
            "reason": reason,
            "created_by": actor.name,
        },
    )
    if is_new:
        record(actor, "created", transfer, amount_nanos=amount, debit=debit, credit=credit, reference=reference)
    elif (transfer.amount_nanos, transfer.debit, transfer.credit) != (amount, debit.value, credit.value):
        raise Conflict("This reference stands for another transfer already: give a new one.")
    return transfer


def _lock(actor: Actor) -> None:
    BillingAccount.objects.select_for_update().filter(org=actor.org).first()
