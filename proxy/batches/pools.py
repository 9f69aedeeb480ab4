"""Pools of calls with deadlines, in PostgreSQL."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Exists, Max, Min, OuterRef, Q, Sum
from django.db.models.functions import TruncMinute

from costhub.lib import clock
from costhub.lib.moments import to_ms
from proxy.batches.model import Batch, BatchLine
from proxy.batches.sealed_lines import BODY, open_answer, open_body, place_of_line
from proxy.batches.store import (
    CANCELLING,
    COMPLETED,
    DONE,
    IN_PROGRESS,
    LINE_FAILED,
    OPEN,
    POOLING,
    RUNNING,
    WAITING,
    run_lines,
    update_batch,
)
from proxy.core.deadlines import Due
from proxy.values.request import Controls
from tenants.access import org_scope
from tenants.sealed_rows import find_sealer
from tenants.snapshots import KeySnapshot

__all__ = ["CANCELLING", "DONE", "IN_PROGRESS", "POOLING", "WAITING"]

#: a pool that has more is left alone, and the next call makes another
MOST_LINES = 10_000
#: in a pool's row, where its calls may cost so much each at most; in what is known of a file's batch, where all of its
#: lines may
MAX_COST: Final = "max_cost"
#: there, in which hour since the epoch its calls' deadlines lie: one that is near ends the batch of no call that has
#: hours yet. What runs in the background has none
HOUR: Final = "hour"
#: in what is known of either, that its calls are sent as they came
UNCOMPRESSED: Final = "uncompressed"
#: what calls of a pool have alike
_ALIKE = (
    *("org_id", "project_id", "key_id", "end_user", "tags", "session", "endpoint", "model", "upstream_id"),
    *("is_remote", "status", "spent", "row"),
)


def controls_of(batch: Batch, gone: int = 0) -> Controls:
    """What a batch's calls asked for in headers. A pool's call keeps to its own ``x-costhub-max-cost`` however often it
    is asked: what earlier tries cost, ``gone`` nano-USD, is off it. A batch's own bounds its lines together: see
    ``store.find_room``."""
    most = batch.row.get(MAX_COST) if batch.is_pool else None
    known = batch.row if batch.is_pool else batch.remote
    return Controls(
        tags=batch.tags,
        end_user=batch.end_user,
        session=batch.session,
        max_cost=None if most is None else max(0, most - gone),
        is_uncompressed=UNCOMPRESSED in known,
    )


def join(pool: Batch, line: BatchLine, check: Callable[[Mapping[int, int], int], None]) -> None:
    """Put a call into a pool of its like, or into ``pool``, which is new then. ``check`` raises where those that wait
    for the same upstream leave no time for it, by ``count_waiting``, or those of its organisation no room, by
    ``count_bytes``: calls that come together are counted one after the other."""
    assert pool.upstream_id is not None
    with org_scope(pool.org_id):
        _take_turn(pool)
        check(count_waiting(str(pool.org_id), pool.upstream_id), count_bytes(str(pool.org_id)))
        alike = {name: getattr(pool, name) for name in _ALIKE}
        rows = Batch.objects.select_for_update().filter(is_pool=True, total__lt=MOST_LINES, **alike)
        found = rows.order_by("pk").first()
        if found is None:
            pool.save(force_insert=True)
            found = pool
        assert line.deadline_at is not None
        found.total += 1
        first = min(found.first_deadline or line.deadline_at, line.deadline_at)
        last = max(found.expires_at, line.deadline_at)
        Batch.objects.filter(org_id=found.org_id, pk=found.pk).update(
            total=found.total, first_deadline=first, expires_at=last
        )
        line.batch_id, line.number, line.state = found.pk, found.total, WAITING
        sealer = find_sealer(pool.org_id)
        line.body = sealer.seal(place_of_line(line.batch_id, line.number, BODY), bytes(line.body or b""))
        line.save(force_insert=True)


def has_joined(pool: Batch, line: BatchLine) -> bool:
    """Whether a call is in a pool, after a ``join`` of whose end nobody was told: one that is still being written is
    waited for."""
    with org_scope(pool.org_id):
        _take_turn(pool)
        lines = BatchLine.objects.filter(org_id=pool.org_id, custom_id=line.custom_id, deadline_at__isnull=False)
        return lines.exists()


def _take_turn(pool: Batch) -> None:
    """Nobody else puts a call into a pool for the same upstream before this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('deadlines ' || %s || %s, 0))",
            [str(pool.org_id), str(pool.upstream_id)],
        )


