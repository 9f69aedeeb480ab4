"""One line of a batch, asked: a call like any other, with its own row, whose money is there already."""

import logging
from asyncio import CancelledError, Task, create_task, current_task
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import hiredis
from django.db import Error as AnyDatabaseError

from costhub.lib import clock, failpoints
from proxy.attempts.buffer import Buffer
from proxy.attempts.loop import run_attempts
from proxy.attempts.means import Means
from proxy.attempts.relay import Relay
from proxy.batches import store
from proxy.batches.background import keep, render
from proxy.batches.ids import line_id
from proxy.batches.line_request import parse_line
from proxy.batches.model import Batch, BatchLine
from proxy.batches.pools import MAX_COST, controls_of
from proxy.batches.results import Result
from proxy.batches.saver import InThread, Saver
from proxy.batches.telling import Teller
from proxy.core import exact_json
from proxy.core.batch_lines import BadLine, dump_answer, dump_failure
from proxy.core.rate_limits import without_rate_limits
from proxy.core.refusals import check_may_ask
from proxy.core.row import dump_row
from proxy.dialects import dialect_of
from proxy.edges.draw import DRAWN_BEFORE, draw
from proxy.edges.entry import Entry
from proxy.edges.ledger_writer import note_refusal
from proxy.edges.reply import Reply
from proxy.edges.settle_batch import SETTLE, Settle, settle_command
from proxy.edges.told import tell_end
from proxy.edges.valkey import ValkeyUnavailable
from proxy.errors import ApiError, GovernanceUnavailable, InvalidRequest, RateLimited, UpstreamError
from proxy.planner import Planner, prepare
from proxy.values.plan import Hold, Plan
from proxy.values.request import Controls, Endpoint, Request
from proxy.wiring import Edges
from tenants.sealed_rows import Sealer
from tenants.snapshots import KeySnapshot, OrgSnapshot

_log = logging.getLogger(__name__)

#: a line that meets an upstream's trouble is asked so often, and one that was promised by a deadline at the least
MAX_TRIES: Final = 5
_OK: Final = 200
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(minutes=5)
_DOUBLED: Final = 6
#: an upstream's statuses that pass
_PASSING: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
#: those that say nothing of what is asked: it takes nothing of anybody, or is away
_AWAY: Final = _PASSING - {500}
#: somebody has stopped the calls, and will resume them
STOPS: Final = frozenset({"emergency_stop", "organization_closed", "organization_suspended"})
_MOMENT_BITS: Final = 80
#: for so long after it came what runs in the background is asked of an upstream that is away: its caller looks for it
_LOOKED_FOR_MS: Final = 3_600_000
#: a longer one, in bytes, keeps its line's place until it is noted: no more of them are in memory than are asked for
_SHORT_ANSWER: Final = 256 * 1024


class Stopped(Exception):
    """Calls of this organisation, project or key are stopped: the line was not asked."""


class Cancelled(ApiError):
    """Its caller does not want the answer any more."""

    code = "cancelled"
    http_status = 409


class DeadlineMissed(ApiError):
    """Nobody answered in time."""

    code = "deadline_missed"
    http_status = 504


