"""The tables of billing. Every row belongs to one organisation."""

from billing.models.forecasts import Anomaly, Forecast

__all__ = ["Anomaly", "Forecast"]
