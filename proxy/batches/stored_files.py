"""Files in PostgreSQL: which there are, whose they are, and which nobody needs any more."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from uuid import UUID

from django.db import connection
from django.db.models import F, Q, Sum

from costhub.lib.moments import to_ms
from proxy.batches.model import Batch, StoredFile
from proxy.batches.store import (
    BATCHES_KEPT,
    CANCELLED,
    CANCELLING,
    COMPLETED,
    DEFERRED_KEPT,
    EXPIRED,
    FAILED,
    IN_PROGRESS,
    OPEN,
    VALIDATING,
    owner_of,
)
from tenants.access import org_scope
from tenants.snapshots import KeySnapshot


def keep_file(file: StoredFile, most_bytes: int) -> bool:
    """Note a file whose bytes are in the store, unless the organisation's files would have more than ``most_bytes``
    with it: uploads that come together are counted one after the other. Twice is as good as once."""
    with org_scope(file.org_id):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('files ' || %s, 0))", [str(file.org_id)])
        others = StoredFile.objects.filter(org_id=file.org_id).exclude(pk=file.pk)
        if (others.aggregate(total=Sum("bytes"))["total"] or 0) + file.bytes > most_bytes:
            return False
        StoredFile.objects.bulk_create([file], ignore_conflicts=True)
    return True


def count_bytes(org_id: str) -> int:
    """Bytes of all files of an organisation."""
    with org_scope(org_id):
        return StoredFile.objects.filter(org_id=org_id).aggregate(total=Sum("bytes"))["total"] or 0


def find_file(key: KeySnapshot, file_id: UUID) -> StoredFile | None:
    """A file that a key may see: one of its project, or of its end user where it is bound to one."""
    with org_scope(key.org_id):
        return StoredFile.objects.filter(pk=file_id, **owner_of(key)).first()


def find_files(key: KeySnapshot, ids: Iterable[UUID]) -> list[StoredFile]:
    """Those of some files that a key may see."""
    with org_scope(key.org_id):
        return list(StoredFile.objects.filter(pk__in=ids, **owner_of(key)))


def list_files(key: KeySnapshot, *, purpose: str, after: UUID | None, limit: int, rising: bool) -> list[StoredFile]:
    """Files that a key may see: ``limit`` of them from the one behind ``after`` on."""
    with org_scope(key.org_id):
        rows = StoredFile.objects.filter(**owner_of(key))
        if purpose:
            rows = rows.filter(purpose=purpose)
        if after is not None:
            rows = rows.filter(pk__gt=after) if rising else rows.filter(pk__lt=after)
        return list(rows.order_by("pk" if rising else "-pk")[:limit])


def forget_file(key: KeySnapshot, file_id: UUID) -> bool:
    """Delete a file's row. False if there is no such file."""
    with org_scope(key.org_id):
        return StoredFile.objects.filter(pk=file_id, **owner_of(key)).delete()[0] > 0


def is_needed(key: KeySnapshot, file_id: UUID) -> bool:
    """Whether a batch that is open reads a file."""
    with org_scope(key.org_id):
        return Batch.objects.filter(
            org_id=key.org_id, input_file_id=file_id, status__in=[VALIDATING, IN_PROGRESS, CANCELLING]
        ).exists()


def list_expired(org_id: str, now: datetime, unfinished_before: datetime) -> list[UUID]:
    """Files whose time is over, but for those that an open batch reads, and the own lines of batches that were never
    taken. Forgets batches that were never taken or ended long ago; those with lines of their own go with these."""
    with org_scope(org_id):
        lost = Batch.objects.filter(org_id=org_id, status=VALIDATING, created_ms__lt=to_ms(unfinished_before))
        own = list(lost.filter(input_file_id=F("pk")).values_list("pk", flat=True))
        lost.exclude(pk__in=own).delete()
        over = now - DEFERRED_KEPT
        Batch.objects.filter(org_id=org_id, is_pool=True, status=COMPLETED, completed_at__lt=over).delete()
        of_batches = now - BATCHES_KEPT
        ended = (
            Q(status=state, **{f"{state}_at__lt": of_batches}) for state in (COMPLETED, FAILED, EXPIRED, CANCELLED)
        )
        Batch.objects.filter(reduce(or_, ended), org_id=org_id, is_pool=False).delete()
        needed = Batch.objects.filter(org_id=org_id, status__in=[IN_PROGRESS, CANCELLING]).values("input_file_id")
        rows = StoredFile.objects.filter(org_id=org_id, expires_at__lte=now).exclude(pk__in=needed)
        return [*own, *rows.exclude(pk__in=own).values_list("pk", flat=True)]


def forget_files(org_id: str, ids: Sequence[UUID]) -> None:
    """Delete the rows of files whose bytes are gone, and batches that were never taken and had them as their own."""
    with org_scope(org_id):
        StoredFile.objects.filter(org_id=org_id, pk__in=ids).delete()
        Batch.objects.filter(org_id=org_id, pk__in=ids, status=VALIDATING).delete()


def find_ownerless(org_id: str, ids: Iterable[UUID]) -> set[UUID]:
    """Those of some names in the store that are of no file, and of no batch that is open or of its answers."""
    with org_scope(org_id):
        files = StoredFile.objects.filter(org_id=org_id).values_list("pk", flat=True)
        batches = Batch.objects.filter(org_id=org_id, status__in=(VALIDATING, *OPEN))
        used = batches.values_list("pk", "output_file_id", "error_file_id")
        return set(ids).difference(files, *used)
