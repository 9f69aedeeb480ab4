"""Where spend is heading, and what of it was unusual: as the hourly jobs found it."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import Fact
from billing.choices import AlertKind, AnomalySeverity, Cause
from billing.spend.models import Anomaly, Forecast
from billing.spend.outlook import Prospect, list_anomalies, list_forecasts, list_prospects
from billing.spend.selectors import read_budget_book
from billing.spend.selectors.names import name_subject
from tenants.access import Actor, job_scope
from tenants.periods import period_bounds

#: an anomaly is news for so long
NEWS: Final = timedelta(hours=24)
_CAUSES: Final = {
    Cause.CALLS: ("more calls", "fewer calls"),
    Cause.TOKENS: ("more tokens a call", "fewer tokens a call"),
    Cause.PRICE: ("a more expensive token", "a cheaper token"),
}


def watch_outlook(org_id: UUID, now: datetime) -> None:
    """Report an organisation's forecasts against its month budgets, and its anomalies."""
    with job_scope(org_id) as actor:
        org = actor.org
        month, _ = period_bounds("month", now, org.time_zone)
        forecasts = list_forecasts(actor, now)
        rows = {(row.scope, row.subject): row for row in forecasts}
        prospects = [
            _make_forecast_fact(actor, each, rows[each.scope, each.subject], month)
            for each in list_prospects(actor, read_budget_book(actor, now), forecasts)
            # What is spent already is the budget's own alert.
            if each.spent < each.limit
        ]
        report(org, AlertKind.FORECAST, prospects, now=now, is_complete=True)
        # The oldest first: what comes after a newer one of the same subject would be taken for late.
        news = sorted(list_anomalies(actor, now - NEWS), key=lambda row: row.starts)
        unusual = [_make_anomaly_fact(actor, row) for row in news]
        report(org, AlertKind.ANOMALY, unusual, now=now, is_complete=True)


def _make_forecast_fact(actor: Actor, prospect: Prospect, row: Forecast, month: datetime) -> Fact:
    details: dict[str, Any] = {
        "who": name_subject(actor.org, prospect.scope, prospect.subject),
        "name": prospect.name,
        "spent": prospect.spent,
        "limit": prospect.limit,
        "expected": prospect.expected,
        "percent": prospect.expected * 100 // prospect.limit,
        "low": row.low,
        "high": row.high,
        "exceeds_on": prospect.date.isoformat() if prospect.date else "",
        "error_per_mille": row.backtest_error,
    }
    return Fact(
        AlertKind.FORECAST,
        f"{prospect.budget_id}:{prospect.subject}"[:300],
        prospect.expected * 100 // prospect.limit,
        details,
        window_start=month,
        budget=str(prospect.budget_id),
    )


def _make_anomaly_fact(actor: Actor, row: Anomaly) -> Fact:
    is_drop = row.severity == AnomalySeverity.LOW
    cause = _CAUSES[Cause(row.cause)][is_drop]
    driver = name_subject(actor.org, row.driver_dimension, row.driver_subject) if row.driver_dimension else ""
    details: dict[str, Any] = {
        "who": name_subject(actor.org, row.scope, row.subject),
        "unit": row.unit,
        "starts": row.starts.isoformat(),
        "actual": row.actual,
        "expected": row.expected,
        "low": row.low,
        "high": row.high,
        "is_drop": is_drop,
        "driver": f"{driver}: {cause}" if driver else cause,
    }
    return Fact(
        AlertKind.ANOMALY,
        f"{row.scope}:{row.subject}:{row.unit}"[:300],
        abs(row.actual - row.expected) * 100 // max(row.expected, 1),
        details,
        window_start=row.starts,
    )
