"""What one job learns from, and whether everybody still agrees to it."""

import hashlib
from dataclasses import dataclass

import orjson

from proxy.learning.conversations import Example, pack
from proxy.learning.datasets import count_withdrawn, read_version
from proxy.learning.head import Course
from proxy.learning.leases import Cancelled, Lease
from proxy.learning.models import TrainingJob
from tenants.access import job_scope


class RowsWithdrawn(Exception):
    """Consent to rows that are being learned from was withdrawn: the lesson begins anew without them."""


class TooLittle(Exception):
    """What is left of the version cannot be learned from. The message says why."""


@dataclass(frozen=True, slots=True)
class Material:
    """A job with what is left of its version. ``rows`` is a name for exactly these examples."""

    job: TrainingJob
    train: list[Example]
    held_out: list[Example]
    course: Course
    withdrawn: int
    rows: str


def read_material(lease: Lease) -> Material:
    """Raises Cancelled where the job is gone."""
    with job_scope(lease.org_id) as actor:
        job = _read_job(lease)
        withdrawn = count_withdrawn(job.version)
        learned = read_version(actor, job.version, held_out=False)
        held_out = read_version(actor, job.version, held_out=True)
        ids = f"{job.version.sha256}:{job.version.train}:{job.version.held_out}:{withdrawn}"
    # With what they say: names may have been taken out of them since, and a checkpoint has learned from what they said.
    said = hashlib.sha256(ids.encode())
    for example in (*learned, *held_out):
        said.update(orjson.dumps([example.source, pack(example)]))
    rows = said.hexdigest()
    course = Course(job.epochs, job.batch_rows, job.rate_millionths / 1_000_000, job.seed)
    return Material(job, learned, held_out, course, withdrawn, rows)


def check_consent(lease: Lease, material: Material) -> None:
    """Raises RowsWithdrawn where some of it has been taken back since, and Cancelled where the job is gone."""
    with job_scope(lease.org_id):
        if count_withdrawn(_read_job(lease).version) != material.withdrawn:
            raise RowsWithdrawn


def _read_job(lease: Lease) -> TrainingJob:
    job = TrainingJob.objects.select_related("version", "version__dataset").filter(pk=lease.job_id).first()
    if job is None:
        raise Cancelled("The job was deleted.")
    return job
