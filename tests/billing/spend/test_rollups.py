"""The job: once is as good as twice, two are as good as one, a death in the middle is as good as none."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

import pytest
import time_machine
from django.db import connections, transaction

from billing import tasks
from billing.spend.actions.rollups import roll_up
from billing.spend.models import DayRollup, QuarterRollup
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tests.billing.ledger import NOW, record_call, record_correction
from tests.billing.rollups import read_spend
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import ROOT
from tests.world import Tenant, World

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
#: of the costs, what lies in days and what in quarters
Held = tuple[int, int]
#: when the jobs run: the days of ``NOW`` are over
TODAY: Final = NOW + DAY * 2
RUN_JOB: Final = f"""
import django; django.setup()
import time_machine
from billing import tasks
with time_machine.travel("{TODAY.isoformat()}"):
    tasks.roll_up()
"""


@pytest.fixture(autouse=True)
def _days_later() -> Iterator[None]:
    with time_machine.travel(TODAY):
        yield


def held(tenant: Tenant, cube: str = "total") -> Held:
    """The sums that the tables hold, whether marked or not."""
    with org_scope(tenant.org.pk):
        days = DayRollup.objects.filter(org_id=tenant.org.pk, cube=cube)
        quarters = QuarterRollup.objects.filter(org_id=tenant.org.pk, cube=cube)
        return sum(row.effective_cost for row in days), sum(row.effective_cost for row in quarters)


def spent(tenant: Tenant) -> int:
    return read_spend(tenant, NOW - DAY * 9, NOW + DAY * 9).total.effective_cost


def cost_of(tenant: Tenant, start: datetime, end: datetime, *groups: str) -> int:
    return read_spend(tenant, start, end, *groups).total.effective_cost


def roll_all() -> int:
    rolled = 0
    while batch := roll_up():
        rolled += batch
    return rolled


class TestRollUp:
    def test_a_bucket_is_made_from_its_rows_and_a_second_run_has_nothing_to_do(self, world: World) -> None:
        record_call(world.acme, NOW - DAY, cost=3)
        record_call(world.acme, NOW - DAY + HOUR, cost=4)
        assert held(world.acme) == (0, 0)
        assert roll_all() >= 3
        assert (held(world.acme), spent(world.acme)) == ((7, 7), 7)
        assert roll_up() == 0
        assert held(world.acme) == (7, 7)

    def test_a_late_row_and_a_correction_have_their_buckets_made_anew(self, world: World) -> None:
        call = record_call(world.acme, NOW - DAY, cost=100, is_estimated=True)
        roll_all()
        record_correction(world.acme, call, -30)
        record_call(world.acme, NOW - DAY, cost=1)
        assert (held(world.acme), spent(world.acme)) == ((100, 100), 71)
        roll_all()
        assert (held(world.acme), spent(world.acme)) == ((71, 71), 71)

    def test_a_bucket_that_is_not_over_is_left_to_what_lies_below_it(self, world: World) -> None:
        record_call(world.acme, TODAY - HOUR * 9, cost=5)
        record_call(world.acme, TODAY, cost=60)
        roll_all()
        assert (held(world.acme), cost_of(world.acme, TODAY - DAY, TODAY + DAY)) == ((0, 5), 65)

    def test_a_new_time_zone_has_days_of_its_own(self, world: World) -> None:
        record_call(world.acme, NOW.replace(hour=23) - DAY * 2, cost=5)
        roll_all()
        for zone, day in (("UTC", "2026-11-20"), ("Asia/Tokyo", "2026-11-21")):
            with org_scope(world.acme.org.pk):
                update_organization(actor=world.acme.owner, time_zone=zone)
            before = read_spend(world.acme, NOW - DAY * 9, NOW, "day")
            roll_all()
            with org_scope(world.acme.org.pk):
                days = [str(row.day) for row in DayRollup.objects.filter(org_id=world.acme.org.pk, cube="total")]
            assert days == [day]
            after = read_spend(world.acme, NOW - DAY * 9, NOW, "day")
            assert [row.group["day"] for row in before.rows] == [row.group["day"] for row in after.rows] == days

    def test_a_zone_that_postgresql_does_not_know_stops_nobody(self, world: World) -> None:
        record_call(world.acme, NOW - DAY, cost=5)
        record_call(world.mallcorp, NOW - DAY, cost=6)
        with org_scope(world.mallcorp.org.pk):
            type(world.mallcorp.org).objects.filter(pk=world.mallcorp.org.pk).update(time_zone="Moon/Tranquility")
        roll_all()
        assert (held(world.acme), held(world.mallcorp)) == ((5, 5), (0, 6))

    def test_who_has_no_zone_has_no_fine_quarters_and_loses_nothing(self, committed_world: World) -> None:
        """As an organisation whose zone PostgreSQL does not know: its coarse quarters are made, and they alone."""
        acme = committed_world.acme
        record_call(acme, NOW - DAY, cost=5, end_user="mia")
        roll_all()
        with connections["owner"].cursor() as cursor:
            for statement in (
                "DELETE FROM billing_rollupzone WHERE org_id = %s",
                "DELETE FROM billing_blockmark WHERE org_id = %s",
                "DELETE FROM billing_quarterrollup WHERE org_id = %s AND cube <> ALL ('{total,models,keys}')",
            ):
                cursor.execute(statement, [acme.org.pk])
        for group in ("key", "status", "end_user"):
            spend = read_spend(acme, NOW - DAY * 2, NOW, group)
            assert [row.totals.effective_cost for row in spend.rows] == [5], group

    def test_what_bears_no_mark_is_taken_from_the_largest_buckets_that_fit(self, committed_world: World) -> None:
        acme = committed_world.acme
        columns = {"cost": 1, "end_user": "mia", "tags": {"team": "blue"}}
        for day in (1, 2):
            record_call(acme, NOW - DAY * day, **columns)
        roll_all()
        # What no row says, so that an answer tells where it is from.
        with connections["owner"].cursor() as cursor:
            for table, cost in (("billing_quarterrollup", 10), ("billing_dayrollup", 100)):
                cursor.execute(f"UPDATE {table} SET effective_cost = %s WHERE org_id = %s", [cost, acme.org.pk])
        groupings = (
            (),
            ("model",),
            ("key",),
            ("status",),
            ("end_user",),
            ("tag:team",),
            ("hour",),
            ("end_user", "key"),
        )
        start, end = (NOW - DAY * 2).replace(hour=0), NOW.replace(hour=0)
        assert [cost_of(acme, start, end, *groups) for groups in groupings] == [200, 200, 200, 200, 200, 200, 20, 2]
        assert [cost_of(acme, start + HOUR, end, *groups) for groups in groupings] == [*[110] * 6, 20, 2]
        assert cost_of(acme, start, NOW - DAY + timedelta(seconds=1)) == 101
        record_call(acme, NOW - DAY + HOUR, **columns)
        assert [cost_of(acme, start, end, *groups) for groups in groupings] == [*[111] * 6, 21, 3]

    @pytest.mark.parametrize(("cube", "group"), [("end_users", "end_user")])
    def test_several_days_or_quarters_are_taken_as_one(self, committed_world: World, cube: str, group: str) -> None:
        acme, start = committed_world.acme, (NOW - DAY * 3).replace(hour=0)
        for day in (3, 2):
            record_call(acme, NOW - DAY * day, cost=1, end_user="mia")
        roll_all()
        with connections["owner"].cursor() as cursor:
            for table, held_in, cost in (
                ("day", f"{cube}/2d", 1_000),
                ("day", cube, 100),
                ("quarter", f"{cube}/4h", 40),
                ("quarter", cube, 10),
            ):
                cursor.execute(
                    f"UPDATE billing_{table}rollup SET effective_cost = %s WHERE org_id = %s AND cube = %s",
                    [cost, acme.org.pk, held_in],
                )
        end = start + DAY * 2
        assert cost_of(acme, start, end, group) == 1_000
        assert cost_of(acme, start, end, "day", group) == 200
        assert cost_of(acme, start + HOUR, end, group) == 140
        assert cost_of(acme, start + HOUR, end - HOUR, "hour", group) == 20
        record_call(acme, NOW - DAY * 2 + HOUR, cost=7, end_user="mia")
        assert cost_of(acme, start, end, group) == 100 + 10 + 7
        assert cost_of(acme, start + HOUR, end - HOUR, group) == 40 + 10 + 7
        roll_all()
        assert cost_of(acme, start, end, group) == 100 + 8

    def test_old_quarters_of_end_users_go_and_their_sums_stay_right(self, committed_world: World) -> None:
        acme = committed_world.acme
        record_call(acme, NOW - DAY, cost=3, end_user="mia")
        record_call(acme, NOW - DAY + HOUR, cost=4, end_user="mia")
        roll_all()
        assert (held(acme, "end_users"), held(acme, "end_users/4h")) == ((7, 7), (0, 7))
        with time_machine.travel(NOW + DAY * 90):
            roll_all()
            assert (held(acme, "end_users"), held(acme, "end_users/4h"), held(acme)) == ((7, 0), (0, 0), (7, 7))
            assert cost_of(acme, NOW - DAY * 2, NOW - DAY + timedelta(minutes=1), "end_user") == 3
            assert cost_of(acme, NOW - DAY * 2, NOW, "end_user") == 7


class TestTogether:
    def test_rows_that_are_not_committed_yet_are_counted_when_they_are(self, committed_world: World) -> None:
        acme = committed_world.acme
        record_call(acme, NOW - DAY, cost=1)
        with transaction.atomic():
            record_call(acme, NOW - DAY, cost=10)
            with ThreadPoolExecutor(1) as other:
                assert other.submit(_roll_apart).result() > 0
            assert held(acme) == (1, 1)
            assert spent(acme) == 11
        assert spent(acme) == 11
        roll_all()
        assert (held(acme), spent(acme)) == ((11, 11), 11)

    def test_two_at_once_are_as_good_as_one(self, committed_world: World) -> None:
        acme = committed_world.acme
        for place in range(60):
            record_call(acme, NOW - HOUR * place, cost=1)
        with ThreadPoolExecutor(3) as workers:
            writer = workers.submit(_record_apart, acme)
            for job in [workers.submit(_roll_apart) for _ in range(2)]:
                job.result()
            writer.result()
        assert spent(acme) == 80
        roll_all()
        assert (held(acme), held(acme, "tags"), spent(acme)) == ((80, 80), (0, 0), 80)

    def test_while_one_is_at_it_another_does_nothing(self, committed_world: World) -> None:
        acme = committed_world.acme
        with transaction.atomic():
            roll_up()
            record_call(acme, NOW - DAY, cost=1)
            with ThreadPoolExecutor(1) as other:
                assert other.submit(_roll_apart).result() == 0

    def test_killed_before_the_commit_it_has_done_nothing(self, committed_world: World) -> None:
        acme = committed_world.acme
        record_call(acme, NOW - DAY, cost=7)
        killed = _run_job(COSTHUB_FAILPOINT="rollup_computed:1")
        assert (killed, held(acme), spent(acme)) == (-9, (0, 0), 7)
        assert _run_job() == 0
        assert (held(acme), spent(acme)) == ((7, 7), 7)


def _roll_apart() -> int:
    """In a thread of its own, on a connection of its own."""
    try:
        return tasks.roll_up()
    finally:
        connections.close_all()


def _record_apart(tenant: Tenant) -> None:
    try:
        for place in range(20):
            record_call(tenant, NOW - HOUR * place, cost=1)
    finally:
        connections.close_all()


def _run_job(**environment: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", RUN_JOB],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "costhub.settings"} | environment,
        timeout=PATIENCE_SECONDS,
    ).returncode
