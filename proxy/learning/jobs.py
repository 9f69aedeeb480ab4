"""Training jobs, as people see them: asked for, watched, cancelled."""

from contextlib import suppress
from typing import Final, NamedTuple

from django.db import transaction
from redis.exceptions import RedisError

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from proxy.learning.choices import JobKind, JobState, VersionState
from proxy.learning.models import DatasetVersion, Student, TrainingJob, TunedModel
from proxy.learning.spend import name_segment, price_segment
from proxy.ledger.charges import give_back
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.values import check_identifier
from tenants.choices import Permission
from tenants.models import Project

#: of an organisation, waiting and running
MOST_JOBS: Final = 20
MOST_LABELS: Final = 500
MOST_EPOCHS: Final = 10_000
#: of an adapter: its rank, the longest example, and how often each is learned from
MOST_RANK: Final = 64
MOST_SEQUENCE_TOKENS: Final = 8_192
MOST_ADAPTER_EPOCHS: Final = 50
MOST_ADAPTER_ROWS: Final = 256
#: the fewest examples that are learned from, and tested on
LEAST_LEARNED: Final = 2
_MILLION: Final = 1_000_000


class _Course(NamedTuple):
    """What a kind of training does where nobody says otherwise, and the most that it may."""

    epochs: int
    batch_rows: int
    rate_millionths: int
    most_epochs: int
    most_batch_rows: int


_COURSES: Final = {
    JobKind.HEAD: _Course(60, 64, 10_000, MOST_EPOCHS, 4_096),
    JobKind.ENCODER: _Course(3, 32, 1_000, MOST_ADAPTER_EPOCHS, MOST_ADAPTER_ROWS),
    JobKind.LORA: _Course(3, 8, 500, MOST_ADAPTER_EPOCHS, MOST_ADAPTER_ROWS),
}


def create_training_job(
    *,
    actor: Actor,
    version: DatasetVersion,
    project: Project,
    name: str,
    kind: JobKind = JobKind.HEAD,
    base_model: str = "",
    rank: int = 8,
    sequence_tokens: int = 512,
    epochs: int | None = None,
    batch_rows: int | None = None,
    rate_millionths: int | None = None,
    seed: int = 0,
    floor_per_mille: int = 900,
    per_hour_nanos: int = 0,
    most_nanos: int | None = None,
) -> TrainingJob:
    """Have a student trained on a version whose answers are labels, with an encoder of its own where ``kind`` says so,
    or an adapter of a language model on any version.

    ``floor_per_mille``: the agreement with the teacher that a student must reach in what it answers; the rest it leaves
    to the teacher. ``rank`` is an encoder's or adapter's; ``base_model`` and ``sequence_tokens`` are the latter's:
    examples that are longer are left out. ``per_hour_nanos``: what an hour of the worker costs the project,
    ``most_nanos`` the most that the job may.

    Raises InvalidField for what cannot be, Conflict where the version is not there, the name is taken, or too many jobs
    are under way.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if version.state != VersionState.READY.value:
        raise Conflict("This version has not been made.", field="version")
    _check_material(version, kind)
    if kind is JobKind.HEAD:
        rank = 0
    else:
        _check_within("rank", rank, 1, MOST_RANK)
    if kind is JobKind.LORA:
        # A model of this name may serve it: learn that now, not when the training is paid for.
        check_identifier(name, "name")
        base_model = check_identifier(base_model, "base_model")
        _check_within("sequence_tokens", sequence_tokens, 16, MOST_SEQUENCE_TOKENS)
    else:
        base_model, sequence_tokens = "", 0
    course = _COURSES[kind]
    epochs = course.epochs if epochs is None else epochs
    batch_rows = course.batch_rows if batch_rows is None else batch_rows
    rate_millionths = course.rate_millionths if rate_millionths is None else rate_millionths
    if not name.strip() or len(name) > 120:
        raise InvalidField("Give a name of at most 120 characters.", field="name")
    _check_within("epochs", epochs, 1, course.most_epochs)
    _check_within("batch_rows", batch_rows, 1, course.most_batch_rows)
    _check_within("rate_millionths", rate_millionths, 1, _MILLION)
    _check_within("seed", seed, 0, 2**31 - 1)
    _check_within("floor_per_mille", floor_per_mille, 500, 999)
    _check_within("per_hour", per_hour_nanos, 0, 1_000_000 * 10**9)
    if most_nanos is not None:
        _check_within("most", most_nanos, 1, 1_000_000 * 10**9)
    with transaction.atomic():
        _check_room(actor, name)
        job = TrainingJob.objects.create(
            org=actor.org,
            version=version,
            project_id=project.pk,
            name=name,
            kind=kind.value,
            base_model=base_model,
            rank=rank,
            sequence_tokens=sequence_tokens,
            epochs=epochs,
            batch_rows=batch_rows,
            rate_millionths=rate_millionths,
            seed=seed,
            floor_per_mille=floor_per_mille,
            per_hour_nanos=per_hour_nanos,
            most_nanos=most_nanos,
        )
        record(actor, "created", job, name=name, version=version.pk, project=project.name)
    return job


def cancel_training_job(*, actor: Actor, job: TrainingJob) -> TrainingJob:
    """A job that waits is gone; a worker that has it ends it with its next beat, and charges what it used."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        job = TrainingJob.objects.select_for_update().get(pk=job.pk)
        if job.state in {JobState.WAITING.value, JobState.RUNNING.value}:
            record(actor, "cancelled", job, was=job.state)
            if job.state == JobState.WAITING.value and job.per_hour_nanos:
                # A worker may have died between its hold and what says that it has the job. Where Valkey is away the
                # hold ends with its lease, as any other.
                now = clock.now()
                with suppress(RedisError):
                    give_back(name_segment(job.org_id, job.project_id, job.pk, job.name, job.fence + 1, now))
            job.state, job.ended_at = JobState.CANCELLED.value, clock.now()
            job.save(update_fields=["state", "ended_at"])
    return job


