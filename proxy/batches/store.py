"""Batches and their lines in PostgreSQL: short statements, each in an organisation's door."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import F, Sum, Value

from costhub.lib import clock
from proxy.batches.model import Batch, BatchLine, StoredFile
from proxy.batches.sealed_lines import open_body
from tenants.access import org_scope
from tenants.sealed_rows import find_sealer
from tenants.snapshots import KeySnapshot

#: what a batch may be in
VALIDATING: Final = "validating"
FAILED: Final = "failed"
IN_PROGRESS: Final = "in_progress"
FINALIZING: Final = "finalizing"
COMPLETED: Final = "completed"
EXPIRED: Final = "expired"
CANCELLING: Final = "cancelling"
CANCELLED: Final = "cancelled"
POOLING: Final = "pooling"  # of calls with deadlines, and nobody's to see
OPEN: Final = (POOLING, IN_PROGRESS, CANCELLING, FINALIZING)
#: in what is noted of a batch's end: what its lines have cost, in nano-USD
COST: Final = "cost"
#: and for so many seconds its files of answers are kept, where its caller says so
OUTPUTS_KEPT: Final = "outputs_kept"
#: answers to deferred calls are kept for so long
DEFERRED_KEPT: Final = timedelta(days=30)
#: and a batch so long behind its end
BATCHES_KEPT: Final = timedelta(days=90)
#: and a line
WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
LINE_FAILED: Final = "failed"


class NewLine(NamedTuple):
    """A line that was read and priced: ``amount`` nano-USD pays for ``max_output`` tokens a choice."""

    number: int
    custom_id: str
    starts: int
    length: int
    amount: int
    max_output: int


# Batches


def owner_of(key: KeySnapshot) -> dict[str, Any]:
    """Whose a key's files and batches are: its project's, or those of the end user to whom it is bound."""
    owner: dict[str, Any] = {"org_id": key.org_id, "project_id": key.project_id}
    if key.end_user:
        owner["end_user"] = key.end_user
    return owner


def create_batch(batch: Batch) -> None:
    """Note a new batch."""
    with org_scope(batch.org_id):
        batch.save(force_insert=True)


def update_batch(batch: Batch, **changes: Any) -> None:
    """Change a batch, here and in the database."""
    for name, value in changes.items():
        setattr(batch, name, value)
    with org_scope(batch.org_id):
        Batch.objects.filter(org_id=batch.org_id, pk=batch.pk).update(**changes)


def find_batch(key: KeySnapshot, batch_id: UUID) -> Batch | None:
    """A batch that a key may see."""
    with org_scope(key.org_id):
        return Batch.objects.filter(pk=batch_id, is_pool=False, **owner_of(key)).first()


def list_batches(
    key: KeySnapshot, *, after: UUID | None = None, before: UUID | None = None, limit: int, **of: Any
) -> list[Batch]:
    """Batches that a key may see, newest first: ``limit`` of them from the one behind ``after`` on, or up to the one
    in front of ``before``. ``of`` narrows them."""
    with org_scope(key.org_id):
        rows = Batch.objects.filter(is_pool=False, **owner_of(key), **of)
        if before is not None:
            return list(rows.filter(pk__gt=before).order_by("pk")[:limit])[::-1]
        if after is not None:
            rows = rows.filter(pk__lt=after)
        return list(rows.order_by("-pk")[:limit])


def cancel(key: KeySnapshot, batch_id: UUID) -> Batch | None:
    """Ask for a batch's end, where it is in progress. Gives it as it is then; None if there is no such batch."""
    with org_scope(key.org_id):
        mine = Batch.objects.filter(pk=batch_id, is_pool=False, **owner_of(key))
        mine.filter(status=IN_PROGRESS).update(status=CANCELLING, cancelling_at=clock.now())
        return mine.first()


