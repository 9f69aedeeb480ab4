"""Stored enumerations of forecasts and anomalies, as plain ``StrEnum`` so that the pure core may import them too."""

from enum import StrEnum


class ForecastMethod(StrEnum):
    """What a month's forecast was made with."""

    #: nothing is said: there are hardly any days to go by
    NOT_ENOUGH_HISTORY = "not_enough_history"
    #: what the days so far cost on average, without a band
    RUN_RATE = "run_rate"
    #: whole recent weeks drawn again and again, for series that are short or often silent
    RECENT_WEEKS = "recent_weeks"
    #: exponential smoothing with a weekly season, half and half with the mean of four weeks
    SMOOTHING = "smoothing"


class AnomalyUnit(StrEnum):
    """How long the stretch of time is that was unusual, in the organisation's time zone."""

    DAY = "day"
    HOUR = "hour"


class Severity(StrEnum):
    """How much an anomaly asks for somebody's attention: more spend than usual, or less."""

    HIGH = "high"
    LOW = "low"


class Cause(StrEnum):
    """What of an excess explains most of it."""

    CALLS = "calls"
    TOKENS = "tokens"
    PRICE = "price"
