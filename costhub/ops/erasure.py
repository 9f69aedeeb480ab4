"""An organisation goes, and all that is known of it: its rows, what Valkey holds, files, people of no other one.

First it is closed: no call and no page is answered for it any more, and its data key is overwritten, so that what is
sealed stays closed wherever a copy of it lies. Whoever was killed begins again, and does the rest.

Where backups are kept is noted who was erased, outside of them all: whoever brings one back erases them again.

What is not erased: backups and write-ahead logs, which run out, and lines of logs, which name ids alone.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

import orjson
import redis
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connections, transaction
from django.db.models import Q

from billing.invoices.actions.closing import issuing_turn
from billing.invoices.actions.packs import packs_folder
from billing.invoices.models import Invoice, Subscription
from costhub.lib import clock, keyspace
from costhub.lib.database import turn_held
from costhub.lib.errors import AppError, Conflict, InvalidField, NotFound
from costhub.lib.objects import Objects
from costhub.lib.redis import client, connect
from costhub.lib.secrets import make_data_key
from costhub.ops.owners import check_owner
from costhub.ops.tenant_tables import OWNER, list_tenant_tables
from costhub.stack.backup.store import BackupFailed, BackupStore
from proxy.batches.model import StoredFile
from proxy.cache.valkey_cache import find_call
from proxy.learning.checkpoints import Checkpoints, StoreFailed, open_store
from proxy.learning.models import ProviderTuning, TrainingJob
from proxy.learning.provider_tuning import UNDER_WAY
from proxy.tasks import drain_ledger
from tenants.access import Actor, find_uuid, org_scope
from tenants.actions.audit import record
from tenants.actions.changes import publish
from tenants.models import Organization, User
from tenants.route_snapshots import name_comparison_budget

_log = logging.getLogger(__name__)

#: what is never changed, by triggers that hold for the owner too
_GUARDED: Final = ("billing_invoice", "billing_invoiceline")
#: they say who the people are, and which customer of Stripe's the organisation is
_ASKED_LAST: Final = ("tenants_membership", "billing_billingaccount")
#: an id or a digest in the name of a key
_ID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{64}")
_ASKED_AT_ONCE: Final = 1_000


class CallsUnderWay(Conflict):
    """Money is held for calls or batches that have not ended: what they cost would come when nobody pays it."""

    code = "calls_under_way"


class InvoicesRemain(Conflict):
    """There are issued invoices, which the law wants kept for years, and nobody said that they are kept elsewhere."""

    code = "invoices_remain"


class FilesMissing(Conflict):
    """Files are known and none of them is in the store: it is another one than the files were written to."""

    code = "files_missing"


class TuningsUnderWay(Conflict):
    """A provider trains on the organisation's examples, or still has a file of them."""

    code = "tunings_under_way"


class CheckpointsUnknown(Conflict):
    """Training has kept checkpoints, made of what people said, and nobody says where."""

    code = "checkpoints_unknown"


@dataclass(frozen=True, slots=True)
class Erased:
    """How much went: rows by table, keys of Valkey, objects in stores (files, finance packs, checkpoints), and people
    who belonged to no other organisation."""

    rows: dict[str, int]
    keys: int
    files: int
    people: int


def erase_organization(slug: str, *, invoices_are_kept_elsewhere: bool = False, files_are_gone: bool = False) -> Erased:
    """Erase the organisation called ``slug``.

    Raises NotFound, InvoicesRemain, FilesMissing, TuningsUnderWay, CheckpointsUnknown and StoreUnavailable before
    anything has happened, and CallsUnderWay once it is closed: no new call is taken then, and the next try finds those
    under way ended.
    """
    org = Organization.objects.using(OWNER).filter(slug=slug).first()
    if org is None:
        raise NotFound("There is no such organisation.")
    with turn_held(issuing_turn(org.pk), OWNER):
        if not invoices_are_kept_elsewhere and _count_issued(org.pk):
            raise InvoicesRemain(
                f"{org.name} has issued invoices: export it first, and say that they are kept elsewhere."
            )
        if not files_are_gone:
            _check_files(org)
        if org.is_active:
            _check_tunings(org, OWNER)
        jobs = _list_training_jobs(org, OWNER)
        return _erase(org, jobs)


