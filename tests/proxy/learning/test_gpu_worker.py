"""A worker with its jobs: from a version to a student, through cancellations, deaths, empty purses and lost consent."""

import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import obstore
import pytest
import time_machine

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from proxy.learning import classifying, gpu_worker, leases
from proxy.learning.checkpoints import Checkpoints, Fenced, Store, list_jobs, open_store
from proxy.learning.choices import JobState
from proxy.learning.consent import forget_uncovered
from proxy.learning.conversations import write_line
from proxy.learning.datasets import delete_dataset, import_lines
from proxy.learning.gpu_worker import GpuWorker
from proxy.learning.interruptions import Interruption
from proxy.learning.jobs import MOST_JOBS, cancel_training_job, create_training_job, find_seconds_left
from proxy.learning.leases import LEASE, MOST_CRASHES, Lease, keep_job, leave_job, settle_cancelled, take_job
from proxy.learning.models import Student, TrainingJob
from tenants.access import org_scope
from tenants.actions.capture import delete_capture_policy
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.proxy.deployment import ROOT
from tests.proxy.in_process import events_of
from tests.proxy.learning.examples import make_example, make_support
from tests.proxy.learning.rows import capture, consent, embed_words, fill, make_dataset, make_version
from tests.proxy.learning.s3 import S3
from tests.world import Tenant, World

NOW = clock.now().replace(microsecond=0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path}")


def ask(tenant: Tenant, name: str = "topics", count: int = 90, **fields: Any) -> TrainingJob:
    """A job on a version of so many questions."""
    dataset = make_dataset(tenant, name)
    fill(tenant, dataset, count)
    return ask_on(tenant, make_version(tenant, dataset), name, **fields)


def ask_on(tenant: Tenant, version: Any, name: str = "topics", **fields: Any) -> TrainingJob:
    with org_scope(tenant.org.pk):
        fields = {"epochs": 12, "batch_rows": 16, "rate_millionths": 20_000, "floor_per_mille": 600} | fields
        return create_training_job(actor=tenant.owner, version=version, project=tenant.project, name=name, **fields)


def worker_of(store: Store, interruption: Interruption | None = None, **options: Any) -> GpuWorker:
    return GpuWorker(
        store, embed_words, interruption or Interruption(), name="gpu-1", **{"beat_seconds": 0.2} | options
    )


def read(job: TrainingJob) -> TrainingJob:
    with org_scope(job.org_id):
        return TrainingJob.objects.get(pk=job.pk)


def student_of(job: TrainingJob) -> Student | None:
    with org_scope(job.org_id):
        return Student.objects.filter(job=job).first()


def lease_of(job: TrainingJob) -> Lease:
    job = read(job)
    return Lease(job.org_id, job.pk, job.fence)


def rows_of(tenant: Tenant) -> list[dict[str, Any]]:
    return [event for event in events_of(tenant) if event["kind"] == "training"]


def test_a_job_becomes_a_student(world: World, store: Store) -> None:
    job = ask(world.acme)
    assert worker_of(store).run(is_once=True) == 1
    done = read(job)
    assert (done.state, done.error, done.step, done.steps, done.fence, done.worker) == ("done", "", 60, 60, 1, "gpu-1")
    assert done.losses[-1][1] < 0.2 < done.losses[0][1]
    student = student_of(job)
    assert student is not None
    assert student.labels == ["delivery", "invoice", "refund"]
    assert (student.stage, student.floor_per_mille) == ("shadow", 600)
    assert student.evaluation["trained_on"] == 72
    assert student.evaluation["tested"] == 9
    assert student.evaluation["agreement"]["found"] == 9
    assert student.evaluation["base"]["found"] == 3
    # What people said leaves no trace behind.
    assert [item for batch in obstore.list(store) for item in batch] == []
    assert rows_of(world.acme) == []  # it cost nothing


