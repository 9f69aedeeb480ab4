"""One try at an upstream: it is asked once, its answer handed on, and what it cost noted whatever happens."""

import re
from asyncio import CancelledError
from collections.abc import Callable, Set
from functools import partial
from typing import Final, NamedTuple

from costhub.lib import clock
from proxy.attempts.failures import Failure, cut_short, explain_no_answer, explain_refusal, read_refusal
from proxy.attempts.means import Means
from proxy.attempts.reading import read_stream, read_whole
from proxy.core.betas import list_sent
from proxy.core.weigh import MOST_COUNTED, is_refused, is_unbilled, size_of, weigh
from proxy.edges.counting import Counting
from proxy.edges.entry import Entry
from proxy.errors import UpstreamError
from proxy.upstreams.transport import JSON, BrokenOff, Exchange, NotTaken
from proxy.upstreams.vendors import vendor_of
from proxy.values.answer import Answer, Sink
from proxy.values.attempt import ATTEMPTED, Attempt, Certainty
from proxy.values.plan import Candidate, Hold
from proxy.values.request import LISTENING, MEDIA, WORDS, Operation, Request, Wire
from proxy.values.vendor import AnswerReader, Habits, Vendor
from tenants.choices import Habit
from tenants.snapshots import UpstreamSnapshot
from tenants.upstream_headers import locate

#: finding a member of an enumeration costs as much as a sum
_EXACT: Final = Certainty.EXACT
_COUNTED: Final = Certainty.COUNTED
_MESSAGES: Final = Wire.MESSAGES
_AS_IT_IS: Final = frozenset({None, "identity"})
_SOUND: Final = re.compile(r"audio/[a-z0-9.+-]{1,40}(?:; ?[a-z]{1,20}=[a-z0-9.]{1,20})*", re.IGNORECASE)


def _name_type(exchange: Exchange, request: Request) -> str:
    """The content type of an answer that is no stream. For sound it is the one that the upstream gives, if that is one
    of sound; words have the type of words."""
    if request.operation not in MEDIA:
        return JSON
    if request.operation is not Operation.SPEECH:
        is_words = request.operation in LISTENING and request.body.get("response_format") in WORDS
        return "text/plain; charset=utf-8" if is_words else JSON
    told = exchange.header("content-type") or ""
    return told if _SOUND.fullmatch(told) else "application/octet-stream"


class _Written(NamedTuple):
    """A request as it is written for one upstream, ready to be sent, and what reads the answer."""

    vendor: Vendor
    habits: Habits
    #: what this upstream has refused before, with this model
    known: Set[Habit]
    wire: Wire
    reader: AnswerReader
    exchange: Exchange
    #: the limit of its output is ours
    is_limited: bool


async def ask(
    request: Request,
    candidate: Candidate,
    place: UpstreamSnapshot,
    hold: Hold,
    means: Means,
    sink: Sink,
    entry: Entry,
    until_ns: int = 0,
) -> Answer:
    """Ask a candidate once, at ``place``: its upstream, or one of its endpoints. The attempt is in ``entry.attempts``
    when this returns or raises. Past ``until_ns``, where that is given, its answer is not wanted.

    Raises Failure when nothing of an answer was handed on, and BrokenStream when it ended in the middle.
    """
    number = len(entry.attempts) + 1
    written = _write(request, candidate, place, hold, number, means, entry, until_ns)
    vendor, reader, exchange = written.vendor, written.reader, written.exchange
    status, error_code, certainty = 0, "", _COUNTED
    began = clock.monotonic_ns()
    try:
        await exchange.begin()
        status = exchange.status
        if status != 200:
            raise await _explain_refusal(exchange, request, candidate, written)
        if exchange.header("content-encoding") not in _AS_IT_IS:
            # Nothing compressed was asked for, and a few kB of it may unfold into gigabytes.
            raise explain_no_answer(candidate, reader, exchange, vendor)
        content_type = "text/event-stream"
        if request.is_stream:
            raw = await read_stream(exchange, candidate, vendor, reader, sink, entry, wants_usage=request.wants_usage)
        else:
            raw = await read_whole(exchange, candidate, vendor, reader, entry)
            # It was read as JSON: under no other name does it go to what may be a browser.
            content_type = _name_type(exchange, request)
        certainty = reader.certainty
        if certainty is _EXACT:
            attempt = weigh(request, candidate, hold, number, reader, 200, "", certainty)
        else:
            weighing = partial(weigh, request, candidate, hold, number, reader, 200, "", certainty)
            attempt = await _weigh_in_thread(weighing, request, candidate, reader, means.counting, entry)
        entry.attempts.append(attempt if place is candidate.upstream else _locate(attempt, place))
        if request.is_stream:
            await sink.end_stream(reader.closing, raw, reader.run)
        else:
            await sink.whole(content_type, raw)
    except NotTaken as failure:
        certainty, error_code = Certainty.NOTHING, failure.error.error_code
        raise Failure(failure.hand_over(), is_transient=True) from failure
    except Failure as failure:
        error_code = failure.error.error_code
        if is_unbilled(status, candidate):
            certainty = Certainty.NOTHING
        raise
    except BrokenOff as failure:
        error_code = failure.error.error_code
        raise cut_short(Failure(failure.hand_over(), is_transient=True), sink) from failure
    except UpstreamError as error:
        error_code = error.error_code
        raise
    except CancelledError:
        error_code = "client_disconnected"
        raise
    finally:
        exchange.release()
        entry.timings.append((ATTEMPTED, number, began, clock.monotonic_ns()))
        if len(entry.attempts) < number:
            if not exchange.was_sent or is_refused(reader, candidate):
                certainty = Certainty.NOTHING
            weighing = partial(weigh, request, candidate, hold, number, reader, status, error_code)
            attempt = await _weigh_unfinished(weighing, certainty, request, candidate, reader, means.counting, entry)
            entry.attempts.append(_locate(attempt, place))
    return Answer(
        content_type=content_type,
        is_stream=request.is_stream,
        parts=sink.parts,
        model=reader.model,
        usage=attempt.usage,
        certainty=attempt.certainty,
        finish_reason=reader.finish_reason,
        is_complete=not request.is_stream or reader.is_finished,
    )


