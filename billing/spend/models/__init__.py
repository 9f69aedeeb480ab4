"""Sums of the ledger, and what jobs found out about spend. Every row belongs to one organisation."""

from billing.spend.models.forecasts import Anomaly, Forecast
from billing.spend.models.rollups import DayRollup, LedgerLine, QuarterRollup

__all__ = ["Anomaly", "DayRollup", "Forecast", "LedgerLine", "QuarterRollup"]