def erase_again(org_ids: Iterable[UUID]) -> list[UUID]:
    """Erase the rows of organisations that a restored database knows again. Gives those that were there."""
    found = []
    for org in Organization.objects.using(OWNER).filter(pk__in=list(org_ids)):
        _delete_rows(org)
        found.append(org.pk)
    return found


def ask_for_erasure(*, actor: Actor, confirm: str) -> None:
    """Close the actor's organisation for ever, and have a job erase it. For an owner who has just signed in;
    ``confirm`` is its short name.

    Raises Forbidden, StaleSession, InvalidField for another name, InvoicesRemain, TuningsUnderWay, and
    CheckpointsUnknown.
    """
    check_owner(actor)
    org = actor.org
    if confirm.strip() != org.slug:
        raise InvalidField(f"Type {org.slug} to erase {org.name} for ever.", field="confirm")
    if Invoice.objects.filter(org=org).exclude(number="").exists():
        raise InvoicesRemain(
            f"{org.name} has issued invoices, which the law wants kept for years: ask the operator to erase it."
        )
    if Subscription.objects.filter(org=org).exists():
        raise InvoicesRemain(
            f"{org.name} has a plan, and usage that is not invoiced yet: ask the operator to erase it."
        )
    _check_tunings(org)
    _list_training_jobs(org)
    with transaction.atomic():
        record(actor, "erasure_asked", org)
        _close(org.pk)
        Organization.objects.filter(pk=org.pk).update(erasure_asked_at=clock.now())


def erase_departed() -> int:
    """Erase the organisations whose owners asked for it. Gives how many; one with calls under way waits for its turn
    after them."""
    asked = Organization.objects.using(OWNER).filter(erasure_asked_at__isnull=False).order_by("erasure_asked_at")
    erased = 0
    for slug in list(asked.values_list("slug", flat=True)):
        try:
            erase_organization(slug)
        except (AppError, StoreFailed, BackupFailed) as error:
            _log.warning("an organisation is not erased yet", extra={"slug": slug, "reason": str(error)})
        else:
            erased += 1
    return erased


def _erase(org: Organization, jobs: list[UUID]) -> Erased:
    _close(org.pk)
    drain_ledger()
    if holds := _count_holds(org):
        raise CallsUnderWay(
            f"{org.name} is closed, and {holds} calls or batches are still under way: try again when they have ended."
        )
    if settings.BACKUP_URL:
        BackupStore(settings.BACKUP_URL).note_erased(org.pk, clock.now())
    files = asyncio.run(_delete_files(org.pk))
    # So that whoever goes on after an interruption misses none.
    StoredFile.objects.using(OWNER).filter(org_id=org.pk).delete()
    files += _forget_checkpoints(jobs)
    keys = _forget_keys(org)
    rows, people = _delete_rows(org)
    # A worker that was training wrote on until its job was gone.
    files += _forget_checkpoints(jobs)
    _log.warning("an organisation was erased", extra={"org": str(org.pk), "rows": sum(rows.values())})
    return Erased(rows, keys, files, people)


def _close(org_id: UUID) -> None:
    with org_scope(org_id):
        org = Organization.objects.select_for_update().get(pk=org_id)
        Organization.objects.filter(pk=org_id).update(
            is_active=False, data_key=make_data_key(settings.MASTER_KEYS, str(org_id))
        )
        publish(org, may_stop=True)


def _count_issued(org_id: UUID) -> int:
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM billing_invoice WHERE org_id = %s AND number <> ''", [org_id])
        return int(cursor.fetchone()[0])


def _count_holds(org: Organization) -> int:
    store, found = client(), 0
    for hold_id in cast("list[bytes]", store.zrange(keyspace.leases_key(org.shard), 0, -1)):
        row = cast("bytes | None", store.hget(keyspace.hold_key(org.shard, hold_id.decode()), "row"))
        found += row is not None and orjson.loads(row).get("org_id") == str(org.pk)
    return found


