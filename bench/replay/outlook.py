"""The forecast and the planted anomaly, by the jobs that make them, with the moment at which each would have run."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage

from bench.replay.books import Books, format_usd_exact
from bench.replay.findings import Findings
from bench.replay.trace import KEYS, PLANTED_KEY
from bench.replay.world import Cap, World
from billing.alerts.models import Alert
from billing.spend.actions.anomalies import detect_anomalies
from billing.spend.actions.forecasts import refresh_forecasts
from billing.spend.models import Anomaly, Forecast
from billing.tasks import watch_standing
from costhub.lib import clock
from tenants.access import Actor, org_scope
from tenants.choices import Role
from tenants.periods import period_bounds


def run_jobs(books: Books, hour: datetime) -> None:
    """Forecast the month as of now, look at the replay's hour when it is over, and tell of both."""
    actor = Actor(books.org, Role.FINANCE, "bench")
    refresh_forecasts(actor, clock.now())
    detect_anomalies(actor, hour + timedelta(hours=1, minutes=9))
    watch_standing()


def check_forecast(findings: Findings, books: Books, caps: Sequence[Cap], mails: Sequence[EmailMessage]) -> None:
    """What is spent is the ledger's month; the budget that will be exceeded has an alert and a mail with the day."""
    cap = next(cap for cap in caps if cap.period == "month")
    month, _ = period_bounds("month", books.fresh[0].started_at, books.org.time_zone)
    spent = sum(row.effective_cost for row in books.rows if row.started_at >= month)
    with org_scope(books.org.pk):
        forecast = Forecast.objects.filter(org=books.org, scope="organization").latest("month")
        alerts = list(Alert.objects.filter(org=books.org, kind="forecast", subject__startswith=cap.id))
    # The first day at whose end more than the limit is expected to be spent.
    steps = [step for step, nanos in enumerate(forecast.running) if nanos > cap.limit]
    day = forecast.first_day + timedelta(days=steps[0]) if steps else None
    named = f" on {day.day} {day:%B %Y}" if day else ""
    told = [mail for mail in mails if "is forecast to" in str(mail["Subject"]) and str(mail["Subject"]).endswith(named)]
    expected = forecast.expected or 0
    findings.check(
        "forecast",
        forecast.spent == spent
        and day is not None
        and [alert.facts["exceeds_on"] for alert in alerts] == [day.isoformat()]
        and len(told) == 1,
        f"spent {format_usd_exact(forecast.spent)} USD, the ledger's month {format_usd_exact(spent)}; month end"
        f" {format_usd_exact(expected)} against a budget of {format_usd_exact(cap.limit)}: exceeded{named or ' never'};"
        f" alerts {len(alerts)}, mails with that day {len(told)}",
        spent=forecast.spent,
        ledger=spent,
        expected=forecast.expected,
        limit=cap.limit,
        exceeds_on=day.isoformat() if day else None,
        mails=len(told),
    )


def check_anomaly(
    findings: Findings, books: Books, world: World, hour: datetime, mails: Sequence[EmailMessage]
) -> None:
    """The planted key's hour is unusual, to the nano what its rows say, and its project's was driven by the key or by
    the model that it went over to: which of the two is further from its usual share, refusals decide.

    The organisation's own hour may be as usual: what budgets and limits refused makes up for what was planted.
    """
    key = world.keys[PLANTED_KEY]
    actual = sum(
        row.effective_cost
        for row in books.rows
        if str(row.key_id) == key and hour <= row.started_at < hour + timedelta(hours=1)
    )
    with org_scope(books.org.pk):
        found = {
            (row.scope, row.subject): row
            for row in Anomaly.objects.filter(org=books.org, unit="hour", starts=hour).order_by("id")
        }
    own, whole = found.get(("key", key)), found.get(("project", world.projects[KEYS[PLANTED_KEY][0]]))
    told = [mail for mail in mails if f"Key {PLANTED_KEY} spent more than usual in the hour" in str(mail["Subject"])]
    exact = all(row.calls + row.tokens + row.price == row.actual - row.expected for row in found.values())
    holds = (
        own is not None
        and whole is not None
        and (own.severity, own.actual) == ("high", actual)
        and (own.driver_dimension, own.driver_subject) == ("model", "large")
        and whole.severity == "high"
        and (whole.driver_dimension, whole.driver_subject) in {("key", key), ("model", "large")}
        and exact
        and len(told) == 1
    )
    shown = (
        f"{PLANTED_KEY} cost {format_usd_exact(own.actual)} USD (its rows: {format_usd_exact(actual)}), usual"
        f" {format_usd_exact(own.expected)}, driven by {own.driver_dimension} {own.driver_subject}; its"
        f" project's hour by {f'{whole.driver_dimension} {PLANTED_KEY if whole.driver_subject == key else whole.driver_subject}' if whole else 'nobody'}"
        if own
        else "not found"
    )
    findings.check(
        "anomaly",
        holds,
        f"{shown}; {len(found)} unusual hours of {len({scope for scope, _ in found})} scopes, mails of the key {len(told)}",
        actual=actual,
        expected=own.expected if own else None,
        found=[f"{scope}:{row.severity}" for (scope, _), row in found.items()],
        mails=len(told),
    )
