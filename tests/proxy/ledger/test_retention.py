"""A month of the ledger goes: its calls are gone, and no budget of all time forgets a nano of them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, Final

import orjson
import pytest
import time_machine
from django.db import DatabaseError, connection, connections, transaction
from pytest_django.fixtures import Settings

from billing.spend.actions.rollups import is_month_rolled, roll_up
from billing.spend.selectors import list_budget_uses
from costhub.lib import clock
from costhub.lib.moments import to_ms
from costhub.ops.tasks import drop_old_months
from costhub.ops.tenant_tables import list_tenant_tables
from proxy.ledger import drain, recount, retention
from proxy.ledger.retention import drop_month, first_month_kept, list_months
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tenants.choices import BudgetPeriod, BudgetScope
from tests.billing.ledger import record_call
from tests.billing.rollups import read_spend
from tests.proxy.edges import job
from tests.proxy.edges.entries import find_scope, line_of, make_event, make_row, read_ledger, sum_ledger
from tests.proxy.edges.till import Till
from tests.world import Api, Tenant, World, make_budget, make_catalog

_months = count(12)
_recent_months = count(3)
#: calls of an old month that cost 1, 10, 100 ... nanos
CALLS: Final[list[dict[str, Any]]] = [
    {"end_user": "ann", "request_model": "small", "tags": {"team": "a=b", "other": "x"}},
    {"end_user": "ann", "request_model": "large", "tags": {"team": "a"}},
    {"end_user": "bob", "request_model": "small", "tags": {}},
    {"end_user": "", "request_model": "small", "tags": {"team": "a=b"}},
    {"end_user": "ann", "request_model": "small", "tags": {"other": "x", "team": "a=b"}},
]


@pytest.fixture
def month(django_db_setup: None, acme: Tenant) -> date:
    """A month of long ago that no other test has, with a partition of its own."""
    place = next(_months)
    month = date(2001 + place // 12, place % 12 + 1, 1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_ensure_partitions(%s, 0)", [month])
    return month


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    connections.close_all()


def within(month: date, day: int = 15) -> int:
    return to_ms(datetime(month.year, month.month, day, 12, tzinfo=UTC))


def spend(till: Till, tenant: Tenant, month: date) -> None:
    """Calls of an old month, and one of now."""
    for place, fields in enumerate(CALLS):
        till.add_event(make_event(tenant, 10**place, at_ms=within(month), **fields))
    till.add_event(make_event(tenant, 10 ** len(CALLS), end_user="ann", request_model="small", tags={"team": "a"}))
    while drain.drain(till.shard):
        pass


def make_recent_month() -> date:
    """A month whose sums are read, as none before 2023 are, and later than all that were dropped: their sums are
    closed."""
    place = next(_recent_months)
    month = date(2023, place, 1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_ensure_partitions(%s, 0)", [month])
    return month


def roll_up_all() -> None:
    while roll_up():
        pass


def carried(tenant: Tenant) -> list[tuple[str, str, int]]:
    with org_scope(tenant.org_id), connection.cursor() as cursor:
        cursor.execute("SELECT end_user, request_model, effective_cost FROM proxy_ledgercarry ORDER BY effective_cost")
        return list(cursor.fetchall())


SCOPES: Final = [
    (BudgetScope.ORGANIZATION, "", 111_111),
    (BudgetScope.PROJECT, "", 111_111),
    (BudgetScope.KEY, "", 111_111),
    (BudgetScope.END_USER, "ann", 110_011),
    (BudgetScope.MODEL, "small", 111_101),
    (BudgetScope.TAG, "team=a=b", 11_001),
]


class TestBudgetsOfAllTime:
    def test_no_counter_changes_by_a_nano(self, acme: Tenant, till: Till, month: date) -> None:
        make_catalog(acme)
        own = {BudgetScope.PROJECT: str(acme.project.pk), BudgetScope.KEY: str(acme.key.pk)}
        scopes = []
        for kind, subject, _ in SCOPES:
            named = own.get(kind, subject)
            budget = make_budget(acme, "1.00", scope=kind, subject=named, period=BudgetPeriod.TOTAL)
            scopes.append(find_scope(acme, budget))
        for kind, who in ((BudgetScope.END_USER, "bob"), (BudgetScope.TAG, "other=x"), (BudgetScope.MODEL, "large")):
            default = make_budget(acme, "1.00", scope=kind, period=BudgetPeriod.TOTAL)
            scopes.append(find_scope(acme, default, who))
        expected = [(spent, 0) for _, _, spent in SCOPES] + [(100, 0), (10_001, 0), (10, 0)]
        spend(till, acme, month)
        recount.recount(till.shard, "", ())
        assert [till.read(line_of(scope)) for scope in scopes] == expected
        assert drop_month(month)
        assert recount.find_drift(till.shard) == []
        till.lose_everything()
        recount.recount(till.shard, "", ())
        assert [till.read(line_of(scope)) for scope in scopes] == expected
        recount.recount(till.shard, acme.org_id, scopes)
        assert [till.read(line_of(scope)) for scope in scopes] == expected

    def test_a_budget_of_a_month_does_not_count_them(self, acme: Tenant, till: Till, month: date) -> None:
        scope = find_scope(acme, make_budget(acme, "1.00", period=BudgetPeriod.MONTH))
        spend(till, acme, month)
        assert drop_month(month)
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (100_000, 0)

    def test_the_console_shows_what_it_showed(self, acme: Tenant, till: Till) -> None:
        month = make_recent_month()
        make_budget(acme, "1.00", period=BudgetPeriod.TOTAL)
        make_budget(acme, "1.00", scope=BudgetScope.KEY, period=BudgetPeriod.TOTAL)
        make_budget(acme, "1.00", scope=BudgetScope.PROJECT, period=BudgetPeriod.DAY)
        spend(till, acme, month)

        def read() -> list[tuple[str, int]]:
            with org_scope(acme.org_id):
                return [(use.scope, use.spent) for use in list_budget_uses(acme.owner, clock.now())]

        before = read()
        assert sorted(before) == [("key", 111_111), ("organization", 111_111), ("project", 100_000)]
        assert not is_month_rolled(month)
        roll_up_all()
        assert is_month_rolled(month)
        assert read() == before
        assert drop_month(month)
        assert read() == before

    def test_a_correction_that_comes_when_its_month_is_gone_counts(self, acme: Tenant, till: Till, month: date) -> None:
        scope = find_scope(acme, make_budget(acme, "1.00", period=BudgetPeriod.TOTAL))
        spend(till, acme, month)
        assert drop_month(month)
        till.add_event(make_event(acme, -1, at_ms=within(month), kind="correction"))
        drain.drain(till.shard)
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (111_110, 0)


class TestDropping:
    def test_the_month_goes_and_others_stay(self, acme: Tenant, till: Till, month: date) -> None:
        spend(till, acme, month)
        assert month in list_months(date(2020, 1, 1))
        assert drop_month(month)
        assert month not in list_months(date(2020, 1, 1))
        assert sum_ledger(acme) == 100_000
        # Two calls whose tags differ in their order only are one sum.
        assert carried(acme) == [
            ("ann", "large", 10),
            ("bob", "small", 100),
            ("", "small", 1_000),
            ("ann", "small", 10_001),
        ]
        assert drop_month(month), "once more is nothing"
        assert len(carried(acme)) == 4

    def test_a_call_of_it_is_unknown_from_then_on(self, acme: Tenant, till: Till, month: date) -> None:
        with time_machine.travel(within(month) / 1000, tick=False):
            row = make_row(acme, 5)
        till.add_event(orjson.dumps(row))
        drain.drain(till.shard)
        api = Api(token=acme.admin_token)
        assert api.get(f"/requests/{row['id']}").status_code == 200
        assert drop_month(month)
        assert api.get(f"/requests/{row['id']}").status_code == 404

    def test_the_sums_are_seen_by_their_organisation_alone(
        self, acme: Tenant, committed_world: World, till: Till, month: date
    ) -> None:
        spend(till, acme, month)
        assert drop_month(month)
        assert carried(committed_world.mallcorp) == []
        with org_scope(committed_world.mallcorp.org_id), connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM proxy_spendever WHERE org_id = %s", [acme.org.pk])
            assert cursor.fetchone() == (0,)
        with pytest.raises(DatabaseError, match="permission denied"), org_scope(acme.org_id):
            connection.cursor().execute("DELETE FROM proxy_ledgercarry")

    def test_nothing_is_dropped_while_an_event_of_it_is_on_its_way(self, acme: Tenant, till: Till, month: date) -> None:
        """The drain has committed it and died before it cut it off: it will be repeated."""
        spend(till, acme, month)
        event = make_event(acme, 1_000_000, at_ms=within(month))
        till.add_event(event)
        with transaction.atomic():
            drain.append(till.shard, drain.read_events(till.shard))
        assert not drop_month(month)
        assert len(read_ledger(acme)) == len(CALLS) + 2
        drain.drain(till.shard)
        assert drop_month(month)
        assert sum(nanos for _, _, nanos in carried(acme)) + sum_ledger(acme) == 1_111_111

    def test_a_backlog_is_drained_first(
        self, acme: Tenant, till: Till, month: date, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(drain, "MAX_UNREAD", 1)
        for _ in range(2):
            till.add_event(make_event(acme, 1))
        assert not drop_month(month)

    def test_an_event_that_makes_no_sense_keeps_no_month(self, till: Till, month: date) -> None:
        till.add_event(b"[]")
        assert drop_month(month)

    def test_two_workers_at_once_drop_it_once(self, acme: Tenant, till: Till, month: date) -> None:
        spend(till, acme, month)

        def work(_: int) -> bool:
            try:
                return drop_month(month)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            assert all(pool.map(work, range(2)))
        assert sum(nanos for _, _, nanos in carried(acme)) == 11_111

    @pytest.mark.parametrize(("place", "is_there"), [("month_carried", True), ("month_dropped", False)])
    def test_a_worker_is_killed_in_the_middle(
        self, acme: Tenant, till: Till, month: date, place: str, is_there: bool
    ) -> None:
        scope = find_scope(acme, make_budget(acme, "1.00", period=BudgetPeriod.TOTAL))
        spend(till, acme, month)
        assert job.run("drop", month, failpoint=f"{place}:1") == -9
        assert (month in list_months(date(2020, 1, 1))) is is_there
        assert carried(acme) == [] if is_there else len(carried(acme)) == 4
        assert drop_month(month)
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (111_111, 0)

    @pytest.mark.parametrize("months_ago", [0, 1])
    def test_the_database_itself_refuses_a_young_month(
        self, django_db_setup: None, acme: Tenant, months_ago: int
    ) -> None:
        month = first_month_kept(clock.now().date(), months_ago)
        with pytest.raises(DatabaseError, match="too young"), connection.cursor() as cursor:
            cursor.execute("SELECT costhub_drop_ledger_month(%s)", [month])


class TestSums:
    def test_those_of_a_month_that_went_outlive_a_change_of_the_time_zone_and_what_comes_late(
        self, acme: Tenant, till: Till
    ) -> None:
        month = make_recent_month()
        at = datetime(month.year, month.month, 15, 12, tzinfo=UTC)
        for user in ("ann", "bob"):
            record_call(acme, at, cost=1_000, end_user=user)
        roll_up_all()
        assert drop_month(month, is_month_rolled)
        with org_scope(acme.org.pk):
            update_organization(actor=acme.owner, time_zone="Etc/GMT-1")
        record_call(acme, at, cost=1)
        roll_up_all()
        start, end = at.replace(hour=0) - timedelta(hours=1), at.replace(hour=23)
        assert read_spend(acme, start, end).total.effective_cost == 2_000
        assert read_spend(acme, start, end, "end_user").total.effective_cost == 2_000

    def test_one_tenants_absurd_amounts_stop_nobodys(self, acme: Tenant, committed_world: World, till: Till) -> None:
        at = datetime(2024, 2, 15, 12, tzinfo=UTC)
        for _ in range(93):
            record_call(committed_world.mallcorp, at, cost=10**17)
        record_call(acme, at, cost=7)
        roll_up_all()
        start, end = at.replace(hour=0), at.replace(hour=23, minute=59)
        assert read_spend(acme, start, end).total.effective_cost == 7
        assert read_spend(committed_world.mallcorp, start, end).total.effective_cost == 9 * 10**18


class TestSetting:
    @pytest.mark.parametrize(
        ("today", "months", "first"),
        [
            ("2026-11-25", 1, "2026-10-01"),
            ("2026-11-01", 1, "2026-10-01"),
            ("2026-01-31", 1, "2025-12-01"),
            ("2026-12-31", 12, "2025-12-01"),
            ("2026-11-25", 11, "2025-12-01"),
            ("2026-11-25", 25, "2024-10-01"),
        ],
    )
    def test_months_that_lie_wholly_before_so_many_are_old(self, today: str, months: int, first: str) -> None:
        assert first_month_kept(date.fromisoformat(today), months) == date.fromisoformat(first)

    def test_for_ever_unless_it_is_set(self, acme: Tenant, till: Till, month: date, settings: Settings) -> None:
        spend(till, acme, month)
        assert drop_old_months() == 0
        settings.LEDGER_MONTHS = 12 * 100
        assert drop_old_months() == 0
        assert len(read_ledger(acme)) == len(CALLS) + 1
        settings.LEDGER_MONTHS = 12 * 15
        drop_old_months()
        assert len(read_ledger(acme)) == len(CALLS) + 1, "its sums are not made yet"
        roll_up_all()
        assert drop_old_months() >= 1
        assert len(read_ledger(acme)) == 1

    @pytest.mark.parametrize("outcome", [lambda *_: False, lambda *_: fail()])
    def test_what_cannot_be_dropped_now_waits(
        self,
        month: date,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        outcome: Callable[..., bool],
    ) -> None:
        settings.LEDGER_MONTHS = 12 * 15
        monkeypatch.setattr(retention, "drop_month", outcome)
        assert drop_old_months() == 0


def fail() -> bool:
    raise DatabaseError("a lock did not come in time")


class TestSetApart:
    def test_a_month_leaves_the_ledger_and_stays_a_table_of_the_owners(
        self, acme: Tenant, till: Till, month: date, settings: Settings
    ) -> None:
        settings.LEDGER_OLD_MONTHS = "detach"
        spend(till, acme, month)
        apart = f"proxy_ledgerkept_{month:%Y_%m}"
        try:
            assert drop_month(month)
            assert month not in list_months(date(2020, 1, 1))
            assert [row.effective_cost for row in read_ledger(acme)] == [10 ** len(CALLS)]
            assert sum(cost for _, _, cost in carried(acme)) == sum(10**place for place in range(len(CALLS)))
            with connections["owner"].cursor() as cursor:
                cursor.execute(f"SELECT sum(effective_cost) FROM {apart} WHERE org_id = %s", [acme.org_id])
                assert cursor.fetchone() == (sum(10**place for place in range(len(CALLS))),)
                cursor.execute(f"SELECT relforcerowsecurity FROM pg_class WHERE relname = '{apart}'")
                assert cursor.fetchone() == (True,)
            with (
                org_scope(acme.org_id),
                pytest.raises(DatabaseError, match="permission denied"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(f"SELECT * FROM {apart}")
            assert apart in {table.name for table in list_tenant_tables()}, "exported and erased like any other"
        finally:
            with connections["owner"].cursor() as cursor:
                cursor.execute(f"DROP TABLE IF EXISTS {apart}")
