"""A call that says by when it wants its answer: taken with its money, answered later, and asked for by its id.

Those that are alike wait in a pool, which is a batch of calls that each hold their own money. Where there is time, and
the upstream runs batches itself, a pool is handed on as one, at the price of that; what is not answered near its
deadline is asked online.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

import hiredis
import orjson
from django.conf import settings

from costhub.lib import clock, failpoints, keyspace
from costhub.lib.moments import from_ms, to_ms
from proxy.arrival import Serving, add_history, open_entry, read_request, receive
from proxy.batches import background, pools
from proxy.batches.create import GRACE
from proxy.batches.database import in_database
from proxy.batches.ids import name_response
from proxy.batches.line_request import BETAS
from proxy.batches.model import Batch, BatchLine
from proxy.batches.pace import find_call_ms
from proxy.call import Call
from proxy.core.batch_cost import runs_batches
from proxy.core.controls import check_single, parse_controls, refuse_route
from proxy.core.deadlines import (
    ANSWERED_LATER,
    HEADER,
    LEAST_MS,
    DeadlineCannotBeKept,
    Pace,
    check_capacity,
    check_room,
    check_step,
    find_wait,
    has_time_for_a_batch,
    parse_deadline,
)
from proxy.core.refusals import check_may_ask
from proxy.edges.entry import answer_later
from proxy.edges.leaving import finish
from proxy.edges.reply import Reply
from proxy.edges.valkey import ValkeyUnavailable
from proxy.errors import GovernanceUnavailable, InvalidRequest, NotFound
from proxy.planner import Planner
from proxy.values.plan import Candidate, Hold, Plan
from proxy.values.request import Controls, Endpoint, Request
from proxy.wiring import Edges
from tenants.snapshots import KeySnapshot

Json = dict[str, Any]

_HOUR_MS: Final = 3_600_000


async def defer(call: Call, edges: Edges, reply: Reply) -> None:
    """Take a call for later: 202 with its id, or an error at once. Raises ApiError; it has one row, when it is
    answered."""
    if call.endpoint not in ANSWERED_LATER:
        paths = ", ".join(f"/v1/{endpoint.value}" for endpoint in ANSWERED_LATER)
        raise InvalidRequest(f"{HEADER} is for {paths}: leave it out.", param=HEADER)
    await _take(call, edges, reply, has_header=True)


async def take_later(call: Call, edges: Edges, reply: Reply) -> None:
    """Take a call that its route has wait, as by ``defer``, or a response in the background, which is asked next, and
    told as one that is queued, or as a stream, while it is made. Raises ApiError, and AnsweredLater where a route's
    deadline cannot be kept: nothing was done, and the call is to be answered now."""
    if heard := await _take(call, edges, reply, has_header=False):
        await background.listen(call, edges, name_response(heard), reply)


class _Deferred(NamedTuple):
    """A call that is wanted later, as it is read."""

    request: Request
    controls: Controls
    #: what is asked when its turn comes
    line: bytes
    deadline_ms: int
    is_background: bool
    #: whether its caller has set the deadline, and not its route
    has_header: bool

    @property
    def is_heard(self) -> bool:
        """Whether its caller listens while it is made."""
        return self.is_background and self.request.is_stream

    def check_is_one(self, plan: Plan) -> None:
        """Raise InvalidRequest for a cascade: what is held now pays for one model's answer."""
        if plan.is_cascade:
            said = "background" if self.is_background else HEADER
            raise InvalidRequest(
                f"{plan.request.model} is a cascade, whose answers are judged while somebody waits: leave {said} out,"
                " or ask for a model or for a route of another kind.",
                param="model",
                code="unsupported_operation",
            )

    def check_place(self, waiting: Mapping[int, int], kept_bytes: int, *, pace: Pace) -> None:
        """Raise DeadlineCannotBeKept where there is no time or room for it among those that wait, and RateLimited where
        its caller has set no deadline: it is to run in the background."""
        try:
            check_room(kept_bytes, len(self.line), settings.MAX_FILES_BYTES)
            check_capacity(waiting, pace, clock.now_ms(), self.deadline_ms)
        except DeadlineCannotBeKept as error:
            if not self.is_background:
                raise
            raise background.refuse_crowded(error) from error


async def _take(call: Call, edges: Edges, reply: Reply, *, has_header: bool) -> str:
    """Take a call for later; its deadline is in its header, or its route's. Gives the id of the call to which the
    caller wants to listen, who has been told nothing yet; else an empty one."""
    bearer, block = await open_entry(call, edges)
    with block as entry:
        serving = Serving(call, edges, entry, reply, bearer)
        wanted = await _read(serving, has_header=has_header)
        renew = partial(edges.auth.renew, entry, bearer)
        planner = Planner(
            edges, entry, request=wanted.request, controls=wanted.controls, renew=renew, avoids_down=False
        )
        plan = await planner.decide(edges.reservations.spent)
        entry.note_plan(plan)
        wanted.check_is_one(plan)
        # Who leaves while the call is put down is none the wiser: it is in its pool then, with its money, or it is not.
        return await finish(_take_once(serving, wanted, planner, plan))


