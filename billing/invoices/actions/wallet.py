"""Prepaid credits: bought, given, used and refunded, each by one transfer that balances by itself.

The hard stop at zero is a budget of the organisation's, over all of time, while a prepaid plan holds: its limit is what
was spent until the last invoice, or until the plan began, and what the credits that are left then pay for. So a call is
held to the credits by the same script, and to the nano, as to any budget, and nothing on a call's way knows of wallets.
With a markup, a credit of a dollar pays for less than a dollar of usage.
"""

from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import Q

from billing.invoices.choices import InvoiceKind, InvoiceState, LineKind, WalletAccount
from billing.invoices.core.calendar import Bounds, cut_out, find_stretches
from billing.invoices.core.lines import PREPAID
from billing.invoices.core.terms import WHOLE, Terms
from billing.invoices.models import BillingAccount, Invoice, WalletTransfer
from billing.invoices.selectors.accounts import find_contract, list_contracts
from billing.invoices.selectors.late import is_billed, list_invoiced
from billing.invoices.selectors.usage import find_billed, find_cost, find_spans
from billing.invoices.selectors.wallet import find_balance, find_paid
from costhub.lib import clock
from costhub.lib.database import take_turn
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.moments import to_ms
from costhub.lib.money import MAX_LIMIT_NANOS, Nanos, format_usd
from proxy.core.budgets import make_scope
from proxy.errors import GovernanceUnavailable
from proxy.ledger.recount import recount_apart
from proxy.ledger.set_aside import NoRoom, let_go, set_aside
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.budgets import follow_credits
from tenants.actions.changes import apply_changes, store_changes
from tenants.choices import BudgetScope, Permission
from tenants.models import Budget
from tenants.periods import EPOCH
from tenants.selectors import load_org_snapshot, read_budgets


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
    with transaction.atomic():
        _lock(actor)
        transfer = _transfer(actor, source, WalletAccount.CREDITS, amount_nanos, reference, reason)
        follow_wallet(actor)
    return transfer


def refund_credits(*, actor: Actor, amount_nanos: int, reference: str, reason: str = "") -> WalletTransfer:
    """Book money that was given back of credits that nothing was spent of and no call under way holds, and no more than
    was paid for credits; once a ``reference``. Nothing is bought by itself in their place. Raises InvalidField for more
    than that, Conflict for a reference that stands for another transfer, GovernanceUnavailable where nobody knows what
    calls hold."""
    actor.check(Permission.WRITE_MONEY)
    with transaction.atomic():
        _lock(actor)
        left = min(find_available(actor), find_paid(actor))
        is_new = not WalletTransfer.objects.filter(org=actor.org, reference=reference).exists()
        if is_new and not 0 < amount_nanos <= left:
            raise InvalidField(f"Give an amount above zero and up to {format_usd(max(left, 0))} USD.", field="amount")
        stop = _find_stop(actor)
        transfer = _transfer(actor, WalletAccount.CREDITS, WalletAccount.CASH, amount_nanos, reference, reason)
        if is_new:
            stop_top_up(actor)
        lower = follow_wallet(actor)
        if is_new and stop is not None and lower is not None:
            _keep_from_calls(actor, stop.limit_nanos, lower)
    return transfer


def _find_stop(actor: Actor) -> Budget | None:
    """The budget that calls are held to at the moment, where they are held to credits."""
    account = BillingAccount.objects.filter(org=actor.org).first()
    budget = find_credit_budget(account) if account is not None else None
    return budget if budget is not None and budget.is_active else None


