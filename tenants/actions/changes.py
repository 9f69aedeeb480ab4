"""Tells every proxy that an organisation has changed.

An organisation's ``version`` moves in the transaction of the change. After the commit the new version goes into the
``VERSIONS`` hash, where a proxy that was just started or cut off looks, and onto the ``CHANGES`` channel, where all
the others listen: they drop what they remember of the organisation at once.
"""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, cast
from uuid import UUID

from django.db import transaction
from django.db.models import F
from redis.exceptions import RedisError

from costhub.lib import redis as valkey
from costhub.lib.errors import NotFound
from costhub.lib.keyspace import ALL_KEYS, CHANGES, MAY_STOP, STOPS, VERSIONS, key_snapshot_key, org_snapshot_key
from costhub.lib.redis import client
from tenants.access import Actor, list_orgs, org_scope
from tenants.actions.audit import record
from tenants.models import Organization

_log = logging.getLogger(__name__)

#: fields by which calls are stopped
_STOPPING: Final = frozenset({"is_stopped", "is_blocked", "is_active"})

#: KEYS[1] the hash; ARGV organisation, version. Two commits may announce themselves in the wrong order.
_FORWARD = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known or #known < #ARGV[2] or (#known == #ARGV[2] and known < ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
"""


def publish(org: Organization, *, forget_keys: Iterable[bytes] = (), may_stop: bool = False) -> None:
    """Move the organisation's version, and announce it once the current transaction commits.

    ``forget_keys`` are the digests of API keys that changed themselves. ``may_stop``: calls may be refused for it that
    somebody wants stopped, so that no proxy makes do with an older version while PostgreSQL is away.
    """
    Organization.objects.filter(pk=org.pk).update(version=F("version") + 1)
    org.refresh_from_db(fields=["version"])
    transaction.on_commit(partial(_try_to_announce, org.pk, org.version, tuple(forget_keys), may_stop))


def apply_changes(
    actor: Actor,
    row: Any,
    new: dict[str, Any],
    *,
    hidden: frozenset[str] = frozenset(),
    forget_keys: Iterable[bytes] = (),
) -> bool:
    """``store_changes`` for what proxies know, and ``publish`` where any was made. All of it, or nothing."""
    with transaction.atomic():
        if has_changed := store_changes(actor, row, new, hidden=hidden):
            publish(actor.org, forget_keys=forget_keys, may_stop=not _STOPPING.isdisjoint(new))
    return has_changed


def store_changes(actor: Actor, row: Any, new: dict[str, Any], *, hidden: frozenset[str] = frozenset()) -> bool:
    """Store and audit the values of ``new`` that differ from the row's; says whether any did.

    All of it, or nothing when a constraint refuses (IntegrityError). Of ``hidden`` fields the audit log tells only that
    they changed. Raises NotFound for a row that somebody has deleted since it was read.
    """
    changed = {field: value for field, value in new.items() if getattr(row, field) != value}
    if not changed:
        return False
    told: dict[str, Any] = {
        field: "changed" if field in hidden else (getattr(row, field), value) for field, value in changed.items()
    }
    with transaction.atomic():
        if not type(row).objects.select_for_update().filter(pk=row.pk).values_list("pk"):
            raise NotFound(f"There is no such {row._meta.verbose_name}.")
        for field, value in changed.items():
            setattr(row, field, value)
        row.save(update_fields=list(changed))
        record(actor, "updated", row, **told)
    return True


def sync_versions() -> int:
    """Repair what Valkey knows of versions, after it was away or lost its memory. Gives the number of repairs."""
    # In this order: a version reaches Valkey after PostgreSQL, so only a lost or restored store can be ahead.
    hashed = cast(dict[bytes, bytes], client().hgetall(VERSIONS))
    announced = {key.decode(): int(value) for key, value in hashed.items()}
    stored = {str(org_id): version for org_id, _, version in list_orgs()}
    repairs = 0
    for org_id, version in stored.items():
        known = announced.get(org_id, 0)
        if known == version:
            continue
        repairs += 1
        # What changed is not known any more: all of the organisation's keys are read again, and it may be a stop.
        _announce(
            UUID(org_id), _overtake(org_id, known) if known > version else version, forgets_all=True, may_stop=True
        )
    gone = announced.keys() - stored.keys()
    if gone:
        client().hdel(VERSIONS, *gone)
        client().hdel(STOPS, *gone)
    return repairs + len(gone)


def _overtake(org_id: str, announced: int) -> int:
    """PostgreSQL was restored from an older state: proxies wait for a version above the one that they were told."""
    with org_scope(org_id):
        Organization.objects.filter(pk=org_id, version__lte=announced).update(version=announced + 1)
        return Organization.objects.get(pk=org_id).version


def _try_to_announce(org_id: UUID, version: int, forget_keys: tuple[bytes, ...], may_stop: bool) -> None:
    try:
        _announce(org_id, version, forget_keys, may_stop=may_stop)
    except RedisError:
        # The change stands; ``sync_versions`` makes up for it on its next run.
        _log.warning("change_not_announced", extra={"org": str(org_id), "version": version}, exc_info=True)


def _announce(
    org_id: UUID,
    version: int,
    forget_keys: tuple[bytes, ...] = (),
    *,
    forgets_all: bool = False,
    may_stop: bool = False,
) -> None:
    name = str(org_id)
    store = client()
    if may_stop:
        store.eval(_FORWARD, 1, STOPS, name, str(version))
    store.eval(_FORWARD, 1, VERSIONS, name, str(version))
    # One by one: on a cluster these keys live on different nodes.
    store.delete(org_snapshot_key(name))
    for digest in forget_keys:
        store.delete(key_snapshot_key(digest))
    digests = [ALL_KEYS] if forgets_all else [digest.hex() for digest in forget_keys]
    told = " ".join([name, str(version), *([MAY_STOP] if may_stop else []), *digests])
    valkey.publish(store, CHANGES, told, beside=VERSIONS)