async def _take_once(serving: Serving, wanted: _Deferred, planner: Planner, plan: Plan) -> str:
    """Take it, unless a call with its Idempotency-Key was. Gives what ``_take`` does."""
    call, edges, entry, reply, _ = serving
    once = edges.idempotency.once(
        *(wanted.controls.idempotency_key, wanted.request, call.as_sent, entry, reply), is_told=not wanted.is_heard
    )
    async with once as is_first:
        if not is_first:
            return once.first_id if wanted.is_heard else ""
        await _join_pool(serving, wanted, planner, plan)
        await _tell_taken(serving, wanted)
    # What is heard is no part of what its Idempotency-Key stands for: who comes again listens to it anew.
    reply.transcript = None
    return call.id if wanted.is_heard else ""


async def _read(serving: Serving, *, has_header: bool) -> _Deferred:
    """What is wanted, and until when. Raises ApiError."""
    call, _, entry, _, _ = serving
    body = await receive(serving)
    request = read_request(serving, body)
    refuse_route(call.headers)
    controls = parse_controls(call.headers, call.repeated)
    if request.is_background and not has_header:
        background.check_background(request, entry.org.answers_kept_hours)
        request = await add_history(serving, request)
        deadline_ms = call.started_ms + int(background.WITHIN.total_seconds() * 1000)
        line = background.write_line(request)
        return _Deferred(request, controls, line, deadline_ms, is_background=True, has_header=False)
    if request.is_stream:
        raise InvalidRequest("A call with a deadline has no stream: leave stream out.", param="stream")
    if request.is_background:
        raise InvalidRequest(f"Leave background out, or {HEADER}: each has a way of its own.", param="background")
    line = body
    if call.endpoint is Endpoint.RESPONSES:
        request = await add_history(serving, request)
        line = background.write_line(request, is_kept=False)
    if has_header:
        check_single(call.repeated, (HEADER,))
        check_step(request)
        deadline_ms = parse_deadline(call.headers[HEADER], call.started_ms)
    else:
        # A route that has changed since is kept to what it can at the least promise.
        seconds = find_wait(request, call.endpoint, entry.org)
        deadline_ms = call.started_ms + max(seconds * 1000, LEAST_MS)
    return _Deferred(request, controls, line, deadline_ms, is_background=False, has_header=has_header)


