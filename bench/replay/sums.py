"""Rollups against plain sums over rows, for every grouping that there is."""

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import combinations
from time import perf_counter
from typing import Final
from zoneinfo import ZoneInfo

from django.db import connection

from bench.replay.books import Books
from bench.replay.findings import Findings
from billing.spend.selectors import GROUPS, MAX_GROUPS, Totals, find_spend
from costhub.lib.moments import from_ms
from proxy.models import LedgerEntry
from tenants.access import Actor, org_scope
from tenants.choices import Role
from tenants.periods import period_bounds

NAMES: Final = (*GROUPS, "tag:team")
PATIENCE_SECONDS: Final = 120.0
_BUCKETS: Final = 256
_COLUMNS: Final = {
    "model": "request_model",
    "project": "project_id",
    "key": "key_id",
    "end_user": "end_user",
    "upstream": "upstream_id",
    "status": "status",
}
Sums = dict[tuple[str, ...], tuple[int, int, int, int, int]]


def roll_up_all(end: datetime) -> int:
    """Roll up as if it were a day later, when every quarter and day of the replay is over. Gives the buckets made.

    Raises TimeoutError when the stack's own worker and we do not come to an end.
    """
    made, deadline = 0, perf_counter() + PATIENCE_SECONDS
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT costhub_roll_up(%s, %s)", [_BUCKETS, end + timedelta(hours=1)])
            made += int((cursor.fetchone() or (0,))[0])
            cursor.execute("SELECT costhub_is_rolled(%s, %s)", [end - timedelta(days=100), end])
            if cursor.fetchone() == (True,):
                return made
        if perf_counter() > deadline:
            raise TimeoutError("rollups did not come to an end")


def check_sums(findings: Findings, books: Books) -> None:
    """One and two groups over the whole ledger, up to ``MAX_GROUPS`` over the day of the replay."""
    actor = Actor(books.org, Role.OWNER, "bench")
    last = max(row.started_at for row in books.rows)
    first = min(row.started_at for row in books.rows)
    today, tomorrow = period_bounds("day", last, books.org.time_zone)
    made = roll_up_all(tomorrow)
    of_today = [row for row in books.rows if row.started_at >= today]
    differing, compared, groupings = [], 0, 0
    for rows, start, sizes in (
        (books.rows, first, range(3)),
        (of_today, today, range(MAX_GROUPS + 1)),
    ):
        labelled = [(_labels_of(row, books.org.time_zone), _amounts_of(row)) for row in rows]
        for names in (each for size in sizes for each in combinations(range(len(NAMES)), size)):
            with org_scope(books.org.pk):
                found = find_spend(actor, start=start, end=tomorrow, group_by=[NAMES[place] for place in names])
            ours = {tuple(row.group[NAMES[place]] for place in names): _flat(row.totals) for row in found.rows}
            plain = _add_up(labelled, names)
            groupings, compared = groupings + 1, compared + len(plain)
            if ours != plain:
                differing.append("+".join(NAMES[place] for place in names))
    findings.check(
        "rollups",
        not differing,
        f"the last {made} buckets made, the others by the worker; {groupings} groupings with {compared:,} sums over {len(books.rows):,} rows are what adding"
        f" row to row gives; differing: {', '.join(differing[:5]) or 'none'}",
        groupings=groupings,
        sums=compared,
        rows=len(books.rows),
        differing=differing,
    )


def _labels_of(row: LedgerEntry, time_zone: str) -> tuple[str, ...]:
    hour = from_ms(int(row.started_at.timestamp()) // 3600 * 3_600_000)
    local = hour.astimezone(ZoneInfo(time_zone))
    labels = {name: getattr(row, column) for name, column in _COLUMNS.items()}
    labels |= {"day": local.date().isoformat(), "hour": local.isoformat(), "tag:team": row.tags.get("team", "")}
    return tuple("" if labels[name] is None else str(labels[name]) for name in NAMES)


def _amounts_of(row: LedgerEntry) -> tuple[int, int, int, int, int]:
    return (row.kind == "call", row.input_tokens, row.output_tokens, row.list_cost, row.effective_cost)


def _add_up(labelled: list[tuple[tuple[str, ...], tuple[int, int, int, int, int]]], names: tuple[int, ...]) -> Sums:
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for labels, amounts in labelled:
        group = sums[tuple([labels[place] for place in names])]
        for place, amount in enumerate(amounts):
            group[place] += amount
    return {labels: (a, b, c, d, e) for labels, (a, b, c, d, e) in sums.items()}


def _flat(totals: Totals) -> tuple[int, int, int, int, int]:
    return (
        totals.requests,
        totals.input_tokens,
        totals.output_tokens,
        totals.list_cost,
        totals.effective_cost,
    )