@dataclass(frozen=True, slots=True)
class Asking:
    """What the lines of one batch are asked with."""

    batch: Batch
    edges: Edges
    key: KeySnapshot
    org: OrgSnapshot
    controls: Controls
    endpoint: Endpoint
    saver: Saver
    in_thread: InThread
    #: those that may be cancelled while they are asked, by their number
    under_way: dict[int, Task[Result]] = field(default_factory=dict)

    async def ask(self, line: BatchLine, raw: bytes, end_turn: Callable[[], None]) -> None:
        """Ask for one line, and note how it came out before its money is settled. ``end_turn`` is called when its
        upstream is done with it. Raises Stopped, and django.db.Error."""
        try:
            with self._open_entry(line) as entry:
                try:
                    result = await self._answer_or_leave(line, raw, entry)
                except ApiError as error:
                    if is_stop(error):
                        # It was not asked, and is no call yet.
                        entry.goes_on = True
                        raise
                    if self.batch.is_pool and line.tries == 1 and entry.hold is None and not entry.is_hold_unknown:
                        await self._release(line, error, entry)
                    entry.status, entry.error_code = error.status, error.error_code
                    note_refusal(entry, error)
                    end_turn()
                    await self._save(line, self._failed(line, error, entry), entry)
                    raise
                if len(result.answer or b"") <= _SHORT_ANSWER:
                    end_turn()
                failpoints.reach("line_answered")
                await self._save(line, result, entry)
                failpoints.reach("line_saved")
        except ApiError as error:
            if is_stop(error):
                raise Stopped from error
        except AnyDatabaseError:
            raise
        except Exception:  # noqa: BLE001 - the others must not wait for it
            _log.exception("a line failed by our own fault", extra={"request_id": str(line.request_id)})
            text = "CostHub failed to ask for this line. It is in our log under its request id."
            await self.saver.save(self._failure(line, "internal_error", text))

    def _open_entry(self, line: BatchLine) -> AbstractContextManager[Entry]:
        assert line.request_id is not None
        started_ms = line.request_id.int >> _MOMENT_BITS
        return self.edges.ledger.entry(
            str(line.request_id), started_ms, clock.monotonic_ns(), self.key, self.org, self.endpoint
        )

    async def _save(self, line: BatchLine, result: Result, entry: Entry) -> None:
        """Note a result with what is settled next, for who finds it if we die before that."""
        event = self.edges.ledger.make_early_event(entry)
        await self.saver.save(result._replace(event=event))
        if line.is_background and result.state != store.WAITING:
            tell_end(self.edges.valkey, entry.org.shard, line.custom_id)

    def leave(self, number: int) -> None:
        """Nobody waits for the call's answer any more: charge what it has cost so far."""
        if (task := self.under_way.get(number)) is not None:
            task.cancel()

    async def _answer_or_leave(self, line: BatchLine, raw: bytes, entry: Entry) -> Result:
        if not line.is_background:
            return await self._answer(line, raw, entry)
        answering = self.under_way[line.number] = create_task(self._answer(line, raw, entry))
        try:
            return await answering
        except CancelledError:
            worker = current_task()
            if worker is not None and worker.cancelling():
                raise
            raise Cancelled("This response was cancelled.") from None
        finally:
            del self.under_way[line.number]

    async def _answer(self, line: BatchLine, raw: bytes, entry: Entry) -> Result:
        request = self._parse(raw)
        entry.note_request(request)
        entry.note_payers(self.controls)
        if line.deadline_at is not None and clock.now() > line.deadline_at:
            raise DeadlineMissed("The deadline is over, and this call could not be answered before it.")
        if line.cancelled_at is not None:
            raise Cancelled("This response was cancelled.")
        edges = self.edges
        controls = await self._find_controls(line, entry)
        held_for = str(self.batch.row.get("model", "")) if self._is_held(line, entry) else ""
        sent = await prepare(request, controls, edges, entry.org)
        planner = self._plan(sent, entry, controls, held_for)
        plan, hold = await self._hold(line, planner, entry)
        check_may_ask(plan)
        means = Means(edges.upstreams, edges.health, edges.reservations, edges.counting, planner.replan)
        if line.is_background and request.is_stream:
            body = await self._tell(line, plan, hold, means, entry)
        else:
            answer = await run_attempts(plan, hold, means, Buffer(), entry)
            body = render(self.endpoint, request, answer, entry)
        if line.is_background:
            body = await keep(line, request, body, self.key, entry)
        text = dump_answer(line_id(self.batch.pk, line.number), line.custom_id, _OK, entry.request_id, body)
        return Result(line.number, line.request_id, store.DONE, text, entry.cost)

    async def _tell(self, line: BatchLine, plan: Plan, hold: Hold, means: Means, entry: Entry) -> bytes:
        """Have it answered as a stream, whose events are told as they come. Gives the whole response."""
        sealer = Sealer(entry.org.id, entry.org.data_key)
        teller = Teller(self.edges.valkey, entry.org.shard, line.custom_id, entry.request_id, sealer)
        await run_attempts(plan, hold, means, Relay(Reply(teller.send), dialect_of(self.endpoint), entry), entry)
        if teller.response is None:
            raise UpstreamError("The upstream ended its answer too early.", code="upstream_broke_off")
        return exact_json.dumps(teller.response)

    async def _release(self, line: BatchLine, error: ApiError, entry: Entry) -> None:
        """A deferred call that cannot be planned any more: what it has held since it came goes back, with its row."""
        entry.goes_on = True
        row = {**entry.row, "status": error.status, "error_code": error.error_code, "held": line.amount}
        settle = Settle(entry.request_id, 0, dump_row(row), 0)
        # Where Valkey is away the lease ends by itself.
        with suppress(ValkeyUnavailable, hiredis.ReplyError):
            await self.edges.valkey.run(SETTLE, *settle_command(entry.org.shard, [settle], clock.now_ms()))

    def _is_held(self, line: BatchLine, entry: Entry) -> bool:
        """Whether the line's money is there. A deferred call holds its own, until it is asked again."""
        return line.tries == 1 if self.batch.is_pool else entry.started_at_ms == self.batch.created_ms

    async def _hold(self, line: BatchLine, planner: Planner, entry: Entry) -> tuple[Plan, Hold]:
        edges = self.edges
        is_held = self._is_held(line, entry)
        plan = await planner.decide(self.batch.spent if is_held else edges.reservations.spent)
        entry.note_plan(plan)
        if is_held and not self.batch.is_pool and (others := edges.health.prefer_healthy(plan)).first is not plan.first:
            # Its upstream does not answer: who stands in for it has other budgets, and another price.
            entry.note_plan(others)
            return await edges.reservations.admit(others, entry, planner.replan)
        if is_held:
            hold = await draw(
                edges.valkey,
                edges.reservations,
                entry,
                plan.first,
                str(self.batch.pk),
                number=line.number,
                amount=line.amount,
                max_output=line.max_output,
            )
            if hold is not None and hold is not DRAWN_BEFORE:
                return plan, hold
            if self.batch.is_pool:
                # It was settled, perhaps, and has its row: by that id it would have no second one. Nobody was asked
                # with it, so that it is asked again: as a call of its own, which holds its own money.
                raise GovernanceUnavailable("What was set aside for this call is not there any more.")
        return await edges.reservations.admit(plan, entry, planner.replan)

    async def _find_controls(self, line: BatchLine, entry: Entry) -> Controls:
        """What was asked for in headers. Where a caller's limit bounds the batch, a line's own is its share, and where
        an earlier try of it was billed, what other lines have left of theirs.

        Raises GovernanceUnavailable where they may leave more yet.
        """
        controls = controls_of(self.batch, line.cost)
        most = self.batch.remote.get(MAX_COST)
        if self.batch.is_pool or most is None:
            return controls
        if self._is_held(line, entry) or not line.cost:
            return controls._replace(max_cost=line.amount)
        room = await self.in_thread(store.find_room, self.batch, line, most)
        if not room.is_final:
            raise GovernanceUnavailable(
                "Other lines hold what x-costhub-max-cost leaves for this one to be asked again."
            )
        return controls._replace(max_cost=room.nanos)

    def _plan(self, request: Request, entry: Entry, controls: Controls, held_for: str) -> Planner:
        """How the line is planned, now and where budgets have changed meanwhile."""

        async def renew(version: int) -> None:
            entry.org = without_rate_limits(await self.edges.catalog.get_org(entry.org.id, version))

        return Planner(self.edges, entry, request=request, controls=controls, renew=renew, held_for=held_for)

    def _parse(self, raw: bytes) -> Request:
        try:
            return parse_line(self.batch, raw)
        except BadLine as error:
            raise InvalidRequest(error.message, code=error.code, param=error.param) from error

    def _failed(self, line: BatchLine, error: ApiError, entry: Entry) -> Result:
        if isinstance(error, GovernanceUnavailable) or _comes_again(line, error, entry):
            again_at = find_next_try(error, line.tries)
            if line.deadline_at is None or again_at < line.deadline_at:
                return Result(line.number, line.request_id, store.WAITING, None, entry.cost, again_at)
        if isinstance(error, UpstreamError) or error.status != GovernanceUnavailable.http_status:
            body = dialect_of(self.endpoint).render_error(error, entry.request_id)
            name = line_id(self.batch.pk, line.number)
            text = dump_answer(name, line.custom_id, error.status, entry.request_id, body)
            return Result(line.number, line.request_id, store.LINE_FAILED, text, entry.cost)
        return self._failure(line, error.error_code, error.message, entry.cost)

    def _failure(self, line: BatchLine, code: str, message: str, cost: int = 0) -> Result:
        text = dump_failure(line_id(self.batch.pk, line.number), line.custom_id, code, message)
        return Result(line.number, line.request_id, store.LINE_FAILED, text, cost)


