"""What was lately written to Valkey, for the case that it forgets.

A server that is started again after a power cut has lost about a second, and a replica that is made master what had not
reached it when it was. So what was acknowledged is remembered for a moment longer than that, and sent again when
another server, or one that was started again, stands where one stood. Everything that ends a call can be sent twice.

Meanwhile its server is asked whether it lives: a worker that has nothing else to say would not notice that it is gone,
and forget too soon.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from costhub.lib import clock
from costhub.lib.keyspace import epoch_key
from proxy.edges.valkey import Answer, Valkey, ValkeyUnavailable

KEPT_NS: Final = 2_000_000_000
#: about 2 kB each
_MOST: Final = 20_000


@dataclass(slots=True, eq=False)
class Written:
    """Something that must come to be known to Valkey, of a shard: how it is sent, and what follows from the answer.
    Where a call ends with it, the call's hold, the epoch of that, and its ledger event."""

    send: Callable[[], Answer]
    shard: int
    then: Callable[[Any], None]
    hold_id: str = ""
    epoch: bytes = b""
    event: bytes = b""


class Recent:
    """The last of what a worker has written."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self._generation = valkey.generation
        self._written: deque[tuple[int, Written]] = deque(maxlen=_MOST)
        #: when something was written last, by shard
        self._shards: dict[int, int] = {}

    def note(self, written: Written) -> None:
        """It was acknowledged just now."""
        now = clock.monotonic_ns()
        self._written.append((now, written))
        self._shards[written.shard] = now

    def take_doubtful(self) -> list[Written]:
        """What may have been forgotten since this was asked last, the oldest first: mostly nothing. Otherwise forgets
        what is safe by now."""
        if not self._valkey.is_whole:
            # Whoever comes next may lack what was written last before somebody was lost.
            return []
        if self._valkey.generation != self._generation:
            self._generation = self._valkey.generation
            doubtful = [written for _, written in self._written]
            self._written.clear()
            return doubtful
        safe = clock.monotonic_ns() - KEPT_NS
        while self._written and self._written[0][0] < safe:
            self._written.popleft()
        self._shards = {shard: at for shard, at in self._shards.items() if at >= safe}
        for shard in self._shards:
            with suppress(ValkeyUnavailable):
                self._valkey.send(b"EXISTS", epoch_key(shard)).add_done_callback(_look_away)
        return []


def _look_away(answer: Answer) -> None:
    """The client itself draws what follows from an answer that does not come."""
    if not answer.cancelled():
        answer.exception()