def test_who_goes_on_after_a_notice_ends_with_the_same_bits(world: World, store: Store) -> None:
    whole, cut = ask(world.acme), ask(world.acme, "cut")
    assert worker_of(store).run(is_once=True) == 2

    interruption = Interruption()
    job = ask(world.acme, "again")
    worker = GpuWorker(store, embed_words, interruption, name="gpu-2", beat_seconds=0.0)
    stops_at = 25
    keep = leases.keep_job

    def keep_and_stop(lease: Lease, *, step: int = 0, **said: Any) -> None:
        keep(lease, step=step, **said)
        if step == stops_at:
            interruption.notice("test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifying, "keep_job", keep_and_stop)
        assert worker.run() == 0
    waits = read(job)
    assert (waits.state, waits.step, waits.lease_until) == ("waiting", 25, None)
    assert worker_of(store, beat_seconds=0.0).run(is_once=True) == 1
    assert read(job).fence == 2
    weights = {bytes(student.weights) for one in (whole, cut, job) if (student := student_of(one)) is not None}
    assert len(weights) == 1
    assert [point[0] for point in read(job).losses] == list(range(1, 61))


def test_vectors_that_are_made_are_not_made_again(world: World, store: Store) -> None:
    """A notice, and then an end without one, in the midst of embedding 72 and 18 questions, 16 at a time."""
    whole = ask(world.acme)
    assert worker_of(store).run(is_once=True) == 1
    job, interruption = ask(world.acme, "again"), Interruption()
    embedded: list[int] = []

    def embed(texts: Any) -> Any:
        embedded.append(len(texts))
        return embed_words(texts)

    def embed_and_stop(texts: Any) -> Any:
        if len(embedded) == 1:
            interruption.notice("test")
        return embed(texts)

    def embed_and_die(texts: Any) -> Any:
        if len(embedded) == 2:
            raise KeyboardInterrupt
        return embed(texts)

    # It stops with 32 of them, which are safe.
    assert GpuWorker(store, embed_and_stop, interruption, name="gpu-1").run() == 0
    assert (embedded, read(job).state) == ([16, 16], "waiting")
    # Its lease is over when it is not heard of any more; with no time between two pieces each is safe at once.
    embedded.clear()
    with time_machine.travel(NOW - timedelta(hours=1), tick=False), pytest.raises(KeyboardInterrupt):
        GpuWorker(store, embed_and_die, Interruption(), name="gpu-2", save_seconds=0.0).run()
    assert embedded == [16, 16]
    embedded.clear()
    assert GpuWorker(store, embed, Interruption(), name="gpu-3").run(is_once=True) == 1
    assert embedded == [16, 10]
    one, other = student_of(whole), student_of(job)
    assert one is not None
    assert other is not None
    assert bytes(one.weights) == bytes(other.weights)


def test_nothing_is_kept_of_what_ended_without_a_worker(world: World, store: Store) -> None:
    """Cancelled as it waits, charged after its worker died, failed for its workers' deaths, gone with its dataset."""
    acme = world.acme
    jobs = {
        name: ask(acme, name, per_hour_nanos=3_600_000_000) for name in ("left", "dead", "crashed", "gone", "goes on")
    }
    with time_machine.travel(NOW - timedelta(hours=1), tick=False):
        for _ in jobs:
            lease = take_job("gpu-1")
            assert lease is not None
            keep_job(lease, step=1, steps=60, loss=1.0)
            checkpoints = Checkpoints(store, str(lease.job_id), lease.fence)
            checkpoints.take_over()
            checkpoints.keep("vectors", b"what people said")
            checkpoints.save(1, {"weights": b"what they taught"})
    leave_job(lease_of(jobs["left"]), JobState.WAITING)
    leave_job(lease_of(jobs["gone"]), JobState.FAILED, "enough")
    leave_job(lease_of(jobs["goes on"]), JobState.WAITING)
    with org_scope(acme.org.pk):
        cancel_training_job(actor=acme.owner, job=read(jobs["left"]))
        cancel_training_job(actor=acme.owner, job=read(jobs["dead"]))
        TrainingJob.objects.filter(pk=jobs["crashed"].pk).update(crashes=MOST_CRASHES - 1)
        delete_dataset(actor=acme.owner, dataset=jobs["gone"].version.dataset)
    assert settle_cancelled(acme.org.pk) == 1
    # A worker without the extra takes none of them, but for the one that fails now.
    with org_scope(acme.org.pk):
        TrainingJob.objects.filter(pk=jobs["goes on"].pk).update(kind="lora")
    assert take_job("gpu-2") is None
    assert read(jobs["crashed"]).state == "failed"
    assert sorted(list_jobs(store)) == sorted(str(job.pk) for job in jobs.values())
    assert worker_of(store).run(is_once=True) == 0
    assert list_jobs(store) == [str(jobs["goes on"].pk)]
    found = Checkpoints(store, str(jobs["goes on"].pk), 9).load()
    assert found is not None
    assert found.parts == {"weights": b"what they taught"}


def test_a_store_that_is_away_keeps_no_worker_from_looking_for_jobs(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(f"file://{tmp_path}/store")
    (tmp_path / "store").rmdir()
    (tmp_path / "store").touch()
    assert worker_of(store).run(is_once=True) == 0
    assert "what is kept of jobs that are over could not be deleted" in caplog.text


def test_the_time_left_is_reckoned_at_the_present_workers_pace(world: World) -> None:
    job = ask(world.acme)
    with time_machine.travel(NOW, tick=False):
        lease = take_job("gpu-1")
        assert lease is not None
        keep_job(lease)
        assert find_seconds_left(read(job)) is None
    # Ten seconds went by with what comes before the first step.
    for seconds, step, left in ((10, 1, None), (12, 11, 10), (14, 31, 4)):
        with time_machine.travel(NOW + timedelta(seconds=seconds), tick=False):
            keep_job(lease, step=step, steps=61, loss=1.0)
            assert find_seconds_left(read(job)) == left
    # Another one is slower: a step a second. What the first has made in no time is not its pace.
    later = NOW + timedelta(minutes=5)
    with time_machine.travel(later, tick=False):
        second = take_job("gpu-2")
        assert second is not None
        assert find_seconds_left(read(job)) is None
    for seconds, step, left in ((20, 32, None), (22, 34, 27), (23, 3, None), (25, 5, 56)):
        with time_machine.travel(later + timedelta(seconds=seconds), tick=False):
            # Where it begins anew, since consent was withdrawn, it is reckoned from there.
            keep_job(second, step=step, steps=61, loss=1.0)
            assert find_seconds_left(read(job)) == left


def test_a_dead_workers_job_is_taken_over_and_its_time_paid_once(world: World, store: Store) -> None:
    job = ask(world.acme, per_hour_nanos=3_600_000_000)
    with time_machine.travel(NOW, tick=False):
        lease = take_job("gpu-1")
        assert lease is not None
        assert take_job("gpu-2") is None
    with time_machine.travel(NOW + timedelta(seconds=10), tick=False):
        keep_job(lease, step=5, steps=60, loss=1.0)
    # It dies. What is paid is until it was last heard of.
    with time_machine.travel(NOW + timedelta(seconds=10) + LEASE, tick=False):
        assert take_job("gpu-2") is None
    with time_machine.travel(NOW + timedelta(seconds=11) + LEASE, tick=False):
        second = take_job("gpu-2")
        assert second == Lease(world.acme.org.pk, job.pk, 2)
        for late in (
            lambda: keep_job(lease, step=6, steps=60, loss=1.0),
            lambda: leases.store_student(lease, Student()),
        ):
            with pytest.raises(Fenced):
                late()  # type: ignore[no-untyped-call]
        leave_job(lease, JobState.DONE)
    with time_machine.travel(NOW + timedelta(seconds=13) + LEASE, tick=False):
        leave_job(second, JobState.FAILED, "enough")
    first, last = rows_of(world.acme)
    assert (first["effective_cost"], last["effective_cost"]) == (10_000_000, 2_000_000)
    assert first["id"] != last["id"]
    assert (first["kind"], first["request_model"], first["duration_us"]) == ("training", "topics", 10_000_000)
    assert first["project_id"] == str(world.acme.project.pk)
    done = read(job)
    assert (done.state, done.error, done.spent_nanos) == ("failed", "enough", 12_000_000)


def test_a_cancelled_job_ends_with_the_next_beat(world: World, store: Store) -> None:
    job, waits = ask(world.acme), ask(world.acme, "waits")
    keep = leases.keep_job

    def cancel(lease: Lease, *, step: int = 0, **said: Any) -> None:
        with org_scope(world.acme.org.pk):
            cancel_training_job(actor=world.acme.owner, job=job)
            cancel_training_job(actor=world.acme.owner, job=waits)
        keep(lease, step=step, **said)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifying, "keep_job", cancel)
        assert worker_of(store).run(is_once=True) == 1
    assert (read(job).state, read(waits).state) == ("cancelled", "cancelled")
    assert read(job).ended_at is not None
    assert student_of(job) is None


def test_a_worker_that_died_with_a_cancelled_job_is_paid(world: World) -> None:
    job = ask(world.acme, per_hour_nanos=3_600_000_000)
    with time_machine.travel(NOW, tick=False):
        lease = take_job("gpu-1")
    assert lease is not None
    with time_machine.travel(NOW + timedelta(seconds=4), tick=False):
        keep_job(lease, step=5, steps=60, loss=1.0)
        with org_scope(world.acme.org.pk):
            cancel_training_job(actor=world.acme.owner, job=job)
        assert settle_cancelled(world.acme.org.pk) == 0
    with time_machine.travel(NOW + timedelta(seconds=5) + LEASE, tick=False):
        assert settle_cancelled(world.acme.org.pk) == 1
        assert settle_cancelled(world.acme.org.pk) == 0
    assert [row["effective_cost"] for row in rows_of(world.acme)] == [4_000_000]


def test_a_job_costs_no_more_than_it_may(world: World, store: Store) -> None:
    job = ask(world.acme, per_hour_nanos=10**15, most_nanos=1)
    assert worker_of(store).run(is_once=True) == 1
    failed = read(job)
    assert (failed.state, failed.error) == (
        "failed",
        "The job has cost what it may: raise its limit and train again.",
    )
    assert failed.spent_nanos == sum(row["effective_cost"] for row in rows_of(world.acme)) > 0


def test_consent_that_is_withdrawn_in_mid_training_leaves_no_trace_in_the_student(world: World, store: Store) -> None:
    acme = world.acme
    policy = consent(acme)
    dataset = make_dataset(acme)
    fill(acme, dataset, 60)
    for example in make_support(63)[60:]:
        capture(acme, f"{example.question} now", example.answer)
    version = make_version(acme, dataset)
    assert len(version.train) + len(version.held_out) == 63
    job = ask_on(acme, version)
    keep = leases.keep_job
    trained: list[int] = []

    def withdraw(lease: Lease, *, step: int = 0, **said: Any) -> None:
        if step == 10 and not trained:
            trained.append(step)
            with org_scope(acme.org.pk):
                delete_capture_policy(actor=acme.owner, policy=policy)
            forget_uncovered(acme.org.pk)
        keep(lease, step=step, **said)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifying, "keep_job", withdraw)
        assert worker_of(store, beat_seconds=0.0).run(is_once=True) == 1
    student = student_of(job)
    assert student is not None
    assert trained == [10]
    assert student.evaluation["trained_on"] + student.evaluation["tested"] < 63
    with org_scope(acme.org.pk):
        assert student.evaluation["trained_on"] == len(version.train)  # the newest, held out, were the calls
    # The same as one that never saw them.
    other = ask_on(acme, version, "never saw them")
    assert worker_of(store).run(is_once=True) == 1
    twin = student_of(other)
    assert twin is not None
    assert bytes(twin.weights) == bytes(student.weights)


