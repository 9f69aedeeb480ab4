"""The path of a call, from bearer to ledger entry."""

from functools import partial

from proxy.answers.archive import Keep, continues, make_archive, recall
from proxy.attempts.cascade import Rung, run_cascade
from proxy.attempts.gathering import Gathering
from proxy.attempts.loop import Means, run_attempts
from proxy.attempts.relay import Relay
from proxy.cache.serve import admit_found, serve_found
from proxy.call import Call
from proxy.comparing import compare_beside, may_compare
from proxy.core.controls import ROUTE, aim, parse_controls
from proxy.core.deadlines import find_wait
from proxy.core.refusals import check_may_ask
from proxy.dialects import dialect_of
from proxy.edges.entry import Entry, put_off
from proxy.edges.reply import Reply
from proxy.planner import Planner, prepare
from proxy.scoring import score_text
from proxy.upstreams.fitting import wire_of
from proxy.values.answer import Answer, Sink
from proxy.values.plan import Hold, Plan
from proxy.values.request import ALL_SAID, Operation, Request
from proxy.wiring import Edges


async def complete(call: Call, edges: Edges, reply: Reply, *, may_wait: bool = True) -> None:
    """Serve one LLM call. Raises ApiError; whatever happens after authentication has exactly one ledger entry.

    Raises PutOff for one that is to be answered later, unless it may not wait: nothing was done for it, and it has no
    entry yet."""
    edges.ledger.check_room()
    bearer = call.bearer()
    key, org = await edges.auth.authenticate(bearer)
    async with edges.ledger.entry(call.id, call.started_ms, call.started_ns, key, org, call.endpoint) as entry:
        entry.traceparent = call.headers.get("traceparent", "")
        edges.auth.check_origin(key, call)
        body = await _receive(call, edges, entry, bearer)
        request = _read(call, body, entry)
        waits = may_wait and _is_for_later(call, request, entry)
        if waits and (request.is_background or not entry.org.cache_policies):
            put_off(entry)
        if request.original is not None:
            request = await _with_history(request, call, edges, entry, bearer)
        controls = parse_controls(call.headers, call.repeated)
        score = None if waits else partial(score_text, edges, entry, controls)
        sent = await prepare(request, controls, edges, entry.org, score)
        renew = partial(edges.auth.renew, entry, bearer)
        archive = make_archive(request, entry) if entry.org.answers_kept_hours else None
        planner = Planner(edges, entry, request=sent, controls=controls, renew=renew)
        plan = await planner.decide_first(edges.reservations.spent)
        entry.note_plan(plan)
        answer = partial(_answer, call, edges, entry, reply, planner, plan, archive, waits=waits)
        if not controls.idempotency_key:
            await answer()
            return
        # The same Idempotency-Key again: the first answer, at no cost.
        async with edges.idempotency.once(controls.idempotency_key, request, body, entry, reply) as is_first:
            if is_first:
                await answer()
    # Leaving the entry settles what was held and writes the ledger event, in one step.


async def _receive(call: Call, edges: Edges, entry: Entry, bearer: str) -> bytes:
    """The call's body, whole."""
    body = call.body_at_once()
    if body is None:
        with entry.waited:
            body = await call.body()
        # It may have taken its time: what was stopped, revoked, limited or has expired meanwhile holds it too.
        await _look_again(call, edges, entry, bearer)
    return body


def _read(call: Call, body: bytes, entry: Entry) -> Request:
    """What the body asks for, of the route that a header names if one does. Raises ApiError."""
    request = dialect_of(call.endpoint).parse_request(call.endpoint, body)
    entry.note_request(request)
    if ROUTE in call.headers:
        request = aim(request, call.headers, entry.org)
        entry.note_request(request)
    return request


async def _with_history(request: Request, call: Call, edges: Edges, entry: Entry, bearer: str) -> Request:
    """The request, with the earlier turns that it only names. Raises ApiError if they are not there."""
    is_continued = continues(request)
    request = await recall(request, entry)
    if is_continued:
        await _look_again(call, edges, entry, bearer)
    return request


def _is_for_later(call: Call, request: Request, entry: Entry) -> bool:
    """Whether a call is one that its caller asks for by and by, or that its route has wait."""
    return request.is_background or bool(entry.org.routes and find_wait(request, call.endpoint, entry.org))


async def _answer(
    call: Call,
    edges: Edges,
    entry: Entry,
    reply: Reply,
    planner: Planner,
    plan: Plan,
    archive: Keep | None,
    *,
    waits: bool,
) -> None:
    """Send an answer that is there already, or have the plan's candidates bring one, once its money is set aside. One
    that ``waits`` has an answer that is there, or none yet: raises PutOff."""
    async with edges.cache.visit(plan, entry, call) as visit:
        wants = bool(entry.org.capture_policies) and edges.capture.wants(entry, plan)
        compares = may_compare(plan, entry.request_id)
        keeps = wants or compares or visit.keeps or (plan.is_learning and plan.is_cascade)
        relay = Relay(reply, dialect_of(call.endpoint), entry, keeps=keeps, archive=archive)
        if visit.found is not None:
            entry.note_wire(wire_of(plan), ALL_SAID)
            await admit_found(visit.found, plan, entry, edges.reservations, planner.replan)
            await serve_found(visit.found, plan, relay, entry)
            return
        if waits:
            put_off(entry)
        if visit.rest is not None:
            # Some of its inputs are known: the others alone are asked for.
            planner.request = visit.rest
            plan = await planner.decide_first(edges.reservations.spent)
            entry.note_plan(plan)
        replan = planner.replan
        plan, hold = await edges.reservations.admit(plan, entry, replan)
        check_may_ask(plan)
        # Some bill the whole answer anyway.
        for candidate in plan.candidates:
            call.keeps_going |= candidate.upstream.drain_on_disconnect
        means = Means(edges.upstreams, edges.health, edges.reservations, edges.counting, replan)
        visit.answer = await _ask(plan, hold, means, visit.sink(relay), entry, edges, compares=compares)
        if wants:
            edges.capture.take(entry, plan, visit.answer)


async def _look_again(call: Call, edges: Edges, entry: Entry, bearer: str) -> None:
    """Check the key and its organisation as they are known now."""
    await edges.auth.renew(entry, bearer)
    edges.auth.check_origin(entry.key, call)


async def _ask(
    plan: Plan, hold: Hold, means: Means, sink: Sink, entry: Entry, edges: Edges, *, compares: bool
) -> Answer:
    """Have the plan's candidates answer, one of them, with others' calls or rung by rung, and learn from it."""
    rungs: list[Rung] = []
    together: Gathering = edges.packs if plan.request.operation is Operation.CHAT else edges.merges
    if (signed := await together.sign(plan, entry)) is not None:
        # Small calls of some models and routes go together.
        alone = partial(run_attempts, means=means, sink=sink, entry=entry)
        answer = await together.run(plan, hold, entry, sink, signed, alone, means.replan)
    elif plan.routing is None or not plan.is_cascade:
        answer = await run_attempts(plan, hold, means, sink, entry)
    else:
        known = edges.learned.confidences(plan.routing.route, entry.org)
        answer = await run_cascade(plan, hold, means, sink, entry, known=known, note=rungs.append)
    if compares and compare_beside(edges, entry, plan, rungs, answer):
        return answer
    if plan.is_learning:
        edges.labels.note(entry, plan, rungs, answer)
    return answer
