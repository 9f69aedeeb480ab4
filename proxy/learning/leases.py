"""A worker's hold on a training job: taken, kept, lost, and paid for.

Whoever takes a job counts its fence up. From then on nothing that an earlier worker says of it counts, in the database
as in the object store.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models import F, Q

from costhub.lib import clock
from proxy.errors import ApiError
from proxy.learning.checkpoints import Fenced
from proxy.learning.choices import JobKind, JobState
from proxy.learning.models import Student, TrainingJob, TunedModel
from proxy.learning.spend import charge_segment, name_segment, price_segment
from proxy.learning.students import STUDENTS
from proxy.learning.work import Work, list_orgs_with
from proxy.ledger.charges import hold_ahead, renew_hold
from tenants.access import job_scope, org_scope
from tenants.models import Organization

#: a worker that has not been heard of for so long is taken for dead
LEASE: Final = timedelta(seconds=15)
#: the same where a model is loaded, or a long example learned from, between two beats
LONG_LEASE: Final = timedelta(seconds=120)
#: for so long ahead a worker's time is held, and more of it when so little is left
AHEAD: Final = timedelta(minutes=10)
SOON: Final = timedelta(minutes=1)
#: points of a loss curve
MOST_LOSSES: Final = 400
#: workers that may end with a job, one after the other, without a word and without a step more than before
MOST_CRASHES: Final = 5
_SILENT: Final = "it was not heard of any more, as one that the system has ended for its memory."


class Cancelled(Exception):
    """Somebody cancelled the job."""


class OutOfMoney(Exception):
    """The job has cost what it may."""


class NotHeld(Exception):
    """No money can be set aside for what comes next: the job waits for a budget. The message is for people."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A job that one worker has."""

    org_id: UUID
    job_id: UUID
    fence: int
    kind: JobKind = JobKind.HEAD


def take_job(worker: str, kinds: Sequence[JobKind] = (JobKind.HEAD,)) -> Lease | None:
    """A job of these kinds that waits, or whose worker is not heard of any more, the oldest first; None where there is
    none."""
    for org_id in list_orgs_with(Work.TRAINING):
        lease = take_job_of(org_id, worker, kinds)
        if lease is not None:
            return lease
    return None


def take_job_of(org_id: UUID, worker: str, kinds: Sequence[JobKind] = (JobKind.HEAD,)) -> Lease | None:
    """One of an organisation's jobs, as ``take_job``: the oldest for whose next minutes a budget has the money."""
    with org_scope(org_id):
        now = clock.now()
        due = Q(state=JobState.WAITING.value) | Q(state=JobState.RUNNING.value, lease_until__lt=now)
        jobs = TrainingJob.objects.filter(due, org_id=org_id, kind__in=[kind.value for kind in kinds]).order_by(
            "created_at", "id"
        )
        for job in jobs.select_for_update(skip_locked=True):
            _settle(job)
            if job.state == JobState.RUNNING.value and _count_crash(job, _SILENT):
                job.lease_until = None
                job.save()
                continue
            job.save()
            job.refresh_from_db(fields=["spent_nanos"])
            job.fence += 1
            job.lease_until, job.segment_from, job.segment_until = now + _length_of(job), now, now
            job.pace_from = None
            try:
                _hold(job)
            except NotHeld as refused:
                # Whoever has money goes first.
                job.state, job.error = JobState.WAITING.value, str(refused)
                job.lease_until = job.segment_from = job.segment_until = None
                job.save()
                continue
            job.state, job.worker, job.error = JobState.RUNNING.value, worker[:120], ""
            job.save()
            return Lease(org_id, job.pk, job.fence, JobKind(job.kind))
        return None


def list_under_way() -> set[UUID]:
    """The ids of all organisations' jobs that wait or run."""
    found: set[UUID] = set()
    under_way = (JobState.WAITING.value, JobState.RUNNING.value)
    for org_id in list_orgs_with(Work.TRAINING):
        with org_scope(org_id):
            found |= set(TrainingJob.objects.filter(org_id=org_id, state__in=under_way).values_list("pk", flat=True))
    return found


def keep_job(
    lease: Lease, *, step: int = 0, steps: int = 0, loss: float | None = None, tokens: int | None = None
) -> None:
    """The worker is alive, and so far; without a loss nothing is new but that. Raises Fenced, Cancelled, OutOfMoney and
    NotHeld."""
    with org_scope(lease.org_id):
        job = _mine(lease)
        now = clock.now()
        job.segment_until, job.lease_until = now, now + _length_of(job)
        if loss is not None:
            if step > job.crashed_at:
                job.crashes = 0
            if job.pace_from is None or step < job.step:
                # Neither what it loaded before, nor what others have learned, nor what was begun anew is its pace.
                job.pace_step, job.pace_from = step, now
            job.step, job.steps = step, steps
            # Steps that were lost with a worker are made again: their losses take the place of the first ones.
            points = [point for point in job.losses if point[0] < step] + [[step, round(loss, 6)]]
            job.losses = points[::2] if len(points) > MOST_LOSSES else points
            job.tokens = job.tokens if tokens is None else tokens
        told = [
            "segment_until",
            "lease_until",
            "step",
            "steps",
            "losses",
            "tokens",
            "crashes",
            "pace_step",
            "pace_from",
        ]
        job.save(update_fields=told)
        _keep_hold(job)
        if job.segment_from is not None and job.most_nanos is not None:
            cost = job.spent_nanos + price_segment(job.per_hour_nanos, job.segment_from, now)
            if cost >= job.most_nanos:
                raise OutOfMoney("The job has cost what it may: raise its limit and train again.")