def test_a_loss_that_is_no_number_fails_in_words(world: World, store: Store) -> None:
    job = ask(world.acme)

    def embed(texts: Any) -> Any:
        return np.full((len(texts), 384), np.nan, np.float32)

    assert GpuWorker(store, embed, Interruption()).run(is_once=True) == 1
    assert (read(job).state, read(job).error) == (
        "failed",
        "At step 0 the loss is no number: train again with a lower rate.",
    )


def test_memory_that_does_not_suffice_fails_in_words(world: World, store: Store) -> None:
    job = ask(world.acme)

    def embed(texts: Any) -> Any:
        raise MemoryError

    assert GpuWorker(store, embed, Interruption()).run(is_once=True) == 1
    assert (read(job).state, read(job).error[:37]) == ("failed", "The worker's memory does not hold thi")


def test_a_store_that_is_away_leaves_the_job_to_others(world: World, tmp_path: Path) -> None:
    job = ask(world.acme)
    (tmp_path / "jobs").touch()
    interruption = Interruption()
    worker = worker_of(open_store(f"file://{tmp_path}"), interruption)
    lease = take_job("gpu-1")
    assert lease is not None
    interruption.notice("so that it does not wait")
    assert not worker.work(lease)
    waits = read(job)
    assert (waits.state, waits.lease_until) == ("waiting", None)
    assert "could not be" in waits.error


