"""The end of every call: money settled and one event on the ledger stream, in one step, whatever happened before.

Nothing is awaited here: an exit must not be cut short by a cancelled caller. The commands go out with the tick's other
commands; what fails is kept and sent again until it is known to have happened.
"""

import asyncio
import itertools
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeVar

import hiredis

from costhub.lib import clock, failpoints, keyspace, metrics
from proxy.core.refusals import hide_amounts, tell_refusal
from proxy.core.row import (
    add_usage,
    correction_row,
    costs_by_model,
    dump_row,
    open_row,
    tokens_of,
    usage_columns,
)
from proxy.edges.entry import Entry
from proxy.edges.recent import Recent, Written
from proxy.edges.reserve import Reservations
from proxy.edges.settle import CORRECT, GIVE_UP, LATE, correction_id
from proxy.edges.settle_batch import MARK_KEPT_MS, Settle, Settles
from proxy.edges.standing_tasks import start_standing
from proxy.edges.valkey import Answer, Argument, Valkey, ValkeyUnavailable
from proxy.errors import ApiError, GovernanceUnavailable
from proxy.telemetry.metric_buffer import MetricBuffer
from proxy.telemetry.tracer import Tracer
from proxy.values.attempt import Usage
from proxy.values.windows import Scope
from tenants.snapshots import KeySnapshot, OrgSnapshot

_log = logging.getLogger(__name__)

#: about 2 kB each
MAX_WAITING: Final = 20_000
_RETRY_SECONDS: Final = 0.25
#: the loop's tasks are counted in each such turn of these: each of them is looked at
_COUNTED_EVERY: Final = 4
#: so many postings that were held up are sent in one turn of the loop
_A_TURN: Final = 500
_CLIENT_LEFT: Final = 499
#: what is not known to be written by then waits for a server that is away
_WRITTEN_WITHIN_SECONDS: Final = 10.0
_Thing = TypeVar("_Thing")


def note_refusal(entry: Entry, error: ApiError) -> None:
    """Write down which budget or limit refused a call, and take the amounts out of the error where its key hides them.
    Once is enough, and before anybody is told."""
    if "refused_by" not in entry.row and (told := tell_refusal(error)):
        entry.note_refused_by(told)
        if entry.key.hides_amounts:
            hide_amounts(error)


class _Writing:
    """The block of one entry, whose end waits for nothing. A class, because a generator's context manager costs more
    than the write."""

    __slots__ = ("_entry", "_ledger")

    def __init__(self, ledger: "LedgerWriter", entry: Entry) -> None:
        self._ledger = ledger
        self._entry = entry

    def __enter__(self) -> Entry:
        return self._entry

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        entry = self._entry
        if error is not None:
            entry.early_event = b""
        if isinstance(error, ApiError):
            entry.status, entry.error_code = error.status, error.error_code
            note_refusal(entry, error)
        elif isinstance(error, asyncio.CancelledError):
            entry.status, entry.error_code = _CLIENT_LEFT, "client_disconnected"
        elif error is not None:
            entry.status, entry.error_code = 500, "internal_error"
        if not entry.goes_on:
            self._ledger.write(entry)