async def _join_pool(serving: Serving, wanted: _Deferred, planner: Planner, plan: Plan) -> None:
    """Set the call's money aside, and put it into the pool of those that are alike. Raises ApiError, and AnsweredLater
    where its route's deadline cannot be kept."""
    call, edges, entry, _, _ = serving
    key, upstream, deadline_ms = entry.key, plan.first.upstream, wanted.deadline_ms
    waiting = await in_database(pools.count_waiting, key.org_id, UUID(upstream.id))
    pace, now_ms = await in_database(_find_pace, key, plan.first), clock.now_ms()
    try:
        wanted.check_place(waiting, 0, pace=pace)
    except DeadlineCannotBeKept:
        if wanted.has_header:
            raise
        # Its route has set the deadline, and not its caller.
        answer_later(entry)
    ahead = 1 + sum(calls for due_ms, calls in waiting.items() if due_ms <= deadline_ms)
    has_time = has_time_for_a_batch(ahead, pace, deadline_ms - now_ms)
    # What runs in the background is asked at once, though it has a day.
    is_remote = not wanted.is_background and runs_batches(plan.first, call.endpoint) and has_time
    entry.note_deferred()
    plan, hold = await edges.reservations.admit(plan, entry, planner.replan)
    check_may_ask(plan)
    wanted.check_is_one(plan)
    pool = _make_pool(call, key, plan, dict(edges.reservations.spent), deadline_ms, is_remote=is_remote)
    if not wanted.is_background:
        pool.row |= {pools.HOUR: deadline_ms // _HOUR_MS}
    line = _make_line(call, key, wanted.line, hold, deadline_ms)
    line.is_background = wanted.is_background
    # Anew, because the plan may be another one by now; and before `join`, behind whose lock everybody else waits.
    pace = await in_database(_find_pace, key, plan.first)
    try:
        # Others may have been promised meanwhile what was free a moment ago.
        await _put_down(pool, line, partial(wanted.check_place, pace=pace))
    except DeadlineCannotBeKept:
        if wanted.has_header:
            raise
        # What is held is for an answer at some time, of the models that its route has then. Answered now it is a call
        # like any other, and reserves like one.
        await edges.reservations.give_back(entry)
        answer_later(entry)
    failpoints.reach("call_pooled")
    # From here on its money is the pool's to settle.
    entry.goes_on = True
    edges.reservations.forget(hold.id)
    ends_ms = to_ms(from_ms(deadline_ms) + GRACE)
    with suppress(ValkeyUnavailable, hiredis.ReplyError):
        await edges.valkey.send(b"ZADD", keyspace.leases_key(entry.org.shard), b"XX", ends_ms, hold.id)


async def _put_down(pool: Batch, line: BatchLine, check: Callable[[Mapping[int, int], int], None]) -> None:
    """Put a call into its pool, as ``pools.join`` does. Raises what ``check`` raises, and GovernanceUnavailable where
    it is not in a pool, or where that cannot be known."""
    try:
        await in_database(pools.join, pool, line, check)
    except GovernanceUnavailable:
        # The connection may have been lost when it was written, and nobody told of it: then it is taken.
        if not await in_database(pools.has_joined, pool, line):
            raise


def _find_pace(key: KeySnapshot, candidate: Candidate) -> Pace:
    """How calls get on that wait for an upstream, with one of this key for this model: as the slowest of them."""
    upstream, upstream_id = candidate.upstream, UUID(candidate.upstream.id)
    asked = pools.list_asked(key.org_id, upstream_id) | {(UUID(key.id), candidate.model.name)}
    call_ms = max(find_call_ms(key.org_id, upstream_id, *one) for one in asked)
    return Pace(upstream.batch_concurrency, call_ms)


async def _tell_taken(serving: Serving, wanted: _Deferred) -> None:
    """Tell the caller that the call is taken, unless it listens: then the answer's own events do."""
    call, reply = serving.call, serving.reply
    headers = {"content-type": "application/json", "x-request-id": call.id}
    if not wanted.is_background:
        shown = orjson.dumps(_show(call.id, "waiting", wanted.deadline_ms))
        await reply.send(202, headers | {"retry-after": "10"}, shown)
    elif not wanted.is_heard:
        await reply.send(200, headers, background.show_taken(call.id, wanted.request, call.started_ms))


async def show_deferred(call: Call, edges: Edges, name: str, reply: Reply) -> None:
    """A call that was taken for later: 202 while it waits, and then its answer. Raises NotFound."""
    key, _ = await edges.auth.admit(call)
    call_id = _read_id(name)
    line = await in_database(pools.find, key, call_id) if call_id is not None else None
    if line is None or line.deadline_at is None or line.is_background:
        raise NotFound(f"No deferred call found with id '{name[:100]}'.", code="not_found")
    shown = _show(line.custom_id, "waiting", to_ms(line.deadline_at))
    headers = {"content-type": "application/json", "x-request-id": call.id}
    if line.answer is None:
        await reply.send(202, headers | {"retry-after": "10"}, orjson.dumps(shown))
        return
    answer = orjson.loads(bytes(line.answer))
    status = "completed" if line.state == pools.DONE else "failed"
    told = {"status": status, "deadline_missed": line.is_late}
    body = shown | told | {"response": answer["response"], "error": answer["error"]}
    await reply.send(200, headers, orjson.dumps(body))


def _read_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _show(request_id: str, status: str, deadline_ms: int) -> Json:
    return {
        "id": request_id,
        "object": "costhub.deferred",
        "status": status,
        "deadline": from_ms(deadline_ms).isoformat().replace("+00:00", "Z"),
        "url": f"/v1/costhub/deferred/{request_id}",
    }


def _make_pool(
    call: Call, key: KeySnapshot, plan: Plan, spent: Mapping[str, int], deadline_ms: int, *, is_remote: bool
) -> Batch:
    """A new pool, for a call that may join none of those that wait."""
    return Batch(
        id=UUID(clock.new_id_of(call.started_ms)),
        org_id=UUID(key.org_id),
        project_id=UUID(key.project_id),
        key_id=UUID(key.id),
        end_user=plan.controls.end_user,
        tags=dict(plan.controls.tags),
        session=plan.controls.session,
        endpoint=f"/v1/{call.endpoint.value}",
        model=plan.request.model,
        upstream_id=UUID(plan.first.upstream.id),
        input_file_id=UUID(int=0),
        status=pools.POOLING if is_remote else pools.IN_PROGRESS,
        is_remote=is_remote,
        is_pool=True,
        spent=dict(spent),
        row=_make_row(plan),
        created_ms=call.started_ms,
        expires_at=from_ms(deadline_ms),
        first_deadline=from_ms(deadline_ms),
    )


def _make_row(plan: Plan) -> Json:
    """What calls of a pool have alike beside who pays: what is asked, and how."""
    row: Json = {"model": plan.first.model.name}
    if plan.controls.max_cost is not None:
        row[pools.MAX_COST] = plan.controls.max_cost
    if plan.controls.is_uncompressed:
        row[pools.UNCOMPRESSED] = True
    original = plan.request.original
    if original is not None and original.betas:
        row[BETAS] = list(original.betas)
    return row


def _make_line(call: Call, key: KeySnapshot, raw: bytes, hold: Hold, deadline_ms: int) -> BatchLine:
    return BatchLine(
        org_id=UUID(key.org_id),
        custom_id=call.id,
        starts=0,
        length=len(raw),
        amount=hold.amount,
        max_output=hold.max_output,
        request_id=UUID(call.id),
        body=raw,
        deadline_at=from_ms(deadline_ms),
    )
