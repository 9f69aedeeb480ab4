"""The jobs of learning, as the schedule runs them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import psycopg
import pytest
import time_machine
from django.db import connections

from costhub.lib import clock
from costhub.ops import schedule
from proxy.learning import tasks
from proxy.learning.models import DatasetVersion, LearnedExample, TeacherRun, TunedModel
from proxy.learning.sealing import Unreadable
from proxy.learning.work import Work, list_orgs_with
from tenants.access import org_scope
from tenants.models import CapturePolicy
from tests.proxy.learning.rows import embed_words, fill_learning
from tests.world import World


def test_every_job_is_on_the_schedule() -> None:
    due = {job.name for job in schedule.JOBS if job.task.startswith("proxy.learning.tasks.")}
    assert due == {
        *("store_captured", "forget_uncovered", "build_versions"),
        *("continue_teacher_runs", "compare_students", "settle_training"),
        *("continue_paid_replays", "continue_tunings", "compare_tuned"),
    }


def test_only_organisations_with_something_to_do_are_opened(world: World) -> None:
    acme, mallcorp = world.acme.org.pk, world.mallcorp.org.pk
    fill_learning(world.acme)
    with org_scope(acme):
        DatasetVersion.objects.filter(org=world.acme.org).update(state="waiting")
    assert not {acme, mallcorp} & {*list_orgs_with(Work.TUNED), *list_orgs_with(Work.PAID_RUN)}
    with org_scope(acme):
        TunedModel.objects.filter(org=world.acme.org).update(model="tuned")
        TeacherRun.objects.filter(org=world.acme.org).update(settle_at=clock.now())
    for work in set(Work) - {Work.TRAINING, Work.PROVIDER_TUNING}:
        found = list_orgs_with(work)
        assert acme in found
        assert mallcorp not in found
    assert acme not in list_orgs_with(Work.TRAINING)
    assert acme not in list_orgs_with(Work.PROVIDER_TUNING)


class _Words:
    """In place of MiniLM, which takes a second to load."""

    def embed(self, texts: list[str]) -> "np.typing.NDArray[np.float32]":
        return embed_words(texts)


def test_versions_are_made_and_what_has_no_consent_goes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "load_model", lambda name: _Words())
    acme = world.acme
    tasks.settle_training()  # what other tests left
    fill_learning(acme)
    with org_scope(acme.org.pk):
        version = DatasetVersion.objects.get(org=acme.org)
        version.state = "waiting"
        version.save()
        TeacherRun.objects.filter(org=acme.org).update(state="cancelled")
    assert tasks.build_versions() >= 1
    with org_scope(acme.org.pk):
        version.refresh_from_db()
        assert version.state == "ready"
        assert LearnedExample.objects.filter(org=acme.org, kind="call").count() == 1
        CapturePolicy.objects.filter(org=acme.org).delete()
    assert tasks.forget_uncovered() >= 2
    with org_scope(acme.org.pk):
        assert not LearnedExample.objects.filter(org=acme.org, kind="call", withdrawn_at=None).exists()
    assert tasks.settle_training() == 0


def test_one_worker_at_a_time_looks_names_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "load_model", lambda name: _Words())
    acme = world.acme
    fill_learning(acme)
    with org_scope(acme.org.pk):
        version = DatasetVersion.objects.get(org=acme.org)
        version.state = "waiting"
        version.save()
    settings = connections["default"].settings_dict
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    with psycopg.connect(**{names[name]: settings[name] for name in names if settings[name]}) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [tasks._BUILDING])
        tasks.build_versions()
        with org_scope(acme.org.pk):
            version.refresh_from_db()
        assert version.state == "waiting"
        # Said, and not left to the server, which hears of a closed connection when it gets to it.
        other.execute("SELECT pg_advisory_unlock(%s)", [tasks._BUILDING])
    tasks.build_versions()
    with org_scope(acme.org.pk):
        version.refresh_from_db()
    assert version.state == "ready"


def test_a_turn_ends_in_time_and_the_next_one_begins_elsewhere() -> None:
    rows = [(UUID(int=number), UUID(int=number)) for number in range(10)]
    firsts = set()
    with time_machine.travel(datetime(2026, 11, 1, tzinfo=UTC), tick=False) as traveller:
        for _ in range(10):
            (first,) = tasks._in_turn(rows, 0)
            firsts.add(first)
            traveller.shift(timedelta(seconds=15))
    assert firsts == {*rows}
    assert {*tasks._in_turn(rows, 600)} == {*rows}


def test_an_organisation_whose_key_is_gone_keeps_nobody_waiting(world: World) -> None:
    """As one that is about to be erased: what was sealed cannot be opened any more."""
    runs = [UUID(fill_learning(tenant)["teacher-runs"][0]) for tenant in (world.acme, world.mallcorp)]
    taken = []

    def take(org_id: UUID, run_id: UUID) -> bool:
        if org_id == world.acme.org.pk:
            raise Unreadable("sealed with another key")
        taken.append(run_id)
        return True

    rows = zip((world.acme.org.pk, world.mallcorp.org.pk), runs, strict=True)
    assert tasks._give_turns(rows, take) == [True]
    assert taken == runs[1:]
