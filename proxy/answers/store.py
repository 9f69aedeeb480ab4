"""Kept answers in PostgreSQL. Every function blocks.

An answer is sealed with its organisation's data key: whoever has the database, or a backup of it, and not the master
key reads none, and nobody reads one of an organisation that was erased.

An answer is its project's: keys of other projects do not learn that there is one, nor do keys that are bound to another
end user. One that is replayed from a cache is kept by each caller for whom it was asked, under the same id.
"""

import zlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from costhub.lib import clock
from costhub.lib.secrets import UnusableCredential
from proxy.answers.model import StoredAnswer
from proxy.core import exact_json
from tenants.access import org_scope
from tenants.sealed_rows import Sealer, find_sealer
from tenants.snapshots import KeySnapshot

Json = dict[str, Any]

#: a longer one is not kept, as it is and packed: a thousand times as much may be packed into a few bytes
MAX_BYTES: Final = 32 * 1024 * 1024
MAX_PACKED_BYTES: Final = 4 * 1024 * 1024
#: whose an answer is, and what another of the same id makes anew
_CALLERS: Final = ("org_id", "project_id", "answer_id", "kind", "end_user")
_ANEW: Final = ("model", "metadata", "packed", "created_at", "expires_at")


class Kind(StrEnum):
    """The API that an answer was given by."""

    RESPONSE = "response"
    COMPLETION = "completion"


class Stored(NamedTuple):
    """An answer, the items or messages of its input, and what its caller wrote on it."""

    id: str
    answer: Json
    asked: list[Json]
    metadata: Json


class Wanted(NamedTuple):
    """Which answers are listed: those after one, of a model, with metadata, so many at most."""

    limit: int
    is_newest_first: bool = False
    after: str = ""
    model: str = ""
    metadata: Mapping[str, str] = {}


def keep(key: KeySnapshot, kind: Kind, stored: Stored, *, model: str, end_user: str, hours: int) -> bool:
    """Keep an answer for so long. Says whether it was short enough."""
    raw = exact_json.dumps([stored.answer, stored.asked])
    if len(raw) > MAX_BYTES:
        return False
    packed = zlib.compress(raw, 1)
    if len(packed) > MAX_PACKED_BYTES:
        return False
    now = clock.now()
    with org_scope(key.org_id):
        sealer = find_sealer(key.org_id)
    row = StoredAnswer(
        org_id=key.org_id,
        project_id=key.project_id,
        end_user=end_user,
        kind=kind.value,
        answer_id=stored.id,
        model=model,
        metadata=stored.metadata,
        packed=sealer.seal(_place_of(kind, stored.id), packed),
        created_at=now,
        expires_at=now + timedelta(hours=hours),
    )
    with org_scope(key.org_id):
        # Of an answer that was replayed to the same caller its last question counts, for as long as that is kept.
        StoredAnswer.objects.bulk_create([row], update_conflicts=True, unique_fields=_CALLERS, update_fields=_ANEW)
    return True


def find(key: KeySnapshot, kind: Kind, answer_id: str) -> Stored | None:
    """An answer that this key may see: of several end users' the last."""
    with org_scope(key.org_id):
        row = _latest(key, kind).filter(answer_id=answer_id).first()
        return None if row is None else _read(row, find_sealer(key.org_id))


def list_answers(key: KeySnapshot, kind: Kind, wanted: Wanted) -> tuple[list[Stored], bool]:
    """Answers in the order in which they were kept, and whether there are more."""
    with org_scope(key.org_id):
        rows = _latest(key, kind)
        if wanted.model:
            rows = rows.filter(model=wanted.model)
        if wanted.metadata:
            rows = rows.filter(metadata__contains=dict(wanted.metadata))
        if wanted.after:
            last = _latest(key, kind).filter(answer_id=wanted.after).values_list("id", flat=True).first()
            if last is None:
                return [], False
            rows = rows.filter(Q(id__lt=last) if wanted.is_newest_first else Q(id__gt=last))
        found = list(rows.order_by("-id" if wanted.is_newest_first else "id")[: wanted.limit + 1])
        sealer = find_sealer(key.org_id)
    answers = [_read(row, sealer) for row in found[: wanted.limit]]
    return [answer for answer in answers if answer is not None], len(found) > wanted.limit


def set_metadata(key: KeySnapshot, kind: Kind, answer_id: str, metadata: Json) -> Stored | None:
    """Replace an answer's metadata, and give the answer. None where there is no such answer."""
    with org_scope(key.org_id):
        row = _latest(key, kind).filter(answer_id=answer_id).first()
        if row is None:
            return None
        row.metadata = metadata
        row.save(update_fields=["metadata"])
        return _read(row, find_sealer(key.org_id))


def delete(key: KeySnapshot, kind: Kind, answer_id: str) -> bool:
    """Forget an answer. Says whether there was one."""
    with org_scope(key.org_id):
        gone, _ = _visible(key, kind).filter(answer_id=answer_id).delete()
    return gone > 0


def forget_expired(org_id: UUID) -> int:
    """Delete an organisation's answers whose time is over. Gives their number."""
    with org_scope(org_id):
        gone, _ = StoredAnswer.objects.filter(org_id=org_id, expires_at__lte=clock.now()).delete()
    return gone


def close_connection() -> None:
    """Let go of a thread's connection that has broken or grown old."""
    connection.close_if_unusable_or_obsolete()


def _visible(key: KeySnapshot, kind: Kind) -> "QuerySet[StoredAnswer]":
    rows = StoredAnswer.objects.filter(
        org_id=key.org_id, project_id=key.project_id, kind=kind.value, expires_at__gt=clock.now()
    )
    return rows.filter(end_user=key.end_user) if key.end_user else rows


def _latest(key: KeySnapshot, kind: Kind) -> "QuerySet[StoredAnswer]":
    """What this key sees, each id once: a key that is bound to nobody sees what several end users were told."""
    rows = _visible(key, kind)
    if key.end_user:
        return rows
    return rows.exclude(Exists(rows.filter(answer_id=OuterRef("answer_id"), id__gt=OuterRef("id"))))


def open_packed(sealer: Sealer, kind: str, answer_id: str, packed: bytes) -> bytes:
    """What ``packed`` of a row holds, as JSON: an answer and what it was asked. Raises UnusableCredential where it was
    sealed with another key, or for another row."""
    return zlib.decompress(sealer.open(_place_of(kind, answer_id), packed))


def _place_of(kind: str, answer_id: str) -> str:
    """What an answer is sealed for: moved into another one's row it does not open."""
    return f"kept {kind} {answer_id}"


def _read(row: StoredAnswer, sealer: Sealer) -> Stored | None:
    try:
        raw = open_packed(sealer, row.kind, row.answer_id, bytes(row.packed))
    except UnusableCredential:
        return None  # what cannot be opened is not there
    answer, asked = exact_json.loads_rounded(raw)
    return Stored(row.answer_id, answer, _list(asked), row.metadata)


def _list(asked: Any) -> list[Json]:
    items: Sequence[Any] = asked if isinstance(asked, list) else ()
    return [item for item in items if isinstance(item, dict)]