def count_waiting(org_id: str, upstream_id: UUID) -> dict[int, int]:
    """Calls of pools that wait for an upstream, and for a batch of its own: how many, by the minute of their deadline,
    in ms."""
    with org_scope(org_id):
        pools = Batch.objects.filter(org_id=org_id, is_pool=True, status__in=OPEN, upstream_id=upstream_id)
        lines = BatchLine.objects.filter(org_id=org_id, batch_id__in=pools.values("pk"), state__in=[WAITING, RUNNING])
        by_minute = lines.annotate(minute=TruncMinute("deadline_at")).values_list("minute")
        return {to_ms(minute): calls for minute, calls in by_minute.annotate(calls=Count("number"))}


def count_bytes(org_id: str) -> int:
    """What an organisation's calls ask, in bytes, that wait in pools."""
    with org_scope(org_id):
        pools = Batch.objects.filter(org_id=org_id, is_pool=True, status__in=OPEN)
        lines = BatchLine.objects.filter(org_id=org_id, batch_id__in=pools.values("pk"), state__in=[WAITING, RUNNING])
        return lines.aggregate(total=Sum("length"))["total"] or 0


def list_asked(org_id: str, upstream_id: UUID) -> set[tuple[UUID, str]]:
    """Whose calls wait for an upstream, and for which model: keys by their ids, and models by their names."""
    with org_scope(org_id):
        lines = BatchLine.objects.filter(org_id=org_id, batch_id=OuterRef("pk"), state__in=[WAITING, RUNNING])
        pools = Batch.objects.filter(Exists(lines), org_id=org_id, is_pool=True, status__in=OPEN)
        # Not "row__model": how Django finds that it is no field leaves a circle with all that its callers hold.
        found = pools.filter(upstream_id=upstream_id).values_list("key_id", "row")
        return {(key_id, row["model"]) for key_id, row in found}


def list_open_pools(org_id: str) -> list[Batch]:
    """An organisation's pools to be worked on."""
    with org_scope(org_id):
        return list(Batch.objects.filter(org_id=org_id, is_pool=True, status__in=OPEN))


def find_due(pools: Iterable[Batch]) -> dict[UUID, Due]:
    """What is due of an organisation's pools, by their ids; those that have all their answers are left out."""
    ids = {pool.pk: pool.org_id for pool in pools}
    if not ids:
        return {}
    org_id = next(iter(ids.values()))
    with org_scope(org_id):
        lines = BatchLine.objects.filter(org_id=org_id, batch_id__in=list(ids), state__in=[WAITING, RUNNING])
        found = lines.values_list("batch_id").annotate(
            calls=Count("number"),
            ready=Count("number", filter=Q(again_at__isnull=True) | Q(again_at__lte=clock.now())),
            first=Min("deadline_at"),
            last=Max("deadline_at"),
        )
        return {pk: Due(calls, ready, to_ms(first), to_ms(last)) for pk, calls, ready, first, last in found}


def find(key: KeySnapshot, name: UUID) -> BatchLine | None:
    """A call that a key has deferred, or another one of its project."""
    with org_scope(key.org_id):
        lines = BatchLine.objects.defer("body").filter(org_id=key.org_id, deadline_at__isnull=False)
        line = lines.filter(custom_id=str(name)).first()
        if line is None:
            return None
        batch = Batch.objects.filter(org_id=key.org_id, pk=line.batch_id, project_id=key.project_id).first()
        if batch is None or key.end_user not in {None, batch.end_user}:
            return None
        if line.answer is not None:
            line.answer = open_answer(find_sealer(key.org_id), line.batch_id, line.number, bytes(line.answer))
        return line


