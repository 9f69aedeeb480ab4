"""Batches as people of an organisation see them: all of them, whoever's key handed them in, with what they cost."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import DateTimeField, F, Func, QuerySet, Sum, Value

from costhub.lib import clock
from costhub.lib.errors import Conflict, NotFound
from costhub.lib.money import Nanos
from proxy.batches.ids import BATCH, find_id
from proxy.batches.model import Batch, BatchLine, StoredFile
from proxy.batches.store import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    COST,
    EXPIRED,
    FAILED,
    FINALIZING,
    IN_PROGRESS,
    LINE_FAILED,
    RUNNING,
    VALIDATING,
)
from tenants.access import Actor, find_uuid
from tenants.actions.audit import record
from tenants.choices import Permission

#: what a batch may be in, those that are under way first
STATES: Final = (VALIDATING, IN_PROGRESS, CANCELLING, FINALIZING, COMPLETED, CANCELLED, EXPIRED, FAILED)
#: of a batch's lines, so many of each kind are shown
MOST_LINES: Final = 10
UNDER_WAY: Final = frozenset({VALIDATING, IN_PROGRESS, CANCELLING, FINALIZING})


@dataclass(frozen=True, slots=True)
class PartFile:
    """A file of a batch: ``part`` is ``input``, ``output`` or ``errors``."""

    part: str
    file: StoredFile


def list_batches_of(actor: Actor) -> QuerySet[Batch]:
    """The organisation's batches, with ``created_at``; calls with deadlines are none."""
    seconds = F("created_ms") / Value(1000.0)
    created_at: Func = Func(seconds, function="to_timestamp", output_field=DateTimeField())
    return Batch.objects.filter(org_id=actor.org.pk, is_pool=False).annotate(created_at=created_at)


def access_batch(actor: Actor, name: str) -> Batch:
    """The organisation's batch, by the name that it has below /v1 or by its id. Raises NotFound."""
    wanted = find_id(BATCH, name) or find_uuid(name)
    found = list_batches_of(actor).filter(pk=wanted).first() if wanted else None
    if found is None:
        raise NotFound("There is no such batch.")
    return found


def find_cost(batch: Batch) -> Nanos | None:
    """What its lines have cost, as they were settled; None of one that ended before this was noted."""
    if batch.status in UNDER_WAY:
        lines = BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk)
        return Nanos(int(lines.aggregate(total=Sum("cost"))["total"] or 0))
    if batch.status == FAILED:
        return Nanos(0)  # no line of it was asked
    cost: int | None = batch.remote.get(COST)
    return None if cost is None else Nanos(cost)


def find_end(batch: Batch) -> datetime | None:
    """When it came to its end; None: not yet."""
    return batch.completed_at or batch.cancelled_at or batch.expired_at or batch.failed_at


def list_files_of(batch: Batch) -> list[PartFile]:
    """Its files that are there still."""
    parts: dict[UUID | None, str] = {batch.input_file_id: "input"}
    if find_end(batch):
        parts |= {batch.output_file_id: "output", batch.error_file_id: "errors"}
    files = StoredFile.objects.filter(org_id=batch.org_id, pk__in=[pk for pk in parts if pk])
    order = list(parts.values())
    return sorted((PartFile(parts[file.pk], file) for file in files), key=lambda each: order.index(each.part))


def list_lines_of(batch: Batch) -> list[BatchLine]:
    """What one looks for in a batch that is under way, which has its lines still: the first that failed, and the first
    that run now. Once it is over, its files have all of them."""
    if batch.status not in UNDER_WAY:
        return []
    rows = BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk).defer("answer", "event", "body")
    return [
        line for state in (LINE_FAILED, RUNNING) for line in rows.filter(state=state).order_by("number")[:MOST_LINES]
    ]


def cancel_batch(*, actor: Actor, batch: Batch) -> Batch:
    """Ask for its end: lines that run come to theirs, and are charged; the others never begin. Whoever may make a key
    of its project may do so with that. Raises Conflict for one that is not in progress."""
    actor.check(Permission.WRITE_KEYS, batch.project_id)
    with transaction.atomic():
        open_one = Batch.objects.filter(org_id=actor.org.pk, pk=batch.pk, status=IN_PROGRESS)
        if not open_one.update(status=CANCELLING, cancelling_at=clock.now()):
            batch.refresh_from_db(fields=["status"])
            raise Conflict(f"A batch that is {batch.status.replace('_', ' ')} cannot be cancelled.")
        record(actor, "cancelled", batch, model=batch.model, calls=batch.total)
    return access_batch(actor, str(batch.pk))
