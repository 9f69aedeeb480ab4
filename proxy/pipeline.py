"""The path of a call, from bearer to ledger entry."""

from functools import partial

from proxy.attempts import run_attempts
from proxy.call import Call
from proxy.core.controls import parse_controls
from proxy.core.plan import make_plan
from proxy.core.wire import parse_request
from proxy.edges.reply import Reply
from proxy.wiring import Edges


async def complete(call: Call, edges: Edges, reply: Reply) -> None:
    """Serve one LLM call. Raises ApiError; whatever happens after authentication has exactly one ledger entry."""
    edges.ledger.check_room()
    key, org = await edges.auth.authenticate(call.bearer())

    async with edges.ledger.entry(call.id, call.started_ms, call.started_ns, key, org, call.endpoint) as entry:
        entry.traceparent = call.headers.get("traceparent", "")
        body = await call.body()
        request = parse_request(call.endpoint, body)
        entry.note_request(request)
        controls = parse_controls(call.headers)
        decide = partial(make_plan, request, controls, key, org, call.started_ms)
        plan = decide(edges.limits.spent)
        entry.note_plan(plan)

        # The same Idempotency-Key again: the first answer, at no cost.
        async with edges.replays.once(controls.idempotency_key, request, body, entry, reply) as is_first:
            if is_first:
                plan, hold = await edges.limits.admit(plan, entry, decide)
                call.keeps_going = plan.upstream.drain_on_disconnect  # some bill the whole answer anyway
                await run_attempts(plan, hold, edges.upstreams, edges.limits, reply, entry)
    # Leaving the entry settles what was held and writes the ledger event, in one step.