def is_stop(error: ApiError) -> bool:
    """Whether somebody has stopped the calls: an upstream's words are not meant."""
    return error.error_code in STOPS and not isinstance(error, UpstreamError)


def _comes_again(line: BatchLine, error: ApiError, entry: Entry) -> bool:
    """Whether a line that has failed so is asked once more: a few times, and what was promised by a deadline for as
    long as its upstream is away, and nothing of it was billed; in the background for an hour."""
    if not _passes(error):
        return False
    is_promised = line.deadline_at is not None
    if line.is_background:
        is_promised = clock.now_ms() < (UUID(line.custom_id).int >> _MOMENT_BITS) + _LOOKED_FOR_MS
    return line.tries < MAX_TRIES or (is_promised and error.status in _AWAY and not (line.cost or entry.cost))


def _passes(error: ApiError) -> bool:
    """Whether the same line may be answered later."""
    if isinstance(error, UpstreamError):
        return error.status in _PASSING
    return isinstance(error, RateLimited)


def find_next_try(error: ApiError, tries: int) -> datetime:
    """When a line is asked again that was asked so often: each time later, and at most five minutes from now."""
    # A line may wait for Valkey for hundreds of tries.
    pause: timedelta = min(_FIRST_PAUSE * (1 << min(tries - 1, _DOUBLED)), _LONGEST_PAUSE)
    asked = error.headers.get("retry-after", "")
    if asked.isascii() and asked.isdecimal() and len(asked) < 6:
        pause = min(max(pause, timedelta(seconds=int(asked))), _LONGEST_PAUSE)
    return clock.now() + pause
