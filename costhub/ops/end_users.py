"""One end user of an organisation's: all that is kept of their calls, to be taken along or forgotten.

What they said and were told goes: kept answers, captured calls, what was learned from them, answers and questions of
the cache, files, batches and deferred calls of theirs. What was paid stays, with the id that the organisation gave
them: a bill must be right. Of a file in which an application put several people's calls nothing is cut out: whoever
handed it in deletes it, by ``DELETE /v1/files``.

Where backups are kept is noted who was erased, outside of them all: whoever brings one back erases them again.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connections, transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField, NotFound
from costhub.lib.objects import Objects
from costhub.ops.erasure import as_owner, forget_answers
from costhub.ops.tenant_tables import OWNER
from costhub.stack.backup.store import BackupStore, ErasedEndUser, digest_of_end_user
from proxy.batches.ids import object_path, upstream_path
from proxy.batches.sealed_files import delete_file
from proxy.batches.store import OPEN
from proxy.learning.capture import store_captured
from proxy.learning.unlearning import forget_end_user
from proxy.tasks import drain_ledger
from tenants.access import job_scope
from tenants.actions.audit import record
from tenants.actions.cache import purge_cache
from tenants.actions.end_users import update_end_user
from tenants.choices import PurgeKind
from tenants.models import AuditEntry, EndUser, Organization

_log = logging.getLogger(__name__)

_CALLS: Final = "SELECT id FROM proxy_ledgerentry WHERE org_id = %(org)s AND end_user = %(end_user)s"
_THEIRS: Final = "end_user = %(end_user)s"
_OF_A_CALL: Final = f"request_id IN ({_CALLS})"
#: which rows of a table are one end user's. A table that names them, or a call, is here or in a test's list of others
WHOSE: Final[dict[str, str]] = {
    "proxy_batch": _THEIRS,
    "proxy_batchline": "batch_id IN (SELECT id FROM proxy_batch WHERE org_id = %(org)s AND end_user = %(end_user)s)",
    "proxy_cacheentry": f"id IN ({_CALLS})",
    "proxy_cachelookup": _OF_A_CALL,
    "proxy_capturedcall": _THEIRS,
    "proxy_feedback": _OF_A_CALL,
    "proxy_learnedexample": _THEIRS,
    "proxy_ledgerentry": _THEIRS,
    "proxy_routelabel": _OF_A_CALL,
    "proxy_storedanswer": _THEIRS,
    "proxy_storedfile": _THEIRS,
    "tenants_enduser": "external_id = %(end_user)s",
}
#: what is deleted here, in this order; learning forgets its own, and what stays is what was paid
_DELETED: Final = (
    *("proxy_cacheentry", "proxy_cachelookup", "proxy_routelabel", "proxy_feedback", "proxy_storedanswer"),
    *("proxy_batchline", "proxy_batch", "proxy_storedfile"),
)
#: where an end user is named whom a journal names by a digest alone
_NAMED: Final = {table: "end_user" for table, whose in WHOSE.items() if whose == _THEIRS} | {
    "tenants_enduser": "external_id"
}
_ERASED: Final = "erased_end_user"


class BatchesUnderWay(Conflict):
    """Batches of the end user have not ended."""

    code = "batches_under_way"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much went: rows by table, answers in Valkey, and files."""

    rows: dict[str, int]
    answers: int
    files: int


def erase_end_user(slug: str, end_user: str) -> Forgotten:
    """Erase what is kept of one end user's calls. Their later calls are kept as any.

    Raises NotFound, InvalidField for an empty name, BatchesUnderWay and StoreUnavailable before anything has happened.
    Whoever was killed begins again, and does the rest.
    """
    org = Organization.objects.using(OWNER).filter(slug=slug).first()
    if org is None:
        raise NotFound("There is no such organisation.")
    if not end_user:
        raise InvalidField("Say whose calls are meant.", field="end_user")
    who = {"org": org.pk, "end_user": end_user}
    # Which calls were theirs is what the ledger knows; what was kept of them may still be on its way.
    drain_ledger()
    while store_captured():
        pass
    if under_way := _count_open(who):
        raise BatchesUnderWay(f"{under_way} batches of {end_user} are under way: cancel them, or try again later.")
    if settings.BACKUP_URL:
        BackupStore(settings.BACKUP_URL).note_erased_end_user(org.pk, end_user, clock.now())
    files = asyncio.run(_delete_files(org.pk, _list_file_ids(who), _list_batch_ids(who)))
    answers = forget_answers(org.pk, end_user)
    return Forgotten(_forget_rows(org.pk, end_user, files), answers, files)


