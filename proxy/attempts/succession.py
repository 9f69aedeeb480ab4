"""Who is asked after a candidate that has failed, after which pause, and with which money."""

import random
from asyncio import sleep
from typing import NamedTuple

from costhub.lib import clock, metrics
from proxy.attempts.failures import Failure
from proxy.attempts.means import Means
from proxy.core.compression.saved import show_saved
from proxy.core.retries import NO_TRIES, Next, is_unreached, longest_pause, next_try
from proxy.edges.entry import Entry
from proxy.errors import ApiError, GovernanceUnavailable, TooLate
from proxy.upstreams.transport import Upstreams
from proxy.values.attempt import Certainty
from proxy.values.plan import Candidate, Hold, Plan
from tenants.choices import Habit
from tenants.snapshots import UpstreamSnapshot


class Try(NamedTuple):
    """Who is asked: for which plan, with which money, and at which of its upstream's servers."""

    plan: Plan
    hold: Hold
    candidate: Candidate
    place: UpstreamSnapshot


class Succession:
    """Who follows whom in one call. Made where a candidate fails: most calls need none."""

    def __init__(self, plan: Plan, means: Means, entry: Entry, *, is_followed: bool, until_ns: int) -> None:
        self._means = means
        self._entry = entry
        self._is_followed = is_followed
        self._until_ns = until_ns
        # What is asked, what is held and for which text are of one plan; those who are asked next may be of another.
        self._further = plan
        self._others = list(plan.candidates[1:])
        # Of the candidate that is asked now.
        self._tries, self._failed = NO_TRIES, set[str]()

    async def after(self, tried: Try, failure: Failure) -> Try:
        """The next try, after one that has failed so. Raises the error that the failure carries where there is none."""
        health, upstream = self._means.health, tried.candidate.upstream
        if failure.learned is not None:
            # The caller has not written what was refused: without it, at once, and beside the retries. Another call
            # may have learned the same meanwhile.
            _learn(failure.learned, tried.candidate, self._means.upstreams)
            return tried
        if isinstance(failure.error, TooLate):
            # Others would have waited longer for it.
            raise failure.hand_over() from failure
        if not failure.is_about_upstream:
            health.note_success(tried.place)
            raise failure.hand_over() from failure
        tried = await self._plan_others(tried)
        pause_seconds = None if failure.is_transient else failure.pause_seconds
        health.note_failure(tried.place, pause_seconds, at_once=is_unreached(upstream, failure.reason))
        self._failed.add(tried.place.id)
        place = health.find_place(upstream, self._failed)
        asked_next, self._tries = next_try(
            self._tries,
            upstream,
            failure.reason,
            is_transient=failure.is_transient,
            has_server=place.id not in self._failed,
            has_others=self._is_followed or bool(self._others),
        )
        if asked_next is Next.OTHER_CANDIDATE:
            return await self._move_on(tried, failure)
        if asked_next is Next.AGAIN:
            with self._entry.waited:
                await pause(failure, self._tries.failed, self._until_ns)
        return await self._stay(tried._replace(place=place), failure)

    async def instead_of(self, tried: Try, failure: Failure) -> Try:
        """The try in place of one that is known to fail so, because its candidate was asked for this call and others
        together. Raises as ``after`` does."""
        if not failure.is_about_upstream:
            raise failure.hand_over() from failure
        return await self._move_on(await self._plan_others(tried), failure)

    async def _plan_others(self, tried: Try) -> Try:
        """Plan the candidates after the first, as they are known now, where that was left till somebody fails. Their
        plan's request may differ: if a step of a ladder was crossed meanwhile, the prompt is shortened."""
        if not tried.plan.has_others:
            return tried
        tried = tried._replace(plan=tried.plan._replace(has_others=False))
        try:
            self._further = await self._means.replan.decide(self._means.reservations.spent)
        except ApiError:
            # Nobody may be asked any more.
            self._others = []
        else:
            name = tried.candidate.model.name
            self._others = [other for other in self._further.candidates if other.model.name != name]
        return tried

    async def _move_on(self, tried: Try, failure: Failure) -> Try:
        """A try of the next candidate whose money can be set aside. Candidates before it are left out for good."""
        means, entry = self._means, self._entry
        if self._others:
            means.reservations.turn(entry)
        while self._others:
            other = self._others.pop(0)
            try:
                plan, candidate, hold = await means.reservations.readmit(self._further, entry, other, means.replan)
            except GovernanceUnavailable:
                break
            except ApiError:
                continue
            entry.note_fallback(tried.candidate, failure.reason, candidate)
            metrics.FALLBACKS.inc()
            self._note_change(plan, candidate)
            self._tries, self._failed = NO_TRIES, set()
            return Try(plan, hold, candidate, means.health.find_place(candidate.upstream))
        raise failure.hand_over() from failure

    async def _stay(self, tried: Try, failure: Failure) -> Try:
        """A further try of the same candidate. It needs money of its own if the one before may be billed."""
        if self._entry.attempts[-1].certainty is Certainty.NOTHING:
            return tried
        plan, _, candidate, place = tried
        try:
            plan, candidate, hold = await self._means.reservations.readmit(
                plan, self._entry, candidate, self._means.replan
            )
        except ApiError:
            raise failure.hand_over() from failure
        self._note_change(plan, candidate)
        if candidate.upstream is not tried.candidate.upstream:
            place = self._means.health.find_place(candidate.upstream, self._failed)
        return Try(plan, hold, candidate, place)

    def _note_change(self, plan: Plan, candidate: Candidate) -> None:
        """Note who is asked by which plan. A later plan than the call's first one says anew how much of the prompt is
        sent, and who reads an answer to its end."""
        self._entry.compression = show_saved(plan.request)
        if candidate.upstream.drain_on_disconnect:
            self._means.keep_going()


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


def _learn(habit: Habit, candidate: Candidate, upstreams: Upstreams) -> None:
    """Remember what an upstream refused of our own writing."""
    if upstreams.refused_habits.note(candidate.upstream.id, candidate.model.upstream_model, habit):
        metrics.HABITS_LEARNED.labels(habit).inc()