def drop_batch(batch: Batch) -> None:
    """Forget a batch that was not taken, and its lines."""
    with org_scope(batch.org_id):
        Batch.objects.filter(org_id=batch.org_id, pk=batch.pk).delete()


def list_busy_orgs() -> list[str]:
    """Organisations that have a batch to be worked on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id FROM costhub_orgs_with_batches()")
        return [str(org_id) for (org_id,) in cursor.fetchall()]


def list_open(org_id: str) -> list[Batch]:
    """An organisation's batches to be worked on, oldest first."""
    with org_scope(org_id):
        return list(Batch.objects.filter(org_id=org_id, status__in=OPEN).order_by("pk"))


def read_batch(org_id: str, batch_id: UUID) -> Batch:
    """A batch as it is now. Raises Batch.DoesNotExist."""
    with org_scope(org_id):
        return Batch.objects.get(org_id=org_id, pk=batch_id)


def move_on(batch: Batch, before: Iterable[str], **changes: Any) -> bool:
    """``update_batch``, if the batch is in one of these states still."""
    with org_scope(batch.org_id):
        if not Batch.objects.filter(org_id=batch.org_id, pk=batch.pk, status__in=list(before)).update(**changes):
            return False
    for name, value in changes.items():
        setattr(batch, name, value)
    return True


# Lines


def add_lines(batch: Batch, lines: Sequence[NewLine]) -> None:
    """Add lines that were read, in one statement."""
    columns = [list(column) for column in zip(*lines, strict=True)]
    with org_scope(batch.org_id), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO proxy_batchline (batch_id, org_id, number, custom_id, starts, length, amount, max_output, state,"
            " tries, cost) SELECT %s, %s, number, custom_id, starts, length, amount, max_output, 'waiting', 0, 0"
            " FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::int[], %s::bigint[], %s::int[])"
            " AS line (number, custom_id, starts, length, amount, max_output)",
            [batch.pk, batch.org_id, *columns],
        )


def drop_lines(batch: Batch) -> None:
    """Forget a batch's lines: it failed, is read again, or its files have them all."""
    with org_scope(batch.org_id):
        BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk).delete()


def list_running(batch: Batch) -> list[BatchLine]:
    """Lines that somebody asks, or asked and died."""
    with org_scope(batch.org_id):
        return list(
            BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk, state=RUNNING)
            .defer("body")
            .order_by("number")
        )


def take_back(batch: Batch, numbers: Sequence[int]) -> None:
    """Lines whose worker died while it asked wait again, as calls to come: only who has the organisation's lock may say
    so. What they held may have been billed, so that a limit of the caller's takes it as spent."""
    with org_scope(batch.org_id):
        lines = BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk, number__in=numbers)
        # Of a deferred call that is what each try holds; of a line what is left of its share.
        left = F("amount") if batch.is_pool else Value(0)
        lines.update(state=WAITING, cost=F("cost") + F("amount"), amount=left)


class Room(NamedTuple):
    """Nano-USD that a line may cost when it is asked again, and whether that is all that it will ever be."""

    nanos: int
    is_final: bool


def find_room(batch: Batch, line: BatchLine, most: int) -> Room:
    """Room for a line that is asked again, within the ``most`` nano-USD that its batch may cost: as much as the line
    has cost and may cost still, out of what other lines have left. Where that is final it is the line's share from now
    on, so that no other line is given the same. It may grow while lines are open that were asked once at most: these
    leave something yet."""
    with org_scope(batch.org_id), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM proxy_batch WHERE org_id = %s AND id = %s FOR UPDATE", [batch.org_id, batch.pk])
        cursor.execute(
            "SELECT coalesce(sum(cost + CASE WHEN state IN ('waiting', 'running') THEN amount ELSE 0 END), 0),"
            " count(*) FILTER (WHERE state IN ('waiting', 'running') AND tries <= 1)"
            " FROM proxy_batchline WHERE org_id = %s AND batch_id = %s AND number <> %s",
            [batch.org_id, batch.pk, line.number],
        )
        taken, fresh = cursor.fetchone()
        wanted = line.amount + line.cost
        nanos = min(wanted, max(0, most - int(taken) - line.cost))
        room = Room(nanos, nanos == wanted or not fresh)
        if room.is_final:
            BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk, number=line.number).update(amount=nanos)
            line.amount = nanos
    return room


