"""Performs a plan's attempts, one after the other, until one of them brings an answer."""

from asyncio import sleep

from costhub.lib import clock
from proxy.attempts.exchange import ask
from proxy.attempts.failures import Failure
from proxy.attempts.means import Means
from proxy.attempts.succession import Succession, Try
from proxy.edges.entry import Entry
from proxy.errors import TooLate
from proxy.values.answer import Answer, Sink
from proxy.values.plan import Hold, Plan


async def run_attempts(
    plan: Plan,
    hold: Hold,
    means: Means,
    sink: Sink,
    entry: Entry,
    *,
    is_followed: bool = False,
    until_ns: int = 0,
    known: Failure | None = None,
) -> Answer:
    """Bring the plan's answer into ``sink``. Every attempt is in ``entry.attempts`` when this returns or raises.

    ``is_followed``: somebody else is asked where this plan brings none. ``until_ns``: later than that its answer is not
    wanted, which raises TooLate; 0 is no end. ``known``: so the first candidate has failed, as often as it is tried,
    when it was asked for this call and others together.

    A candidate that does not answer is followed by the next one, where its money can be set aside. Raises
    UpstreamError, with the upstream's status, when no attempt brings an answer, and BrokenStream when one ends in the
    middle.
    """
    if plan.delay_ms:
        # A slower lane is not our overhead.
        with entry.waited:
            await sleep(plan.delay_ms / 1000)
    health, candidate = means.health, plan.candidates[0]
    place = health.find_place(candidate.upstream)
    succession: Succession | None = None
    if known is not None:
        succession = Succession(plan, means, entry, is_followed=is_followed, until_ns=until_ns)
        plan, hold, candidate, place = await succession.instead_of(Try(plan, hold, candidate, place), known.again())
    while True:
        if until_ns and clock.monotonic_ns() >= until_ns:
            raise TooLate(f"The upstream {place.name} did not answer within the latency cap.")
        health.note_asked(place)
        try:
            asking = ask(plan.request, candidate, place, hold, means, sink, entry, until_ns)
            # An upstream with one server alone has no choice to make by how many calls each of its servers has.
            answer = await (health.count(place, asking) if candidate.upstream.endpoints else asking)
        except Failure as failure:
            if succession is None:
                succession = Succession(plan, means, entry, is_followed=is_followed, until_ns=until_ns)
            plan, hold, candidate, place = await succession.after(Try(plan, hold, candidate, place), failure)
        else:
            health.note_success(place)
            return answer