class Spoilt(Exception):
    """What nobody has thought of."""


def test_a_worker_survives_what_nobody_has_foreseen_and_the_job_is_not_tried_for_ever(
    world: World, store: Store
) -> None:
    spoilt, good = ask(world.acme, "spoilt", 45), ask(world.acme, "good")
    with org_scope(world.acme.org.pk):
        spoilt_rows = len(read(spoilt).version.train)

    def embed(texts: Any) -> Any:
        (job,) = TrainingJob.objects.filter(org_id=world.acme.org.pk, state="running")
        if job.name == "spoilt":
            raise Spoilt("My address is 12 Acacia Avenue")
        return embed_words(texts)

    assert spoilt_rows
    with org_scope(world.acme.org.pk), pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_worker, "IDLE_SECONDS", 0)
        assert GpuWorker(store, embed, Interruption(), name="gpu-1").run(is_once=True) == 1
    failed = read(spoilt)
    assert (failed.state, failed.crashes, failed.fence) == ("failed", MOST_CRASHES, MOST_CRASHES)
    # What it says is nobody's but the log's.
    assert failed.error == (
        "5 workers in a row got no further than step 0. The last one: Spoilt, of which the log of gpu-1 has more."
    )
    assert failed.ended_at is not None
    assert read(good).state == "done"


