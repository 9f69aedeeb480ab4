"""The tables of billing: sums of the ledger, what jobs found out about spend, what people are told of and how, and
invoices. Every row belongs to one organisation, but for what the operator keeps."""

from billing.alerts.models import Alert, AlertRule, Channel, Delivery, Mute
from billing.bills.models import BilledDay, BillSource
from billing.gpu.models import GpuEndpoint
from billing.invoices.models import (
    BillingAccount,
    ExchangeRate,
    FinancePack,
    Invoice,
    InvoiceDocument,
    InvoiceLine,
    LegalEntity,
    MeterDelta,
    Plan,
    Rerating,
    StripeEvent,
    Subscription,
    WalletTransfer,
)
from billing.spend.models import Anomaly, DayRollup, Forecast, LedgerLine, QuarterRollup

__all__ = [
    "Alert",
    "AlertRule",
    "Anomaly",
    "BillSource",
    "BilledDay",
    "BillingAccount",
    "Channel",
    "DayRollup",
    "Delivery",
    "ExchangeRate",
    "FinancePack",
    "Forecast",
    "GpuEndpoint",
    "Invoice",
    "InvoiceDocument",
    "InvoiceLine",
    "LedgerLine",
    "LegalEntity",
    "MeterDelta",
    "Mute",
    "Plan",
    "QuarterRollup",
    "Rerating",
    "StripeEvent",
    "Subscription",
    "WalletTransfer",
]
