"""The path of a call, from bearer to ledger entry."""

from functools import partial

from proxy.answers.archive import Keep, make_archive
from proxy.arrival import Serving, add_history, open_entry, read_request, receive
from proxy.attempts.cascade import Rung, run_cascade
from proxy.attempts.failures import Failure
from proxy.attempts.gathering import Gathering
from proxy.attempts.loop import run_attempts
from proxy.attempts.means import Means
from proxy.attempts.relay import Relay
from proxy.cache.serve import admit_found, serve_found
from proxy.call import Call
from proxy.comparing import may_compare, start_comparison
from proxy.core.controls import ROUTE, aim, parse_controls
from proxy.core.deadlines import find_wait
from proxy.core.refusals import check_may_ask
from proxy.dialects import dialect_of
from proxy.edges.entry import Entry, answer_later
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

    Raises AnsweredLater for a call that is answered later, unless ``may_wait`` is false: nothing is charged, and no row
    is written."""
    bearer, block = await open_entry(call, edges)
    with block as entry:
        serving = Serving(call, edges, entry, reply, bearer)
        body = await receive(serving)
        request = read_request(serving, body)
        if ROUTE in call.headers:
            request = aim(request, call.headers, entry.org)
            entry.note_request(request)
        waits = may_wait and _is_for_later(serving, request)
        if waits and (request.is_background or not entry.org.cache_policies):
            answer_later(entry)
        if request.original is not None:
            request = await add_history(serving, request)
        controls = parse_controls(call.headers, call.repeated)
        score = partial(score_text, edges, entry, controls) if entry.org.compression and not waits else None
        sent = await prepare(request, controls, edges, entry.org, score)
        renew = partial(edges.auth.renew, entry, bearer)
        archive = make_archive(request, entry) if entry.org.answers_kept_hours else None
        planner = Planner(edges, entry, request=sent, controls=controls, renew=renew)
        plan = await planner.decide_first(edges.reservations.spent)
        entry.note_plan(plan)
        if not controls.idempotency_key:
            await _answer(serving, planner, plan, archive, waits=waits)
            return
        # The same Idempotency-Key again: the first answer, at no cost.
        async with edges.idempotency.once(controls.idempotency_key, request, call.as_sent, entry, reply) as is_first:
            if is_first:
                await _answer(serving, planner, plan, archive, waits=waits)
    # Leaving the entry settles what was held and writes the ledger event, in one step.


def _is_for_later(serving: Serving, request: Request) -> bool:
    """Whether the call is answered later: in the background as its caller asked, or by the deadline that its route
    sets."""
    call, org = serving.call, serving.entry.org
    return request.is_background or bool(org.routes and find_wait(request, call.endpoint, org))


async def _answer(serving: Serving, planner: Planner, plan: Plan, archive: Keep | None, *, waits: bool) -> None:
    """Send an answer that is there already, or have the plan's candidates bring one, once its money is set aside. One
    that ``waits`` has an answer that is there, or none yet: raises AnsweredLater."""
    call, edges, entry, reply, _ = serving
    async with edges.cache.visit(plan, entry, call) as visit:
        captures = bool(entry.org.capture_policies) and edges.capture.wants(entry, plan)
        compares = may_compare(plan, entry.request_id)
        keeps_answer = captures or compares or visit.keeps or (plan.is_learning and plan.is_cascade)
        relay = Relay(reply, dialect_of(call.endpoint), entry, keeps=keeps_answer, archive=archive)
        if visit.found is not None:
            entry.note_wire(wire_of(plan), ALL_SAID)
            await admit_found(visit.found, plan, entry, edges.reservations, planner.replan)
            await serve_found(visit.found, plan, relay, entry)
            return
        if waits:
            answer_later(entry)
        if visit.rest is not None:
            # Some of its inputs are known: the others alone are asked for.
            planner = planner.narrowed_to(visit.rest)
            plan = await planner.decide_first(edges.reservations.spent)
            entry.note_plan(plan)
        replan = planner.replan
        plan, hold = await edges.reservations.admit(plan, entry, replan)
        check_may_ask(plan)
        # An upstream that bills the whole answer is read to its end even if the caller leaves: what that costs is known
        # at the end alone.
        for candidate in plan.candidates:
            if candidate.upstream.drain_on_disconnect:
                call.keep_going()
        means = Means(edges.upstreams, edges.health, edges.reservations, edges.counting, replan, call.keep_going)
        answer = await _ask(plan, hold, means, visit.sink(relay), entry, edges, compares=compares)
        visit.note_answer(answer)
        if captures:
            edges.capture.take(entry, plan, answer)


async def _ask(
    plan: Plan, hold: Hold, means: Means, sink: Sink, entry: Entry, edges: Edges, *, compares: bool
) -> Answer:
    """Have the plan's candidates answer, one of them, with others' calls or rung by rung, and learn from it."""
    rungs: list[Rung] = []
    together: Gathering = edges.packs if plan.request.operation is Operation.CHAT else edges.merges
    if (signed := await together.sign(plan, entry)) is not None:
        # Embeddings and short questions may share one upstream call; those that do not fit run alone.
        async def alone(plan: Plan, hold: Hold, known: Failure | None) -> Answer:
            return await run_attempts(plan, hold, means, sink, entry, known=known)

        answer = await together.run(plan, hold, entry, sink, signed, alone, means.replan)
    elif plan.routing is None or not plan.is_cascade:
        answer = await run_attempts(plan, hold, means, sink, entry)
    else:
        known = edges.learned_routes.confidences(plan.routing.route, entry.org)
        answer = await run_cascade(plan, hold, means, sink, entry, known=known, note=rungs.append)
    if compares and start_comparison(edges, entry, plan, rungs, answer):
        return answer
    if plan.is_learning:
        edges.labels.note(entry, plan, rungs, answer)
    return answer
