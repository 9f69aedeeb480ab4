"""What pages and the API read of the ledger: exact sums, the tenant's own days, nobody else's rows."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from billing.spend.filters import LedgerFilters
from billing.spend.selectors import (
    BudgetUse,
    Call,
    Change,
    Spend,
    Totals,
    find_request_detail,
    find_spend,
    get_request_detail,
    list_budget_uses,
    list_requests,
    month_tiles,
    ranked,
)
from costhub.lib.errors import Forbidden, InvalidField, NotFound
from proxy.models import LedgerEntry
from tenants.access import Actor, org_scope
from tenants.actions.keys import create_key
from tenants.actions.orgs import update_organization
from tenants.actions.projects import create_project
from tenants.choices import BudgetPeriod, BudgetScope, Role
from tenants.price_histories import compile_version
from tests.billing.ledger import NOW, make_call, make_id, record_call, record_correction
from tests.world import Tenant, World, make_budget, make_catalog

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def spend_of(tenant: Tenant, *group_by: str, start: datetime = LONG_AGO, end: datetime = NOW, **filters: Any) -> Spend:
    with org_scope(tenant.org.pk):
        return find_spend(tenant.owner, start=start, end=end, group_by=group_by, filters=LedgerFilters(**filters))


def costs(spend: Spend) -> dict[tuple[str, ...], int]:
    return {tuple(row.group.values()): row.totals.effective_cost for row in spend.rows}


def live_in(tenant: Tenant, time_zone: str) -> None:
    with org_scope(tenant.org.pk):
        update_organization(actor=tenant.owner, time_zone=time_zone)


def count_scans(entry: LedgerEntry, act: Callable[[], object]) -> int:
    """How often the month of an entry was looked through, and its indexes, by what ``act`` reads."""

    def count() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tableoid FROM proxy_ledgerentry WHERE id = %s", [entry.id])
            (month,) = cursor.fetchone()
            cursor.execute(
                "SELECT pg_stat_get_xact_numscans(%s) + sum(pg_stat_get_xact_numscans(indexrelid))"
                " FROM pg_index WHERE indrelid = %s",
                [month, month],
            )
            return int(cursor.fetchone()[0])

    before, between = count(), count()
    act()
    return count() - between - (between - before)


class TestFindSpend:
    def test_sums_every_column_exactly(self, world: World) -> None:
        record_call(
            world.acme,
            NOW - HOUR,
            list_cost=1_000_000_007,
            effective_cost=400_000_003,
            savings={"cache": 600_000_000, "routing": 4},
            input_tokens=100,
            cache_read_input_tokens=20,
            cache_write_input_tokens=30,
            audio_input_tokens=40,
            output_tokens=11,
            audio_output_tokens=6,
            reasoning_tokens=3,
        )
        record_call(world.acme, NOW - HOUR, cost=1, input_tokens=1, output_tokens=1, savings={"routing": -4})
        spend = spend_of(world.acme)
        assert spend.total == Totals(
            requests=2,
            input_tokens=101,
            output_tokens=12,
            list_cost=1_000_000_008,
            effective_cost=400_000_004,
            savings={"cache": 600_000_000},
        )
        assert [row.totals for row in spend.rows] == [spend.total]
        assert spend.as_of == NOW - HOUR + timedelta(seconds=1)

    def test_a_correction_changes_the_sums_and_not_the_count(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR, cost=500, output_tokens=10, is_estimated=True)
        record_correction(world.acme, call, -120, output_tokens=-4)
        spend = spend_of(world.acme, "model")
        assert (spend.total.requests, spend.total.effective_cost, spend.total.output_tokens) == (1, 380, 6)
        assert spend.as_of == NOW - HOUR + timedelta(seconds=61)

    def test_groups_by_model_dearest_first(self, world: World) -> None:
        for model, cost in (("small", 3), ("large", 7), ("small", 3), ("tiny", 1)):
            record_call(world.acme, NOW - HOUR, request_model=model, cost=cost)
        rows = spend_of(world.acme, "model").rows
        assert [(row.group["model"], row.totals.requests, row.totals.effective_cost) for row in rows] == [
            ("large", 1, 7),
            ("small", 2, 6),
            ("tiny", 1, 1),
        ]

    def test_projects_keys_and_upstreams_carry_their_names(self, world: World) -> None:
        acme = world.acme
        upstream = make_catalog(acme).upstream
        record_call(acme, NOW - HOUR, cost=5, upstream_id=upstream.pk)
        (row,) = spend_of(acme, "project", "key", "upstream").rows
        assert row.group == {"project": str(acme.project.pk), "key": str(acme.key.pk), "upstream": str(upstream.pk)}
        assert row.labels == {"project": "default", "key": "first key", "upstream": "for small"}

    def test_groups_by_end_user_status_and_upstream_without_one(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, cost=5, end_user="mia")
        record_call(world.acme, NOW - HOUR, status=429)
        assert costs(spend_of(world.acme, "end_user", "status", "upstream")) == {
            ("mia", "200", ""): 5,
            ("", "429", ""): 0,
        }

    @pytest.mark.parametrize("name", ["team", "1", "a.b", "$", "tag:x", "é"])
    def test_groups_by_any_tag(self, world: World, name: str) -> None:
        record_call(world.acme, NOW - HOUR, cost=5, tags={name: "blue"})
        record_call(world.acme, NOW - HOUR, cost=2)
        assert costs(spend_of(world.acme, f"tag:{name}")) == {("blue",): 5, ("",): 2}

    def test_days_are_the_tenants(self, world: World) -> None:
        live_in(world.acme, "America/Los_Angeles")
        record_call(world.acme, datetime(2026, 11, 10, 7, 59, 59, tzinfo=UTC), cost=1)
        record_call(world.acme, datetime(2026, 11, 10, 8, tzinfo=UTC), cost=2)
        assert costs(spend_of(world.acme, "day")) == {("2026-11-09",): 1, ("2026-11-10",): 2}

    def test_the_day_that_loses_an_hour_has_23(self, world: World) -> None:
        live_in(world.acme, "Europe/Berlin")
        midnight = datetime(2026, 3, 28, 23, tzinfo=UTC)
        for hour in range(24):
            record_call(world.acme, midnight + HOUR * hour, cost=1)
        assert costs(spend_of(world.acme, "day")) == {("2026-03-29",): 23, ("2026-03-30",): 1}
        hours = [row.group["hour"] for row in spend_of(world.acme, "hour").rows]
        assert hours[1:3] == ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"]

    def test_the_day_that_gains_an_hour_has_25_and_both_hours_of_one_name(self, world: World) -> None:
        live_in(world.acme, "Europe/Berlin")
        midnight = datetime(2026, 10, 24, 22, tzinfo=UTC)
        for hour in range(26):
            record_call(world.acme, midnight + HOUR * hour, cost=1)
        assert costs(spend_of(world.acme, "day")) == {("2026-10-25",): 25, ("2026-10-26",): 1}
        hours = costs(spend_of(world.acme, "hour"))
        assert (hours["2026-10-25T02:00:00+02:00",], hours["2026-10-25T02:00:00+01:00",]) == (1, 1)

    def test_hours_of_a_zone_that_is_half_an_hour_off(self, world: World) -> None:
        live_in(world.acme, "Asia/Kolkata")
        record_call(world.acme, datetime(2026, 11, 10, 7, 29, tzinfo=UTC), cost=1)
        record_call(world.acme, datetime(2026, 11, 10, 7, 30, tzinfo=UTC), cost=2)
        assert costs(spend_of(world.acme, "hour")) == {
            ("2026-11-10T12:00:00+05:30",): 1,
            ("2026-11-10T13:00:00+05:30",): 2,
        }

    def test_the_start_is_inside_and_the_end_is_not(self, world: World) -> None:
        for moment, cost in ((NOW - DAY, 1), (NOW, 2)):
            record_call(world.acme, moment, cost=cost)
        assert spend_of(world.acme, start=NOW - DAY, end=NOW).total.effective_cost == 1

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"model": "large"}, 4),
            ({"end_user": "mia"}, 2),
            ({"end_user": ""}, 5),
            ({"tags": {"team": "blue"}}, 1),
            ({"status": "failed"}, 4),
            ({"status": "ok"}, 3),
            ({"status": "502"}, 4),
            ({"status": "5xx", "model": "small"}, 0),
        ],
    )
    def test_filters_narrow_it(self, world: World, filters: dict[str, Any], expected: int) -> None:
        record_call(world.acme, NOW - HOUR, cost=1, tags={"team": "blue", "feature": "faq"})
        record_call(world.acme, NOW - HOUR, cost=2, end_user="mia")
        record_call(world.acme, NOW - HOUR, cost=4, request_model="large", status=502)
        assert spend_of(world.acme, **filters).total.effective_cost == expected

    def test_rows_of_others_are_left_out_even_while_their_organisation_is_open(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, cost=3)
        record_call(world.mallcorp, NOW - HOUR, cost=5)
        with org_scope(world.acme.org.pk, world.mallcorp.org.pk):
            spend = find_spend(world.mallcorp.owner, start=LONG_AGO, end=NOW, group_by=["key"])
        assert costs(spend) == {(str(world.mallcorp.key.pk),): 5}

    def test_without_rows_nothing_is_made_up(self, world: World) -> None:
        assert spend_of(world.acme, "model", "day") == Spend((), Totals(), None, 0)

    @pytest.mark.parametrize(
        "group_by", [["team"], ["tag:"], ["model; drop"], ["tag:\x00"], ["model", "key", "day", "status", "end_user"]]
    )
    def test_an_unknown_group_is_named(self, world: World, group_by: Sequence[str]) -> None:
        with pytest.raises(InvalidField) as caught:
            spend_of(world.acme, *group_by)
        assert caught.value.field == "group_by"

    def test_a_viewer_may_not_see_money(self, world: World) -> None:
        viewer = Actor(world.acme.org, Role.VIEWER, "vic@acme.example")
        with org_scope(world.acme.org.pk), pytest.raises(Forbidden):
            find_spend(viewer, start=LONG_AGO, end=NOW)


class TestListRequests:
    def test_newest_first_and_each_call_once_over_all_pages(self, world: World) -> None:
        moments = [NOW - HOUR * 3, NOW - HOUR, NOW - HOUR, NOW - HOUR, NOW - HOUR * 2]
        rows = [record_call(world.acme, moment, cost=place) for place, moment in enumerate(moments)]
        expected = sorted(rows, key=lambda row: (row.started_at, row.id), reverse=True)
        seen: list[UUID] = []
        cursor, pages = "", 0
        with org_scope(world.acme.org.pk):
            while pages == 0 or cursor:
                page = list_requests(world.acme.owner, cursor=cursor, limit=2)
                seen += [call.entry.id for call in page.calls]
                cursor, pages = page.next_cursor, pages + 1
        assert (seen, pages) == ([row.id for row in expected], 3)

    def test_a_call_shows_its_net_amounts_and_its_corrections_are_no_calls(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR, cost=100, input_tokens=9, is_estimated=True, savings={"cache": 3})
        record_correction(world.acme, call, -30, input_tokens=-2, savings={"cache": -3})
        record_correction(world.acme, call, 5, recorded_at=NOW)
        with org_scope(world.acme.org.pk):
            (found,) = list_requests(world.acme.owner).calls
        assert (found.effective_cost, found.list_cost, found.input_tokens, found.savings) == (75, 75, 7, {})
        assert ([row.effective_cost for row in found.corrections], found.is_estimate) == ([-30, 5], False)

    def test_an_estimate_is_one_until_it_is_corrected(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, is_estimated=True)
        with org_scope(world.acme.org.pk):
            assert [call.is_estimate for call in list_requests(world.acme.owner).calls] == [True]

    def test_a_call_is_found_by_the_beginning_of_its_id(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR)
        record_call(world.acme, NOW - DAY)
        with org_scope(world.acme.org.pk):
            page = list_requests(world.acme.owner, LedgerFilters(request_id=str(call.id)[:11]))
        assert [found.entry.id for found in page.calls] == [call.id]

    def test_the_dearest_and_longest_of_the_whole_range_come_first_however_old_they_are(self, world: World) -> None:
        old = record_call(world.acme, NOW - DAY, cost=500, duration_us=9_000)
        late = record_call(world.acme, NOW - DAY * 2, cost=100)
        record_correction(world.acme, late, 450)
        with org_scope(world.acme.org.pk):
            newer = [make_call(world.acme, NOW - HOUR, cost=5, duration_us=7) for _ in range(1_001)]
            LedgerEntry.objects.bulk_create(newer)
            pages = {
                order: list_requests(
                    world.acme.owner, LedgerFilters(start=NOW - DAY * 3, end=NOW), order=order, limit=2
                )
                for order in ("-cost", "cost", "-duration", "duration")
            }
        costs = {order: [call.effective_cost for call in page.calls] for order, page in pages.items()}
        assert costs == {"-cost": [550, 500], "cost": [5, 5], "-duration": [500, 5], "duration": [550, 5]}
        assert pages["-duration"].calls[0].entry.id == old.id
        assert {(page.since, page.next_cursor) for page in pages.values()} == {(None, "")}

    def test_of_more_calls_than_are_put_in_order_it_says_how_far_back_they_go(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ranked, "MOST", 3)
        for place, cost in enumerate((1, 3, 2, 9)):
            record_call(world.acme, NOW - HOUR * (place + 1), cost=cost)
        with org_scope(world.acme.org.pk):
            page = list_requests(world.acme.owner, order="-cost")
        assert ([call.effective_cost for call in page.calls], page.since) == ([3, 2, 1], NOW - HOUR * 3)

    def test_of_calls_that_are_not_put_in_order_no_correction_is_read(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ranked, "MOST", 2)
        for place in range(2):
            record_correction(world.acme, record_call(world.acme, NOW - HOUR * place, cost=7), place)
        old = record_call(world.acme, NOW - DAY * 40, cost=9)
        record_correction(world.acme, old, 1)
        with org_scope(world.acme.org.pk):
            by_duration = count_scans(old, lambda: list_requests(world.acme.owner, order="-duration"))
            by_cost = count_scans(old, lambda: list_requests(world.acme.owner, order="-cost"))
            page = list_requests(world.acme.owner, order="-cost")
        assert [call.effective_cost for call in page.calls] == [8, 7]
        assert by_cost == by_duration

    @pytest.mark.parametrize("cursor", ["x", "2026-11-22T12:00:00Z_x", "2026-11-22T12:00:00_" + "0" * 32, "_"])
    def test_a_cursor_that_was_not_given_out_is_refused(self, world: World, cursor: str) -> None:
        with org_scope(world.acme.org.pk), pytest.raises(InvalidField) as caught:
            list_requests(world.acme.owner, cursor=cursor)
        assert caught.value.field == "cursor"

    def test_others_calls_are_not_listed(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR)
        with org_scope(world.acme.org.pk, world.mallcorp.org.pk):
            page = list_requests(world.mallcorp.owner)
        assert (page.calls, page.next_cursor, page.as_of) == ((), "", None)

    def test_a_viewer_may_not_see_money(self, world: World) -> None:
        with org_scope(world.acme.org.pk), pytest.raises(Forbidden):
            list_requests(Actor(world.acme.org, Role.VIEWER, "vic@acme.example"))


class TestRequestDetail:
    def test_a_story_has_names_price_and_corrections(self, world: World) -> None:
        catalog = make_catalog(world.acme, effective_from=LONG_AGO)
        assert catalog.price is not None
        call = record_call(world.acme, NOW - HOUR, cost=90, upstream_id=catalog.upstream.pk, price_id=catalog.price.pk)
        correction = record_correction(world.acme, call, -10)
        with org_scope(world.acme.org.pk):
            detail = get_request_detail(world.acme.owner, str(call.id).upper())
        assert detail.call == Call(call, (correction,))
        assert (detail.project, detail.key, detail.upstream) == ("default", "first key", "for small")
        assert detail.price == compile_version(catalog.price, catalog.price.pk)
        assert detail.call.effective_cost == 80

    @pytest.mark.parametrize(
        "request_id",
        ["", "x", "019a", "../etc", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"],
    )
    def test_what_is_no_id_is_nothing(self, world: World, request_id: str) -> None:
        with org_scope(world.acme.org.pk):
            assert find_request_detail(world.acme.owner, request_id) is None

    def test_a_foreign_id_is_nothing_and_so_is_a_corrections_own(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR)
        correction = record_correction(world.acme, call, -1)
        with org_scope(world.acme.org.pk, world.mallcorp.org.pk):
            assert find_request_detail(world.mallcorp.owner, call.id) is None
            assert find_request_detail(world.acme.owner, correction.id) is None

    def test_foreign_and_unknown_are_refused_in_the_same_words(self, world: World) -> None:
        call = record_call(world.acme, NOW - HOUR)
        said = []
        for request_id in (call.id, make_id(NOW - HOUR)):
            with org_scope(world.mallcorp.org.pk), pytest.raises(NotFound) as caught:
                get_request_detail(world.mallcorp.owner, request_id)
            said.append((caught.value.message, caught.value.field))
        assert said[0] == said[1]


class TestMonthTiles:
    def test_the_month_and_the_day_against_the_same_time_before(self, world: World) -> None:
        acme = world.acme
        live_in(acme, "Europe/Berlin")
        month = datetime(2026, 10, 31, 23, tzinfo=UTC)
        record_call(acme, month - timedelta(milliseconds=1), cost=1_000)
        record_call(acme, month, cost=10)
        record_call(acme, NOW - HOUR, cost=200)
        record_call(acme, NOW - DAY - HOUR, cost=40)
        record_call(acme, NOW - DAY + HOUR, cost=3)
        record_call(acme, datetime(2026, 10, 10, 12, tzinfo=UTC), cost=500)
        record_call(acme, NOW + HOUR, cost=9_999)
        with org_scope(acme.org.pk):
            tiles = month_tiles(acme.owner, NOW)
        assert (tiles.start, tiles.end) == (month, datetime(2026, 11, 30, 23, tzinfo=UTC))
        assert (tiles.spend, tiles.today, tiles.requests) == (Change(253, 500), Change(200, 40), Change(4, 1))
        assert (tiles.spend.per_mille, tiles.today.per_mille, tiles.requests.per_mille) == (-494, 4000, 3000)
        assert [(point.day, point.spend, point.requests) for point in tiles.days if point.requests] == [
            (date(2026, 11, 1), 10, 1),
            (date(2026, 11, 21), 43, 2),
            (date(2026, 11, 22), 200, 1),
        ]
        assert (len(tiles.days), tiles.as_of) == (22, NOW - HOUR + timedelta(seconds=1))
        assert tiles.hours == (*[0] * 12, 200)

    def test_what_went_wrong_is_counted_by_its_kind(self, world: World) -> None:
        acme = world.acme
        attempt = [{"number": 1, "status": 400, "certainty": "nothing", "cost": 0, "error": ""}]
        record_call(acme, NOW - HOUR, cost=1)
        record_call(acme, NOW - HOUR, status=402, error_code="model_not_priced")
        record_call(acme, NOW - HOUR, status=402, error_code="budget_exceeded")
        record_call(acme, NOW - HOUR, status=400, attempts=attempt)
        record_call(acme, NOW - HOUR, status=503, error_code="governance_unavailable")
        record_call(acme, NOW - HOUR, status=0, attempts=attempt)
        record_call(acme, NOW - HOUR, price_id=None)
        corrected = record_call(acme, NOW - HOUR, is_estimated=True)
        record_correction(acme, corrected, 7)
        record_call(acme, NOW - HOUR, is_estimated=True)
        with org_scope(acme.org.pk):
            tiles = month_tiles(acme.owner, NOW)
        assert (tiles.refused, tiles.failed) == (2, 3)
        assert (tiles.unpriced, tiles.unattributed, tiles.estimated) == (1, 1, 1)
        assert tiles.requests.now == 9

    def test_savings_are_list_cost_minus_effective_cost(self, world: World) -> None:
        record_call(world.acme, NOW - HOUR, list_cost=100, effective_cost=30, savings={"cache": 80, "cascade": -10})
        with org_scope(world.acme.org.pk):
            tiles = month_tiles(world.acme.owner, NOW)
        assert (tiles.saved.now, tiles.savings) == (70, {"cache": 80, "cascade": -10})

    def test_a_month_that_is_longer_than_the_one_before_is_not_compared_with_itself(self, world: World) -> None:
        record_call(world.acme, datetime(2026, 3, 1, 1, tzinfo=UTC), cost=8)
        record_call(world.acme, datetime(2026, 2, 28, 23, tzinfo=UTC), cost=2)
        with org_scope(world.acme.org.pk):
            tiles = month_tiles(world.acme.owner, datetime(2026, 3, 31, 12, tzinfo=UTC))
        assert tiles.spend == Change(8, 2)

    def test_an_empty_ledger_is_all_zeros(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            tiles = month_tiles(world.acme.owner, NOW)
        assert (tiles.spend, tiles.spend.per_mille, tiles.as_of) == (Change(0, 0), None, None)
        assert {(point.spend, point.requests) for point in tiles.days} == {(0, 0)}
        assert set(tiles.hours) == {0}


class TestBudgetUses:
    def test_each_counts_its_own_scope_and_period_the_fullest_first(self, world: World) -> None:
        acme = world.acme
        with org_scope(acme.org.pk):
            search = create_project(actor=acme.owner, name="Search")
            other_key = create_key(actor=acme.owner, name="search", project=search).key
        make_budget(acme, "10.00", period=BudgetPeriod.MONTH)
        make_budget(acme, "1.00", scope=BudgetScope.PROJECT, subject=str(search.pk), period=BudgetPeriod.DAY)
        make_budget(acme, "2.00", scope=BudgetScope.KEY, period=BudgetPeriod.TOTAL)
        make_budget(acme, "0.01", scope=BudgetScope.END_USER)
        record_call(acme, NOW - HOUR, cost=600_000_000)
        record_call(acme, NOW - DAY, cost=1_000_000_000)
        record_call(acme, NOW - HOUR, cost=900_000_000, project_id=search.pk, key_id=other_key.pk)
        record_call(acme, NOW - DAY, cost=500_000_000, project_id=search.pk, key_id=other_key.pk)
        with org_scope(acme.org.pk):
            uses = list_budget_uses(acme.owner, NOW)
        assert [shown(use) for use in uses] == [
            ("project", "Search", False, 900_000_000, 1_000_000_000),
            ("key", "first key", True, 1_600_000_000, 2_000_000_000),
            ("organization", "Acme", False, 3_000_000_000, 10_000_000_000),
        ]
        assert (uses[0].start, uses[0].end) == (datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))

    def test_one_that_is_fuller_by_a_hair_comes_first(self, world: World) -> None:
        make_budget(world.acme, "3.00001", period=BudgetPeriod.DAY)
        make_budget(world.acme, "3.00000", period=BudgetPeriod.WEEK)
        record_call(world.acme, NOW - HOUR, cost=1_000_000_000)
        with org_scope(world.acme.org.pk):
            uses = list_budget_uses(world.acme.owner, NOW)
        assert [use.period for use in uses] == ["week", "day"]

    def test_one_that_is_switched_off_is_not_shown(self, world: World) -> None:
        budget = make_budget(world.acme, "3.00")
        with org_scope(world.acme.org.pk):
            budget.is_active = False
            budget.save()
            assert list_budget_uses(world.acme.owner, NOW) == ()


def shown(use: BudgetUse) -> tuple[str, str, bool, int, int]:
    return use.scope, use.subject_name, use.is_default, use.spent, use.limit
