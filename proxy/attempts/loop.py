"""Performs a plan's attempts: which is next, after which pause, and with which money."""

import random
from asyncio import sleep
from typing import Final, NamedTuple

from costhub.lib import clock, metrics
from proxy.attempts.exchange import ask
from proxy.attempts.failures import Failure
from proxy.core.endpoints import MOST_SERVERS
from proxy.core.retries import longest_pause
from proxy.edges.counting import Counting
from proxy.edges.entry import Entry
from proxy.edges.reserve import Replan, Reservations
from proxy.errors import ApiError, GovernanceUnavailable, TooLate
from proxy.upstreams.health import UpstreamHealth
from proxy.upstreams.transport import Upstreams
from proxy.values.answer import Answer, Sink
from proxy.values.attempt import Certainty
from proxy.values.plan import Candidate, Hold, Plan
from tenants.choices import Habit

_TIMED_OUT: Final = "upstream_timeout"
_NOT_REACHED: Final = frozenset({"upstream_unreachable", "upstream_unusable"})


class Means(NamedTuple):
    """What attempts are made with."""

    upstreams: Upstreams
    health: UpstreamHealth
    reservations: Reservations
    counting: Counting
    replan: Replan


async def run_attempts(
    plan: Plan, hold: Hold, means: Means, sink: Sink, entry: Entry, *, is_followed: bool = False, until_ns: int = 0
) -> Answer:
    """Bring the plan's answer into ``sink``. Every attempt is in ``entry.attempts`` when this returns or raises.

    ``is_followed``: somebody else is asked where this plan brings none. ``until_ns``: later than that its answer is not
    wanted, which raises TooLate; 0 is no end.

    A candidate that does not answer is followed by the next one, where its money can be set aside. Raises
    UpstreamError, with the upstream's status, when no attempt brings an answer, and BrokenStream when one ends in the
    middle.
    """
    if plan.delay_ms:
        # A slower lane is not our overhead.
        with entry.waited:
            await sleep(plan.delay_ms / 1000)
    upstreams, health, reservations, counting, replan = means
    candidate, *others = plan.candidates
    tries = unreached = 0
    place = health.find_place(candidate.upstream)
    failed: set[str] = set()
    while True:
        if until_ns and clock.monotonic_ns() >= until_ns:
            raise TooLate(f"The upstream {place.name} did not answer within the latency cap.")
        health.note_asked(place)
        number = len(entry.attempts) + 1
        try:
            asking = ask(plan.request, candidate, place, hold, number, upstreams, counting, sink, entry, until_ns)
            # An upstream with one server alone has no choice to make by how many calls each of its servers has.
            answer = await (health.count(place, asking) if candidate.upstream.endpoints else asking)
        except Failure as failure:
            if failure.learned is not None:
                # The caller has not written what was refused: without it, at once, and beside the retries. Another call
                # may have learned the same meanwhile.
                _learn(failure.learned, candidate, upstreams)
                continue
            if isinstance(failure.error, TooLate):
                # Others would have waited longer for it.
                raise failure.hand_over() from failure
            if not failure.is_about_upstream:
                health.note_success(place)
                raise failure.hand_over() from failure
            has_servers = bool(candidate.upstream.endpoints)
            is_gone = has_servers and failure.reason in _NOT_REACHED
            health.note_failure(place, None if failure.is_transient else failure.pause_seconds, at_once=is_gone)
            failed.add(place.id)
            elsewhere = health.find_place(candidate.upstream, failed)
            # Another server of the same upstream is asked at once, and counts as no retry where none was reached.
            is_elsewhere = elsewhere.id not in failed
            if is_elsewhere and is_gone and unreached < MOST_SERVERS:
                unreached += 1
            else:
                tries += 1
                is_elsewhere = is_elsewhere and tries <= candidate.upstream.max_retries
            has_others = is_followed or bool(others)
            if is_elsewhere or _is_tried_again(failure, tries, candidate, has_others=has_others):
                if not is_elsewhere:
                    with entry.waited:
                        await _pause(failure, tries, until_ns)
                place, before = elsewhere, candidate.upstream
                if _may_be_billed(entry):
                    # So that this one needs money of its own.
                    try:
                        candidate, hold = await reservations.readmit(plan, entry, candidate, replan)
                    except ApiError:
                        raise failure.hand_over() from failure
                    if candidate.upstream is not before:
                        place = health.find_place(candidate.upstream, failed)
                continue
            moved = await _move_on(plan, others, reservations, replan, entry)
            if moved is None:
                raise failure.hand_over() from failure
            entry.note_fallback(candidate, failure.reason, moved[0])
            metrics.FALLBACKS.inc()
            (candidate, hold), tries, unreached = moved, 0, 0
            place, failed = health.find_place(candidate.upstream), set()
        else:
            health.note_success(place)
            return answer


def _is_tried_again(failure: Failure, tries: int, candidate: Candidate, *, has_others: bool) -> bool:
    if not failure.is_transient or tries > candidate.upstream.max_retries:
        return False
    # What took a whole time-out is not waited for again where somebody else can be asked.
    return not (has_others and failure.reason == _TIMED_OUT)


def _may_be_billed(entry: Entry) -> bool:
    return entry.attempts[-1].certainty is not Certainty.NOTHING


async def _pause(failure: Failure, tries: int, until_ns: int) -> None:
    pause = failure.pause_seconds
    if pause is None:
        # Full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015).
        pause = random.uniform(0, longest_pause(tries))  # noqa: S311 - spreads retries, hides nothing
    if until_ns:
        pause = min(pause, max(0.0, (until_ns - clock.monotonic_ns()) / 1e9))
    await sleep(pause)


async def _move_on(
    plan: Plan, others: list[Candidate], reservations: Reservations, replan: Replan, entry: Entry
) -> tuple[Candidate, Hold] | None:
    """The next candidate whose money can be set aside, with its hold. Those before it are left out for good."""
    if others:
        reservations.turn(entry)
    while others:
        candidate = others.pop(0)
        try:
            return await reservations.readmit(plan, entry, candidate, replan)
        except GovernanceUnavailable:
            return None
        except ApiError:
            continue
    return None


def _learn(habit: Habit, candidate: Candidate, upstreams: Upstreams) -> None:
    """Remember what an upstream refused of our own writing."""
    if upstreams.learned.note(candidate.upstream.id, candidate.model.upstream_model, habit):
        metrics.HABITS_LEARNED.labels(habit).inc()