def erase_end_users_again(noted: Iterable[ErasedEndUser]) -> int:
    """Erase the rows of end users that a restored database knows again; gives how many these were. What it knows to
    have been erased stays as it is: it may be of calls that came later."""
    wanted: dict[UUID, dict[str, datetime]] = {}
    for one in noted:
        wanted.setdefault(one.org_id, {})[one.digest] = one.at
    count = 0
    for org in Organization.objects.using(OWNER).filter(pk__in=list(wanted)):
        erased_at = wanted[org.pk]
        for end_user in _list_named(org.pk):
            at = erased_at.get(digest_of_end_user(org.pk, end_user))
            if at is not None and not _is_known_erased(org.pk, end_user, at):
                _forget_rows(org.pk, end_user, files=0)
                count += 1
    return count


def _list_named(org_id: UUID) -> list[str]:
    """Everybody whom a row of an organisation names."""
    each = [
        f"SELECT {column} FROM {table} WHERE org_id = %(org)s AND {column} <> ''"  # noqa: S608 - constants
        for table, column in _NAMED.items()
    ]
    with as_owner() as cursor:
        cursor.execute(" UNION ".join(each), {"org": org_id})
        return sorted(name for (name,) in cursor.fetchall())


def _is_known_erased(org_id: UUID, end_user: str, at: datetime) -> bool:
    """Whether the audit log has the entry that ends an erasure which began at ``at``, or a later one."""
    entries = AuditEntry.objects.using(OWNER).filter(org_id=org_id, action__endswith=f".{_ERASED}")
    return entries.filter(created_at__gte=at, changes__end_user=end_user).exists()


def _forget_rows(org_id: UUID, end_user: str, files: int) -> dict[str, int]:
    """Delete what rows keep of an end user. Gives how many of which table."""
    who = {"org": org_id, "end_user": end_user}
    rows = _forget_learned(org_id, end_user)
    with as_owner() as cursor:
        # Who asked something like it left their question beside another's.
        cursor.execute(
            f"UPDATE proxy_cachelookup SET kept_question = '' WHERE org_id = %(org)s AND entry_id IN ({_CALLS})",  # noqa: S608 - constants
            who,
        )
        for table in _DELETED:
            cursor.execute(f"DELETE FROM {table} WHERE org_id = %(org)s AND {WHOSE[table]}", who)  # noqa: S608 - constants
            rows[table] = cursor.rowcount
    rows = {table: count for table, count in rows.items() if count}
    with job_scope(org_id) as owner, transaction.atomic():
        if known := EndUser.objects.filter(org=owner.org, external_id=end_user).exclude(name="").first():
            update_end_user(actor=owner, end_user=known, name="")
        # What a process has in memory, of whichever answer, it gives to nobody any more.
        purge_cache(actor=owner, kind=PurgeKind.ALL)
        record(owner, _ERASED, owner.org, end_user=end_user, rows=sum(rows.values()), files=files)
    _log.warning("an end user was erased", extra={"org": str(org_id), "rows": sum(rows.values())})
    return rows


def _forget_learned(org_id: UUID, end_user: str) -> dict[str, int]:
    with job_scope(org_id) as owner:
        erased = forget_end_user(actor=owner, end_user=end_user)
    return {"proxy_capturedcall": erased.calls, "proxy_learnedexample": erased.examples}


def _count_open(who: dict[str, Any]) -> int:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM proxy_batch WHERE org_id = %(org)s AND {_THEIRS} AND status = ANY (%(open)s)",  # noqa: S608 - constants
            who | {"open": list(OPEN)},
        )
        return int(cursor.fetchone()[0])


def _list_file_ids(who: dict[str, Any]) -> list[UUID]:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"SELECT id FROM proxy_storedfile WHERE org_id = %(org)s AND {_THEIRS}", who)  # noqa: S608 - constants
        return [file_id for (file_id,) in cursor.fetchall()]


def _list_batch_ids(who: dict[str, Any]) -> list[UUID]:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"SELECT id FROM proxy_batch WHERE org_id = %(org)s AND {_THEIRS}", who)  # noqa: S608 - constants
        return [batch_id for (batch_id,) in cursor.fetchall()]


async def _delete_files(org_id: UUID, file_ids: list[UUID], batch_ids: list[UUID]) -> int:
    objects = Objects(settings.FILES_URL)
    for file_id in file_ids:
        await delete_file(objects, object_path(org_id, file_id))
    for batch_id in batch_ids:
        # What a worker that died while it handed a batch on has left.
        await delete_file(objects, upstream_path(org_id, batch_id))
    return len(file_ids)
