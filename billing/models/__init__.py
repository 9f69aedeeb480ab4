"""The tables of billing: sums of the ledger, what jobs found out about spend, what people are told of, and how. Every
row belongs to one organisation."""

from billing.models.alerts import Alert, AlertRule
from billing.models.channels import Channel, Delivery, Mute
from billing.models.forecasts import Anomaly, Forecast
from billing.models.rollups import DayRollup, LedgerLine, QuarterRollup

__all__ = [
    "Alert",
    "AlertRule",
    "Anomaly",
    "Channel",
    "DayRollup",
    "Delivery",
    "Forecast",
    "LedgerLine",
    "Mute",
    "QuarterRollup",
]