def claim_lines(batch: Batch, most: int, most_bytes: int, after: int = 0) -> list[BatchLine]:
    """The next lines that wait, and are due: at most so many, and so many bytes but for one. They run from now on, each
    with the id of the call that it will be. Nobody else can claim the same: a worker that has lost its lock with its
    connection may not know so yet. Those behind line ``after`` come first: whoever looks from the first line on passes
    all that have run by now, and what is left of them in the index until it is vacuumed."""
    now = clock.now()
    with org_scope(batch.org_id):
        rows = BatchLine.objects.select_for_update(skip_locked=True).filter(
            org_id=batch.org_id, batch_id=batch.pk, state=WAITING
        )
        due = rows.exclude(again_at__gt=now).order_by("number")
        found = list(due.filter(number__gt=after)[:most])
        if after and not found:
            found = list(due[:most])
        taken: list[BatchLine] = []
        for line in found:
            most_bytes -= line.length
            if taken and (most_bytes < 0 or line.number != taken[-1].number + 1):
                break
            # A line that was asked before is a call of the moment at which it is asked again.
            moment_ms = batch.created_ms if line.request_id is None else clock.now_ms()
            line.request_id, line.tries = UUID(clock.new_id_of(moment_ms)), line.tries + 1
            taken.append(line)
        run_lines(batch, taken)
    return taken


def run_lines(batch: Batch, lines: Sequence[BatchLine]) -> None:
    """Lines run from now on, as the calls whose ids they have; an organisation's rows are open. What was noted of a try
    before says nothing of this one."""
    numbers = [line.number for line in lines]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE proxy_batchline AS line SET state = 'running', tries = line.tries + 1, request_id = new.id,"
            " event = NULL FROM json_to_recordset(%s) AS new (number int, id uuid)"
            # Without the list every line of the batch may be looked at, to be joined with these.
            " WHERE line.org_id = %s AND line.batch_id = %s AND line.number = ANY(%s::int[]) AND line.number = new.number",
            [_list_ids(lines), batch.org_id, batch.pk, numbers],
        )


def name_lines(batch: Batch, after: int, most: int) -> list[BatchLine]:
    """The next lines of a batch that goes to an upstream whole, each with the id that it has there from now on."""
    with org_scope(batch.org_id):
        rows = (
            BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk, number__gt=after)
            .defer("body")
            .order_by("number")
        )
        lines = list(rows[:most])
        new = [line for line in lines if line.request_id is None]
        for line in new:
            line.request_id = UUID(clock.new_id_of(batch.created_ms))
        run_lines(batch, new)
    return lines


def read_body(line: BatchLine) -> bytes:
    """What a deferred call asks: megabytes, perhaps, so that lines are read without it."""
    with org_scope(line.org_id):
        rows = BatchLine.objects.filter(org_id=line.org_id, batch_id=line.batch_id, number=line.number)
        body = bytes(rows.values_list("body", flat=True).first() or b"")
        return open_body(find_sealer(line.org_id), line.batch_id, line.number, body) if body else b""


def find_unanswered(batch: Batch, request_ids: Sequence[UUID]) -> list[BatchLine]:
    """Those of the lines with these ids that are not out yet."""
    with org_scope(batch.org_id):
        lines = BatchLine.objects.filter(
            org_id=batch.org_id, batch_id=batch.pk, request_id__in=request_ids, state__in=[WAITING, RUNNING]
        )
        return list(lines.defer("body"))