def _keep_from_calls(actor: Actor, limit: int, lower: Budget) -> None:
    """Until the limit that was lowered from ``limit`` is in force everywhere no call takes what it was lowered by:
    those that are under way or come meanwhile would pass zero. Raises InvalidField where they hold it already,
    GovernanceUnavailable where nobody knows what they hold."""
    nanos = limit - lower.limit_nanos
    if nanos <= 0:
        return
    org, now = actor.org, clock.now()
    snapshot = load_org_snapshot(str(org.pk))
    budgets = {budget.id: budget for budget in read_budgets(actor, now, [BudgetScope.ORGANIZATION])}
    if snapshot is None or str(lower.pk) not in budgets:
        return
    scope = make_scope(snapshot, budgets[str(lower.pk)], str(org.pk), to_ms(now))
    try:
        hold = set_aside(org.shard, scope.counter, nanos, limit=limit)
        if not hold and recount_apart(org.shard, str(org.pk), [scope]):
            # No call has asked for the counter before, or it was lost: one that comes now would find the old limit.
            hold = set_aside(org.shard, scope.counter, nanos, limit=limit)
    except NoRoom as error:
        contract = find_contract(actor, now)
        most = with_markup(max(error.left, 0), _dearest(contract.terms) if contract else 0)
        raise InvalidField(
            f"Give an amount up to {format_usd(most)} USD: the rest of what is left is held for calls under way.",
            field="amount",
        ) from error
    if not hold:
        raise GovernanceUnavailable("What calls under way hold cannot be counted at the moment: try again in a minute.")
    transaction.on_commit(partial(let_go, org.shard, str(org.pk), org.version, hold))


def take_back_credits(actor: Actor, *, payment: str, nanos: int) -> WalletTransfer | None:
    """Bring the credits of a payment to what Stripe gave back of it, or holds in dispute: ``nanos`` in all. What is in
    the books of it already is not booked again, and what comes back with a dispute that was won, or a refund that
    failed, is; None where nothing has changed. Credits that are spent already are owed: the balance falls below zero,
    and calls stop. Nothing is bought by itself in their place. ``nanos`` must not be older than the transfers that
    there are: whoever reads them at Stripe has the payment's turn."""
    with transaction.atomic():
        _lock(actor)
        rows = WalletTransfer.objects.filter(org=actor.org, reference__startswith=f"{payment}:")
        known = [
            amount if credit == WalletAccount.CASH else -amount
            for credit, amount in rows.values_list("credit", "amount_nanos")
        ]
        change = nanos - sum(known)
        if not change:
            return None
        source, to, reason = WalletAccount.CREDITS, WalletAccount.CASH, "Given back or disputed at Stripe"
        if change < 0:
            source, to, reason = to, source, "A dispute was won, or a refund failed, at Stripe"
        else:
            stop_top_up(actor)
        transfer = _transfer(actor, source, to, abs(change), f"{payment}:{len(known) + 1}", reason)
        follow_wallet(actor)
    return transfer


def stop_top_up(actor: Actor) -> None:
    """Buy no credits by itself any more, until somebody says so again."""
    account = BillingAccount.objects.filter(org=actor.org).first()
    if account is not None:
        store_changes(actor, account, {"top_up_below_nanos": None, "top_up_nanos": None})


def use_credits(actor: Actor, invoice: Invoice) -> WalletTransfer | None:
    """Book what of an invoice is paid from credits; once."""
    lines = invoice.lines.filter(kind=LineKind.CREDIT.value, group=PREPAID)
    paid = -sum(line.nanos for line in lines)
    if not paid:
        return None
    used = _transfer(
        actor, WalletAccount.CREDITS, WalletAccount.USAGE, paid, f"invoice:{invoice.pk}", f"Invoice {invoice.number}"
    )
    follow_wallet(actor)
    return used


def give_back_credits(actor: Actor, invoice: Invoice) -> WalletTransfer | None:
    """Give back what of an invoice was paid from credits, because it is void; once. They can be spent again."""
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
    """Nano-USD of credits that are neither booked as used nor spent since the last invoice; below zero where more was
    spent than there are."""
    balance = find_balance(actor)
    return min(balance, balance - _unbooked(actor, clock.now()))