class LedgerWriter:
    """Writes entries, and does not let go of one before it is written."""

    def __init__(self, valkey: Valkey, reservations: Reservations, tracer: Tracer | None = None) -> None:
        self._valkey = valkey
        self._settles = Settles(valkey)
        self._reservations = reservations
        self._tracer = tracer
        self._under_way = defaultdict[int, int](int)
        self._again: deque[Written] = deque()
        self._recent = Recent(valkey)
        self._repeater: asyncio.Task[None] | None = None
        self._turns = itertools.count()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._quiet_shards: dict[int, asyncio.Future[None]] = {}
        self._metrics = MetricBuffer()

    async def open(self) -> None:
        """Begin to repeat what fails."""
        self._repeater = start_standing("postings", self._repeat)

    async def close(self, patience_seconds: float) -> None:
        """Wait until everything is written, or for so long; what is left is reaped with its lease."""
        try:
            await asyncio.wait_for(self._quiet.wait(), patience_seconds)
        except TimeoutError:
            _log.error("closing with entries unwritten", extra={"entries": sum(self._under_way.values())})
        if self._repeater:
            self._repeater.cancel()
        metrics.LOOP_TASKS.set(0)
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)

    async def wait_written(self, shard: int) -> None:
        """Return when every entry of a shard is known to be written: one that is away keeps nobody else waiting. Raises
        GovernanceUnavailable where that takes too long."""
        if shard not in self._under_way:
            return
        quiet = self._quiet_shards.setdefault(shard, asyncio.get_running_loop().create_future())
        try:
            await asyncio.wait_for(asyncio.shield(quiet), _WRITTEN_WITHIN_SECONDS)
        except TimeoutError as error:
            raise GovernanceUnavailable("What calls have cost cannot be written down at the moment.") from error

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

    def make_early_event(self, entry: Entry) -> bytes | None:
        """The event of a call that ends now and as it stands, for whoever must settle it if we do not live to; None
        where it holds nothing. It is written so, unless an error follows."""
        if entry.hold is None:
            return None
        entry.early_event = dump_row(entry.finish())
        return entry.early_event

    def write(self, entry: Entry) -> None:
        """The call is over: settle what it holds and put its event on the stream."""
        if failpoints.ARMED:
            failpoints.reach("before_settle")
        self._write(entry)
        self._metrics.count(entry.org.slug, entry.row)
        if self._tracer is not None:
            self._tracer.note(entry)

    def _write(self, entry: Entry) -> None:
        row = entry.row if entry.early_event else entry.finish()
        event = entry.early_event or dump_row(row)
        shard, hold_id = entry.org.shard, entry.request_id
        send: Callable[[], Answer]
        then: Callable[[Any], None]
        if entry.hold is not None and entry.candidate is not None:
            self._reservations.forget(hold_id)
            settle = Settle(hold_id, row["effective_cost"] - entry.earlier_models_cost, event, _tokens_used(entry))
            send = partial(self._settles.send, shard, settle, entry.candidate.layout.breadth)
            then = partial(self._after_settle, entry, row, event)
        elif entry.is_hold_unknown and entry.candidate is not None:
            entry.counters = entry.candidate.layout.counters
            send = partial(self._give_up, shard, hold_id, event)
            then = partial(self._after_settle, entry, row, event)
        else:
            send, then = (
                partial(self._valkey.send, b"XADD", keyspace.ledger_key(shard), b"*", b"e", event),
                _nothing_more,
            )
        self._post(Written(send, shard, then, hold_id, b"" if then is _nothing_more else entry.epoch, event))

    def _give_up(self, shard: int, hold_id: str, event: bytes) -> Answer:
        keys = [*_hold_keys(shard, hold_id), keyspace.ledger_key(shard)]
        return self._valkey.run(GIVE_UP, keys, [hold_id, event, MARK_KEPT_MS, clock.now_ms()])

    def _after_settle(self, entry: Entry, row: Mapping[str, Any], event: bytes, settled: int) -> None:
        """Act on a settle that found no hold: it was repeated, the reaper took us for dead, or Valkey lost its data."""
        if failpoints.ARMED:
            failpoints.reach("settle_answered")
        if settled:
            return
        shard = entry.org.shard
        costs = _costs_by_counter(entry, row["effective_cost"])
        keys = [
            keyspace.closed_key(shard, entry.request_id),
            keyspace.epoch_key(shard),
            keyspace.ledger_key(shard),
            *costs,
        ]
        arguments: list[Argument] = [entry.epoch, event, MARK_KEPT_MS]
        for scope, cost in costs.values():
            arguments += (1 if scope.is_whole else 0, scope.kept_until_ms, cost)

        def learn(mark: bytes) -> None:
            if mark.startswith(b"reaped "):
                self._correct(entry, row, int(mark.split()[1]))

        self._post(Written(lambda: self._valkey.run(LATE, keys, arguments), shard, learn))

    def _correct(self, entry: Entry, row: Mapping[str, Any], reaped: int) -> None:
        """The reaper posted the bound in our name; we know the truth."""
        shard = entry.org.shard
        if any(attempt.is_unknown for attempt in entry.attempts):
            return  # the upstream's bill will tell more than we know
        # What the tries at earlier models cost was known to it, too.
        reaped += entry.earlier_models_cost
        model = entry.candidate.model.name if entry.candidate else row["request_model"]
        costs = costs_by_model(row)
        before = costs | {model: costs.get(model, 0) + reaped - row["effective_cost"]}
        attempts = [{"model": name, "cost": nanos} for name, nanos in before.items()]
        posted = {
            **row,
            "list_cost": reaped,
            "effective_cost": reaped,
            "attempts": attempts,
            **usage_columns(Usage()),
        }
        used = add_usage([attempt.usage for attempt in entry.attempts])
        cost = row["effective_cost"]
        correction = correction_row(posted, correction_id(entry.request_id), used, cost, row["is_overrun"], costs)
        correction["is_estimated"] = row["is_estimated"]
        event = dump_row(correction)
        mark = keyspace.corrected_key(shard, entry.request_id)
        keys = [mark, keyspace.ledger_key(shard), *entry.counters]
        arguments: list[Argument] = [cost - reaped, event, MARK_KEPT_MS, *(cost - reaped for _ in entry.counters)]
        self._post(Written(lambda: self._valkey.run(CORRECT, keys, arguments), shard, _nothing_more))

    def _write_again(self, written: Written) -> None:
        """Valkey may have forgotten it. A settle, or a giving up, that finds no hold has either happened, or the hold
        was forgotten too: its event is written once more, which the ledger takes for what it is."""

        def see_to_event(done: Any) -> None:
            if done == 0:
                shard = written.shard
                closed = keyspace.closed_key(shard, written.hold_id)
                keys = [closed, keyspace.epoch_key(shard), keyspace.ledger_key(shard)]
                arguments: list[Argument] = [written.epoch, written.event, MARK_KEPT_MS]
                self._post(Written(lambda: self._valkey.run(LATE, keys, arguments), shard, _nothing_more))

        # It may be forgotten once more, where the successor is lost, too.
        self._post(replace(written, then=see_to_event))

    def _post(self, posting: Written) -> None:
        if not self._under_way:
            self._quiet.clear()
        self._under_way[posting.shard] += 1
        self._try(posting)

    def _try(self, posting: Written) -> None:
        try:
            answer = posting.send()
        except ValkeyUnavailable:
            self._again.append(posting)
            return
        except Exception:
            # Whoever is above us is told of the fault. The posting is not forgotten for it.
            self._again.append(posting)
            raise
        answer.add_done_callback(partial(self._done, posting))

    def _done(self, posting: Written, answer: Answer) -> None:
        if answer.cancelled() or (error := answer.exception()) is not None:
            if not answer.cancelled() and isinstance(error, hiredis.ReplyError):
                _log.error("Valkey refused a posting", extra={"reply": str(error)})
            self._again.append(posting)
            return
        then = posting.then
        if posting.hold_id:
            # What follows holds the whole call, its body too. What is kept for a moment can do without.
            posting.then = _nothing_more
            self._recent.note(posting)
        then(answer.result())
        shard = posting.shard
        if (left := self._under_way[shard] - 1) > 0:
            self._under_way[shard] = left
            return
        del self._under_way[shard]
        if (quiet := self._quiet_shards.pop(shard, None)) is not None:
            quiet.set_result(None)
        if not self._under_way:
            self._quiet.set()

    async def _repeat(self) -> None:
        await asyncio.sleep(_RETRY_SECONDS)
        # What fails in one of these steps is not met in it again, so that the next turn comes to those behind it.
        self._metrics.flush()
        if next(self._turns) % _COUNTED_EVERY == 0:
            metrics.LOOP_TASKS.set(len(asyncio.all_tasks()))
        await _in_pieces(self._write_again, self._recent.take_doubtful())
        if self._again and self._valkey.is_connected:
            waiting, self._again = self._again, deque()
            await _in_pieces(self._try, waiting)


