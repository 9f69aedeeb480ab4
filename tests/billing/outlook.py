"""Stored forecasts and anomalies for tests, as the jobs write them."""

from datetime import timedelta
from typing import Any, Final

from billing.spend.models import Anomaly, Forecast
from tenants.access import org_scope
from tests.billing.ledger import NOW
from tests.world import Tenant

USD: Final = 1_000_000_000


def store_forecast(tenant: Tenant, **columns: Any) -> Forecast:
    """Of ten dollars spent by noon on 22 November, a dollar a day more; the band is from 17 to 20."""
    row: dict[str, Any] = {
        "scope": "organization",
        "subject": "",
        "month": NOW.date().replace(day=1),
        "spent": 10 * USD,
        "expected": 18_500_000_000,
        "low": 17 * USD,
        "high": 20 * USD,
        "method": "smoothing",
        "days_of_history": 90,
        "first_day": NOW.date(),
        "running": [10_500_000_000 + USD * day for day in range(9)],
        "backtest_error": 64,
        "backtest_coverage": 833,
        "widening": 1000,
        "tested_on": NOW.date(),
        "made_at": NOW,
    }
    with org_scope(tenant.org.pk):
        return Forecast.objects.create(org=tenant.org, **{**row, **columns})


def store_anomaly(tenant: Tenant, **columns: Any) -> Anomaly:
    """Forty dollars in place of ten yesterday, because of more calls with the tenant's first key."""
    row: dict[str, Any] = {
        "scope": "organization",
        "subject": "",
        "unit": "day",
        "starts": NOW.replace(hour=0) - timedelta(days=1),
        "severity": "high",
        "actual": 40 * USD,
        "expected": 10 * USD,
        "low": 8 * USD,
        "high": 13 * USD,
        "cause": "calls",
        "calls": 29 * USD,
        "tokens": 2 * USD,
        "price": -USD,
        "driver_dimension": "key",
        "driver_subject": str(tenant.key.pk),
        "driver_excess": 28 * USD,
        "created_at": NOW,
    }
    with org_scope(tenant.org.pk):
        return Anomaly.objects.create(org=tenant.org, **{**row, **columns})
