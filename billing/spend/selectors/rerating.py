"""Calls with all that corrects them, as the ledger has them, for whoever rates them again. The organisation is open."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from costhub.lib.moments import to_ms
from proxy.core.row import ASKED_KINDS, Row
from proxy.models import LedgerEntry
from tenants.access import Actor

BATCH: Final = 500
#: where a pass over the calls stands: the last one that it looked at
Place = tuple[datetime, UUID]
_COLUMNS: Final = tuple(
    field.name for field in LedgerEntry._meta.concrete_fields if field.name not in {"started_at", "recorded_at"}
)


def read_calls_of(
    actor: Actor, model: str, start: datetime, end: datetime, after: Place | None = None
) -> Iterator[list[list[Row]]]:
    """The calls that asked this model for something, in order of time, batch by batch: each call's row, then the rows
    that correct it."""
    calls = _calls_of(actor, model, start, end).order_by("started_at", "id")
    while True:
        rows = calls.filter(Q(started_at__gt=after[0]) | Q(started_at=after[0], id__gt=after[1])) if after else calls
        batch = list(rows[:BATCH])
        if batch:
            yield _with_corrections(actor, batch)
        if len(batch) < BATCH:
            return
        after = batch[-1].started_at, batch[-1].id


def count_rerated(actor: Actor, start: datetime, end: datetime, reason: str) -> tuple[int, int]:
    """How many calls of ``[start, end)`` a re-rating has changed, and by how many nano-USD in all."""
    rows = LedgerEntry.objects.filter(
        org_id=actor.org.pk, started_at__gte=start, started_at__lt=end, kind="correction", route_reason=reason
    )
    found = rows.aggregate(calls=Count("corrects", distinct=True), nanos=Sum("effective_cost"))
    return found["calls"], int(found["nanos"] or 0)


def _calls_of(actor: Actor, model: str, start: datetime, end: datetime) -> QuerySet[LedgerEntry]:
    asked = Q(request_model=model) | Q(attempts__contains=[{"model": model}])
    return LedgerEntry.objects.filter(
        asked, org_id=actor.org.pk, kind__in=ASKED_KINDS, started_at__gte=start, started_at__lt=end
    )


def _with_corrections(actor: Actor, batch: list[LedgerEntry]) -> list[list[Row]]:
    corrections: dict[UUID, list[Row]] = defaultdict(list)
    found = LedgerEntry.objects.filter(
        org_id=actor.org.pk,
        kind="correction",
        started_at__gte=batch[0].started_at,
        started_at__lte=batch[-1].started_at,
        corrects__in=[call.id for call in batch],
    )
    for row in found.order_by("recorded_at", "id"):
        if row.corrects is not None:
            corrections[row.corrects].append(_as_row(row))
    return [[_as_row(call), *corrections[call.id]] for call in batch]


def _as_row(entry: LedgerEntry) -> Row:
    """As the stream carried it."""
    row = {name: getattr(entry, name) for name in _COLUMNS} | {"started_at_ms": to_ms(entry.started_at)}
    return {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}