def _check_files(org: Organization) -> None:
    """Who has forgotten to say where files are would be told that they are erased."""
    known = StoredFile.objects.using(OWNER).filter(org_id=org.pk).count()
    if known and not asyncio.run(Objects(settings.FILES_URL).list_below(str(org.pk))):
        raise FilesMissing(
            f"{org.name} has {known} files, and none of them is in {settings.FILES_URL}. Set COSTHUB_FILES_URL to what "
            "the proxies and workers have, or say that the files are gone."
        )


async def _delete_files(org_id: UUID) -> int:
    objects, gone = Objects(settings.FILES_URL), 0
    for folder in (str(org_id), packs_folder(org_id)):
        for path in await objects.list_below(folder):
            await objects.delete(path)
            gone += 1
    return gone


def _check_tunings(org: Organization, database: str = "default") -> None:
    """Once the organisation is closed nothing opens its credential at the provider any more."""
    with_provider = ProviderTuning.objects.using(database).filter(Q(state__in=UNDER_WAY) | ~Q(remote_file=""), org=org)
    if names := ", ".join(with_provider.values_list("name", flat=True)):
        raise TuningsUnderWay(
            f"A provider trains on examples of {org.name}, or has a file of them ({names}): cancel it, and try again when"
            " the file is deleted there."
        )


def _list_training_jobs(org: Organization, database: str = "default") -> list[UUID]:
    """Those that a worker has begun."""
    jobs = list(TrainingJob.objects.using(database).filter(org=org, fence__gt=0).values_list("pk", flat=True))
    if jobs and not settings.CHECKPOINTS_URL:
        raise CheckpointsUnknown(
            f"{org.name} has had {len(jobs)} trainings, which may have left checkpoints: set COSTHUB_CHECKPOINTS_URL to "
            "what the training workers have."
        )
    return jobs


def _forget_checkpoints(jobs: Iterable[UUID]) -> int:
    gone = 0
    for job in jobs:
        gone += Checkpoints(open_store(settings.CHECKPOINTS_URL), str(job), fence=0).forget()
    return gone


def _forget_keys(org: Organization) -> int:
    """Every key of Valkey's that is named for the organisation or for a row of it, and its part of those of all."""
    store = client()
    names = {str(org.pk).encode(), *_list_names(org.pk)}
    gone = sum(store.delete(key) for key in store.scan_iter(count=1_000) if names & set(_ID.findall(key)))
    store.hdel(keyspace.VERSIONS, str(org.pk))
    store.hdel(keyspace.STOPS, str(org.pk))
    return gone + _forget_captured(store, org.pk) + forget_answers(org.pk)


