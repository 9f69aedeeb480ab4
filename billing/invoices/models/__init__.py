"""Invoices and all that they are made of."""

from billing.invoices.models.accounts import BillingAccount, Subscription, WalletTransfer
from billing.invoices.models.invoices import Invoice, InvoiceDocument, InvoiceLine
from billing.invoices.models.packs import FinancePack
from billing.invoices.models.rerating import Rerating
from billing.invoices.models.sellers import ExchangeRate, LegalEntity, Plan
from billing.invoices.models.stripe import MeterDelta, StripeEvent

__all__ = [
    "BillingAccount",
    "ExchangeRate",
    "FinancePack",
    "Invoice",
    "InvoiceDocument",
    "InvoiceLine",
    "LegalEntity",
    "MeterDelta",
    "Plan",
    "Rerating",
    "StripeEvent",
    "Subscription",
    "WalletTransfer",
]
