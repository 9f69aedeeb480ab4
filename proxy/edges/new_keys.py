"""Keys that a process has not met before, looked for many at a time: whoever sends keys that nobody has costs one
statement for all that came while the last one ran, and holds up nobody whose key is known.

Look-ups have a connection to PostgreSQL and a queue of their own, which is bounded: what does not fit is told to come
again.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, NamedTuple

from django.db import Error as AnyDatabaseError
from django.db import connections
from redis.exceptions import RedisError

from costhub.lib import keyspace
from costhub.lib.database import keep_connection
from proxy.edges.standing_tasks import note_fault
from proxy.errors import GovernanceUnavailable
from tenants.access import find_known_keys

_log = logging.getLogger(__name__)

#: so many are asked for at once, and so many more may wait
MOST_A_BATCH: Final = 500
MOST_WAITING: Final = 2_000


class Found(NamedTuple):
    """What is known of a key: its snapshot as Valkey has it, or that PostgreSQL has its row. Neither: nobody has it."""

    raw: bytes | None = None
    is_in_database: bool = False


class NewKeys:
    """Looks for keys by their HMAC."""

    def __init__(self, store: Any, database_seconds: float) -> None:
        self._store = store
        self._database_seconds = database_seconds
        self._waiting: dict[bytes, asyncio.Future[Found]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="new-keys")

    async def close(self) -> None:
        """Give up what is asked for, and the connection."""
        if self._looking is not None:
            self._looking.cancel()
        with suppress(TimeoutError):
            closing = asyncio.get_running_loop().run_in_executor(self._database, connections.close_all)
            await asyncio.wait_for(closing, self._database_seconds)
        self._database.shutdown(wait=False, cancel_futures=True)

    async def find(self, digest: bytes) -> Found:
        """What is known of a key. Raises GovernanceUnavailable where that cannot be asked, or too many ask."""
        if len(self._waiting) >= MOST_WAITING:
            raise _unknowable()
        asked = self._waiting.setdefault(digest, asyncio.get_running_loop().create_future())
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(asked)

    async def _look(self) -> None:
        while self._waiting:
            digests = list(self._waiting)[:MOST_A_BATCH]
            batch = {digest: self._waiting.pop(digest) for digest in digests}
            try:
                found = await self._find_all(digests)
            except (AnyDatabaseError, TimeoutError) as error:
                _log.warning("keys cannot be looked for", extra={"error": type(error).__name__})
                _refuse(batch)
            except Exception:  # noqa: BLE001 - those who wait behind it must not wait for ever
                note_fault("new keys")
                _refuse(batch)
            except BaseException:
                _refuse(batch)
                raise
            else:
                for digest, asked in batch.items():
                    if not asked.done():
                        asked.set_result(found[digest])

    async def _find_all(self, digests: list[bytes]) -> dict[bytes, Found]:
        found = {digest: Found(raw) for digest, raw in zip(digests, await self._read(digests), strict=True)}
        rest = [digest for digest, one in found.items() if one.raw is None]
        if rest:
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(self._database_seconds):
                known = await loop.run_in_executor(self._database, _ask_database, rest)
            found |= {digest: Found(is_in_database=digest in known) for digest in rest}
        return found

    async def _read(self, digests: list[bytes]) -> list[bytes | None]:
        # Not one MGET: on a cluster these keys live on different nodes.
        pipe = self._store.pipeline(transaction=False)
        for digest in digests:
            pipe.get(keyspace.key_snapshot_key(digest))
        try:
            answers: list[bytes | None] = await pipe.execute()
        except RedisError:
            return [None] * len(digests)
        return answers


def _ask_database(digests: list[bytes]) -> set[bytes]:
    try:
        return find_known_keys(digests)
    finally:
        keep_connection()


def _refuse(batch: dict[bytes, "asyncio.Future[Found]"]) -> None:
    for asked in batch.values():
        if not asked.done():
            asked.set_exception(_unknowable())
            asked.exception()  # whoever waited for it has left, perhaps


def _unknowable() -> GovernanceUnavailable:
    return GovernanceUnavailable("The key cannot be checked at the moment. Try again.", headers={"retry-after": "1"})