def leave_job(lease: Lease, state: JobState, error: str = "", *, is_crash: bool = False) -> None:
    """The worker ends with the job: ``waiting`` leaves it to another one. What it used is charged. A job that somebody
    else has by now, or that is gone, is left alone. ``is_crash``: see ``give_up_job``."""
    with org_scope(lease.org_id):
        job = TrainingJob.objects.select_for_update().filter(pk=lease.job_id, fence=lease.fence).first()
        if job is None:
            return
        if job.segment_from is not None:
            job.segment_until = clock.now()
        _settle(job)
        if job.state == JobState.RUNNING.value:
            job.state, job.error = state.value, error
            job.ended_at = None if state is JobState.WAITING else clock.now()
            if is_crash:
                _count_crash(job, error)
        job.lease_until = None
        job.save()


def give_up_job(lease: Lease, why: str) -> None:
    """The worker failed with the job in a way that nobody has foreseen, which ``why`` names: another one may try,
    unless too many have. What it used is charged."""
    leave_job(lease, JobState.WAITING, why, is_crash=True)


def store_student(lease: Lease, student: Student) -> None:
    """Keep what came out; a route that asked the one before is in the shadow again, and asks this one when it is
    trusted, as sure as it must be. Raises Fenced and Cancelled."""
    with job_scope(lease.org_id) as actor:
        _mine(lease)
        before = Student.objects.filter(job_id=lease.job_id)
        student.route = before.values_list("route", flat=True).first() or ""
        before.delete()
        STUDENTS.after_move(actor, student)
        student.save(force_insert=True)


def store_tuned(lease: Lease, tuned: TunedModel) -> None:
    """The same for an adapter, whose model stays too. Raises Fenced and Cancelled."""
    with org_scope(lease.org_id):
        tuned.floor_per_mille = _mine(lease).floor_per_mille
        before = TunedModel.objects.filter(job_id=lease.job_id)
        tuned.model, tuned.route = before.values_list("model", "route").first() or ("", "")
        before.delete()
        tuned.save(force_insert=True)


def settle_cancelled(org_id: UUID) -> int:
    """Charge what workers used that died before they heard that their job was cancelled. Gives how many."""
    with job_scope(org_id) as actor:
        over = TrainingJob.objects.filter(
            org=actor.org, segment_from__isnull=False, lease_until__lt=clock.now()
        ).exclude(state=JobState.RUNNING.value)
        settled = 0
        for job in over.select_for_update(skip_locked=True):
            _settle(job)
            job.lease_until = None
            job.save()
            settled += 1
        return settled


def _count_crash(job: TrainingJob, why: str) -> bool:
    """Note that a worker ended with the job unforeseen. Where too many in a row did, the job fails, in words; says
    whether it does."""
    job.crashes += 1
    job.crashed_at = max(job.crashed_at, job.step)
    if job.crashes < MOST_CRASHES:
        return False
    job.state, job.ended_at = JobState.FAILED.value, clock.now()
    job.error = f"{job.crashes} workers in a row got no further than step {job.crashed_at}. The last one: {why}"
    return True


def _length_of(job: TrainingJob) -> timedelta:
    return LEASE if job.kind == JobKind.HEAD.value else LONG_LEASE


def _mine(lease: Lease) -> TrainingJob:
    job = TrainingJob.objects.select_for_update().filter(pk=lease.job_id).first()
    if job is None or job.state == JobState.CANCELLED.value:
        raise Cancelled("The job was cancelled.")
    if job.fence != lease.fence or job.state != JobState.RUNNING.value:
        raise Fenced(f"Worker {job.fence} has taken over from {lease.fence}.")
    return job


def _settle(job: TrainingJob) -> None:
    """Charge the segment that is over, if there is one."""
    if job.segment_from is None or job.segment_until is None:
        return
    nanos = price_segment(job.per_hour_nanos, job.segment_from, job.segment_until)
    if nanos or job.held_nanos:
        charge_segment(
            *(job.org_id, job.project_id, job.pk, job.name, job.fence),
            *(job.segment_from, job.segment_until, nanos),
        )
    job.spent_nanos = F("spent_nanos") + nanos
    job.segment_from = job.segment_until = None
    job.held_nanos = job.hold_steps = 0


def _hold(job: TrainingJob) -> None:
    """Set aside what the next minutes cost, before they begin; never more than the job may still cost. Raises
    NotHeld."""
    assert job.segment_from is not None
    nanos = int(price_segment(job.per_hour_nanos, job.segment_from, job.segment_from + AHEAD))
    if job.most_nanos is not None:
        nanos = min(nanos, max(0, job.most_nanos - job.spent_nanos - job.held_nanos))
    if nanos <= 0:
        return
    spending = name_segment(job.org_id, job.project_id, job.pk, job.name, job.fence, job.segment_from)
    try:
        hold_ahead(spending, nanos, job.hold_steps + 1)
    except ApiError as refused:
        raise NotHeld(refused.message) from refused
    job.held_nanos += nanos
    job.hold_steps += 1


def _keep_hold(job: TrainingJob) -> None:
    """Renew what is held, and hold more where it will not last. Raises NotHeld."""
    if not job.held_nanos or job.segment_from is None or job.segment_until is None:
        return
    spending = name_segment(job.org_id, job.project_id, job.pk, job.name, job.fence, job.segment_from)
    renew_hold(Organization.objects.values_list("shard", flat=True).get(pk=job.org_id), spending.row_id)
    if price_segment(job.per_hour_nanos, job.segment_from, job.segment_until + SOON) > job.held_nanos:
        _hold(job)
        job.save(update_fields=["held_nanos", "hold_steps"])
