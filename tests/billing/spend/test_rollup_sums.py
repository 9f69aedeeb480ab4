"""Whatever has been rolled up, and whatever has come since: every sum is the sum of the rows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import time_machine
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.spend.actions.rollups import roll_up
from billing.spend.core.ranking import REST
from billing.spend.filters import LedgerFilters
from billing.spend.selectors import Totals, Wanted, find_lines, list_budget_uses, month_tiles
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tenants.choices import BudgetPeriod, BudgetScope
from tests.billing.ledger import make_id
from tests.billing.rollups import add_rows, read_named, read_spends
from tests.sampling import examples
from tests.world import Tenant, World, make_budget

#: Clocks go back in Berlin in the night to the 25th, in Cairo at 24:00 of the 29th.
FIRST: Final = datetime(2026, 10, 24, tzinfo=UTC)
NOW: Final = datetime(2026, 10, 31, 13, 37, 21, tzinfo=UTC)
ZONES: Final = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Africa/Cairo")
IDS: Final = [UUID(int=number) for number in range(1, 5)]
GROUPINGS: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("day",),
    ("hour",),
    ("day", "model"),
    ("model", "day"),
    ("project", "key"),
    ("hour", "key"),
    ("end_user",),
    ("end_user", "project"),
    ("day", "end_user"),
    ("hour", "end_user"),
    ("tag:team",),
    ("project", "tag:a=b"),
    ("tag:team", "day"),
    ("status", "upstream", "key"),
    ("hour", "status"),
    ("model", "end_user"),
    ("tag:team", "tag:a=b"),
)
#: the end users that are told apart where only some are
NAMED: Final = ("mia", "")
FILTERS: Final[tuple[tuple[dict[str, Any], Callable[[LedgerEntry], bool]], ...]] = (
    ({}, lambda row: True),
    ({"model": "small"}, lambda row: row.request_model == "small"),
    ({"project": IDS[0]}, lambda row: row.project_id == IDS[0]),
    ({"key": IDS[1], "status": "ok"}, lambda row: row.key_id == IDS[1] and 200 <= row.status < 400),
    ({"status": "refused"}, lambda row: 400 <= row.status < 500 and row.attempts == []),
    ({"end_user": ""}, lambda row: row.end_user == ""),
    ({"tags": {"team": "blue"}}, lambda row: row.tags.get("team") == "blue"),
    ({"upstream": IDS[2]}, lambda row: row.upstream_id == IDS[2]),
)

#: Close together and at the edges of quarters, so that buckets are shared, and anywhere.
moments = st.one_of(
    st.integers(0, 7 * 96).map(lambda quarter: FIRST + timedelta(minutes=15 * quarter)),
    st.integers(0, 7 * 96).map(lambda quarter: FIRST + timedelta(minutes=15 * quarter, milliseconds=-1)),
    st.integers(0, 7 * 24 * 3_600_000).map(lambda ms: FIRST + timedelta(milliseconds=ms)),
)
calls = st.fixed_dictionaries(
    {
        "started_at": moments,
        "project_id": st.sampled_from(IDS[:2]),
        "key_id": st.sampled_from(IDS[:3]),
        "request_model": st.sampled_from(["small", "large", ""]),
        "upstream_id": st.sampled_from([None, IDS[2], IDS[3]]),
        "status": st.sampled_from([200, 200, 402, 502, 0]),
        "attempts": st.sampled_from([[], [{"number": 1}]]),
        "end_user": st.sampled_from(["", "mia", "tom"]),
        "tags": st.sampled_from([{}, {"team": "blue"}, {"team": "red", "a=b": "c"}, {"a": "b=c"}, {"team": ""}]),
        "error_code": st.sampled_from(["", "model_not_priced"]),
        "price_id": st.sampled_from([None, IDS[3]]),
        "is_estimated": st.booleans(),
        "input_tokens": st.integers(0, 10**6),
        "cache_read_input_tokens": st.integers(0, 9),
        "audio_output_tokens": st.integers(0, 9),
        "list_cost": st.integers(0, 10**13),
        "effective_cost": st.integers(0, 10**13),
        "savings": st.sampled_from([{}, {"routing": 5}, {"cache": -3, "batch": 1}]),
    }
)


@dataclass(frozen=True)
class Late:
    """Corrections of some of the calls so far: the difference, a new row."""

    cost: int
    every: int


steps = st.lists(
    st.one_of(
        st.lists(calls, min_size=1, max_size=8),
        st.builds(Late, st.integers(-(10**6), 10**6), st.integers(1, 3)),
        st.integers(1, 6),
        st.just(1_000),
        st.integers(64, 72).map(lambda days: NOW + timedelta(days=days)),
        st.sampled_from(ZONES),
    ),
    min_size=3,
    max_size=9,
)
ranges = st.lists(st.tuples(moments, moments).map(sorted), min_size=1, max_size=2)


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps, ranges, st.sampled_from(FILTERS), st.booleans())
def test_every_sum_is_the_sum_of_the_rows(
    world: World,
    steps: list[Any],
    ranges: list[list[datetime]],
    narrowed: tuple[dict[str, Any], Callable[[LedgerEntry], bool]],
    together: bool,
) -> None:
    with transaction.atomic(), time_machine.travel(NOW, tick=False):
        for step in steps:
            _take(world.acme, step)
        rows = _rows_of(world.acme)
        zone = ZoneInfo(world.acme.org.time_zone)
        filters, fits = narrowed
        spans = [*ranges, [FIRST - timedelta(days=40), NOW + timedelta(days=40)]]
        asked = [(start, end, groups) for start, end in spans for groups in GROUPINGS]
        for (start, end, groups), spend in zip(asked, read_spends(world.acme, asked, together, **filters), strict=True):
            inside = [row for row in rows if start <= row.started_at < end and fits(row)]
            found = {tuple(row.group.values()): row.totals for row in spend.rows}
            assert found == add_rows(inside, groups, zone), (groups, start, end)
            assert spend.as_of == max((row.recorded_at for row in inside), default=None)
            if groups == ("end_user",):
                _check_lines(world.acme, start, end, found, filters)
            if groups[-1:] == ("end_user",):
                named = read_named(world.acme, start, end, groups, NAMED, **filters)
                assert {tuple(row.group.values()): row.totals for row in named.rows} == _merge_others(found), groups
                assert named.as_of == spend.as_of
        _check_month(world.acme, rows, zone)
        transaction.set_rollback(True)


def _merge_others(found: dict[tuple[str, ...], Totals]) -> dict[tuple[str, ...], Totals]:
    """As one, what is not told apart."""
    merged: dict[tuple[str, ...], Totals] = {}
    for (*others, end_user), totals in found.items():
        key = (*others, end_user if end_user in NAMED else REST)
        merged[key] = merged.get(key, Totals()) + totals
    return merged


def test_budgets_are_the_sums_of_their_scope_and_period_before_and_after_a_rollup(world: World) -> None:
    acme = world.acme
    periods = (BudgetPeriod.HOUR, BudgetPeriod.DAY, BudgetPeriod.WEEK, BudgetPeriod.MONTH, BudgetPeriod.TOTAL)
    for period in periods:
        for scope in (BudgetScope.ORGANIZATION, BudgetScope.PROJECT, BudgetScope.KEY):
            make_budget(acme, "9.00", scope=scope, period=period)
    ages = (timedelta(minutes=5), timedelta(hours=3), timedelta(days=2), timedelta(days=20), timedelta(days=70))
    for place, age in enumerate(ages):
        _take(acme, [{"started_at": NOW - age, "effective_cost": 10**place, "key_id": IDS[place % 2]}])
    expected = {"hour": 1, "day": 11, "week": 111, "month": 1_111, "total": 11_111}
    with time_machine.travel(NOW, tick=False), org_scope(acme.org.pk):
        for _ in range(2):
            spent = {(use.scope, use.period): use.spent for use in list_budget_uses(acme.owner, NOW)}
            assert {period: spent["organization", period] for period in expected} == expected
            assert {period: spent["project", period] for period in expected} == expected
            assert {spent["key", period] for period in expected} == {1, 10, 101, 1_010, 10_101}
            roll_up()


def _take(tenant: Tenant, step: Any) -> None:
    if isinstance(step, int):
        roll_up(step)
    elif isinstance(step, datetime):
        # Later, when blocks are over and old quarters are forgotten.
        with time_machine.travel(step, tick=False):
            for _ in range(9):
                roll_up()
    elif isinstance(step, str):
        with org_scope(tenant.org.pk):
            update_organization(actor=tenant.owner, time_zone=step)
    elif isinstance(step, Late):
        corrected = {row.corrects for row in _rows_of(tenant)}
        calls = [row for row in _rows_of(tenant) if row.kind == "call" and row.is_estimated and row.id not in corrected]
        _append(tenant, [_correct(row, step.cost) for row in calls[:: step.every]])
    else:
        _append(tenant, [{"project_id": tenant.project.pk, "key_id": tenant.key.pk, **columns} for columns in step])


def _append(tenant: Tenant, rows: list[dict[str, Any]]) -> None:
    with org_scope(tenant.org.pk):
        LedgerEntry.objects.bulk_create(
            LedgerEntry(
                **{
                    "id": make_id(columns["started_at"]),
                    "org_id": tenant.org.pk,
                    "recorded_at": columns["started_at"] + timedelta(seconds=columns.get("input_tokens", 0)),
                    **columns,
                }
            )
            for columns in rows
        )


def _correct(call: LedgerEntry, cost: int) -> dict[str, Any]:
    copied = ("started_at", "project_id", "key_id", "request_model", "upstream_id", "status", "end_user", "tags")
    return {
        **{column: getattr(call, column) for column in copied},
        "kind": "correction",
        "corrects": call.id,
        "list_cost": cost,
        "effective_cost": cost,
        "recorded_at": call.recorded_at + timedelta(minutes=1),
    }


def _rows_of(tenant: Tenant) -> list[LedgerEntry]:
    with org_scope(tenant.org.pk):
        return list(LedgerEntry.objects.filter(org_id=tenant.org.pk))


def _check_lines(
    tenant: Tenant, start: datetime, end: datetime, found: dict[tuple[str, ...], Totals], filters: dict[str, Any]
) -> None:
    middle = start + (end - start) / 2
    with org_scope(tenant.org.pk):
        late, early, both = (
            find_lines(tenant.owner, "end_user", span, Wanted(), before=before, filters=LedgerFilters(**filters))
            for span, before in (((middle, end), (start, middle)), ((start, middle), None), ((start, end), None))
        )
    assert {line.key: line.totals.effective_cost for line in both.rows} == {
        key: totals.effective_cost for (key,), totals in found.items()
    }
    assert late.change.now + late.change.before == both.change.now
    before = {line.key: line.change.now for line in early.rows}
    assert all(line.change.before == before.get(line.key, 0) for line in late.rows)


def _check_month(tenant: Tenant, rows: list[LedgerEntry], zone: ZoneInfo) -> None:
    with org_scope(tenant.org.pk):
        tiles = month_tiles(tenant.owner, NOW)
    month = [row for row in rows if tiles.start <= row.started_at < NOW]
    calls = [row for row in month if row.kind == "call"]
    corrected = {row.corrects for row in rows}
    ok = range(200, 400)
    refused = [row for row in calls if row.status in range(400, 500) and row.attempts == []]
    totals = sum(add_rows(month, (), zone).values(), Totals())
    assert (tiles.spend.now, tiles.list_cost, tiles.savings) == (
        totals.effective_cost,
        totals.list_cost,
        totals.savings,
    )
    assert (tiles.requests.now, tiles.refused) == (len(calls), len(refused))
    assert tiles.failed == len([row for row in calls if row.status not in ok]) - len(refused)
    today = [row for row in month if row.started_at.astimezone(zone).date() == NOW.astimezone(zone).date()]
    hours = add_rows(today, ("hour",), zone).values()
    assert sorted(filter(None, tiles.hours)) == sorted(filter(None, (each.effective_cost for each in hours)))
    assert tiles.today.now == sum(row.effective_cost for row in today)
    assert tiles.unpriced == len([row for row in calls if row.error_code == "model_not_priced"])
    assert tiles.unattributed == len([row for row in calls if row.status in ok and row.price_id is None])
    assert tiles.estimated == len([row for row in calls if row.is_estimated and row.id not in corrected])