def read_asked(line: BatchLine) -> tuple[bytes, str]:
    """What a call asks, empty where it is out, and of which model."""
    with org_scope(line.org_id):
        found = BatchLine.objects.filter(org_id=line.org_id, batch_id=line.batch_id, number=line.number)
        body = bytes(found.values_list("body", flat=True).first() or b"")
        if body:
            body = open_body(find_sealer(line.org_id), line.batch_id, line.number, body)
        model = Batch.objects.filter(org_id=line.org_id, pk=line.batch_id).values_list("model", flat=True).first()
    return body, model or ""


def cancel(line: BatchLine) -> bool:
    """Its caller does not want it any more: whoever has it leaves it, and who would ask it next does not. False where
    it has its answer."""
    with org_scope(line.org_id):
        mine = BatchLine.objects.filter(org_id=line.org_id, batch_id=line.batch_id, number=line.number)
        mine.filter(answer__isnull=True, cancelled_at__isnull=True).update(cancelled_at=clock.now(), again_at=None)
        line.cancelled_at = mine.values_list("cancelled_at", flat=True).first()
    return line.cancelled_at is not None


def list_cancelled(batch: Batch) -> list[int]:
    """Calls that are under way and that nobody wants any more."""
    with org_scope(batch.org_id):
        rows = BatchLine.objects.filter(
            org_id=batch.org_id, batch_id=batch.pk, state=RUNNING, cancelled_at__isnull=False
        )
        return list(rows.values_list("number", flat=True))


def forget_answer(line: BatchLine) -> None:
    """Forget the answer of a response that ran in the background, so that nobody can ask for it any more."""
    gone = b'{"response":null,"error":{"code":"deleted","message":"It was deleted."}}'
    with org_scope(line.org_id):
        mine = BatchLine.objects.filter(org_id=line.org_id, batch_id=line.batch_id, number=line.number)
        mine.update(is_background=False, state=LINE_FAILED, answer=gone)


def go_online(batch: Batch) -> None:
    """What has no answer is asked line by line from now on."""
    with org_scope(batch.org_id):
        BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk, state=RUNNING).update(state=WAITING)
        update_batch(batch, is_remote=False, status=IN_PROGRESS)


def end(batch: Batch) -> bool:
    """The pool is over, unless a call has joined it meanwhile."""
    with transaction.atomic(), org_scope(batch.org_id):
        locked = Batch.objects.select_for_update().filter(org_id=batch.org_id, pk=batch.pk, status=IN_PROGRESS).first()
        if (
            locked is None
            or BatchLine.objects.filter(org_id=batch.org_id, batch_id=batch.pk, state__in=[WAITING, RUNNING]).exists()
        ):
            return False
        update_batch(batch, status=COMPLETED, completed_at=clock.now())
    return True


def claim(batch: Batch, most: int, most_bytes: int) -> list[BatchLine]:
    """The calls of a pool whose deadlines are next, and that are due: at most so many, and so many bytes but for one.
    What they ask is read by itself (``store.read_body``)."""
    with org_scope(batch.org_id):
        rows = BatchLine.objects.select_for_update(skip_locked=True).filter(
            org_id=batch.org_id, batch_id=batch.pk, state=WAITING
        )
        due = rows.exclude(again_at__gt=clock.now()).defer("body").order_by("deadline_at", "number")
        lines: list[BatchLine] = []
        for line in due[:most]:
            most_bytes -= line.length
            if lines and most_bytes < 0:
                break
            if line.tries:
                # Asked again it is a call of its own.
                line.request_id = UUID(clock.new_id_of(clock.now_ms()))
            line.tries += 1
            lines.append(line)
        run_lines(batch, lines)
    return lines