def _list_names(org_id: UUID) -> Iterator[bytes]:
    """By which keys are named: ids of budgets and keys, digests of keys, ids of responses in the background; the
    budgets of routes' comparisons are no rows."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT id, encode(digest, 'hex') FROM tenants_apikey WHERE org_id = %s", [org_id])
        for row_id, digest in cursor.fetchall():
            yield from (str(row_id).encode(), str(digest).encode())
        cursor.execute("SELECT id FROM tenants_budget WHERE org_id = %s", [org_id])
        yield from (str(row_id).encode() for (row_id,) in cursor.fetchall())
        cursor.execute("SELECT custom_id FROM proxy_batchline WHERE org_id = %s AND is_background", [org_id])
        yield from (name.encode() for (name,) in cursor.fetchall())
        cursor.execute("SELECT id FROM tenants_route WHERE org_id = %s", [org_id])
        yield from (name_comparison_budget(row_id).encode() for (row_id,) in cursor.fetchall())


def _forget_captured(store: "redis.Redis", org_id: UUID) -> int:
    gone = 0
    for entry_id, fields in cast("list[Any]", store.xrange(keyspace.CAPTURED)):
        if orjson.loads(fields[b"h"]).get("org") == str(org_id):
            gone += store.xdel(keyspace.CAPTURED, entry_id)
    return gone


def forget_answers(org_id: UUID, end_user: str | None = None) -> int:
    """Forget the answers in Valkey that calls of an organisation, or of one end user of it, have brought. They say
    which call it was, and are named by digests of which nobody can tell whose they are."""
    store, waiting, kept, gone = connect(settings.CACHE_URL, protocol=3), dict[str, list[bytes]](), 0, 0
    try:
        for key in store.scan_iter(keyspace.cached_key(b"").replace("{}", "*"), count=1_000):
            call_id = find_call(cast("bytes | None", store.get(key)) or b"")
            if call_id is not None and find_uuid(call_id) is not None:
                # Of a call for embeddings each input is kept by itself.
                waiting.setdefault(call_id, []).append(key)
                kept += 1
            if kept >= _ASKED_AT_ONCE:
                gone += _forget_those_of(store, waiting, org_id, end_user)
                waiting, kept = {}, 0
        return gone + _forget_those_of(store, waiting, org_id, end_user)
    finally:
        store.close()


def _forget_those_of(store: "redis.Redis", keys: dict[str, list[bytes]], org_id: UUID, end_user: str | None) -> int:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT id::text FROM proxy_ledgerentry WHERE org_id = %s AND id = ANY (%s::uuid[])"
            " AND (%s::text IS NULL OR end_user = %s)",
            [org_id, list(keys), end_user, end_user],
        )
        found = [key for (call_id,) in cursor.fetchall() for key in keys[call_id]]
        return store.delete(*found) if found else 0


def _delete_rows(org: Organization) -> tuple[dict[str, int], int]:
    gone: Counter[str] = Counter()
    tables = list_tenant_tables()
    # The large ones, each by itself: nobody waits for locks of theirs while the rest goes.
    apart = [table.name for table in tables if not table.is_referred_to and table.name not in _GUARDED + _ASKED_LAST]
    for name in apart:
        with as_owner() as cursor:
            gone[name] = _delete(cursor, name, org.pk)
    with as_owner() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for name in _GUARDED:
            cursor.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        people, customers = _list_people(cursor, org.pk), _list_customers(cursor, org.pk)
        for name in [table.name for table in tables]:
            gone[name] += _delete(cursor, name, org.pk)
        cursor.execute("DELETE FROM proxy_deadletter WHERE position(%s in event) > 0", [str(org.pk)])
        gone["proxy_deadletter"] = cursor.rowcount
        for told in (str(org.pk), *customers):
            cursor.execute(
                "DELETE FROM billing_stripeevent WHERE customer = %s OR position(%s::bytea in body) > 0",
                [told, told.encode()],
            )
            gone["billing_stripeevent"] += cursor.rowcount
        cursor.execute("DELETE FROM tenants_organization WHERE id = %s", [org.pk])
        gone["tenants_organization"] = cursor.rowcount
        # A trigger is switched on again once nothing is waiting for the end of the transaction.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for name in _GUARDED:
            cursor.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")
        forgotten = _forget_people(people)
    return {name: rows for name, rows in gone.items() if rows}, forgotten


@contextmanager
def as_owner() -> Iterator[Any]:
    """A transaction of the tables' owner that takes as long as it takes."""
    with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        yield cursor


def _delete(cursor: Any, table: str, org_id: UUID) -> int:
    cursor.execute(f'DELETE FROM "{table}" WHERE org_id = %s', [org_id])  # noqa: S608 - the database's own name
    return int(cursor.rowcount)


def _list_people(cursor: Any, org_id: UUID) -> list[int]:
    cursor.execute("SELECT user_id FROM tenants_membership WHERE org_id = %s", [org_id])
    return [user_id for (user_id,) in cursor.fetchall()]


def _list_customers(cursor: Any, org_id: UUID) -> list[str]:
    cursor.execute(
        "SELECT stripe_customer FROM billing_billingaccount WHERE org_id = %s AND stripe_customer <> ''", [org_id]
    )
    return [str(customer) for (customer,) in cursor.fetchall()]


def _forget_people(user_ids: Iterable[int]) -> int:
    """Those who belong to no other organisation and operate nothing, with their sign-ins and second factors."""
    alone = User.objects.using(OWNER).filter(
        pk__in=list(user_ids), memberships=None, is_platform_operator=False, is_superuser=False
    )
    ids = list(alone.values_list("pk", flat=True))
    sessions = UserSession.objects.using(OWNER).filter(user__in=ids).values_list("session_key", flat=True)
    Session.objects.using(OWNER).filter(session_key__in=list(sessions)).delete()
    User.objects.using(OWNER).filter(pk__in=ids).delete()
    return len(ids)