def give_back(batch: Batch, lines: Sequence[BatchLine]) -> None:
    """Let lines that were claimed and never asked wait again, as if nobody had claimed them. A line that another worker
    has claimed meanwhile stays with that worker."""
    numbers = [line.number for line in lines]
    with org_scope(batch.org_id), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE proxy_batchline AS line SET state = 'waiting', tries = line.tries - 1,"
            " request_id = CASE WHEN line.tries > 1 OR line.body IS NOT NULL THEN line.request_id END"
            " FROM json_to_recordset(%s) AS claimed (number int, id uuid)"
            " WHERE line.org_id = %s AND line.batch_id = %s AND line.number = ANY(%s::int[])"
            " AND line.number = claimed.number AND line.request_id = claimed.id AND line.state = 'running'",
            [_list_ids(lines), batch.org_id, batch.pk, numbers],
        )


def _list_ids(lines: Sequence[BatchLine]) -> str:
    """As JSON, which is written in a tenth of the time of an array of ids."""
    return orjson.dumps([{"number": line.number, "id": line.request_id} for line in lines]).decode()


def list_open_calls(batch: Batch) -> list[str]:
    """The ids of a pool's calls that are not out yet, as their callers know them."""
    with org_scope(batch.org_id):
        lines = BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk, state__in=[WAITING, RUNNING]).order_by(
            "number"
        )
        return list(lines.values_list("custom_id", flat=True))


def list_handed_on(batch: Batch) -> list[BatchLine]:
    """Lines that an upstream was asked with a file of its own, and that are not out yet."""
    with org_scope(batch.org_id):
        lines = BatchLine.objects.filter(
            org_id=batch.org_id, batch_id=batch.pk, state__in=[WAITING, RUNNING], request_id__isnull=False
        )
        return list(lines.order_by("number"))


def ask_anew(batch: Batch) -> None:
    """A pool's calls that are not out yet were asked for once, whatever came of it: the next try is a call of its
    own."""
    with org_scope(batch.org_id):
        lines = BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk, state__in=[WAITING, RUNNING], tries=0)
        lines.update(tries=1)


def count_open(batch: Batch) -> int:
    """How many of a batch's lines are not out yet."""
    with org_scope(batch.org_id):
        return BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk, state__in=[WAITING, RUNNING]).count()


def fail_open(batch: Batch, render: Mapping[str, str]) -> None:
    """Every line that is not out yet fails, with the error ``render["code"]`` and ``render["message"]``."""
    with org_scope(batch.org_id), connection.cursor() as cursor:
        cursor.execute(
            "WITH ended AS (UPDATE proxy_batchline SET state = 'failed', body = NULL, ended_at = %s, answer = convert_to("
            " (jsonb_build_object('id', 'batch_req_' || replace(batch_id::text, '-', '') || '_' || number,"
            " 'custom_id', custom_id, 'response', NULL, 'error', jsonb_build_object('code', %s::text, 'message', %s::text))"
            " )::text || E'\\n', 'UTF8') WHERE org_id = %s AND batch_id = %s AND state IN ('waiting', 'running') RETURNING 1)"
            " UPDATE proxy_batch SET failed = failed + (SELECT count(*) FROM ended) WHERE org_id = %s AND id = %s",
            [
                *(clock.now(), render["code"], render["message"].replace("\0", "")),
                *(batch.org_id, batch.pk, batch.org_id, batch.pk),
            ],
        )


def finish(batch: Batch, files: Sequence[StoredFile], **changes: Any) -> None:
    """The batch has come to its end: its files are there, its lines are in them, and what they cost is noted."""
    with org_scope(batch.org_id):
        StoredFile.objects.bulk_create(files, ignore_conflicts=True)
        cost = (
            BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk).aggregate(total=Sum("cost"))["total"] or 0
        )
        drop_lines(batch)
        update_batch(batch, remote=batch.remote | {COST: int(cost)}, **changes)
