"""A call that CostHub makes itself for one of a tenant's: to compare its answer, or to score its words. The tenant pays
for it, so it is a call of its own: planned, held, settled, with a row of its own kind. Nobody stands in for the model
that it asks.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from costhub.lib import clock
from proxy.attempts.buffer import Buffer
from proxy.attempts.loop import run_attempts
from proxy.attempts.means import Means
from proxy.core.rate_limits import without_rate_limits
from proxy.core.refusals import check_may_ask
from proxy.edges.entry import Entry
from proxy.edges.reserve import Replan
from proxy.errors import ApiError, ModelNotFound
from proxy.planner import Planner
from proxy.values.answer import Answer
from proxy.values.plan import Plan
from proxy.values.request import Controls, Endpoint, Request
from proxy.wiring import Edges


@asynccontextmanager
async def own_call(
    edges: Edges,
    call: Entry,
    request: Request,
    controls: Controls,
    *,
    kind: str,
    endpoint: str | Endpoint,
    is_waited_for: bool,
) -> AsyncIterator[tuple[Entry, Answer]]:
    """Ask ``request.model`` with the key of ``call``. The block has the own call's entry and the answer, and its row is
    written when the block ends. Rate limits hold it where somebody waits for it.

    Raises what planning, reserving and asking raise; what was not asked leaves no row.
    """
    edges.ledger.check_room()
    call_id, started_ms = clock.new_request_id()
    org = call.org if is_waited_for else without_rate_limits(call.org)
    block = edges.ledger.entry(call_id, started_ms, clock.monotonic_ns(), call.key, org, str(endpoint))
    with block as entry:
        entry.note_kind(kind)
        entry.note_request(request)

        async def renew(version: int) -> None:
            found = await edges.catalog.get_org(entry.org.id, version)
            entry.org = found if is_waited_for else without_rate_limits(found)

        planner = Planner(edges, entry, request=request, controls=controls, renew=renew)

        async def decide(spent: Mapping[str, int]) -> Plan:
            made = await planner.decide(spent)
            if made.first.model.name != request.model:
                # A ladder has put another one in its place, which is not what is wanted.
                raise ModelNotFound(f"{request.model} is not asked at the moment.", param="model")
            return made._replace(candidates=(made.first,))

        replan = Replan(decide, renew)
        reason = f"{kind} for {call.request_id}"
        try:
            made = await decide(edges.reservations.spent)
            entry.note_plan(made)
            entry.note_route(reason)
            made, hold = await edges.reservations.admit(made, entry, replan)
            check_may_ask(made)
        except ApiError:
            # It was not asked, and is no call yet.
            entry.goes_on = entry.hold is None and not entry.is_hold_unknown
            raise
        finally:
            entry.note_route(reason)
        means = Means(edges.upstreams, edges.health, edges.reservations, edges.counting, replan)
        yield entry, await run_attempts(made, hold, means, Buffer(), entry)
