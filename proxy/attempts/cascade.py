"""Performs a cascade: rung by rung, each answer but the last kept back and judged before anybody gets it.

Money is set aside rung by rung: what the rungs so far have cost stays held, and the next one is asked only when its own
bound fits beside it. Where it does not fit, or the next rung does not answer, the caller gets the best that there is.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from costhub.lib import clock, metrics
from proxy.attempts.buffer import Buffer
from proxy.attempts.loop import run_attempts
from proxy.attempts.means import Means
from proxy.attempts.reading import drop_logprobs, read_said
from proxy.core.routes.agreement import agrees, is_decided
from proxy.core.routes.answer_schema import breaks_schema, breaks_tools, find_schema, find_tools
from proxy.core.routes.judge import Agreement, Learned, Verdict, ask_again, judge, wants_samples
from proxy.core.routes.said import Said
from proxy.core.routes.scoring import TASK_TAG
from proxy.core.savings import give_up
from proxy.edges.entry import Entry
from proxy.edges.reserve import Replan
from proxy.errors import ApiError, BrokenStream, TooLate, UpstreamError
from proxy.values.answer import Answer, Sink
from proxy.values.attempt import Attempt, Mechanism
from proxy.values.plan import Candidate, Hold, Plan
from proxy.values.request import Request, Unsaid, Wire, wants_logprobs
from tenants.route_snapshots import RouteSnapshot

#: what was learned about rungs' answers, by model
Known = Mapping[str, Learned]
NOTHING_KNOWN: Final[Known] = MappingProxyType({})


class Rung(NamedTuple):
    """A rung that has answered, for whoever learns from it."""

    candidate: Candidate
    said: Said
    verdict: Verdict


class _Kept(NamedTuple):
    """An answer that can still be given, with the attempts as they count if it is."""

    candidate: Candidate
    answer: Answer
    buffer: Buffer
    verdict: Verdict
    attempts: tuple[Attempt, ...]
    #: in which form it came, and what of the request its upstream was not told
    wire: tuple[Wire, Unsaid]


async def run_cascade(
    plan: Plan,
    hold: Hold,
    means: Means,
    sink: Sink,
    entry: Entry,
    known: Known = NOTHING_KNOWN,
    note: Callable[[Rung], None] = lambda _: None,
) -> Answer:
    """Bring the first answer that is good enough into ``sink``, or else the last one. Every attempt is in
    ``entry.attempts`` when this returns or raises. ``note`` is told of each rung that was judged. Raises what
    ``run_attempts`` raises where no rung brings an answer."""
    assert plan.routing is not None
    route = plan.routing.route
    kept: _Kept | None = None
    failed: UpstreamError | None = None
    schema = find_schema(plan.request)
    index, last, until_ns = 0, len(plan.candidates) - 1, _find_end(route, entry)
    rung, judged = _plan_rung(plan, plan.first, is_last=not last), _planning(means, _judged)
    while index != last:
        candidate = plan.candidates[index]
        buffer = Buffer()
        try:
            answer = await run_attempts(rung, hold, judged, buffer, entry, is_followed=True, until_ns=until_ns)
        except UpstreamError as error:
            why, failed = _explain(error), error
            # A timer may ring a moment before the clock says so.
            is_late = isinstance(error, TooLate) or _is_late(until_ns)
            if kept is not None and is_late:
                return await _give(kept, sink, entry, plan, f"given, because {candidate.model.name} {why}")
        else:
            wire = entry.wire, entry.unsaid
            said, verdict = await _judge(plan, index, rung, answer, schema, known, means, entry, until_ns)
            note(Rung(candidate, said, verdict))
            kept = _better(kept, _Kept(candidate, answer, buffer, verdict, tuple(entry.attempts), wire))
            if verdict.is_good:
                return await _give(kept, sink, entry, plan, verdict.why)
            is_late = _is_late(until_ns)
            if is_late:
                return await _give(kept, sink, entry, plan, f"{verdict.why}, given at the latency cap")
            why = verdict.why
        # Where nobody has answered in time, the last rung is asked: its answer goes out as it comes.
        index = last if is_late else index + 1
        # As if nobody got an answer yet: whichever is given in the end counts again.
        entry.attempts[:] = _give_up(entry.attempts, plan)
        moved = await _climb(plan, index, means, entry)
        if isinstance(moved, ApiError):
            if kept is None:
                raise failed or moved
            return await _give(
                kept, sink, entry, plan, f"{why}, given because the next cannot be paid: {moved.error_code}"
            )
        entry.note_escalation(candidate, why, plan.candidates[index])
        metrics.ESCALATIONS.inc()
        rung, hold = moved
    try:
        return await run_attempts(rung, hold, means, sink, entry)
    except UpstreamError as error:
        if kept is None or isinstance(error, BrokenStream):
            raise
        name = plan.candidates[last].model.name
        return await _give(kept, sink, entry, plan, f"given, because {name} {_explain(error)}")


async def _judge(
    plan: Plan,
    index: int,
    rung: Plan,
    answer: Answer,
    schema: dict[str, Any] | None,
    known: Known,
    means: Means,
    entry: Entry,
    until_ns: int,
) -> tuple[Said, Verdict]:
    """What a rung has answered and whether it is good enough: by its form, by what was learned of its model's answers,
    and by more samples of it where these may decide. The verdict is noted at the rung's attempt, the last one so
    far."""
    assert plan.routing is not None
    request, route, given = plan.request, plan.routing.route, len(entry.attempts) - 1
    said = await read_said(answer)
    learned = known.get(plan.candidates[index].model.name)
    if learned is not None:
        learned = learned._replace(task=plan.controls.tags.get(TASK_TAG, ""))
    breaks = await _breaks_schema(said, schema, plan)
    agreement = None
    if wants_samples(request, answer, said, route, learned, breaks_schema=breaks):
        agreement = await _sample(plan, rung, said, means, entry, until_ns)
    after = plan.candidates[index + 1]
    verdict = judge(request, answer, said, route, after, learned, agreement, breaks_schema=breaks)
    confidence = "" if verdict.confidence is None else f"{verdict.confidence:.3f}"
    entry.attempts[given] = entry.attempts[given]._replace(judged=verdict.why, confidence=confidence)
    return said, verdict


async def _breaks_schema(said: Said, schema: dict[str, Any] | None, plan: Plan) -> bool:
    """Whether an answer does not fit the request's schema, or its tool calls do not fit their tools'."""
    if said.tool_arguments:
        offered = find_tools(plan.request)
        return bool(offered.schemas) and await asyncio.to_thread(breaks_tools, said, offered)
    return schema is not None and await asyncio.to_thread(breaks_schema, said.text, schema)


async def _sample(plan: Plan, rung: Plan, said: Said, means: Means, entry: Entry, until_ns: int) -> Agreement | None:
    """Ask a rung for the same again, sample by sample, until no further sample could change the decision. None where
    none could be asked: there is no money or no time for it, or the upstream does not answer."""
    assert plan.routing is not None
    route, candidate, before = plan.routing.route, rung.first, len(entry.attempts)
    agreed, asked, wanted = 0, 0, route.agreement_samples
    # With a worth of answers every share means something else; without, only the one that is enough.
    floor = route.confidence_permille / 1000
    while asked < wanted and (route.answer_worth or not is_decided(agreed, asked, wanted, floor)):
        if _is_late(until_ns):
            break
        try:
            held, own, hold = await means.reservations.readmit(rung, entry, candidate, means.replan)
            sampled = await run_attempts(
                held._replace(request=ask_again(held.request), candidates=(own,), delay_ms=0),
                hold,
                _planning(means, ask_again),
                Buffer(),
                entry,
                is_followed=True,
                until_ns=until_ns,
            )
        except ApiError:
            break
        finally:
            entry.attempts[before:] = [one._replace(is_sample=True) for one in _give_up(entry.attempts[before:], plan)]
        asked += 1
        agreed += agrees(said.text, (await read_said(sampled)).text)
    if not asked:
        return None
    # Samples that were wanted and could not be had have not agreed.
    is_enough = asked == wanted or (not route.answer_worth and is_decided(agreed, asked, wanted, floor))
    return Agreement(agreed, asked if is_enough else wanted)


def _plan_rung(plan: Plan, candidate: Candidate, *, is_last: bool) -> Plan:
    """The plan of one rung alone: all but the last are judged."""
    return plan._replace(request=plan.request if is_last else _judged(plan.request), candidates=(candidate,))


def _judged(request: Request) -> Request:
    return request._replace(is_judged=True)


def _planning(means: Means, change: Callable[[Request], Request]) -> Means:
    """The means of a call that asks for something else than its caller did, and is planned again as such."""

    async def decide(spent: Mapping[str, int]) -> Plan:
        plan = await means.replan.decide(spent)
        return plan._replace(request=change(plan.request))

    return means._replace(replan=Replan(decide, means.replan.renew))


def _give_up(attempts: Sequence[Attempt], plan: Plan) -> list[Attempt]:
    """The attempts as they count when nobody gets their answers: a loss of the mechanism that had their model asked."""
    mechanisms = {candidate.model.name: candidate.mechanism for candidate in plan.candidates}
    return [give_up(attempt, mechanisms.get(attempt.model, Mechanism.CASCADE)) for attempt in attempts]


def _better(before: _Kept | None, now: _Kept) -> _Kept:
    """The surer of two answers, neither of which is good enough; the later one where nothing tells."""
    if before is None or now.verdict.is_good:
        return now
    return before if (before.verdict.confidence or 0) > (now.verdict.confidence or 0) else now


def _find_end(route: RouteSnapshot, entry: Entry) -> int:
    """Until when a rung's answer is waited for, on the monotonic clock; 0 where there is no latency cap."""
    return entry.started_ns + route.latency_cap_ms * 1_000_000 if route.latency_cap_ms else 0


