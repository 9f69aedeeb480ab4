"""The servers of an upstream: typed by people, or registered by workers that come, drain and go."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from django.db import connection, transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField, NotFound
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.upstreams import check_base_url, seal_credential
from tenants.choices import Permission
from tenants.models import Upstream, UpstreamEndpoint

#: of one upstream
MOST_ENDPOINTS: Final = 256
MAX_WEIGHT: Final = 1_000
LEASE_SECONDS: Final = (5, 3_600)
MAX_NAME_CHARACTERS: Final = 120


def register_endpoint(
    *,
    actor: Actor,
    upstream: Upstream,
    base_url: str,
    name: str = "",
    credential: str | None = None,
    weight: int = 1,
    lease_seconds: int | None = None,
) -> UpstreamEndpoint:
    """A server that takes calls of an upstream from now on. One that is registered already, by its URL, takes them
    again if it was draining, and is as it is said now.

    With ``lease_seconds`` it is gone unless it renews that in time. The upstream's own credential is for its own
    origin, and never sent to an endpoint.

    Raises InvalidField or BlockedAddress for what may not be called, Conflict where there are too many.
    """
    actor.check(Permission.WRITE_SETTINGS)
    target = check_base_url(base_url)
    if credential is not None:
        actor.check_fresh()
    values: dict[str, Any] = {
        "name": _check_name(name),
        "origin": target.origin,
        "weight": _check_weight(weight),
        "is_draining": False,
        "lease_until": _lease(lease_seconds),
        "credential": _seal(actor, target.origin, credential),
    }
    base_url = base_url.rstrip("/")
    with transaction.atomic():
        # One after the other: the upstream's row is the lock.
        Upstream.objects.select_for_update().get(pk=upstream.pk)
        known = UpstreamEndpoint.objects.filter(org=actor.org, upstream=upstream, ended_at=None)
        # Locked: a job may be ending it.
        endpoint = known.filter(base_url=base_url).select_for_update().first()
        if endpoint is None:
            if known.count() >= MOST_ENDPOINTS:
                raise Conflict(f"This upstream has {MOST_ENDPOINTS} endpoints: remove one first.")
            endpoint = UpstreamEndpoint(org=actor.org, upstream=upstream, base_url=base_url, **values)
            endpoint.save(force_insert=True)
            record(actor, "created", endpoint, upstream=upstream.name, base_url=base_url, weight=weight)
        else:
            for field, value in values.items():
                setattr(endpoint, field, value)
            endpoint.save()
            record(actor, "registered", endpoint, upstream=upstream.name, base_url=base_url, weight=weight)
        publish(actor.org)
    return endpoint


def update_endpoint(*, actor: Actor, endpoint: UpstreamEndpoint, **changes: Any) -> UpstreamEndpoint:
    """Give it another share, name or credential, have it drain or take calls again, or renew its lease; ``changes`` are
    ``register_endpoint``'s arguments but its URL, and ``is_draining``. ``credential=None`` forgets the credential.

    Proxies hear of a change at once, but for a lease: that is nobody's business but the job's that ends those which
    have run out. Raises InvalidField, StaleSession for a credential, and NotFound for one that is gone by now.
    """
    actor.check(Permission.WRITE_SETTINGS)
    new: dict[str, Any] = {}
    if "name" in changes:
        new["name"] = _check_name(changes["name"])
    if "weight" in changes:
        new["weight"] = _check_weight(changes["weight"])
    if "is_draining" in changes:
        new["is_draining"] = changes["is_draining"]
    if "credential" in changes:
        actor.check_fresh()
        new["credential"] = _seal(actor, endpoint.origin, changes["credential"])
    with transaction.atomic():
        # Locked: nobody ends it meanwhile.
        rows = UpstreamEndpoint.objects.select_for_update().filter(org=actor.org, pk=endpoint.pk, ended_at=None)
        if (locked := rows.first()) is None:
            raise NotFound("There is no such upstream endpoint.")
        if "lease_seconds" in changes:
            locked.lease_until = _lease(changes["lease_seconds"])
            locked.save(update_fields=["lease_until"])
        apply_changes(actor, locked, new, hidden=frozenset({"credential"}))
    return locked


def end_endpoint(*, actor: Actor, endpoint: UpstreamEndpoint, at: datetime | None = None) -> None:
    """It takes no calls any more, from ``at`` (now) on: its GPUs' hours end then. Calls that it has by now go on."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        endpoint.ended_at = at or clock.now()
        # Where somebody has ended it meanwhile, its hours have ended with it: that end stays.
        if UpstreamEndpoint.objects.filter(pk=endpoint.pk, ended_at=None).update(ended_at=endpoint.ended_at):
            record(actor, "deleted", endpoint, base_url=endpoint.base_url)
            publish(actor.org)


def end_lapsed(org_id: UUID) -> int:
    """End the endpoints whose lease has run out: nobody has heard of them. Gives their number."""
    with job_scope(org_id) as actor:
        lapsed = UpstreamEndpoint.objects.filter(org=actor.org, ended_at=None, lease_until__lt=clock.now())
        rows = list(lapsed.select_for_update(skip_locked=True))
        for endpoint in rows:
            end_endpoint(actor=actor, endpoint=endpoint, at=endpoint.lease_until)
        return len(rows)


def list_ended(actor: Actor) -> dict[UUID, datetime]:
    """When endpoints ended that are not forgotten yet, by their ids."""
    rows = UpstreamEndpoint.objects.filter(org=actor.org, ended_at__isnull=False)
    return {row.pk: row.ended_at for row in rows if row.ended_at is not None}


def forget_ended(actor: Actor, endpoints: Iterable[UUID]) -> None:
    """Forget endpoints of ``list_ended``, when nobody needs to know any more when they did."""
    UpstreamEndpoint.objects.filter(org=actor.org, pk__in=list(endpoints), ended_at__isnull=False).delete()


def list_endpoint_orgs() -> list[UUID]:
    """The organisations with endpoints that have a lease, or ended; their rows stay closed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id FROM costhub_endpoint_orgs() ORDER BY org_id")
        return [org_id for (org_id,) in cursor.fetchall()]


def _seal(actor: Actor, origin: str, credential: str | None) -> bytes | None:
    return None if credential is None else cast(bytes, seal_credential(actor, origin, credential)["credential"])


def _lease(seconds: int | None) -> datetime | None:
    if seconds is None:
        return None
    low, high = LEASE_SECONDS
    if not low <= seconds <= high:
        raise InvalidField(f"Give from {low} to {high:,} seconds.", field="lease_seconds")
    return clock.now() + timedelta(seconds=seconds)


def _check_name(name: str) -> str:
    if len(name) > MAX_NAME_CHARACTERS or not (name.isprintable() or not name):
        raise InvalidField(f"Give at most {MAX_NAME_CHARACTERS} visible characters.", field="name")
    return name


def _check_weight(weight: int) -> int:
    if not 1 <= weight <= MAX_WEIGHT:
        raise InvalidField(f"Give a whole number from 1 to {MAX_WEIGHT:,}.", field="weight")
    return weight
