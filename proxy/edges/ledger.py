"""The end of every call: money settled and one event on the ledger stream, in one step, whatever happened before.

Nothing is awaited here: an exit must not be cut short by a cancelled caller. The commands go out with the tick's other
commands; what fails is kept and sent again until it is known to have happened.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import hiredis

from costhub.lib import clock, failpoints, keyspace
from proxy.core.row import Row, add_attempts, add_usage, correction_row, dump_row, open_row, tokens_of, usage_columns
from proxy.edges.entry import Entry
from proxy.edges.limits import Limits
from proxy.edges.settles import MARK_KEPT_MS, Settle, Settles
from proxy.edges.tally import Tally
from proxy.edges.traces import Tracer
from proxy.edges.valkey import Answer, Argument, Script, Valkey, ValkeyUnavailable
from proxy.errors import ApiError, GovernanceUnavailable
from proxy.types import Certainty, Usage
from tenants.snapshots import KeySnapshot, OrgSnapshot

_log = logging.getLogger(__name__)

GIVE_UP: Final = Script("give_up", shares="rates")
CORRECT: Final = Script("correct")
LATE: Final = Script("late")

#: about 2 kB each
MAX_WAITING: Final = 20_000
_RETRY_SECONDS: Final = 0.25
_CLIENT_LEFT: Final = 499


@dataclass(slots=True)
class _Posting:
    """Something that must come to be known to Valkey."""

    send: Callable[[], Answer]
    then: Callable[[Any], None]


class _Writing:
    """The block of one entry. A class, because a generator's context manager costs more than the write."""

    __slots__ = ("_entry", "_ledger")

    def __init__(self, ledger: "Ledger", entry: Entry) -> None:
        self._ledger = ledger
        self._entry = entry

    async def __aenter__(self) -> Entry:
        return self._entry

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        entry = self._entry
        if isinstance(error, ApiError):
            entry.status, entry.error_code = error.status, error.error_code
        elif isinstance(error, asyncio.CancelledError):
            entry.status, entry.error_code = _CLIENT_LEFT, "client_disconnected"
        elif error is not None:
            entry.status, entry.error_code = 500, "internal_error"
        self._ledger.write(entry)


