"""Which organisations have something for a job of learning to do, so that it opens no others."""

from enum import StrEnum
from uuid import UUID

from django.db import connection


class Work(StrEnum):
    """What there is to do, as costhub_learning_orgs() has it."""

    #: something is kept that may have to go
    KEPT = "kept"
    VERSION = "version"
    TEACHER_RUN = "teacher run"
    TRAINING = "training"
    STUDENT = "student"
    #: something was trained that may have to be unlearned
    TRAINED = "trained"
    PROVIDER_TUNING = "provider tuning"
    PAID_REPLAY = "paid replay"
    #: a run of a teacher's or a replay is over, and the ledger has not said yet what it cost
    PAID_RUN = "paid run"
    #: an adapter may be compared with its teacher
    TUNED = "tuned"


def list_orgs_with(work: Work) -> list[UUID]:
    """The ids of the organisations that have it, in their order; their rows stay closed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id FROM costhub_learning_orgs(%s) ORDER BY org_id", [work.value])
        return [org_id for (org_id,) in cursor.fetchall()]
