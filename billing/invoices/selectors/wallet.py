"""What of prepaid money is where. The organisation is open."""

from collections.abc import Mapping

from django.db.models import QuerySet, Sum

from billing.invoices.choices import WalletAccount
from billing.invoices.models import WalletTransfer
from tenants.access import Actor


def find_balances(actor: Actor) -> dict[WalletAccount, int]:
    """Nano-USD by account, what came in less what went out; together they are zero."""
    rows = WalletTransfer.objects.filter(org=actor.org)
    debits, credits_ = (_sums(rows, column) for column in ("debit", "credit"))
    return {account: credits_.get(account.value, 0) - debits.get(account.value, 0) for account in WalletAccount}


def find_balance(actor: Actor) -> int:
    """The prepaid credits that are left by the books: usage comes into them when it is invoiced."""
    return find_balances(actor)[WalletAccount.CREDITS]


def find_paid(actor: Actor) -> int:
    """Nano-USD that were paid for credits and not given back: nobody gets money for what was a gift."""
    return -find_balances(actor)[WalletAccount.CASH]


def list_transfers(actor: Actor) -> QuerySet[WalletTransfer]:
    """Every transfer."""
    return WalletTransfer.objects.filter(org=actor.org)


def _sums(rows: QuerySet[WalletTransfer], column: str) -> Mapping[str, int]:
    found = rows.order_by().values_list(column).annotate(total=Sum("amount_nanos"))
    return {account: int(total) for account, total in found}