class Ledger:
    """Writes entries, and does not let go of one before it is written."""

    def __init__(self, valkey: Valkey, limits: Limits, tracer: Tracer | None = None) -> None:
        self._valkey = valkey
        self._settles = Settles(valkey)
        self._limits = limits
        self._tracer = tracer
        self._under_way = 0
        self._again: deque[_Posting] = deque()
        self._repeater: asyncio.Task[None] | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._tally = Tally()

    async def open(self) -> None:
        """Begin to repeat what fails."""
        self._repeater = asyncio.create_task(self._repeat())

    async def close(self, patience_seconds: float) -> None:
        """Wait until everything is written, or for so long; what is left is reaped with its lease."""
        try:
            await asyncio.wait_for(self._quiet.wait(), patience_seconds)
        except TimeoutError:
            _log.error("closing with entries unwritten", extra={"entries": self._under_way})
        if self._repeater:
            self._repeater.cancel()
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)

    def check_room(self) -> None:
        """Raise GovernanceUnavailable while so many entries wait for Valkey that a further one could not be promised a
        row: a call that is refused here was not admitted."""
        if len(self._again) > MAX_WAITING:
            raise GovernanceUnavailable(
                "CostHub cannot account for calls at the moment, so it takes none. Try again.",
                headers={"retry-after": "5"},
            )

    def entry(
        self, request_id: str, started_at_ms: int, started_ns: int, key: KeySnapshot, org: OrgSnapshot, endpoint: str
    ) -> "_Writing":
        """One call's entry, written exactly once when the block ends, however it ends."""
        row = open_row(request_id, started_at_ms, key, endpoint)
        return _Writing(self, Entry(request_id, started_at_ms, started_ns, key, org, row))

    def write(self, entry: Entry) -> None:
        """The call is over: settle what it holds and put its event on the stream."""
        failpoints.reach("before_settle")
        self._write(entry)
        self._tally.count(entry.org.slug, entry.row)
        if self._tracer is not None:
            self._tracer.note(entry)

    def _write(self, entry: Entry) -> None:
        row = _finish_row(entry)
        event = dump_row(row)
        shard, hold_id = entry.org.shard, entry.request_id
        stream = keyspace.ledger_key(shard)
        if entry.hold is not None and entry.plan is not None:
            self._limits.forget(hold_id)
            settle, breadth = (
                Settle(hold_id, row["effective_cost"], event, _tokens_used(entry)),
                entry.plan.layout.breadth,
            )
            self._post(
                lambda: self._settles.send(shard, settle, breadth),
                lambda settled: self._after_settle(entry, row, event, settled),
            )
        elif entry.is_hold_unknown and entry.plan is not None:
            entry.counters = entry.plan.layout.counters
            self._post(
                lambda: self._valkey.run(
                    GIVE_UP,
                    [*_hold_keys(shard, hold_id), stream, *entry.counters],
                    [hold_id, event, MARK_KEPT_MS, clock.now_ms()],
                ),
                lambda given_up: self._after_settle(entry, row, event, given_up),
            )
        else:
            self._post(lambda: self._valkey.send(b"XADD", stream, b"*", b"e", event), _nothing_more)

    def _after_settle(self, entry: Entry, row: Row, event: bytes, settled: int) -> None:
        """Where there was no hold to settle: a repeated settle, a reaper that took us for dead, or lost data."""
        failpoints.reach("settle_answered")
        if settled:
            return
        shard = entry.org.shard
        keys = [
            keyspace.closed_key(shard, entry.request_id),
            keyspace.epoch_key(shard),
            keyspace.ledger_key(shard),
            *entry.counters,
        ]
        arguments: list[Argument] = [entry.epoch, row["effective_cost"], event, MARK_KEPT_MS]
        for scope in entry.plan.scopes if entry.plan else ():
            arguments += (1 if scope.is_whole else 0, scope.kept_until_ms)

        def learn(mark: bytes) -> None:
            if mark.startswith(b"reaped "):
                self._correct(entry, row, int(mark.split()[1]))

        self._post(lambda: self._valkey.run(LATE, keys, arguments), learn)

    def _correct(self, entry: Entry, row: Row, reaped: int) -> None:
        """The reaper posted the bound in our name; we know the truth."""
        shard = entry.org.shard
        if any(attempt.certainty is Certainty.BOUND for attempt in entry.attempts):
            return  # the upstream's bill will tell more than we know
        posted = row | {"list_cost": reaped, "effective_cost": reaped, **usage_columns(Usage())}
        used = add_usage([attempt.usage for attempt in entry.attempts])
        cost = row["effective_cost"]
        correction = correction_row(posted, correction_id(entry.request_id), used, cost, row["is_overrun"])
        correction["is_estimated"] = row["is_estimated"]
        event = dump_row(correction)
        mark = keyspace.corrected_key(shard, entry.request_id)
        self._post(
            lambda: self._valkey.run(
                CORRECT,
                [mark, keyspace.ledger_key(shard), *entry.counters],
                [cost - reaped, event, MARK_KEPT_MS],
            ),
            _nothing_more,
        )

    def _post(self, send: Callable[[], Answer], then: Callable[[Any], None]) -> None:
        posting = _Posting(send, then)
        self._under_way += 1
        self._quiet.clear()
        self._try(posting)

    def _try(self, posting: _Posting) -> None:
        try:
            answer = posting.send()
        except ValkeyUnavailable:
            self._again.append(posting)
            return
        answer.add_done_callback(lambda done: self._done(posting, done))

    def _done(self, posting: _Posting, answer: Answer) -> None:
        if answer.cancelled() or (error := answer.exception()) is not None:
            if not answer.cancelled() and isinstance(error, hiredis.ReplyError):
                _log.error("Valkey refused a posting", extra={"reply": str(error)})
            self._again.append(posting)
            return
        posting.then(answer.result())
        self._under_way -= 1
        if self._under_way == 0:
            self._quiet.set()

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            self._tally.flush()
            if not self._again or not self._valkey.is_connected:
                continue
            waiting, self._again = self._again, deque()
            for posting in waiting:
                self._try(posting)


def correction_id(request_id: str) -> str:
    """The id of a call's one correction: the call's own, with its version nibble changed, so that it is made once."""
    return request_id[:14] + "8" + request_id[15:]


def _hold_keys(shard: int, hold_id: str) -> list[str]:
    return [
        keyspace.closed_key(shard, hold_id),
        keyspace.hold_key(shard, hold_id),
        keyspace.leases_key(shard),
    ]


def _tokens_used(entry: Entry) -> int | bytes:
    """What windows of tokens are told; nothing where an attempt's tokens are unknown: then what was reserved stays."""
    if any(attempt.certainty is Certainty.BOUND for attempt in entry.attempts):
        return b""
    return tokens_of(entry.row)


def _finish_row(entry: Entry) -> Row:
    row, now = entry.row, clock.monotonic_ns()
    if entry.hold is not None:
        add_attempts(row, entry.attempts, entry.hold)
    row["status"] = entry.status
    row["error_code"] = entry.error_code
    row["duration_us"] = (now - entry.started_ns) // 1000
    row["overhead_us"] = (now - entry.started_ns - entry.upstream_ns - entry.waited_ns) // 1000
    if entry.first_byte_ns is not None:
        row["first_byte_us"] = (entry.first_byte_ns - entry.started_ns) // 1000
    return row


def _nothing_more(_: Any) -> None:
    return None
