"""What jobs found out about spend: where months are heading, and what was unusual. Money is nano-USD."""

from django.db import models

from billing.choices import AnomalySeverity, AnomalyUnit, Cause, ForecastMethod
from tenants.choices import BudgetScope
from tenants.models.base import TenantRow

_SCOPES = [(scope.value, scope.value) for scope in BudgetScope]


class Forecast(TenantRow):
    """The latest forecast of a month. ``subject`` is a project's or key's id, and empty for the organisation.

    ``running`` is what is expected to be spent by the end of each day from ``first_day`` on; ``first_day`` is the day
    in which it was made. ``tested_on`` is the day of the back-test, which is made once a day.
    """

    scope = models.CharField(max_length=16, choices=_SCOPES)
    subject = models.CharField(max_length=200, blank=True)
    month = models.DateField()
    spent = models.BigIntegerField()
    expected = models.BigIntegerField(null=True)
    low = models.BigIntegerField(null=True)
    high = models.BigIntegerField(null=True)
    method = models.CharField(max_length=20, choices=[(method.value, method.value) for method in ForecastMethod])
    days_of_history = models.PositiveIntegerField()
    first_day = models.DateField()
    running = models.JSONField(default=list)
    # Per mille; None before a past month end could be forecast.
    backtest_error = models.PositiveIntegerField(null=True)
    backtest_coverage = models.PositiveIntegerField(null=True)
    widening = models.PositiveIntegerField()
    tested_on = models.DateField()
    made_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org", "scope", "subject", "month"], name="one_forecast_a_month")
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject} {self.month:%Y-%m}"


class Anomaly(TenantRow):
    """A day or hour that was unusual for its series. ``subject`` is a project's or key's id, a model's name, and empty
    for the organisation. ``calls``, ``tokens`` and ``price`` add up to ``actual - expected``."""

    scope = models.CharField(max_length=16, choices=_SCOPES)
    subject = models.CharField(max_length=200, blank=True)
    unit = models.CharField(max_length=4, choices=[(unit.value, unit.value) for unit in AnomalyUnit])
    starts = models.DateTimeField()
    severity = models.CharField(
        max_length=4, choices=[(severity.value, severity.value) for severity in AnomalySeverity]
    )
    actual = models.BigIntegerField()
    expected = models.BigIntegerField()
    low = models.BigIntegerField()
    high = models.BigIntegerField()
    cause = models.CharField(max_length=6, choices=[(cause.value, cause.value) for cause in Cause])
    calls = models.BigIntegerField()
    tokens = models.BigIntegerField()
    price = models.BigIntegerField()
    # Who inside explains most of it; empty when nobody does.
    driver_dimension = models.CharField(max_length=16, blank=True)
    driver_subject = models.CharField(max_length=200, blank=True)
    driver_excess = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "anomalies"
        constraints = [
            models.UniqueConstraint(fields=["org", "scope", "subject", "unit", "starts"], name="one_anomaly_a_bucket")
        ]
        indexes = [models.Index(fields=["org", "-created_at", "-id"], name="anomalies_newest_first")]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject} {self.unit} {self.starts:%Y-%m-%d %H:%M}"