async def _in_pieces(act: Callable[[_Thing], None], things: Collection[_Thing]) -> None:
    """``act`` on each, so many in a turn of the loop: calls go on between. Raises what ``act`` has raised first, when
    all have had their turn."""
    fault: Exception | None = None
    for count, thing in enumerate(things, 1):
        try:
            act(thing)
        except Exception as error:  # noqa: BLE001 - the others must not wait for it
            fault = fault or error
        if count % _A_TURN == 0:
            await asyncio.sleep(0)
    if fault is not None:
        raise fault


def _hold_keys(shard: int, hold_id: str) -> list[str]:
    return [*keyspace.keys_of_hold(shard, hold_id), keyspace.leases_key(shard)]


def _costs_by_counter(entry: Entry, cost: int) -> dict[str, tuple[Scope, int]]:
    """What each counter is charged, with its scope: a model's own what its tries cost."""
    parts = [*entry.earlier_models]
    if entry.candidate is not None and entry.counters:
        parts.append((entry.candidate.layout, cost - entry.earlier_models_cost))
    costs: dict[str, tuple[Scope, int]] = {}
    for layout, nanos in parts:
        for counter, scope in zip(layout.counters, layout.scopes, strict=False):
            costs[counter] = (scope, nanos + costs.get(counter, (scope, 0))[1])
    return costs


def _tokens_used(entry: Entry) -> int | bytes:
    """What windows of tokens are told; nothing where an attempt's tokens are unknown: then what was reserved stays."""
    for attempt in entry.attempts:
        if attempt.is_unknown:
            return b""
    return tokens_of(entry.row) - entry.earlier_models_tokens


def _nothing_more(_: Any) -> None:
    return None
