"""The first level: answers in the memory of this process, the least recently used of them given up first."""

from collections import OrderedDict
from typing import NamedTuple

from costhub.lib import clock
from proxy.cache.entries import Kept


class _Slot(NamedTuple):
    kept: Kept
    # On the clock for durations: setting the other one makes nothing live longer.
    ends_ns: int


class ProcessCache:
    """Answers by digest, at most ``max_bytes`` of them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._slots: OrderedDict[bytes, _Slot] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._slots)

    def find(self, digest: bytes) -> Kept | None:
        """The answer, if it is here and lives."""
        slot = self._slots.get(digest)
        if slot is None:
            return None
        if slot.ends_ns <= clock.monotonic_ns():
            self.forget(digest)
            return None
        self._slots.move_to_end(digest)
        return slot.kept

    def keep(self, digest: bytes, kept: Kept, seconds: float) -> None:
        """Keep an answer for so long, or until others need its room. One that is larger than an eighth of all is not
        kept: it would push out everything."""
        self.forget(digest)
        if kept.bytes > self._max_bytes // 8:
            return
        self._slots[digest] = _Slot(kept, clock.ends_in(seconds))
        self.bytes += kept.bytes
        while self.bytes > self._max_bytes:
            _, slot = self._slots.popitem(last=False)
            self.bytes -= slot.kept.bytes

    def forget(self, digest: bytes) -> None:
        """Give up an answer, if it is here."""
        slot = self._slots.pop(digest, None)
        if slot is not None:
            self.bytes -= slot.kept.bytes
