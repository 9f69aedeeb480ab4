"""Jobs whose success stays away, a ledger that lags and a queue that grows: who is told, and how often."""

import os
from collections.abc import Collection, Iterator
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import NoReturn, cast

import pytest
import time_machine
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django.fixtures import Settings
from redis.exceptions import RedisError

from costhub.celery import RememberedTask, app
from costhub.lib import clock, keyspace
from costhub.lib.redis import ShardsAway, ask_shards, client
from costhub.ops import backlog, jobs, schedule
from costhub.ops.doctor import Check, Subject, check_backups, check_jobs
from costhub.ops.jobs import read_ages, remember_success
from costhub.ops.tasks import watch_jobs
from costhub.ops.watch import QUEUED, find_troubles
from costhub.stack.backup.state import BASE, LOG, begin, note_kept
from tenants.actions import operators
from tenants.models import User
from tests.ops.test_doctor import SUBJECT
from tests.world import World

DRAIN = "proxy.tasks.drain_ledger"
COUNTERS = "proxy.tasks.rebuild_counters"
HOURLY = "proxy.tasks.make_partitions"


@pytest.fixture(autouse=True)
def _all_is_well(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every job has just succeeded, and the streams are this test's alone."""
    client().delete(keyspace.ALARMS, keyspace.QUEUES[0])
    for job in schedule.JOBS:
        remember_success(job.task)
    monkeypatch.setattr(keyspace, "ledger_key", lambda shard: f"test:{shard}:ledger")
    yield
    client().delete(keyspace.ALARMS, keyspace.QUEUES[0], keyspace.JOBS)


@pytest.fixture
def operator(world: World) -> User:
    User.objects.filter(is_platform_operator=True).update(is_platform_operator=False)
    world.ada.is_platform_operator = True
    world.ada.save()
    return world.ada


def let_pass(task: str, seconds: float) -> None:
    client().hset(keyspace.JOBS, task, clock.now_ms() - int(seconds * 1000))


def names() -> list[str]:
    return [trouble.name for trouble in find_troubles()]


class TestAges:
    def test_a_success_in_a_worker_is_remembered(self) -> None:
        let_pass(DRAIN, 500)
        cast("RememberedTask", app.tasks[DRAIN]).on_success(0, "id", (), {})
        (age,) = [age for age in read_ages() if age.job.task == DRAIN]
        assert age.seconds < 400

    def test_every_task_of_the_schedule_is_one_of_the_app_and_remembers(self) -> None:
        app.loader.import_default_modules()
        for job in schedule.JOBS:
            assert isinstance(app.tasks[job.task], RememberedTask)
            assert app.conf.beat_schedule[job.task]["task"] == job.task

    def test_a_task_that_is_not_scheduled_is_not_kept(self) -> None:
        remember_success("celery.ping")
        assert not client().hexists(keyspace.JOBS, "celery.ping")

    def test_one_that_never_was_is_infinitely_old(self) -> None:
        client().delete(keyspace.JOBS)
        assert {age.seconds for age in read_ages()} == {inf}
        assert all(age.is_late for age in read_ages())

    def test_valkey_away_costs_no_job_its_success(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[object] = []

        class Away:
            def hset(self, *asked_for: object) -> None:
                asked.extend(asked_for[:2])
                raise RedisError

        monkeypatch.setattr(jobs, "broker", Away)
        remember_success(DRAIN)
        assert asked == [keyspace.JOBS, DRAIN]


class TestTroubles:
    def test_there_are_none(self) -> None:
        assert find_troubles() == []

    @pytest.mark.parametrize(("task", "usual"), [(DRAIN, 60), (COUNTERS, 600), (HOURLY, 7_200)])
    def test_a_job_is_late_after_five_periods_and_not_within_a_minute(self, task: str, usual: int) -> None:
        let_pass(task, usual - 10)
        assert names() == []
        let_pass(task, usual + 10)
        (trouble,) = find_troubles()
        assert trouble.name == f"job {task.rpartition('.')[2]}"
        assert trouble.sentence.startswith(
            f"The job {task.rpartition('.')[2]} last succeeded {usual + 10} s ago: {usual} s"
        )

    def test_a_ledger_that_lags(self) -> None:
        try:
            client().xadd("test:3:ledger", {"e": "{}"}, id=f"{clock.now_ms() - 61_000}-0")
            (trouble,) = find_troubles()
            assert trouble.name == "ledger lag"
            assert trouble.sentence.startswith("The oldest of 1 ledger events has waited 61 s for PostgreSQL.")
        finally:
            client().delete("test:3:ledger")

    def test_a_log_and_a_base_that_are_not_kept(self, settings: Settings, tmp_path: Path) -> None:
        begin(tmp_path)
        settings.ARCHIVE_STATE = str(tmp_path)
        assert names() == []
        found = check_backups(SUBJECT)
        assert (found.ok, found.is_warning, found.sentence[:39]) == (
            True,
            True,
            "of log and base nothing is kept yet, si",
        )
        for name in (LOG, BASE):
            note_kept(tmp_path, name)
        assert check_backups(SUBJECT) == Check("Backups", ok=True, sentence="log kept 0 s ago, base kept 0 s ago")
        now = clock.now_ms() / 1000
        for name, seconds in ((LOG, 310), (BASE, 36 * 3_600 + 10)):
            os.utime(tmp_path / name, times=(now - seconds,) * 2)
        log, base = find_troubles()
        assert (log.name, base.name) == ("backup log", "backup base")
        assert log.sentence == (
            "PostgreSQL's write-ahead log has not been kept for 310 s: 300 s at most are usual. logs/archive.log says why."
        )
        assert base.sentence.startswith("A base backup has not been kept for 129610 s: 129600 s at most are usual. Run")
        found = check_backups(SUBJECT)
        assert (found.ok, found.sentence.partition(" Run ")[0]) == (
            False,
            "PostgreSQL's write-ahead log has not been kept for 310 s. logs/archive.log says why. A base backup has not been "
            "kept for 129610 s.",
        )
        note_kept(tmp_path, LOG)
        assert names() == ["backup base"]
        told = Client().get("/metrics").content.decode()
        assert 'costhub_archive_age_seconds{kept="base"} 1296' in told

    def test_a_queue_that_nobody_empties(self) -> None:
        client().rpush(keyspace.QUEUES[0], *range(QUEUED))
        assert names() == []
        client().rpush(keyspace.QUEUES[0], 1)
        assert names() == ["queue"]
        assert backlog.count_queued() == QUEUED + 1

    def test_shards_that_are_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some, or all of them where the queue has a Valkey of its own."""
        usual = ask_shards
        monkeypatch.setattr(backlog, "ask_shards", lambda shards, add: usual(shards - {3, 5}, add))
        assert names() == ["valkey shards"]
        assert "costhub_shards_away 2.0" in Client().get("/metrics").content.decode()

        def find_none(shards: Collection[int], _: object) -> NoReturn:
            raise ShardsAway(shards)

        monkeypatch.setattr(backlog, "ask_shards", find_none)
        assert find_troubles()[0].sentence.startswith("No Valkey answers for 16 of 16 shards")


class TestTelling:
    def test_it_is_told_when_it_begins_every_hour_and_when_it_is_over(
        self, operator: User, mailoutbox: list[EmailMessage]
    ) -> None:
        let_pass(COUNTERS, 700)
        assert watch_jobs() == 1
        assert watch_jobs() == 0
        with time_machine.travel(clock.now() + timedelta(minutes=59), tick=True):
            self.all_but_counters()
            assert watch_jobs() == 0
        with time_machine.travel(clock.now() + timedelta(minutes=61), tick=True):
            self.all_but_counters()
            assert watch_jobs() == 1
            remember_success(COUNTERS)
            assert watch_jobs() == 1
            assert watch_jobs() == 0
        assert [mail.subject for mail in mailoutbox] == [
            "CostHub: job rebuild_counters",
            "CostHub: job rebuild_counters",
            "CostHub: job rebuild_counters is over",
        ]
        assert {tuple(mail.to) for mail in mailoutbox} == {(operator.email,)}
        assert mailoutbox[0].body.startswith("The job rebuild_counters last succeeded 700 s ago")
        assert mailoutbox[2].body == "The problem «job rebuild_counters» is over.\n"

    def test_two_troubles_are_two_messages(self, operator: User, mailoutbox: list[EmailMessage]) -> None:
        let_pass(COUNTERS, 700)
        client().rpush(keyspace.QUEUES[0], *range(QUEUED + 1))
        assert watch_jobs() == 2
        client().delete(keyspace.QUEUES[0])
        assert watch_jobs() == 1
        assert mailoutbox[-1].subject == "CostHub: queue is over"

    def test_a_lag_that_cannot_be_seen_is_not_over(
        self, operator: User, mailoutbox: list[EmailMessage], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The events that wait are in the very shards that went away."""
        usual = ask_shards
        try:
            client().xadd("test:3:ledger", {"e": "{}"}, id=f"{clock.now_ms() - 61_000}-0")
            assert watch_jobs() == 1
            with monkeypatch.context() as patched:
                patched.setattr(backlog, "ask_shards", lambda shards, add: usual(shards - {3}, add))
                assert watch_jobs() == 1
            assert watch_jobs() == 1
        finally:
            client().delete("test:3:ledger")
        assert watch_jobs() == 1
        subjects = ["ledger lag", "valkey shards", "valkey shards is over", "ledger lag is over"]
        assert [mail.subject for mail in mailoutbox] == [f"CostHub: {subject}" for subject in subjects]

    @pytest.mark.parametrize("has_been_told", [False, True])
    def test_what_could_not_be_sent_is_told_the_next_time(
        self, operator: User, mailoutbox: list[EmailMessage], monkeypatch: pytest.MonkeyPatch, has_been_told: bool
    ) -> None:
        let_pass(COUNTERS, 700)
        if has_been_told:
            client().hset(keyspace.ALARMS, "job rebuild_counters", clock.now_ms() - 3_700_000)
        with monkeypatch.context() as patch:
            patch.setattr(operators, "get_connection", refuse)
            assert watch_jobs() == 0
        assert watch_jobs() == 1
        remember_success(COUNTERS)
        with monkeypatch.context() as patch:
            patch.setattr(operators, "get_connection", refuse)
            assert watch_jobs() == 0
        assert watch_jobs() == 1
        assert [mail.subject for mail in mailoutbox] == [
            "CostHub: job rebuild_counters",
            "CostHub: job rebuild_counters is over",
        ]

    def test_everybody_who_operates_is_told_and_nobody_else(
        self, operator: User, world: World, mailoutbox: list[EmailMessage]
    ) -> None:
        User.objects.filter(pk=world.mallory.pk).update(is_platform_operator=True, is_active=False)
        User.objects.filter(pk=world.ben.pk).update(is_platform_operator=True)
        assert operators.tell_operators("a subject", "a body") == 2
        (mail,) = mailoutbox
        assert (mail.to, mail.subject, mail.body) == ([operator.email, world.ben.email], "a subject", "a body\n")

    def test_without_operators_there_is_nobody_to_tell(self, db: None, mailoutbox: list[EmailMessage]) -> None:
        User.objects.update(is_platform_operator=False)
        assert operators.tell_operators("a subject", "a body") == 0
        assert mailoutbox == []

    def all_but_counters(self) -> None:
        for job in schedule.JOBS:
            if job.task != COUNTERS:
                remember_success(job.task)


def refuse(**_: object) -> None:
    raise ConnectionRefusedError("no mail server here")


class TestDoctor:
    def test_all_is_well(self) -> None:
        assert check_jobs(SUBJECT) == Check("Jobs", ok=True, sentence="every job has succeeded lately")

    def test_late_ones_are_named_with_their_age(self) -> None:
        let_pass(DRAIN, 90)
        client().hdel(keyspace.JOBS, HOURLY)
        assert check_jobs(Subject(SUBJECT.data_dir, {})) == Check(
            "Jobs",
            ok=False,
            sentence="late: drain_ledger (90 s ago), make_partitions (never); see logs/worker.log and logs/beat.log",
        )