def follow_wallet(actor: Actor) -> Budget | None:
    """Set the managed budget to what the credits allow, where a prepaid plan holds, made where there is none yet; else
    switch it off. To be called whenever credits or plan change; may be repeated."""
    with transaction.atomic():
        # One at a time: of two that follow at once, the later one sees the transfers of both.
        account = BillingAccount.objects.select_for_update().filter(org=actor.org).first()
        contract = find_contract(actor, clock.now())
        if account is None:
            return None
        budget = find_credit_budget(account)
        if contract is None or not contract.terms.prepaid:
            if budget is not None:
                apply_changes(actor, budget, {"is_active": False})
            return None
        # What is invoiced is in the books already.
        since = max([contract.start, *(end for _, end in _list_booked(actor))])
        left = without_markup(find_balance(actor) - _unbooked(actor, since), _dearest(contract.terms))
        limit = Nanos(find_cost(actor, EPOCH, since) + left)
        budget = follow_credits(actor=actor, budget=budget, limit_nanos=limit)
        if account.credit_budget != budget.pk:
            account.credit_budget = budget.pk
            account.save(update_fields=["credit_budget"])
    return budget


def find_credit_budget(account: BillingAccount) -> Budget | None:
    """The budget that stops calls when prepaid credits are gone, if it was ever made."""
    if account.credit_budget is None:
        return None
    return Budget.objects.filter(org=account.org_id, pk=account.credit_budget).first()


def without_markup(nanos: int, share: int) -> int:
    """How much usage so many credits pay for, rounded down: never more than was bought."""
    return nanos * WHOLE // (WHOLE + share) if share > -WHOLE else nanos


def with_markup(nanos: int, share: int) -> int:
    """How many credits so much usage takes, rounded down."""
    return nanos * (WHOLE + share) // WHOLE


def _dearest(terms: Terms) -> int:
    """The dearest markup that any usage may have: credits are never overspent by it."""
    return max(terms.markup, *terms.models.values(), *(tier.markup for tier in terms.tiers), 0)


def _unbooked(actor: Actor, until: datetime) -> int:
    """Nano-USD of credits that usage under prepaid plans takes and no invoice has taken yet: that of months without
    one, and what came to the others since."""
    booked = _list_booked(actor)
    contracts = [
        contract
        for contract in list_contracts(actor, EPOCH, until)
        if contract.terms.prepaid and not contract.terms.pass_through
    ]
    if not contracts:
        return 0
    running = sum(
        with_markup(find_cost(actor, start, end), _dearest(contract.terms))
        for contract in contracts
        for start, end in cut_out((contract.start, min(contract.end or until, until)), booked)
    )
    return running + _late(actor, until)


def _late(actor: Actor, until: datetime) -> int:
    """The same of what came late to months that are invoiced: spent is spent, whenever it is invoiced. What was
    corrected down comes back with the next invoice, and not before: nobody spends it that it might not be left to."""
    months = list_invoiced(actor, until)
    if is_billed(actor, months):
        return 0
    late = 0
    for month in months:
        start, end = month.period_start, month.period_end
        stretches = find_stretches(list_contracts(actor, start, end), start, end)
        for span in find_spans(actor, start, end, stretches):
            if span.terms.prepaid:
                billed = sum(cost for _, cost in find_billed(actor, span.start, span.end).values())
                more = find_cost(actor, span.start, span.end) - billed
                late += with_markup(max(more, 0), _dearest(span.terms))
    return late


def _list_booked(actor: Actor) -> list[Bounds]:
    """The months whose invoice is issued; a draft that is void bills nothing for ever."""
    rows = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.INVOICE.value)
    return list(rows.filter(~Q(number="") | Q(state=InvoiceState.VOID.value)).values_list("period_start", "period_end"))


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
    """What is read of the credits from here on stays so until the transaction ends. Locked before any transfer is
    written: two that meet under one reference would wait for each other."""
    if BillingAccount.objects.select_for_update().filter(org=actor.org).first() is None:
        take_turn(f"credits of {actor.org.pk}")
