"""Data keys of organisations that this process has opened, and how it forgets them.

Opening one takes twice as long as sealing two kilobytes with it, so that a process keeps those that it meets for a
while: for ``KEPT_SECONDS`` at the most, after which a thread has let go of them although nobody asks. Whoever hears
that an organisation has changed, which an erasure is, says so to ``forget``, and the key is out of memory at once. It
is opened again where that was another change.
"""

import os
import threading
from typing import Final, NamedTuple

from costhub.lib import clock
from costhub.lib.secrets import ContentKey, MasterKeys

#: an erasure of which this process hears nothing reaches it within this and half as much
KEPT_SECONDS: Final = 60
#: as many as a process may meet within some minutes
MOST_KEPT: Final = 1_024


class _Name(NamedTuple):
    master_keys: MasterKeys
    org_id: str
    data_key: bytes


class _Opened(NamedTuple):
    key: ContentKey
    at_ns: int


class OpenKeys:
    """Those of one process. Any thread may use it."""

    def __init__(self, kept_seconds: float = KEPT_SECONDS) -> None:
        self._kept_ns = int(kept_seconds * 1e9)
        self._begin()
        # Threads do not live on in a child, and what they had locked stays locked there.
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._opened: dict[_Name, _Opened] = {}
        self._changing = threading.Lock()
        # How often something was forgotten: what was being opened meanwhile is not kept.
        self._forgotten = 0
        self._sweeper: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._opened)

    def find(self, master_keys: MasterKeys, org_id: str, data_key: bytes) -> ContentKey:
        """The key, opened now or a while ago. Raises UnusableCredential."""
        name, now = _Name(master_keys, org_id, data_key), clock.monotonic_ns()
        opened = self._opened.get(name)
        if opened is not None and now - opened.at_ns <= self._kept_ns:
            return opened.key
        before = self._forgotten
        key = ContentKey(master_keys, data_key, org_id)
        with self._changing:
            if before == self._forgotten:
                self._opened.pop(name, None)
                if len(self._opened) >= MOST_KEPT:
                    del self._opened[next(iter(self._opened))]
                self._opened[name] = _Opened(key, now)
                self._sweep_later()
        return key

    def forget(self, org_id: str) -> None:
        """Let go of an organisation's."""
        with self._changing:
            self._forgotten += 1
            for name in [name for name in self._opened if name.org_id == org_id]:
                del self._opened[name]

    def forget_all(self) -> None:
        """Let go of all: what an announcement said may have been missed."""
        with self._changing:
            self._forgotten += 1
            self._opened.clear()

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            sweeper = threading.Timer(self._kept_ns / 2e9, self._sweep)
            sweeper.name, sweeper.daemon = "open-keys", True
            try:
                sweeper.start()
            except RuntimeError:
                # There are too many threads: without this one nobody would let go of them.
                self._opened.clear()
            else:
                self._sweeper = sweeper

    def _sweep(self) -> None:
        now = clock.monotonic_ns()
        with self._changing:
            for name in [name for name, opened in self._opened.items() if now - opened.at_ns > self._kept_ns]:
                del self._opened[name]
            self._sweeper = None
            if self._opened:
                self._sweep_later()


#: this process's
OPEN_KEYS: Final = OpenKeys()
