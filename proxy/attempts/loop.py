"""Performs a plan's attempts: which is next, after which pause, and with which money."""

import random
from asyncio import sleep

from costhub.lib import clock, metrics
from proxy.attempts.exchange import ask
from proxy.attempts.failures import Failure
from proxy.attempts.means import Means
from proxy.core.compression.saved import show_saved
from proxy.core.retries import NO_TRIES, Next, Tries, is_unreached, longest_pause, next_try
from proxy.edges.entry import Entry
from proxy.errors import ApiError, GovernanceUnavailable, TooLate
from proxy.upstreams.transport import Upstreams
from proxy.values.answer import Answer, Sink
from proxy.values.attempt import Certainty
from proxy.values.plan import Candidate, Hold, Plan
from tenants.choices import Habit


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
    health = means.health
    candidate, *others = plan.candidates
    # What is asked, what is held and for which text are of one plan; those who are asked next may be of another one.
    further = plan
    place = health.find_place(candidate.upstream)
    tries = NO_TRIES if known is None else Tries(candidate.upstream.max_retries)
    failed: set[str] = set()
    while True:
        if until_ns and clock.monotonic_ns() >= until_ns:
            raise TooLate(f"The upstream {place.name} did not answer within the latency cap.")
        is_known = known is not None
        if not is_known:
            health.note_asked(place)
        try:
            if known is not None:
                raise known.again()
            asking = ask(plan.request, candidate, place, hold, means, sink, entry, until_ns)
            # An upstream with one server alone has no choice to make by how many calls each of its servers has.
            answer = await (health.count(place, asking) if candidate.upstream.endpoints else asking)
        except Failure as failure:
            known = None
            if failure.learned is not None:
                # The caller has not written what was refused: without it, at once, and beside the retries. Another call
                # may have learned the same meanwhile.
                _learn(failure.learned, candidate, means.upstreams)
                continue
            if isinstance(failure.error, TooLate):
                # Others would have waited longer for it.
                raise failure.hand_over() from failure
            if not failure.is_about_upstream:
                if not is_known:
                    health.note_success(place)
                raise failure.hand_over() from failure
            if plan.has_others:
                plan, further = plan._replace(has_others=False), await _plan_others(plan, candidate, means)
                others = [other for other in further.candidates if other.model.name != candidate.model.name]
            upstream, reason = candidate.upstream, failure.reason
            if not is_known:
                pause_seconds = None if failure.is_transient else failure.pause_seconds
                health.note_failure(place, pause_seconds, at_once=is_unreached(upstream, reason))
            failed.add(place.id)
            place = health.find_place(upstream, failed)
            asked_next, tries = next_try(
                tries,
                upstream,
                reason,
                is_transient=failure.is_transient,
                # What is known was said of all of them.
                has_server=not is_known and place.id not in failed,
                has_others=is_followed or bool(others),
            )
            if asked_next is Next.OTHER_CANDIDATE:
                moved = await _move_on(further, others, means, entry)
                if moved is None:
                    raise failure.hand_over() from failure
                entry.note_fallback(candidate, reason, moved[1])
                metrics.FALLBACKS.inc()
                plan, candidate, hold = moved
                _note_change(plan, candidate, means, entry)
                place = health.find_place(candidate.upstream)
                tries, failed = NO_TRIES, set()
                continue
            if asked_next is Next.AGAIN:
                with entry.waited:
                    await pause(failure, tries.failed, until_ns)
            if _may_be_billed(entry):
                # So that this one needs money of its own.
                try:
                    plan, candidate, hold = await means.reservations.readmit(plan, entry, candidate, means.replan)
                except ApiError:
                    raise failure.hand_over() from failure
                _note_change(plan, candidate, means, entry)
                if candidate.upstream is not upstream:
                    place = health.find_place(candidate.upstream, failed)
        else:
            health.note_success(place)
            return answer


def _may_be_billed(entry: Entry) -> bool:
    return entry.attempts[-1].certainty is not Certainty.NOTHING


async def pause(failure: Failure, tries: int, until_ns: int = 0) -> None:
    """Wait before a candidate that has failed so often is tried again: as long as it asked for, or as long as is
    usual."""
    seconds = failure.pause_seconds
    if seconds is None:
        # Full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015).
        seconds = random.uniform(0, longest_pause(tries))  # noqa: S311 - spreads retries, hides nothing
    if until_ns:
        seconds = min(seconds, max(0.0, (until_ns - clock.monotonic_ns()) / 1e9))
    await sleep(seconds)


async def _plan_others(plan: Plan, first: Candidate, means: Means) -> Plan:
    """The plan of the candidates after the first, as they are known now. Its request may differ: if a step of a ladder
    was crossed meanwhile, the prompt is shortened."""
    try:
        return await means.replan.decide(means.reservations.spent)
    except ApiError:
        # Nobody may be asked any more.
        return plan._replace(candidates=(first,), has_others=False)


def _note_change(plan: Plan, candidate: Candidate, means: Means, entry: Entry) -> None:
    """Note that another candidate is asked, or the same one again. It may have come with a later plan than the call's
    first one, which says how much of the prompt is sent and who reads an answer to its end."""
    entry.compression = show_saved(plan.request)
    if candidate.upstream.drain_on_disconnect:
        means.keep_going()


async def _move_on(
    plan: Plan, others: list[Candidate], means: Means, entry: Entry
) -> tuple[Plan, Candidate, Hold] | None:
    """The next candidate whose money can be reserved, with its hold and its plan. Candidates before it are left out for
    good."""
    if others:
        means.reservations.turn(entry)
    while others:
        candidate = others.pop(0)
        try:
            return await means.reservations.readmit(plan, entry, candidate, means.replan)
        except GovernanceUnavailable:
            return None
        except ApiError:
            continue
    return None


def _learn(habit: Habit, candidate: Candidate, upstreams: Upstreams) -> None:
    """Remember what an upstream refused of our own writing."""
    if upstreams.refused_habits.note(candidate.upstream.id, candidate.model.upstream_model, habit):
        metrics.HABITS_LEARNED.labels(habit).inc()
