"""What the ledger's newest rows tell: models without a price, calls above their hold, upstreams that fail."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Case, Count, F, Q, QuerySet, Sum, When

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import Fact
from billing.choices import AlertKind
from billing.spend.filters import UNATTRIBUTED, UNPRICED
from costhub.lib.moments import to_ms
from proxy.models import LedgerEntry
from tenants.access import job_scope
from tenants.models import Organization, Upstream
from tenants.periods import period_bounds
from tenants.selectors import load_org_snapshot

#: an upstream is judged by so many minutes, and not by fewer calls than these
RECENT: Final = timedelta(minutes=5)
FEWEST_CALLS: Final = 10
#: one that nobody has called for so long fails no more
FORGOTTEN: Final = timedelta(minutes=15)
#: whose calls are worth a look
ACTIVE: Final = timedelta(minutes=16)

#: what an upstream is to blame for: its own errors, that it was out of reach, and that it wanted no more
_FAILED: Final = (Q(status__gte=500) | Q(status=429)) & ~Q(attempts=[])
_CALL: Final = Q(kind="call")


def list_active_orgs(now: datetime) -> list[UUID]:
    """The organisations that called lately, and those with an open alert of what is watched here."""
    kinds = [AlertKind.UPSTREAM.value, AlertKind.UNPRICED.value, AlertKind.OVERRUN.value]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT org_id FROM costhub_active_orgs(%s) UNION SELECT org_id FROM costhub_alerted_orgs(%s)",
            [now - ACTIVE, kinds],
        )
        return [row[0] for row in cursor.fetchall()]


def watch_calls(org_id: UUID, now: datetime) -> None:
    """Report unpriced models, overruns and failing upstreams of an organisation."""
    with job_scope(org_id) as actor:
        org = actor.org
        today, _ = period_bounds("day", now, org.time_zone)
        rows = LedgerEntry.objects.filter(org_id=org_id)
        today_rows = rows.filter(started_at__gte=today)
        report(org, AlertKind.UNPRICED, _find_unpriced(org, today_rows, today, now), now=now, is_complete=True)
        report(org, AlertKind.OVERRUN, _find_overruns(today_rows, today), now=now, is_complete=True)
        report(org, AlertKind.UPSTREAM, _judge_upstreams(org, rows, now), now=now, is_complete=True)


def _find_unpriced(org: Organization, rows: QuerySet[LedgerEntry], today: datetime, now: datetime) -> list[Fact]:
    """Refused calls of models that have a price by now are no trouble any more; what was answered without one stays
    without."""
    found = (
        rows.filter(_CALL, UNPRICED | UNATTRIBUTED)
        .values("request_model")
        .annotate(refused=Count("id", filter=UNPRICED), answered=Count("id", filter=UNATTRIBUTED))
        .order_by("request_model")
    )
    totals = [(row["request_model"], row["refused"], row["answered"]) for row in found]
    snapshot = load_org_snapshot(str(org.pk)) if totals else None
    models = snapshot.models if snapshot else {}
    priced = {name for name, model in models.items() if model.find_price(to_ms(now))}
    return [
        Fact(
            AlertKind.UNPRICED,
            model[:300],
            refused + answered,
            {"model": model, "refused": refused, "answered": answered},
            window_start=today,
        )
        for model, refused, answered in ((model, 0 if model in priced else refused, n) for model, refused, n in totals)
        if refused + answered
    ]


def _find_overruns(rows: QuerySet[LedgerEntry], today: datetime) -> list[Fact]:
    found = (
        rows.filter(_CALL, is_overrun=True)
        .values("request_model")
        .annotate(calls=Count("id"), excess=Sum(F("effective_cost") - F("held")))
        .order_by("request_model")
    )
    return [
        Fact(
            AlertKind.OVERRUN,
            row["request_model"][:300],
            row["calls"],
            {"model": row["request_model"], "calls": row["calls"], "excess": row["excess"]},
            window_start=today,
        )
        for row in found
    ]


def _judge_upstreams(org: Organization, rows: QuerySet[LedgerEntry], now: datetime) -> list[Fact]:
    recent = Q(started_at__gte=now - RECENT)
    found = list(
        rows.filter(_CALL, started_at__gte=now - FORGOTTEN, upstream_id__isnull=False)
        .exclude(attempts=[])
        .values("upstream_id")
        .annotate(calls=Count("id", filter=recent), failed=Count("id", filter=recent & _FAILED))
        .order_by("upstream_id")
    )
    names = dict(Upstream.objects.filter(org=org).values_list("pk", "name"))
    return [_judge(rows, dict(row), names, now) for row in found]


def _judge(rows: QuerySet[LedgerEntry], row: dict[str, Any], names: Mapping[UUID, str], now: datetime) -> Fact:
    calls, failed = row["calls"], row["failed"]
    # Too few calls are no verdict: nobody begins to fail by them, and whoever was failing goes on until none of them
    # fails.
    verdict = calls >= FEWEST_CALLS
    percent = failed * 100 // calls if verdict else 100 if failed or not calls else 0
    details = {
        "name": names.get(row["upstream_id"], str(row["upstream_id"])),
        "calls": calls,
        "failed": failed,
        "minutes": RECENT.seconds // 60,
        "error": _most_frequent(rows, row["upstream_id"], now) if failed else "",
    }
    return Fact(AlertKind.UPSTREAM, str(row["upstream_id"]), percent, details, opens=verdict)


def _most_frequent(rows: QuerySet[LedgerEntry], upstream_id: UUID, now: datetime) -> str:
    errors = list(
        rows.filter(_CALL, _FAILED, upstream_id=upstream_id, started_at__gte=now - RECENT)
        .values("status", what=Case(When(error_code="", then=None), default=F("error_code")))
        .annotate(calls=Count("id"))
        .order_by("-calls", "status")[:1]
    )
    return f"{errors[0]['status']} {errors[0]['what'] or ''}".strip() if errors else ""