def test_workers_that_die_without_a_word_are_counted_until_one_gets_further(world: World) -> None:
    job = ask(world.acme)
    now = NOW
    for step in (3, 3, 2, 5, 5, 4, 5, 5):
        with time_machine.travel(now, tick=False):
            lease = take_job("gpu-1")
            assert lease is not None
            keep_job(lease, step=step, steps=60, loss=1.0)
        # The fourth got further: the count begins anew.
        now += LEASE + timedelta(seconds=1)
    with time_machine.travel(now, tick=False):
        assert take_job("gpu-1") is None
    failed = read(job)
    assert (failed.state, failed.lease_until, failed.crashes) == ("failed", None, 5)
    assert failed.error.startswith("5 workers in a row got no further than step 5. The last one: it was not heard of")


def test_two_workers_with_one_job_end_with_one(world: World, store: Store) -> None:
    job = ask(world.acme)
    with time_machine.travel(NOW - timedelta(hours=1), tick=False):
        lease = take_job("gpu-1")
    assert lease is not None
    # The first was thought dead while it slept; it wakes up after the second has begun.
    second = take_job("gpu-2")
    assert second is not None
    Checkpoints(store, str(job.pk), second.fence).take_over()
    assert not worker_of(store).work(lease)
    assert read(job).fence == 2
    assert worker_of(store).work(second)
    assert read(job).state == "done"
    assert not worker_of(store).work(second)  # nor twice


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("epochs", 0),
        ("batch_rows", 5_000),
        ("rate_millionths", 0),
        ("seed", -1),
        ("floor_per_mille", 1_000),
        ("per_hour_nanos", -1),
        ("most_nanos", 0),
    ],
)
def test_what_cannot_be_is_refused(world: World, field: str, value: object) -> None:
    dataset = make_dataset(world.acme)
    fill(world.acme, dataset, 9)
    version = make_version(world.acme, dataset)
    with pytest.raises(InvalidField) as raised:
        ask_on(world.acme, version, **{"name": "topics"} | {field: value})  # type: ignore[arg-type]
    assert raised.value.field == field.removesuffix("_nanos")


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (["yes"] * 8, "Every answer of this version is 'yes'"),
        ([f"Answer {number}" for number in range(8)], "The answers of this version are no labels"),
        (["x" * 65, "y"] * 4, "The answers of this version are no labels"),
    ],
    ids=["one class", "free text", "long"],
)
def test_answers_that_are_no_labels_are_not_trained_on(world: World, answers: list[str], says: str) -> None:
    dataset = make_dataset(world.acme)
    lines = [write_line(make_example(f"Q{number}", answer)).decode() for number, answer in enumerate(answers)]
    with org_scope(world.acme.org.pk):
        import_lines(actor=world.acme.owner, dataset=dataset, lines="\n".join(lines))
    version = make_version(world.acme, dataset)
    with pytest.raises(InvalidField, match=says):
        ask_on(world.acme, version)


