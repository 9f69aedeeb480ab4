"""Changes of tenants as they are announced, followed by a thread of its own: however busy the event loop is with calls,
or PostgreSQL with look-ups, an emergency stop is heard.

A subscription that is silent for ``SILENCE_SECONDS`` is tested, so that a change reaches every process within a second
or the process knows that it does not know.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

import redis
from redis.exceptions import RedisError

from costhub.lib import clock, keyspace
from costhub.lib.redis import connect, subscription
from proxy.edges.standing_tasks import PAUSE_SECONDS, note_fault

SILENCE_SECONDS: Final = 0.4
_RETRY_SECONDS: Final = 0.1
#: without a word for so long, what is known may be out of date
_DEAF_AFTER_NS: Final = 1_000_000_000


class Change(NamedTuple):
    """One announcement. ``digests`` are those of keys that changed themselves."""

    org_id: str
    version: int
    may_stop: bool
    forgets_all: bool
    digests: tuple[bytes, ...]


class Versions(NamedTuple):
    """Every organisation's version, and the last of its versions that may have stopped calls."""

    current: Mapping[str, int]
    stopped: Mapping[str, int]


class Announcements:
    """Listens until it is closed. ``catch_up`` is called whenever a subscription begins, with what may have been missed
    before, and ``change`` for each announcement after that: both on the listening thread."""

    def __init__(
        self, redis_url: str, *, catch_up: Callable[[Versions], None], change: Callable[[Change], None]
    ) -> None:
        self._url = redis_url
        self._store: redis.Redis | None = None
        self._catch_up = catch_up
        self._change = change
        self._closing = threading.Event()
        self._listening = threading.Event()
        self._heard_ns = 0
        self._thread = threading.Thread(target=self._listen, name="announcements", daemon=True)

    def open(self, patience_seconds: float) -> None:
        """Subscribe, or begin to try; comes back when that is done, or after so long."""
        self._thread.start()
        self._listening.wait(patience_seconds)

    def close(self) -> None:
        """Unsubscribe."""
        self._closing.set()
        self._thread.join(2 * SILENCE_SECONDS + 1)
        self._disconnect()

    @property
    def is_deaf(self) -> bool:
        """Whether a change may have been missed: nothing was heard for a second."""
        return clock.monotonic_ns() - self._heard_ns > _DEAF_AFTER_NS

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                store = self._connect()
                with subscription(store, keyspace.VERSIONS) as subscribed:
                    subscribed.subscribe(keyspace.CHANGES)
                    self._follow(store, subscribed)
            except (RedisError, OSError, TimeoutError, ValueError):
                # ValueError: somebody else's message on our channel. Whatever it displaced is caught up on.
                self._disconnect()
                self._closing.wait(_RETRY_SECONDS)
            except Exception:  # noqa: BLE001 - deaf for good this process would ask of each call what has changed
                note_fault("announcements")
                self._disconnect()
                self._closing.wait(PAUSE_SECONDS)

    def _disconnect(self) -> None:
        """What is known of a cluster goes, too: its masters may be others by now."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _connect(self) -> redis.Redis:
        if self._store is None:
            self._store = connect(self._url, seconds=1, connect_seconds=1)
        return self._store

    def _follow(self, store: redis.Redis, subscribed: Any) -> None:
        while not self._closing.is_set():
            message = subscribed.get_message(timeout=SILENCE_SECONDS)
            if message is None:
                subscribed.ping()
                message = subscribed.get_message(timeout=SILENCE_SECONDS)
                if message is None:
                    raise TimeoutError
            if message["type"] == "subscribe":
                # From here on nothing is missed, so that what was missed before is read now.
                self._catch_up(Versions(_read(store, keyspace.VERSIONS), _read(store, keyspace.STOPS)))
                self._listening.set()
            elif message["type"] == "message":
                self._change(_parse(message["data"]))
            self._heard_ns = clock.monotonic_ns()


def _read(store: redis.Redis, name: str) -> dict[str, int]:
    found = cast("dict[bytes, bytes]", store.hgetall(name))
    return {org_id.decode(): int(version) for org_id, version in found.items()}


def _parse(message: bytes) -> Change:
    """Raises ValueError for what is none."""
    org_id, version, *words = message.decode().split(" ")
    may_stop = words[:1] == [keyspace.MAY_STOP]
    digests = words[1:] if may_stop else words
    forgets_all = digests == [keyspace.ALL_KEYS]
    return Change(
        org_id, int(version), may_stop, forgets_all, () if forgets_all else tuple(bytes.fromhex(one) for one in digests)
    )
