"""What a process knows of keys and organisations: snapshots in memory, in Valkey, in PostgreSQL, in that order.

Every change of a tenant moves the version of its organisation. Versions are announced (``announcements``), and come
whole whenever the subscription was interrupted; an organisation's snapshot that is older than its version is not used.
A key changes more rarely than its organisation, and there are many: one in memory is used until a change names it,
until the subscription was interrupted, or until others need its room (``shelf``). Where nothing was heard for a second,
a call asks for its organisation's version itself: of Valkey, and of PostgreSQL where that part of Valkey is away, which
of a cluster may be no other one. What nobody can tell to be current is not used.

While PostgreSQL is away an older snapshot is made do with, but for one from before a version that may have stopped
calls. Keys that were never met are looked for apart from all this (``new_keys``).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import RLock
from typing import Any, Final, TypeVar, cast

from django.db import Error as AnyDatabaseError
from django.db import connections
from redis.exceptions import RedisError

from costhub.lib import clock, keyspace
from costhub.lib.database import keep_connection
from costhub.lib.redis import connect_async
from proxy.edges.announcements import Announcements, Change, Versions
from proxy.edges.new_keys import NewKeys
from proxy.edges.shelf import Shelf
from proxy.errors import GovernanceUnavailable
from tenants.open_keys import OPEN_KEYS
from tenants.selectors import load_key_snapshot, load_org_snapshot, load_org_version
from tenants.snapshots import KeySnapshot, OrgSnapshot

_log = logging.getLogger(__name__)

#: What a process remembers of both, as JSON; in memory it takes two to three times as much. A key has about 320 bytes:
#: so 50,000 of them, and as many organisations as have 32 MiB of models, prices and budgets.
MOST_BYTES_OF_KEYS: Final = 16 * 1024 * 1024
MOST_BYTES_OF_ORGS: Final = 32 * 1024 * 1024
_MAX_UNKNOWN: Final = 10_000
#: a key that nobody has is asked for again after so long, if no change is announced before
_UNKNOWN_FOR_NS: Final = 10_000_000_000
#: as long as nothing may be heard before a version is asked for
_TOLD_FOR_NS: Final = 1_000_000_000
_MAX_TOLD: Final = 10_000
_SUBSCRIBED_WITHIN_SECONDS: Final = 2.0
#: a database that does not answer within this is as good as away
DATABASE_SECONDS: Final = 2.0
#: how often a snapshot is read that is out of date when it comes
_TRIES: Final = 3

_AWAY: Final = (AnyDatabaseError, TimeoutError)

Value = TypeVar("Value")
Snapshot = TypeVar("Snapshot", KeySnapshot, OrgSnapshot)


class Catalog:
    """Snapshots of the tenants that this process serves."""

    def __init__(self, redis_url: str) -> None:
        self._redis = connect_async(redis_url, seconds=1)
        self._keys: Shelf[bytes, KeySnapshot] = Shelf(MOST_BYTES_OF_KEYS)
        self._orgs: Shelf[str, OrgSnapshot] = Shelf(MOST_BYTES_OF_ORGS)
        # Keys that nobody has: until which moment that is believed, the oldest first.
        self._unknown: dict[bytes, int] = {}
        # Written by the thread that listens, too.
        self._versions: dict[str, int] = {}
        self._stops: dict[str, int] = {}
        self._noting = RLock()
        self._changes = 0
        # Each organisation's version when the subscription began: since then a key's changes are told by its digest.
        self._subscribed_at: dict[str, int] = {}
        # Until which moment a version that PostgreSQL has told is as good as one that was heard.
        self._told_until: dict[str, int] = {}
        self._loading: dict[bytes | str, asyncio.Future[Any]] = {}
        # One thread: one connection to PostgreSQL, and a slow database cannot take more.
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="catalog")
        self._new_keys = NewKeys(self._redis, DATABASE_SECONDS)
        self._announcements = Announcements(redis_url, catch_up=self._catch_up, change=self._note_change)

    async def open(self) -> None:
        """Subscribe to changes, or begin to try."""
        await asyncio.to_thread(self._announcements.open, _SUBSCRIBED_WITHIN_SECONDS)

    async def close(self) -> None:
        """Unsubscribe."""
        await asyncio.to_thread(self._announcements.close)
        await self._new_keys.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._in_thread(connections.close_all), DATABASE_SECONDS)
        self._database.shutdown(wait=False, cancel_futures=True)
        await self._redis.aclose()

    def recall(self, digest: bytes) -> tuple[KeySnapshot, OrgSnapshot] | None:
        """The key with this HMAC and its organisation, where ``find_key`` and ``get_org`` would give them without
        asking anybody."""
        key = self._keys.get(digest)
        if key is None or self._announcements.is_deaf:
            return None
        org_id = key.org_id
        org = self._orgs.get(org_id)
        if org is None or org.version < self._versions.get(org_id, 0):
            return None
        return (key, org) if key.version >= self._subscribed_at.get(org_id, 0) else None

    async def find_key(self, digest: bytes) -> KeySnapshot | None:
        """The key with this HMAC, or None. Raises GovernanceUnavailable when that cannot be known."""
        key = self._keys.get(digest)
        if key is None:
            if self._unknown.get(digest, 0) > clock.monotonic_ns():
                return None
            return await self._once(digest, lambda: self._find_new_key(digest))
        if self._announcements.is_deaf:
            await self._ask_version(key.org_id)
            is_current = key.version >= self._versions.get(key.org_id, 0)
        else:
            is_current = key.version >= self._subscribed_at.get(key.org_id, 0)
        return key if is_current else await self._once(digest, lambda: self._load_key(digest, key))

    async def get_org(self, org_id: str, version: int = 0) -> OrgSnapshot:
        """An organisation that a key belongs to, at this version or a later one. Raises GovernanceUnavailable when it
        cannot be read."""
        self._note_version(org_id, version)
        if self._announcements.is_deaf:
            await self._ask_version(org_id)
        org = self._orgs.get(org_id)
        if org is not None and org.version >= self._versions.get(org_id, 0):
            return org
        return await self._once(org_id, lambda: self._load_org(org_id, org))

    async def _once(self, what: bytes | str, load: Callable[[], Awaitable[Value]]) -> Value:
        """Load a snapshot that many calls may miss at once: one of them loads it, the others wait."""
        if (under_way := self._loading.get(what)) is not None:
            result: Value = await asyncio.shield(under_way)
            return result
        loading = asyncio.ensure_future(load())
        self._loading[what] = loading
        loading.add_done_callback(lambda _: self._loading.pop(what, None))
        return await asyncio.shield(loading)

    async def _find_new_key(self, digest: bytes) -> KeySnapshot | None:
        changes = self._changes
        found = await self._new_keys.find(digest)
        if found.raw is not None and (key := self._take_key(digest, found.raw)) is not None:
            return key
        if found.raw is not None or found.is_in_database:
            return await self._load_key(digest, None)
        if changes == self._changes:
            # Of those that somebody made up there may be any number.
            while len(self._unknown) >= _MAX_UNKNOWN:
                self._unknown.pop(next(iter(self._unknown)), None)
            self._unknown[digest] = clock.monotonic_ns() + _UNKNOWN_FOR_NS
        return None

    def _take_key(self, digest: bytes, raw: bytes) -> KeySnapshot | None:
        """A key as Valkey has it, unless its organisation has changed since."""
        key = _parse(KeySnapshot.from_json, raw)
        return key if key is not None and self._keep_key(digest, key, len(raw)) else None

    def _keep_key(self, digest: bytes, key: KeySnapshot, size: int) -> bool:
        """Remember a key, unless its organisation has changed since it was read: that may be told of it at this very
        moment."""
        with self._noting:
            if key.version < self._versions.get(key.org_id, 0):
                return False
            self._keys.put(digest, key, size)
            return True

    async def _load_key(self, digest: bytes, stale: KeySnapshot | None) -> KeySnapshot | None:
        name = keyspace.key_snapshot_key(digest)
        if (raw := await self._read(name)) is not None and (key := self._take_key(digest, raw)) is not None:
            return key
        try:
            loaded = await self._in_database(load_key_snapshot, digest, lambda key: key.org_id)
        except _AWAY as error:
            return _make_do(stale, error)
        if loaded is None:
            self._keys.drop(digest)
            return None
        written = loaded.to_json()
        if not self._keep_key(digest, loaded, len(written)):
            return loaded  # it changes faster than it can be read: good for this call, and for no later one
        self._note_version(loaded.org_id, loaded.version)
        await self._write(name, written)
        return loaded

    async def _load_org(self, org_id: str, stale: OrgSnapshot | None) -> OrgSnapshot:
        name = keyspace.org_snapshot_key(org_id)
        if (raw := await self._read(name)) is not None:
            org = _parse(OrgSnapshot.from_json, raw)
            if org is not None and org.version >= self._versions.get(org_id, 0):
                self._orgs.put(org_id, org, len(raw))
                return org
        try:
            loaded = await self._in_database(load_org_snapshot, org_id, lambda org: org.id)
        except _AWAY as error:
            if stale is not None and stale.version < self._stops.get(org_id, 0):
                stale = None
            known = _make_do(stale, error)
            if not known.is_outdated:
                known = replace(known, is_outdated=True)
                self._orgs.replace(org_id, known)
            return known
        if loaded is None:
            raise GovernanceUnavailable("The key's organisation cannot be read at the moment. Try again.")
        written = loaded.to_json()
        self._orgs.put(org_id, loaded, len(written))
        self._note_version(org_id, loaded.version)
        await self._write(name, written)
        return loaded

    async def _in_database(
        self, load: Callable[[Any], Snapshot | None], what: Any, org_of: Callable[[Snapshot], str]
    ) -> Snapshot | None:
        """What PostgreSQL says, read again if the organisation has changed since the reading began."""

        def run() -> Snapshot | None:
            try:
                return load(what)
            finally:
                keep_connection()

        async with asyncio.timeout(DATABASE_SECONDS):
            for _ in range(_TRIES):
                loaded = await self._in_thread(run)
                if loaded is None or loaded.version >= self._versions.get(org_of(loaded), 0):
                    break
            return loaded

    async def _in_thread(self, run: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._database, run)

    async def _read(self, name: str) -> bytes | None:
        try:
            raw = cast("bytes | None", await self._redis.get(name))
        except RedisError:
            return None
        return raw

    async def _write(self, name: str, raw: bytes) -> None:
        with suppress(RedisError):
            await self._redis.set(name, raw)

    async def _ask_version(self, org_id: str) -> None:
        """Ask for the organisation's version, because the listening thread has heard nothing: perhaps only its own
        connection is at fault. Raises GovernanceUnavailable where nobody can tell."""
        if self._told_until.get(org_id, 0) > clock.monotonic_ns():
            return
        try:
            for name, note in ((keyspace.VERSIONS, self._note_version), (keyspace.STOPS, self._note_stop)):
                if (version := await cast("Awaitable[bytes | None]", self._redis.hget(name, org_id))) is not None:
                    note(org_id, int(version))
        except RedisError:
            await self._once(f"version of {org_id}", lambda: self._read_version(org_id))

    async def _read_version(self, org_id: str) -> None:
        """Note the version that PostgreSQL has: a stop may be in it of which nobody can tell. Raises
        GovernanceUnavailable."""

        def run() -> int | None:
            try:
                return load_org_version(org_id)
            finally:
                keep_connection()

        began = clock.monotonic_ns()
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                version = await self._in_thread(run)
        except _AWAY as error:
            raise GovernanceUnavailable(
                "Whether the key may be used cannot be checked at the moment. Try again.", headers={"retry-after": "1"}
            ) from error
        if version is None:
            # Erased, and nobody was there to tell: what is in memory of it is not used.
            raise GovernanceUnavailable("The key's organisation cannot be read at the moment. Try again.")
        self._note_version(org_id, version)
        if len(self._told_until) >= _MAX_TOLD:
            self._told_until.clear()
        self._told_until[org_id] = began + _TOLD_FOR_NS

    def _note_version(self, org_id: str, version: int) -> None:
        if version > self._versions.get(org_id, 0):
            with self._noting:
                self._versions[org_id] = max(version, self._versions.get(org_id, 0))

    def _note_stop(self, org_id: str, version: int) -> None:
        if version > self._stops.get(org_id, 0):
            with self._noting:
                self._stops[org_id] = max(version, self._stops.get(org_id, 0))

    # On the thread that listens

    def _catch_up(self, versions: Versions) -> None:
        """Read every organisation's version: some changes may have been announced while nobody listened."""
        for org_id, version in versions.stopped.items():
            self._note_stop(org_id, version)
        for org_id, version in versions.current.items():
            self._note_version(org_id, version)
        with self._noting:
            self._subscribed_at = dict(self._versions)
            # An organisation that nobody tells of any more may have been erased while nobody listened.
            for digest, key in self._keys.items():
                if key.org_id not in versions.current:
                    self._keys.drop(digest)
            for org_id, org in self._orgs.items():
                if org_id not in versions.current or org.version < versions.stopped.get(org_id, 0):
                    self._orgs.drop(org_id)
        OPEN_KEYS.forget_all()
        self._forget_unknown()

    def _note_change(self, change: Change) -> None:
        with self._noting:
            if change.may_stop:
                self._note_stop(change.org_id, change.version)
            for digest in change.digests:
                # Revoked, perhaps: not even while PostgreSQL is away is it made do with. And before the version tells
                # of it: whoever sees that finds the key gone.
                self._keys.drop(digest)
            if change.forgets_all:
                self._subscribed_at[change.org_id] = change.version
            self._note_version(change.org_id, change.version)
            if change.may_stop:
                # Erased, perhaps: nothing is made do with that has its data key, sealed as that is.
                self._drop_older(change.org_id, change.version)
        OPEN_KEYS.forget(change.org_id)
        self._forget_unknown()

    def _drop_older(self, org_id: str, version: int) -> None:
        org = self._orgs.get(org_id)
        if org is not None and org.version < version:
            self._orgs.drop(org_id)

    def _forget_unknown(self) -> None:
        self._changes += 1
        self._unknown = {}


def _parse(read: Callable[[bytes], Value], raw: bytes) -> Value | None:
    """A snapshot as Valkey has it; None for one that cannot be read, such as another release's: it is loaded again."""
    try:
        return read(raw)
    except (ValueError, TypeError, KeyError):
        _log.warning("a snapshot in Valkey cannot be read: it is made again")
        return None


def _make_do(stale: Value | None, error: Exception) -> Value:
    """Go on with what was known last, where anything was known: PostgreSQL is away."""
    if stale is None:
        raise GovernanceUnavailable(
            "The key cannot be checked at the moment. Try again.", headers={"retry-after": "1"}
        ) from error
    _log.warning("PostgreSQL is out of reach: an older snapshot is used")
    return stale