def test_names_rights_and_how_many(world: World) -> None:
    dataset = make_dataset(world.acme)
    fill(world.acme, dataset, 9)
    version = make_version(world.acme, dataset)
    ask_on(world.acme, version)
    with pytest.raises(Conflict, match="of this name already"):
        ask_on(world.acme, version)
    with org_scope(world.acme.org.pk), pytest.raises(Forbidden):
        create_training_job(actor=world.ben_actor, version=version, project=world.acme.project, name="ben's")
    for number in range(MOST_JOBS - 1):
        ask_on(world.acme, version, f"job {number}")
    with pytest.raises(Conflict, match="20 training jobs are under way"):
        ask_on(world.acme, version, "one more")


class Command:
    """``costhub gpu-worker`` as a process of its own, with MiniLM, and checkpoints in S3."""

    def __init__(self, s3: S3, prefix: str, name: str, *more: str) -> None:
        settings = {"COSTHUB_CHECKPOINTS_URL": s3.url(prefix), "COSTHUB_CHECKPOINT_SECONDS": "1", "PYTHONWARNINGS": ""}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "costhub.cli", "gpu-worker", "--name", name, *more],
            cwd=ROOT,
            env=os.environ | s3.environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_step(self, job: TrainingJob, step: int) -> int:
        """Return when the job is at this step, or further; gives where it is."""

        def is_there() -> bool:
            if read(job).step >= step:
                return True
            assert self.process.poll() is None, self.process.communicate()
            return False

        wait_until(is_there)
        return read(job).step

    def end(self) -> str:
        """What it said, when it has ended."""
        said, errors = self.process.communicate(timeout=PATIENCE_SECONDS)
        assert self.process.returncode == 0, errors
        return said


@pytest.mark.processes
def test_the_command_that_is_told_to_end_and_is_killed_ends_with_the_same_weights(
    committed_world: World, s3: S3
) -> None:
    acme, prefix = committed_world.acme, token_hex(4)
    whole = ask(acme, "whole", 45, epochs=10_000, batch_rows=6)
    Command(s3, prefix, "gpu-1", "--once").end()
    assert (read(whole).state, read(whole).step) == ("done", 60_000)

    job = ask_on(acme, whole.version, "cut", epochs=10_000, batch_rows=6)
    told = Command(s3, prefix, "gpu-2")
    told.wait_for_step(job, 1)
    told.process.send_signal(signal.SIGTERM)
    assert told.end() == "0 training jobs ended.\n"
    waits = read(job)
    assert (waits.state, waits.worker, waits.fence, waits.lease_until) == ("waiting", "gpu-2", 1, None)
    assert 0 < waits.step < 60_000

    killed = Command(s3, prefix, "gpu-3")
    # Its first step is the one after the last of the other: none is made again.
    at = killed.wait_for_step(job, waits.step + 1)
    assert waits.step + 1 in [point[0] for point in read(job).losses]
    # Two beats later a checkpoint of its own is safe.
    killed.wait_for_step(job, killed.wait_for_step(job, at + 1) + 1)
    killed.process.kill()
    killed.process.communicate()
    left = read(job)
    assert (left.state, left.fence, left.step < 60_000) == ("running", 2, True)
    with org_scope(acme.org.pk):
        # Fifteen seconds later nobody has heard of it any more.
        TrainingJob.objects.filter(pk=job.pk).update(lease_until=clock.now() - timedelta(seconds=1))

    Command(s3, prefix, "gpu-4", "--once").end()
    done = read(job)
    assert (done.state, done.step, done.fence, done.worker) == ("done", 60_000, 3, "gpu-4")
    one, other = student_of(whole), student_of(job)
    assert one is not None
    assert other is not None
    assert bytes(one.weights) == bytes(other.weights)


def test_the_command_trains_in_a_process_of_its_own(committed_world: World, s3: S3) -> None:
    job = ask(committed_world.acme, "command", 45, epochs=6, per_hour_nanos=3_600_000_000)
    made = Command(s3, "command", "gpu-9", "--once").end()
    # Other organisations may have jobs as well.
    assert re.fullmatch(r"(1 training job|\d+ training jobs) ended\.\n", made)
    done = read(job)
    assert (done.state, done.worker) == ("done", "gpu-9")
    assert done.spent_nanos == sum(row["effective_cost"] for row in rows_of(committed_world.acme)) > 0
    student = student_of(job)
    assert student is not None
    assert student.evaluation["tested"] == 5
