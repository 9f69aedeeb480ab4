"""The second level: answers in Valkey, for every worker, and who is asking an upstream for one at the moment.

Whatever fails here is a miss: a call whose answer cannot be looked up is made, and one that cannot be kept is not kept.
An answer is sealed with its organisation's data key, for its own digest: it opens for no other organisation and no
other call, nor for anybody when that organisation was erased. One that does not open is not there. Before what is
sealed stands the id of the call that brought it, by which it is found when its end user is erased. Answers from before
they were sealed are read as they are, for as long as they are kept.

It has a connection of its own, because an answer of a megabyte must not stand before another call's reserve, and may
have a server of its own, which may evict what it likes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import hiredis

from costhub.lib import keyspace, metrics
from costhub.lib.secrets import UnusableCredential
from proxy.cache.entries import Kept, pack, unpack
from proxy.edges.valkey import Answer, Script, Valkey, ValkeyUnavailable
from tenants.sealed_rows import Sealer

_log = logging.getLogger(__name__)

LOOK_UP: Final = Script("look_up")
LAND: Final = Script("land")
#: a flight whose owner says nothing for so long is over, and says something three times in it
LEASE_MS: Final = 1_500
#: who waited for an answer that is not kept is told so for as long
_TOLD_MS: Final = 500
#: what a sealed answer begins with, and the JSON of one that is not does not; then the id, a line feed, what is sealed
_SEALED: Final = b"\x02"


class Standing(IntEnum):
    """What a look-up found; the script says what follows each."""

    FOUND = 1
    OURS = 2
    THEIRS = 3
    ALONE = 4


class LookedUp(NamedTuple):
    """What a look-up says: the answer, if there is one, and whether other workers wait for this one's."""

    standing: Standing
    kept: Kept | None = None
    is_awaited: bool = False


_ALONE: Final = LookedUp(Standing.ALONE)


class ValkeyCache:
    """Kept answers, and flights."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    async def open(self) -> None:
        """Connect, or begin to try."""
        await self._valkey.open()

    async def close(self) -> None:
        """Close the connection."""
        await self._valkey.close()

    async def look_up(self, digest: bytes, asker: str, sealer: Sealer, *, is_anew: bool = False) -> LookedUp:
        """The answer to a call; where there is none, or ``is_anew`` says that the one that is there is of no use,
        ``asker`` owns its flight from now on unless somebody does. What is there and does not open is FOUND, and no
        answer. Says ALONE where that cannot be known."""
        keys = [keyspace.cached_key(digest), keyspace.flight_key(digest)]
        answer = await _try(self._run(LOOK_UP, keys, [asker, LEASE_MS, int(is_anew)]))
        if answer is None:
            return _ALONE
        standing = Standing(answer[0])
        if standing is Standing.FOUND:
            return LookedUp(standing, open_kept(sealer, digest, answer[1]))
        return LookedUp(standing, is_awaited=standing is Standing.OURS and answer[1] == 1)

    def land(
        self,
        digest: bytes,
        asker: str,
        sealer: Sealer,
        kept: Kept | None,
        seconds: int,
        *,
        hands_over: bool = False,
    ) -> None:
        """End the flight of ``asker`` and keep its answer, if it has one. If it has none, whoever waits asks for
        itself, or one of them takes over. Nothing is awaited."""
        keys = [keyspace.cached_key(digest), keyspace.flight_key(digest)]
        packed = b"" if kept is None else seal_kept(sealer, digest, kept)
        answer = self._run(LAND, keys, [asker, packed, seconds * 1000, 0 if hands_over else _TOLD_MS])
        if answer is not None:
            answer.add_done_callback(_note_failure)

    async def find(self, digests: Sequence[bytes], sealer: Sealer) -> list[Kept | None]:
        """The answers of several digests, None for those that are not there."""
        return open_all(sealer, digests, await self.fetch(digests))

    async def fetch(self, digests: Sequence[bytes]) -> list[bytes | None]:
        """The same as they are kept, sealed."""
        answers = []
        for digest in digests:
            try:
                answers.append(self._valkey.send(b"GET", keyspace.cached_key(digest)))
            except ValkeyUnavailable:
                return [None] * len(digests)
        return [await _try(answer) for answer in answers]

    def keep(self, digest: bytes, sealer: Sealer, kept: Kept, seconds: int) -> None:
        """Keep an answer that nobody waits for. Not awaited."""
        if packed := seal_kept(sealer, digest, kept):
            self.put(digest, packed, seconds)

    def put(self, digest: bytes, packed: bytes, seconds: int) -> None:
        """The same for one that is sealed already."""
        try:
            answer = self._valkey.send(b"SET", keyspace.cached_key(digest), packed, b"EX", seconds)
        except ValkeyUnavailable:
            return
        answer.add_done_callback(_note_failure)

    def forget(self, digest: bytes) -> None:
        """Give an answer up. Not awaited."""
        try:
            self._valkey.send(b"DEL", keyspace.cached_key(digest)).add_done_callback(_note_failure)
        except ValkeyUnavailable:
            return

    def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[bytes | str | int]) -> Answer | None:
        try:
            return self._valkey.run(script, keys, arguments)
        except ValkeyUnavailable:
            metrics.CACHE_FAILURES.labels("valkey").inc()
            return None


def seal_kept(sealer: Sealer, digest: bytes, kept: Kept) -> bytes:
    """An answer as Valkey keeps it; nothing where the organisation's data key cannot be opened."""
    try:
        return b"%b%b\n%b" % (_SEALED, kept.id.encode(), sealer.seal(_place_of(digest), pack(kept)))
    except UnusableCredential:
        metrics.CACHE_FAILURES.labels("seal").inc()
        return b""


def open_kept(sealer: Sealer, digest: bytes, raw: bytes) -> Kept | None:
    """What ``seal_kept`` made for the same digest, or what is not sealed; None for anything else."""
    if not raw.startswith(_SEALED):
        return unpack(raw)
    try:
        return unpack(sealer.open(_place_of(digest), raw.partition(b"\n")[2]))
    except UnusableCredential:
        metrics.CACHE_FAILURES.labels("seal").inc()
        return None


def open_all(sealer: Sealer, digests: Sequence[bytes], found: Sequence[bytes | None]) -> list[Kept | None]:
    """``open_kept`` for each that is there."""
    return [
        open_kept(sealer, digest, raw) if raw is not None else None for digest, raw in zip(digests, found, strict=True)
    ]


def find_call(raw: bytes) -> str | None:
    """The id of the call that brought what Valkey keeps; None where that is no answer."""
    if raw.startswith(_SEALED):
        return raw[len(_SEALED) :].partition(b"\n")[0].decode("utf-8", "replace")
    kept = unpack(raw)
    return None if kept is None else kept.id


def _place_of(digest: bytes) -> str:
    return f"cached answer {digest.hex()}"


async def _try(answer: Awaitable[Any] | None) -> Any:
    if answer is None:
        return None
    try:
        return await answer
    except (ValkeyUnavailable, hiredis.ReplyError) as error:
        metrics.CACHE_FAILURES.labels("valkey").inc()
        if isinstance(error, hiredis.ReplyError):
            _log.warning("Valkey refused a look-up of the cache", extra={"reply": str(error)})
        return None


def _note_failure(done: asyncio.Future[Any]) -> None:
    if not done.cancelled() and done.exception() is not None:
        metrics.CACHE_FAILURES.labels("valkey").inc()
