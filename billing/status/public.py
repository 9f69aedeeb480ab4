"""The public page's address and what it answers, at no cost to anybody but who opens it.

The address holds the organisation, the page, and a proof that we made both: one that was made up is refused without a
look at anything. What a page says is kept for ``FRESH_SECONDS`` by every process and by Valkey, and one process at a
time makes it anew, while the others give what there was: a flood of readers costs as much as one.
"""

import base64
import binascii
import hmac
import logging
import threading
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

from billing.status.selectors import read_standings
from costhub.lib import clock
from costhub.lib.keyspace import status_page_key, status_turn_key
from costhub.lib.redis import client
from tenants.access import Actor, job_scope
from tenants.actions.changes import apply_changes
from tenants.choices import Permission
from tenants.models import Organization

_log = logging.getLogger(__name__)

#: what a page says is made anew after so long
FRESH_SECONDS: Final = 15
#: and given, while it is made again, for as long as this
_KEPT_SECONDS: Final = 300
#: each process asks nobody again for so long
_REMEMBERED_NS: Final = 3 * 1_000_000_000
_TURN_SECONDS: Final = 10
_PROOF_BYTES: Final = 16
_MOST_REMEMBERED: Final = 1_000
_LOCKS: Final = 64


@dataclass(frozen=True, slots=True)
class Address:
    """Whose page it is, and which: a new one has a new id."""

    org_id: UUID
    page_id: UUID

    @property
    def text(self) -> str:
        """As it stands in the page's address."""
        raw = self.org_id.bytes + self.page_id.bytes
        return base64.urlsafe_b64encode(raw + _prove(raw)).decode().rstrip("=")


def read_address(text: str) -> Address | None:
    """The address that we made; None for any other text."""
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, binascii.Error):
        return None
    told, proof = raw[:32], raw[32:]
    if len(told) != 32 or not hmac.compare_digest(proof, _prove(told)):
        return None
    found = Address(UUID(bytes=told[:16]), UUID(bytes=told[16:]))
    # Not every text that reads alike is the same: one page has one address.
    return found if found.text == text else None


def find_address(actor: Actor) -> str:
    """The address of the organisation's public page; empty while it has none. Raises Forbidden."""
    actor.check(Permission.READ)
    page_id = actor.org.status_page
    return Address(actor.org.pk, page_id).text if page_id is not None else ""


def open_page(*, actor: Actor) -> str:
    """Publish how the upstreams do, at a new address, which is given; one before it leads nowhere any more."""
    actor.check(Permission.WRITE_SETTINGS)
    _replace(actor, uuid4())
    return find_address(actor)


def close_page(*, actor: Actor) -> None:
    """Withdraw the public page: its address leads nowhere any more, within seconds."""
    actor.check(Permission.WRITE_SETTINGS)
    _replace(actor, None)


def _replace(actor: Actor, page_id: UUID | None) -> None:
    before = actor.org.status_page
    apply_changes(actor, actor.org, {"status_page": page_id}, hidden=frozenset({"status_page"}))
    if before is not None:
        transaction.on_commit(lambda: _forget(before))


def read_page(address: Address) -> dict[str, Any] | None:
    """What the page says: the organisation's name, its upstreams, and when that was so. None where there is no such
    page any more."""
    found = _remember(address.page_id)
    if found is None:
        with _making[address.page_id.int % _LOCKS]:
            # Whoever waited for the turn finds what was made meanwhile.
            found = _remember(address.page_id)
            if found is None:
                if len(_remembered) >= _MOST_REMEMBERED:
                    _remembered.clear()
                page = _read_kept(address)
                found = _remembered[address.page_id] = (clock.monotonic_ns() + _REMEMBERED_NS, page)
    return found[1]


def _remember(page_id: UUID) -> tuple[int, dict[str, Any] | None] | None:
    found = _remembered.get(page_id)
    return found if found is not None and clock.monotonic_ns() < found[0] else None


#: of this process: until when it asks nobody, and what the page says
_remembered: dict[UUID, tuple[int, dict[str, Any] | None]] = {}
#: one waits for another only at the same page, or hardly ever
_making = tuple(threading.Lock() for _ in range(_LOCKS))


def _read_kept(address: Address) -> dict[str, Any] | None:
    """What is kept while it is fresh, or while another process makes it anew; else made anew."""
    key = status_page_key(str(address.page_id))
    try:
        kept = client().get(key)
        page: dict[str, Any] | None = orjson.loads(kept) if isinstance(kept, bytes) else None
        age = clock.now().timestamp() - page["made_at"] if page is not None else None
        if page is not None and age is not None and age < FRESH_SECONDS:
            return page
        is_mine = client().set(status_turn_key(str(address.page_id)), "1", nx=True, ex=_TURN_SECONDS)
        if page is not None and not is_mine:
            return page
    except RedisError:
        # Each process then makes its own, every few seconds.
        _log.warning("status_page_not_kept")
    page = _make(address)
    try:
        if page is not None:
            client().set(key, orjson.dumps(page), ex=_KEPT_SECONDS)
        else:
            client().delete(key)
    except RedisError:
        _log.warning("status_page_not_kept")
    return page


def _make(address: Address) -> dict[str, Any] | None:
    now = clock.now()
    try:
        with job_scope(address.org_id) as actor:
            org = actor.org
            if org.status_page != address.page_id or not org.is_active:
                return None
            standings = [asdict(each) for each in read_standings(org, now)]
    except Organization.DoesNotExist:
        return None
    page = {"name": org.name, "time_zone": org.time_zone, "made_at": now.timestamp(), "upstreams": standings}
    # As it is after it was kept, so that nobody can tell whether it was.
    found: dict[str, Any] = orjson.loads(orjson.dumps(page))
    return found


def _forget(page_id: UUID) -> None:
    _remembered.pop(page_id, None)
    try:
        client().delete(status_page_key(str(page_id)))
    except RedisError:
        _log.warning("status_page_not_kept")


def _prove(told: bytes) -> bytes:
    return hmac.digest(settings.SECRET_KEY.encode(), b"status page " + told, "sha256")[:_PROOF_BYTES]