def _write(
    request: Request,
    candidate: Candidate,
    place: UpstreamSnapshot,
    hold: Hold,
    number: int,
    means: Means,
    entry: Entry,
    until_ns: int,
) -> _Written:
    """Write the request in its upstream's format, and note in which that is."""
    upstreams, upstream, model = means.upstreams, candidate.upstream, candidate.model.upstream_model
    vendor = vendor_of(upstream.kind)
    known = upstreams.refused_habits.of(upstream.id, model)
    habits = vendor.find_habits(upstream, model, known)
    wire = vendor.choose_wire(request, habits)
    reader, path = vendor.make_reader(request, wire, entry.started_at_ms), vendor.find_path(request.operation, wire)
    assert path is not None, "a plan has only candidates that can be asked"
    is_limited = candidate.is_capped or (habits.needs_limit and request.max_output is None)
    body = vendor.encode_request(request, model, habits=habits, max_output=hold.max_output if is_limited else None)
    entry.wire, entry.unsaid = wire, vendor.find_unsaid(request, wire)
    exchange = upstreams.post(
        place,
        entry.org,
        locate(place.base_url, model, path),
        body,
        f"{entry.request_id}:{number}",
        entry.waited,
        JSON if request.form is None else request.form.content_type,
        until_ns,
        list_sent(request.original) if wire is _MESSAGES else (),
    )
    return _Written(vendor, habits, known, wire, reader, exchange, is_limited)


async def _explain_refusal(exchange: Exchange, request: Request, candidate: Candidate, written: _Written) -> Failure:
    """The failure that an answer with another status than 200 tells, and the habit that can be learned from it. Raises
    BrokenOff."""
    vendor, upstream = written.vendor, candidate.upstream
    refusal = await read_refusal(exchange, vendor)
    is_capped = written.is_limited or written.wire is not request.wire
    learned = vendor.learn(refusal, exchange.status, request, upstream, written.habits, is_capped=is_capped)
    # What this try knew already and was refused all the same would be refused for ever.
    news = None if learned in written.known else learned
    return explain_refusal(refusal, exchange.status, exchange, vendor, upstream.name, news)


def _locate(attempt: Attempt, place: UpstreamSnapshot) -> Attempt:
    """The attempt, with the endpoint that it went to, if its upstream has some."""
    return attempt if place.id == attempt.upstream_id else attempt._replace(endpoint_id=place.id)


async def _weigh_in_thread(
    weighing: Callable[..., Attempt],
    request: Request,
    candidate: Candidate,
    reader: AnswerReader,
    counting: Counting,
    entry: Entry,
) -> Attempt:
    """Count what the upstream did not report, in a thread: question and answer may be long."""
    size = size_of(request, reader)
    return await counting.run(
        size,
        partial(weighing, most_counted=MOST_COUNTED),
        weighing,
        whose=entry.org.id,
        vocabulary=candidate.model.tokenizer,
    )


async def _weigh_unfinished(
    weighing: Callable[..., Attempt],
    certainty: Certainty,
    request: Request,
    candidate: Candidate,
    reader: AnswerReader,
    counting: Counting,
    entry: Entry,
) -> Attempt:
    """The attempt that brought no whole answer; ``certainty`` is how sure its cost is by what was seen."""
    if certainty is not Certainty.COUNTED:
        return weighing(certainty)
    if reader.is_finished and len(reader.ended) >= request.choices:
        # It broke off after its end: what the upstream reported by then is the truth.
        certainty = reader.certainty
    weighing = partial(weighing, certainty)
    if certainty is not Certainty.COUNTED:
        return weighing()
    try:
        return await _weigh_in_thread(weighing, request, candidate, reader, counting, entry)
    except CancelledError:
        return weighing()  # a second time: the server stops
