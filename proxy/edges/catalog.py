"""What a process knows of keys and organisations: snapshots in memory, in Valkey, in PostgreSQL, in that order.

Every change of a tenant moves the version of its organisation. Versions come by pub/sub, and whole whenever the
subscription was interrupted; an organisation's snapshot that is older than its version is not used. A key changes more
rarely than its organisation, and there are many: one in memory is used until a change names it, or until the
subscription was interrupted. A subscription that is
silent for half a second is tested, so that a change reaches every process within a second or the process knows that it
does not know.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

import redis.asyncio
from django.db import Error as AnyDatabaseError
from django.db import connections
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from costhub.lib import keyspace
from costhub.lib.database import keep_connection
from proxy.errors import GovernanceUnavailable
from tenants.selectors import load_key_snapshot, load_org_snapshot
from tenants.snapshots import KeySnapshot, OrgSnapshot

_log = logging.getLogger(__name__)

SILENCE_SECONDS: Final = 0.4
_RETRY_SECONDS: Final = 0.1
_MAX_UNKNOWN: Final = 10_000
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
        # No retries of its own: they take longer than a change may, and a subscription would be restored unnoticed.
        self._redis = redis.asyncio.Redis.from_url(
            redis_url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
        )
        self._keys: dict[bytes, KeySnapshot] = {}
        self._orgs: dict[str, OrgSnapshot] = {}
        self._unknown: set[bytes] = set()
        self._versions: dict[str, int] = {}
        # Each organisation's version when the subscription began: since then a key's changes are told by its digest.
        self._subscribed_at: dict[str, int] = {}
        self._loading: dict[bytes | str, asyncio.Future[Any]] = {}
        # One thread: one connection to PostgreSQL a process, and a slow database cannot take more.
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="catalog")
        self._listener: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def open(self) -> None:
        """Subscribe to changes, or begin to try."""
        self._listener = asyncio.create_task(self._listen())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._listening.wait(), 2)

    async def close(self) -> None:
        """Unsubscribe."""
        if self._listener:
            self._listener.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._in_thread(connections.close_all), DATABASE_SECONDS)
        self._database.shutdown(wait=False, cancel_futures=True)
        await self._redis.aclose()

    async def find_key(self, digest: bytes) -> KeySnapshot | None:
        """The key with this HMAC, or None. Raises GovernanceUnavailable when that cannot be known."""
        key = self._keys.get(digest)
        if key is not None and key.version >= self._subscribed_at.get(key.org_id, 0):
            return key
        if key is None and digest in self._unknown:
            return None
        return await self._once(digest, lambda: self._load_key(digest, key))

    async def get_org(self, org_id: str) -> OrgSnapshot:
        """An organisation that a key belongs to. Raises GovernanceUnavailable when it cannot be read."""
        org = self._orgs.get(org_id)
        if org is not None and org.version >= self._versions.get(org_id, 0):
            return org
        return await self._once(org_id, lambda: self._load_org(org_id, org))

    async def _once(self, what: bytes | str, load: Callable[[], Awaitable[Value]]) -> Value:
        """Many calls may miss the same snapshot at once: one of them loads it."""
        if (under_way := self._loading.get(what)) is not None:
            result: Value = await asyncio.shield(under_way)
            return result
        loading = asyncio.ensure_future(load())
        self._loading[what] = loading
        loading.add_done_callback(lambda _: self._loading.pop(what, None))
        return await asyncio.shield(loading)

    async def _load_key(self, digest: bytes, stale: KeySnapshot | None) -> KeySnapshot | None:
        name = keyspace.key_snapshot_key(digest)
        if (raw := await self._read(name)) is not None:
            key = _parse(KeySnapshot.from_json, raw)
            if key is not None and key.version >= self._versions.get(key.org_id, 0):
                self._keys[digest] = key
                return key
        try:
            loaded = await self._in_database(load_key_snapshot, digest, lambda key: key.org_id)
        except _AWAY as error:
            return _make_do(stale, error)
        if loaded is None:
            self._keys.pop(digest, None)
            if len(self._unknown) >= _MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown.add(digest)
            return None
        if loaded.version < self._versions.get(loaded.org_id, 0):
            return loaded  # it changes faster than it can be read: good for this call, and for no later one
        self._keys[digest] = loaded
        self._note_version(loaded.org_id, loaded.version)
        await self._write(name, loaded.to_json())
        return loaded

    async def _load_org(self, org_id: str, stale: OrgSnapshot | None) -> OrgSnapshot:
        name = keyspace.org_snapshot_key(org_id)
        if (raw := await self._read(name)) is not None:
            org = _parse(OrgSnapshot.from_json, raw)
            if org is not None and org.version >= self._versions.get(org_id, 0):
                self._orgs[org_id] = org
                return org
        try:
            loaded = await self._in_database(load_org_snapshot, org_id, lambda org: org.id)
        except _AWAY as error:
            return _make_do(stale, error)
        if loaded is None:
            raise GovernanceUnavailable("The key's organisation cannot be read at the moment. Try again.")
        self._orgs[org_id] = loaded
        self._note_version(org_id, loaded.version)
        await self._write(name, loaded.to_json())
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

    def _note_version(self, org_id: str, version: int) -> None:
        if version > self._versions.get(org_id, 0):
            self._versions[org_id] = version

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.subscribe(keyspace.CHANGES)
                    await self._follow(subscription)
            except (RedisError, OSError, TimeoutError, ValueError):
                # ValueError: somebody else's message on our channel. Whatever it displaced is caught up on.
                self._listening.clear()
                await asyncio.sleep(_RETRY_SECONDS)

    async def _catch_up(self) -> None:
        """Every organisation's version: some changes may have been told while nobody listened."""
        versions = cast("dict[bytes, bytes]", await self._redis.hgetall(keyspace.VERSIONS))
        for org_id, version in versions.items():
            self._note_version(org_id.decode(), int(version))
        self._subscribed_at = dict(self._versions)
        self._unknown.clear()

    async def _follow(self, subscription: Any) -> None:
        while True:
            message = await subscription.get_message(timeout=SILENCE_SECONDS)
            if message is None:
                await asyncio.wait_for(subscription.ping(), SILENCE_SECONDS)
                message = await subscription.get_message(timeout=SILENCE_SECONDS)
                if message is None:
                    raise TimeoutError
            if message["type"] == "subscribe":
                # From here on nothing is missed, so that what was missed before is read now.
                await self._catch_up()
                self._listening.set()
            elif message["type"] == "message":
                org_id, version, *digests = message["data"].decode().split(" ")
                if digests == [keyspace.ALL_KEYS]:
                    self._subscribed_at[org_id] = int(version)
                    digests = []
                for digest in digests:
                    # Revoked, perhaps: not even while PostgreSQL is away is it made do with.
                    self._keys.pop(bytes.fromhex(digest), None)
                self._note_version(org_id, int(version))
                self._unknown.clear()


def _parse(read: Callable[[bytes], Value], raw: bytes) -> Value | None:
    """A snapshot as Valkey has it; None for one that another release wrote, or nobody: it is read anew."""
    try:
        return read(raw)
    except (ValueError, TypeError, KeyError):
        _log.warning("a snapshot in Valkey cannot be read: it is made anew")
        return None


def _make_do(stale: Value | None, error: Exception) -> Value:
    """PostgreSQL is away: what was known last is used, as long as it was known."""
    if stale is None:
        raise GovernanceUnavailable(
            "The key cannot be checked at the moment. Try again.", headers={"retry-after": "1"}
        ) from error
    _log.warning("PostgreSQL is out of reach: an older snapshot is used")
    return stale
