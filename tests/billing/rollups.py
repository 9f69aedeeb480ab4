"""What tests ask of rollups, and the plain sums over rows that every answer is held against."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from billing.spend.filters import LedgerFilters
from billing.spend.selectors import Spend, Totals, find_spend
from billing.spend.selectors.spend import ask_spend
from billing.spend.selectors.spend import read_spend as make_spend
from billing.spend.selectors.sums import add_up
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tests.world import Tenant


def read_spend(tenant: Tenant, start: datetime, end: datetime, *groups: str, **filters: Any) -> Spend:
    """``find_spend`` as the owner of an organisation."""
    with org_scope(tenant.org.pk):
        return find_spend(tenant.owner, start=start, end=end, group_by=groups, filters=LedgerFilters(**filters))


def read_spends(
    tenant: Tenant, asked: Sequence[tuple[datetime, datetime, Sequence[str]]], together: bool, **filters: Any
) -> list[Spend]:
    """``find_spend`` by several groups and over several spans, asked for in one go or one by one."""
    owner, narrowed = tenant.owner, LedgerFilters(**filters)
    with org_scope(tenant.org.pk):
        questions = [
            ask_spend(owner, start=start, end=end, group_by=groups, filters=narrowed) for start, end, groups in asked
        ]
        batches = [questions] if together else [[question] for question in questions]
        sums = {question: found for batch in batches for question, found in add_up(owner, batch).items()}
        return [make_spend(owner, question, sums[question]) for question in questions]


def read_named(
    tenant: Tenant, start: datetime, end: datetime, groups: Sequence[str], among: tuple[str, ...], **filters: Any
) -> Spend:
    """Spend of which only a few of the last group are told apart, and the others are one."""
    with org_scope(tenant.org.pk):
        question = ask_spend(
            tenant.owner, start=start, end=end, group_by=groups, filters=LedgerFilters(**filters), among=among
        )
        return make_spend(tenant.owner, question, add_up(tenant.owner, [question])[question])


def add_rows(rows: Sequence[LedgerEntry], groups: Sequence[str], zone: ZoneInfo) -> dict[tuple[str, ...], Totals]:
    """The same sums, added up in Python from every row."""
    found: dict[tuple[str, ...], Totals] = {}
    for row in rows:
        key = tuple(_text_of(row, name, zone) for name in groups)
        found[key] = found.get(key, Totals()) + _totals_of(row)
    return found


def _totals_of(row: LedgerEntry) -> Totals:
    return Totals(
        requests=int(row.kind == "call"),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        list_cost=row.list_cost,
        effective_cost=row.effective_cost,
        savings={name: nanos for name, nanos in row.savings.items() if nanos},
    )


def _text_of(row: LedgerEntry, group: str, zone: ZoneInfo) -> str:
    local = row.started_at.astimezone(zone)
    if group.startswith("tag:"):
        return str(row.tags.get(group[4:], ""))
    texts: dict[str, Any] = {
        "model": row.request_model,
        "project": row.project_id,
        "key": row.key_id,
        "end_user": row.end_user,
        "upstream": row.upstream_id or "",
        "status": row.status,
        "day": local.date(),
        "hour": (row.started_at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond))
        .astimezone(zone)
        .isoformat(),
    }
    return str(texts[group])
