"""Calls of one tenant that come within a few milliseconds, asked as one.

Every call has its own hold, row and answer, and what the one call cost is shared out among them to the nano. It is
asked under the id of the first of them. Where it fails because of what is asked, each is asked alone; where its
upstream takes nothing at the moment, it is asked again as one. What may go together, how it is written as one and how
the answer is taken apart is each kind's own: ``merges`` for embeddings, ``packs`` for short questions.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final, NamedTuple

import orjson

from costhub.lib import clock, metrics
from proxy.attempts.failures import Failure, explain_no_answer, explain_refusal, read_refusal
from proxy.attempts.reading import read_answer
from proxy.attempts.succession import pause
from proxy.core.retries import NO_TRIES, Next, next_try
from proxy.core.weigh import is_refused, is_unbilled, weigh
from proxy.edges.counting import Counting
from proxy.edges.entry import Entry
from proxy.edges.reserve import Replan, Reservations
from proxy.upstreams.health import UpstreamHealth
from proxy.upstreams.transport import AnswerTooLong, BrokenOff, NotTaken, Upstreams
from proxy.upstreams.vendors import vendor_of
from proxy.values.answer import Answer, Sink
from proxy.values.attempt import ATTEMPTED, Attempt, Certainty, name_try
from proxy.values.plan import Candidate, Hold, Plan
from proxy.values.request import ALL_SAID, Request
from proxy.values.vendor import AnswerReader, NotAnAnswer
from tenants.snapshots import OrgSnapshot, UpstreamSnapshot
from tenants.upstream_headers import locate

_log = logging.getLogger(__name__)

_JSON: Final = "application/json"
_OK: Final = 200
#: with these an upstream takes nothing of anybody: at the moment, or with this credential. What one of the texts may
#: have caused, such as a 500, says nothing of the others
_TAKES_NOTHING: Final = frozenset({401, 403, 408, 409, 429, 502, 503, 504, 529})


class NotTakenApart(Exception):
    """The answer cannot be read, or lacks what one of the calls asked for."""


class Signed(NamedTuple):
    """A call that may go together with others. ``name``: what they must have alike; ``inputs``: what it asks. They wait
    ``window_ms`` for each other, and go with ``most`` inputs and ``most_bytes`` at most."""

    name: Hashable
    inputs: list[Any]
    window_ms: int
    most: int
    most_bytes: int


@dataclass(eq=False, slots=True)
class Member:
    """One call of a group."""

    plan: Plan
    hold: Hold
    entry: Entry
    inputs: list[Any]
    done: "asyncio.Future[Part]"

    @property
    def request(self) -> Request:
        """What the call asks."""
        return self.plan.request

    @property
    def candidate(self) -> Candidate:
        """The candidate that is asked."""
        return self.plan.first


@dataclass(slots=True)
class Part:
    """What comes to one call: its answer, and what its part cost; without an answer it is asked alone, and without an
    attempt nothing was billed. ``failure``: nor is it asked alone, because its upstream takes nothing."""

    attempt: Attempt | None = None
    body: bytes | None = None
    failure: Failure | None = None


@dataclass(slots=True)
class Group:
    """Calls that go together."""

    org: OrgSnapshot
    members: list[Member] = field(default_factory=list)
    inputs: int = 0
    size: int = 0
    is_sent: bool = False
    timer: asyncio.TimerHandle | None = None
    #: the one call, as far as it has come
    asked: "Asked | None" = None


@dataclass(slots=True)
class Asked:
    """How the one call came out: its reader, and the answer where there is one."""

    reader: AnswerReader
    status: int = 0
    error_code: str = ""
    certainty: Certainty = Certainty.COUNTED
    body: bytes | None = None
    #: the id under which its upstream knows it
    asked_as: str = ""
    #: what is none of the calls' own fault, and was not billed
    failure: Failure | None = None


class Gathering(ABC):
    """Gathers calls, and asks."""

    def __init__(
        self, upstreams: Upstreams, health: UpstreamHealth, reservations: Reservations, counting: Counting
    ) -> None:
        self._counting = counting
        self._upstreams = upstreams
        self._health = health
        self._reservations = reservations
        self._open: dict[tuple[str, Hashable], Group] = {}
        self._asking: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def sign(self, plan: Plan, entry: Entry) -> Signed | None:
        """What calls must have alike to be asked together; None for a call that goes alone."""

    @abstractmethod
    async def ask_once(self, group: Group) -> list[Part]:
        """Ask for the members of a group, two or more, and give each its part, in their order."""

    async def run(
        self,
        plan: Plan,
        hold: Hold,
        entry: Entry,
        sink: Sink,
        signed: Signed,
        alone: Callable[[Plan, Hold, Failure | None], Awaitable[Answer]],
        replan: Replan,
    ) -> Answer:
        """Bring the call's answer into ``sink``, asked with others where some come in time. ``alone`` asks for this
        call by itself, with the money in hand, or whoever comes after an upstream that has failed so. Raises what that
        raises."""
        member = Member(plan, hold, entry, signed.inputs, asyncio.get_running_loop().create_future())
        group = self._join(entry.org, signed, member)
        began = clock.monotonic_ns()
        try:
            with entry.waited:
                part = await asyncio.shield(member.done)
        except asyncio.CancelledError:
            await _leave(group, member)
            raise
        if part.attempt is not None:
            entry.attempts.append(part.attempt)
            entry.timings.append((ATTEMPTED, part.attempt.number, began, clock.monotonic_ns()))
        if part.body is None or part.attempt is None:
            if part.attempt is not None and part.attempt.certainty is not Certainty.NOTHING:
                plan, hold = await self._pay_again(plan, entry, replan)
            return await alone(plan, hold, part.failure)
        entry.first_byte_ns = clock.monotonic_ns()
        await sink.whole(_JSON, part.body)
        return Answer(
            content_type=_JSON,
            is_stream=False,
            parts=sink.parts,
            model=part.attempt.response_model,
            usage=part.attempt.usage,
            certainty=part.attempt.certainty,
            finish_reason=part.attempt.finish_reason,
            is_complete=True,
        )

    async def _pay_again(self, plan: Plan, entry: Entry, replan: Replan) -> tuple[Plan, Hold]:
        """Set money aside for a call that is asked alone, beside what its part of the one call may be billed: gives the
        plan that it is held for. Raises ApiError."""
        held, first, hold = await self._reservations.readmit(plan, entry, plan.first, replan)
        if held is plan:
            return plan, hold
        # Who is asked after it is of the plan that the money is held for, too.
        others = (other for other in held.candidates if other.model.name != first.model.name)
        return held._replace(candidates=(first, *others)), hold

    async def ask_as_one(
        self, group: Group, request: Request, candidate: Candidate, max_output: int | None = None
    ) -> Asked:
        """Ask what the members of a group ask together, and where its upstream takes nothing at the moment again, as
        often as it may be tried. Whatever comes of it is in what this gives."""
        upstream, tries, number = candidate.upstream, NO_TRIES, 0
        place, failed = self._health.find_place(upstream), set[str]()
        while True:
            number += 1
            asked = await self._try(group, request, candidate, place, max_output, number)
            failure = asked.failure
            if failure is None or not failure.is_about_upstream:
                break
            failed.add(place.id)
            place = self._health.find_place(upstream, failed)
            asked_next, tries = next_try(
                tries,
                upstream,
                failure.reason,
                is_transient=failure.is_transient,
                has_server=place.id not in failed,
                has_others=False,
            )
            if asked_next is Next.OTHER_CANDIDATE:
                break
            if asked_next is Next.AGAIN:
                await pause(failure, tries.failed)
        if asked.status or asked.certainty is not Certainty.NOTHING:
            metrics.MERGED_CALLS.inc(len(group.members))
        return asked

    async def _try(
        self,
        group: Group,
        request: Request,
        candidate: Candidate,
        place: UpstreamSnapshot,
        max_output: int | None,
        number: int,
    ) -> Asked:
        first, upstream, model = group.members[0], candidate.upstream, candidate.model.upstream_model
        vendor = vendor_of(upstream.kind)
        habits = vendor.find_habits(upstream, model, self._upstreams.refused_habits.of(upstream.id, model))
        body = vendor.encode_request(request, model, habits=habits, max_output=max_output)
        wire = vendor.choose_wire(request, habits)
        path = vendor.find_path(request.operation, wire)
        assert path is not None, "a plan has only candidates that can be asked"
        for member in group.members:
            member.entry.note_wire(wire, ALL_SAID)
        path = locate(place.base_url, model, path)
        name = name_try(first.entry.request_id, number)
        exchange = self._upstreams.post(place, group.org, path, body, name)
        asked = group.asked = Asked(vendor.make_reader(request, wire, first.entry.started_at_ms), asked_as=name)
        try:
            with self._health.busy(place):
                async with exchange:
                    asked.status = exchange.status
                    if asked.status != _OK:
                        refusal = await read_refusal(exchange, vendor)
                        raise explain_refusal(refusal, asked.status, exchange, vendor, upstream.name)
                    try:
                        asked.body = await read_answer(await exchange.read_whole(), asked.reader)
                    except (AnswerTooLong, NotAnAnswer) as error:
                        raise explain_no_answer(candidate, asked.reader, exchange, vendor) from error
                    asked.certainty = asked.reader.certainty
            self._health.note_success(place)
        except NotTaken as error:
            self._health.note_failure(place, at_once=bool(upstream.endpoints))
            asked.status, asked.error_code, asked.certainty = 0, error.error.error_code, Certainty.NOTHING
            asked.failure = Failure(error.hand_over(), is_transient=True)
        except Failure as failure:
            asked.error_code = failure.error.error_code
            if is_unbilled(asked.status, candidate) or is_refused(asked.reader, candidate):
                asked.certainty = Certainty.NOTHING
            if asked.status in _TAKES_NOTHING and asked.certainty is Certainty.NOTHING:
                asked.failure = failure.again()
                if failure.is_about_upstream:
                    self._health.note_failure(place, None if failure.is_transient else failure.pause_seconds)
        except BrokenOff as error:
            asked.error_code = error.error.error_code
        return asked

    def _join(self, org: OrgSnapshot, signed: Signed, member: Member) -> Group:
        name = (org.id, signed.name)
        group = self._open.get(name)
        if group is not None and (
            group.inputs + len(member.inputs) > signed.most
            or group.size + member.request.body_bytes > signed.most_bytes
        ):
            self._send(name)
            group = None
        if group is None:
            group = self._open[name] = Group(org)
            group.timer = asyncio.get_running_loop().call_later(signed.window_ms / 1000, self._send, name)
        group.members.append(member)
        group.inputs += len(member.inputs)
        group.size += member.request.body_bytes
        if group.inputs >= signed.most:
            # Nobody else fits.
            self._send(name)
        return group

    def _send(self, name: tuple[str, Hashable]) -> None:
        group = self._open.pop(name)
        group.is_sent = True
        if group.timer is not None:
            group.timer.cancel()
        if len(group.members) == 1:
            group.members[0].done.set_result(Part())
        elif group.members:
            task = asyncio.create_task(self._ask(group))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, group: Group) -> None:
        parts = [Part() for _ in group.members]
        try:
            parts = await self.ask_once(group)
            if group.asked is not None and group.asked.failure is not None:
                for part in parts:
                    part.failure = group.asked.failure.again()
        except Exception:  # noqa: BLE001 - those who wait are asked alone
            _log.exception("calls that went together were not taken apart, by our own fault")
            if group.asked is not None and group.asked.certainty is not Certainty.NOTHING:
                attempts = [_charge_hold(member, group.asked) for member in group.members]
                parts = list(map(Part, name_parts(attempts, group.asked)))
        finally:
            for member, part in zip(group.members, parts, strict=True):
                if not member.done.done():
                    member.done.set_result(part)


async def _leave(group: Group, member: Member) -> None:
    """Take a call out whose caller has left, before the group is sent. After that its part is billed, whoever waits for
    it, and if the server stops meanwhile."""
    if not group.is_sent:
        group.members.remove(member)
        group.inputs -= len(member.inputs)
        group.size -= member.request.body_bytes
        return
    while not member.done.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(member.done)
    attempt = member.done.result().attempt
    if attempt is not None:
        member.entry.attempts.append(attempt)


def _charge_hold(member: Member, asked: Asked) -> Attempt:
    """A call's share of one that was asked, where nobody knows what that cost."""
    return weigh(
        *(member.request, member.candidate, member.hold, 1, asked.reader, asked.status),
        error_code="internal_error",
        certainty=Certainty.BOUND,
    )


def name_parts(attempts: Sequence[Attempt], asked: Asked, weights: Sequence[int] = ()) -> list[Attempt]:
    """Each call's part of the one that was asked, with the part that it is, so that what its upstream bills for the
    whole can be shared out later: by ``weights``, or by what the parts cost."""
    weights = weights or [attempt.cost for attempt in attempts]
    if not sum(weights):
        weights = [1] * len(attempts)
    ends = list(accumulate(weights))
    return [
        attempt._replace(packed=len(attempts), asked_as=asked.asked_as, part=(end - weight, end, ends[-1]))
        for attempt, weight, end in zip(attempts, weights, ends, strict=True)
    ]


def read_json(body: bytes) -> Any:
    """An answer that was read as one already. Raises NotTakenApart."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotTakenApart from error