def find_used(job: TrainingJob) -> int:
    """What the job has cost, in nano-USD: what is charged, and the present worker's time until it was last heard of."""
    if job.segment_from is None or job.segment_until is None:
        return job.spent_nanos
    return job.spent_nanos + price_segment(job.per_hour_nanos, job.segment_from, job.segment_until)


def find_seconds_left(job: TrainingJob) -> int | None:
    """At the present worker's pace; None while nobody knows."""
    made = job.step - job.pace_step
    if job.segment_until is None or job.pace_from is None or made <= 0:
        return None
    taken = (job.segment_until - job.pace_from).total_seconds()
    return round(taken / made * (job.steps - job.step))


def _check_room(actor: Actor, name: str) -> None:
    """Raise Conflict where too many jobs are under way, or the name is taken."""
    jobs = TrainingJob.objects.filter(org=actor.org)
    under_way = [JobState.WAITING.value, JobState.RUNNING.value]
    if jobs.filter(state__in=under_way).count() >= MOST_JOBS:
        raise Conflict(f"{MOST_JOBS} training jobs are under way: wait for one, or cancel it.")
    is_taken = jobs.filter(name=name, state__in=[*under_way, JobState.DONE.value]).exists()
    if is_taken or any(table.objects.filter(org=actor.org, name=name).exists() for table in (Student, TunedModel)):
        raise Conflict("There is a student of this name already.", field="name")


def _check_material(version: DatasetVersion, kind: JobKind) -> None:
    """Raise InvalidField for a version of which a job of this kind can learn nothing."""
    if kind is JobKind.LORA:
        _check_texts(version)
    else:
        _check_labels(version)


def _check_labels(version: DatasetVersion) -> None:
    if not version.labels:
        raise InvalidField(
            "The answers of this version are no labels: they are long, or most are given once.", field="version"
        )
    if len(version.labels) < 2:
        (only,) = version.labels
        raise InvalidField(
            f"Every answer of this version is {only!r}: there is nothing to tell apart.", field="version"
        )
    if len(version.labels) > MOST_LABELS:
        raise InvalidField(f"This version has more than {MOST_LABELS} labels.", field="version")


def _check_texts(version: DatasetVersion) -> None:
    if len(version.train) < LEAST_LEARNED or not version.held_out:
        raise InvalidField(
            f"This version has {len(version.train)} examples to learn from and {len(version.held_out)} to test on: "
            f"{LEAST_LEARNED} and one are the least.",
            field="version",
        )
    if len(version.labels) == 1:
        (only,) = version.labels
        raise InvalidField(f"Every answer of this version is {only!r}: there is nothing to learn.", field="version")


def _check_within(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidField(f"Give from {low:,} to {high:,}.", field=field)