def _is_late(until_ns: int) -> bool:
    return until_ns != 0 and clock.monotonic_ns() >= until_ns


def _explain(error: UpstreamError) -> str:
    return "is too slow for the latency cap" if isinstance(error, TooLate) else f"does not answer ({error.word})"


async def _climb(plan: Plan, index: int, means: Means, entry: Entry) -> tuple[Plan, Hold] | ApiError:
    """The plan of the next rung alone, and its money; or the reason why there is none. The call has waited its lane's
    time already."""
    means.reservations.turn(entry)
    try:
        held, after, hold = await means.reservations.readmit(plan, entry, plan.candidates[index], means.replan)
    except ApiError as error:
        return error
    return _plan_rung(held, after, is_last=index == len(plan.candidates) - 1)._replace(delay_ms=0), hold


async def _give(kept: _Kept, sink: Sink, entry: Entry, plan: Plan, why: str) -> Answer:
    """Hand a kept answer to the caller. Its attempts count as what was asked for, later ones as given up."""
    later = entry.attempts[len(kept.attempts) :]
    entry.attempts[:] = [*kept.attempts, *_give_up(later, plan)]
    if kept.verdict.confidence is not None:
        entry.confidence = f"{kept.verdict.confidence:.3f}"
    entry.note_wire(*kept.wire)
    entry.note_verdict(kept.candidate, why)
    asked = kept.answer.is_stream
    wanted = entry.plan is not None and wants_logprobs(entry.plan.request, kept.wire[0])
    entry.first_byte_ns = clock.monotonic_ns()
    if wanted:
        await kept.buffer.pour(sink)
    else:
        await kept.buffer.pour(sink, partial(drop_logprobs, is_stream=asked))
    # What is only the best that was to be had is given once, and to nobody else.
    is_complete = kept.answer.is_complete and kept.verdict.is_good
    return kept.answer._replace(parts=sink.parts, is_complete=is_complete)
