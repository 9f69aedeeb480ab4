"""A call that says by when it wants its answer: taken with its money, answered later, and asked for by its id.

Those that are alike wait in a pool, which is a batch of calls that each hold their own money. Where there is time, and
the upstream runs batches itself, a pool is handed on as one, at the price of that; what is not answered near its
deadline is asked online.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final
from uuid import UUID

import hiredis
import orjson

from costhub.lib import clock, keyspace
from costhub.lib.moments import from_ms, to_ms
from proxy.answers.archive import recall
from proxy.batches import background, pools
from proxy.batches.create import GRACE
from proxy.batches.database import in_database
from proxy.batches.ids import name_response
from proxy.batches.model import Batch, BatchLine
from proxy.call import Call
from proxy.core.batch_cost import runs_batches
from proxy.core.controls import parse_controls, refuse_route
from proxy.core.deadlines import (
    ANSWERED_LATER,
    HEADER,
    LEAST_MS,
    check_capacity,
    check_step,
    find_wait,
    has_time_for_a_batch,
    parse_deadline,
)
from proxy.core.refusals import check_may_ask
from proxy.core.row import DEFERRED
from proxy.dialects import dialect_of
from proxy.edges.entry import put_off
from proxy.edges.reply import Reply
from proxy.edges.valkey import ValkeyUnavailable
from proxy.errors import InvalidRequest, NotAllowed, NotFound
from proxy.planner import Planner
from proxy.values.plan import Hold, Plan
from proxy.values.request import Endpoint
from proxy.wiring import Edges
from tenants.snapshots import KeySnapshot

Json = dict[str, Any]

_HOUR_MS: Final = 3_600_000


def is_deferred(call: Call) -> bool:
    """Whether a call says by when it wants its answer."""
    return HEADER in call.headers


async def defer(call: Call, edges: Edges, reply: Reply) -> None:
    """Take a call for later: 202 with its id, or an error at once. Raises ApiError; it has one row, when it is
    answered."""
    if call.endpoint not in ANSWERED_LATER:
        paths = ", ".join(f"/v1/{endpoint.value}" for endpoint in ANSWERED_LATER)
        raise InvalidRequest(f"{HEADER} is for {paths}: leave it out.", param=HEADER)
    await _take(call, edges, reply, has_header=True)


async def take_later(call: Call, edges: Edges, reply: Reply) -> None:
    """Take a call that its route has wait, as by ``defer``, or a response in the background, which is asked next, and
    told as one that is queued, or as a stream, while it is made. Raises ApiError, and PutOff where a route's deadline
    cannot be kept: nothing was done, and the call is to be answered now."""
    if heard := await _take(call, edges, reply, has_header=False):
        await background.listen(call, edges, name_response(heard), reply)


async def _take(call: Call, edges: Edges, reply: Reply, *, has_header: bool) -> str:
    """Take a call for later; its deadline is in its header, or its route's. Gives the id of the call to which the
    caller wants to listen, who has been told nothing yet; else an empty one."""
    edges.ledger.check_room()
    dialect = dialect_of(call.endpoint)
    bearer = call.bearer()
    key, org = await edges.auth.authenticate(bearer)
    async with edges.ledger.entry(call.id, call.started_ms, call.started_ns, key, org, call.endpoint) as entry:
        edges.auth.check_origin(key, call)
        raw = await call.body()
        request = dialect.parse_request(call.endpoint, raw)
        entry.note_request(request)
        refuse_route(call.headers)
        controls = parse_controls(call.headers, call.repeated)
        asked = raw
        is_background = request.is_background and not has_header
        if is_background:
            background.check_background(request, entry.org.answers_kept_hours)
            request = await recall(request, entry)
            asked = background.write_line(request)
            deadline_ms = call.started_ms + int(background.WITHIN.total_seconds() * 1000)
        else:
            if request.is_stream:
                raise InvalidRequest("A call with a deadline has no stream: leave stream out.", param="stream")
            if request.is_background:
                raise InvalidRequest(
                    f"Leave background out, or {HEADER}: each has a way of its own.", param="background"
                )
            if call.endpoint is Endpoint.RESPONSES:
                request = await recall(request, entry)
                asked = background.write_line(request, is_kept=False)
            if has_header:
                check_step(request)
                deadline_ms = parse_deadline(call.headers[HEADER], call.started_ms)
            else:
                # A route that has changed since is kept to what it can at the least promise.
                seconds = find_wait(request, call.endpoint, entry.org)
                deadline_ms = call.started_ms + max(seconds * 1000, LEAST_MS)
        await edges.auth.renew(entry, bearer)
        edges.auth.check_origin(entry.key, call)
        renew = partial(edges.auth.renew, entry, bearer)
        planner = Planner(edges, entry, request=request, controls=controls, renew=renew, puts_off=False)
        plan = await planner.decide(edges.reservations.spent)
        entry.note_plan(plan)
        told = "background" if is_background else HEADER
        _check_is_one(plan, told)
        is_heard = is_background and request.is_stream
        once = edges.idempotency.once(controls.idempotency_key, request, raw, entry, reply, is_told=not is_heard)
        async with once as is_first:
            if not is_first:
                return once.first_id if is_heard else ""
            upstream = plan.first.upstream
            waiting = await in_database(pools.count_waiting, key.org_id, UUID(upstream.id))
            now_ms = clock.now_ms()
            try:
                check_capacity(waiting, upstream.batch_concurrency, now_ms, deadline_ms)
            except NotAllowed:
                if has_header or is_background:
                    raise
                # Its route has set the deadline, and not its caller.
                put_off(entry)
            # Of responses and messages none is handed on in a file.
            may_be_remote = call.endpoint not in (Endpoint.RESPONSES, Endpoint.MESSAGES)
            ahead = 1 + sum(calls for due_ms, calls in waiting.items() if due_ms <= deadline_ms)
            has_time = has_time_for_a_batch(ahead, upstream.batch_concurrency, deadline_ms - now_ms)
            is_remote = may_be_remote and runs_batches(plan.first) and has_time
            entry.row[DEFERRED] = True
            plan, hold = await edges.reservations.admit(plan, entry, planner.replan)
            check_may_ask(plan)
            _check_is_one(plan, told)
            pool = _make_pool(call, key, plan, dict(edges.reservations.spent), deadline_ms, is_remote=is_remote)
            if not is_background:
                pool.row |= {pools.HOUR: deadline_ms // _HOUR_MS}
            line = _make_line(call, key, asked, hold, deadline_ms)
            line.is_background = is_background
            await in_database(pools.join, pool, line)
            # From here on its money is the pool's to settle.
            entry.goes_on = True
            edges.reservations.forget(hold.id)
            ends_ms = to_ms(from_ms(deadline_ms) + GRACE)
            with suppress(ValkeyUnavailable, hiredis.ReplyError):
                await edges.valkey.send(b"ZADD", keyspace.leases_key(entry.org.shard), b"XX", ends_ms, hold.id)
            headers = {"content-type": "application/json", "x-request-id": call.id}
            if not is_background:
                shown = orjson.dumps(_show(call.id, "waiting", deadline_ms))
                await reply.send(202, headers | {"retry-after": "10"}, shown)
            elif not is_heard:
                await reply.send(200, headers, background.show_taken(call.id, request, call.started_ms))
        # What is heard is no part of what its Idempotency-Key stands for: who comes again listens to it anew.
        reply.transcript = None
    return call.id if is_heard else ""


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
    body = shown | {"status": status, "response": answer["response"], "error": answer["error"]}
    await reply.send(200, headers, orjson.dumps(body))


def _check_is_one(plan: Plan, told: str) -> None:
    """Raise InvalidRequest for a cascade: what is held now pays for one model's answer. ``told`` is what the caller
    said to have it later."""
    if plan.is_cascade:
        raise InvalidRequest(
            f"{plan.request.model} is a cascade, whose answers are judged while somebody waits: leave {told} out, or"
            " ask for a model or for a route of another kind.",
            param="model",
            code="unsupported_operation",
        )


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
    """The pool that the call makes where there is none that it may join."""
    most = plan.controls.max_cost
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
        row={"model": plan.first.model.name} | ({} if most is None else {pools.MAX_COST: most}),
        created_ms=call.started_ms,
        expires_at=from_ms(deadline_ms),
        first_deadline=from_ms(deadline_ms),
    )


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
