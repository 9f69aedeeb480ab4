"""One try at an upstream: it is asked once, its answer handed on, and what it cost noted whatever happens."""

import re
from asyncio import CancelledError
from collections.abc import Callable
from functools import partial
from typing import Final

from costhub.lib import clock
from proxy.attempts.failures import Failure, explain_no_answer, explain_refusal, read_refusal
from proxy.attempts.reading import read_stream, read_whole
from proxy.core.weigh import MOST_COUNTED, is_refused, is_unbilled, size_of, weigh
from proxy.edges.counting import Counting
from proxy.edges.entry import Entry
from proxy.errors import BrokenStream, UpstreamError
from proxy.upstreams.transport import BrokenOff, Exchange, NotTaken, Upstreams
from proxy.upstreams.vendors import vendor_of
from proxy.values.answer import Answer, Sink
from proxy.values.attempt import ATTEMPTED, Attempt, Certainty
from proxy.values.plan import Candidate, Hold
from proxy.values.request import LISTENING, WORDS, Operation, Request
from proxy.values.vendor import AnswerReader
from tenants.snapshots import UpstreamSnapshot
from tenants.upstream_headers import locate

_JSON: Final = "application/json"
#: finding a member of an enumeration costs as much as a sum
_EXACT: Final = Certainty.EXACT
_COUNTED: Final = Certainty.COUNTED
_SOUND: Final = re.compile(r"audio/[a-z0-9.+-]{1,40}(?:; ?[a-z]{1,20}=[a-z0-9.]{1,20})*", re.IGNORECASE)


def _name_type(exchange: Exchange, request: Request) -> str:
    """Of an answer that is no stream: sound under the name that its upstream gives it, if that is one of sound; words
    as what they are."""
    if request.operation is not Operation.SPEECH:
        is_words = request.operation in LISTENING and request.body.get("response_format") in WORDS
        return "text/plain; charset=utf-8" if is_words else _JSON
    told = exchange.header("content-type") or ""
    return told if _SOUND.fullmatch(told) else "application/octet-stream"


async def ask(
    request: Request,
    candidate: Candidate,
    place: UpstreamSnapshot,
    hold: Hold,
    number: int,
    upstreams: Upstreams,
    counting: Counting,
    sink: Sink,
    entry: Entry,
    until_ns: int = 0,
) -> Answer:
    """Ask a candidate once, at ``place``: its upstream, or one of its endpoints. The attempt is in ``entry.attempts``
    when this returns or raises. Past ``until_ns``, where that is given, its answer is not wanted.

    Raises Failure when nothing of an answer was handed on, and BrokenStream when it ended in the middle.
    """
    upstream = candidate.upstream
    vendor = vendor_of(upstream.kind)
    status, error_code, certainty = 0, "", _COUNTED
    model = candidate.model.upstream_model
    known = upstreams.learned.of(upstream.id, model)
    habits = vendor.find_habits(upstream, model, known)
    wire = vendor.choose_wire(request, habits)
    reader, path = vendor.make_reader(request, wire, entry.started_at_ms), vendor.find_path(request.operation, wire)
    assert path is not None, "a plan has only candidates that can be asked"
    is_limited = candidate.is_capped or (habits.needs_limit and request.max_output is None)
    body = vendor.encode_request(request, model, habits=habits, max_output=hold.max_output if is_limited else None)
    entry.wire, entry.unsaid = wire, vendor.find_unsaid(request, wire)
    kind = _JSON if request.form is None else request.form.content_type
    path = locate(place.base_url, model, path)
    exchange = upstreams.post(
        place, entry.org, path, body, f"{entry.request_id}:{number}", entry.waited, kind, until_ns
    )
    began = clock.monotonic_ns()
    try:
        async with exchange:
            status = exchange.status
            if status != 200:
                refusal = await read_refusal(exchange, vendor)
                learned = vendor.learn(
                    refusal, status, request, upstream, habits, is_capped=is_limited or wire is not request.wire
                )
                # What this try knew already and was refused all the same would be refused for ever.
                news = None if learned in known else learned
                raise explain_refusal(refusal, status, exchange, vendor, upstream.name, news)
            if exchange.header("content-encoding") not in {None, "identity"}:
                # Nothing compressed was asked for, and a few kB of it may unfold into gigabytes.
                raise explain_no_answer(candidate, reader, exchange, vendor)
            content_type, raw = "text/event-stream", b""
            if request.is_stream:
                await read_stream(exchange, candidate, vendor, reader, sink, entry, wants_usage=request.wants_usage)
            else:
                raw = await read_whole(exchange, candidate, vendor, reader, entry)
                # It was read as JSON: under no other name does it go to what may be a browser.
                content_type = _name_type(exchange, request)
            certainty = reader.certainty
            if certainty is _EXACT:
                attempt = weigh(request, candidate, hold, number, reader, 200, "", certainty)
            else:
                weighing = partial(weigh, request, candidate, hold, number, reader, 200, "", certainty)
                attempt = await _weigh_beside(weighing, request, candidate, reader, counting, entry)
            entry.attempts.append(_locate(attempt, place))
            if request.is_stream:
                await sink.end_stream(reader.closing)
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
        if sink.has_begun:
            raise BrokenStream(failure.error.message, code=error_code) from failure
        raise Failure(failure.hand_over(), is_transient=True) from failure
    except UpstreamError as error:
        error_code = error.error_code
        raise
    except CancelledError:
        error_code = "client_disconnected"
        raise
    finally:
        ended = clock.monotonic_ns()
        entry.timings.append((ATTEMPTED, number, began, ended))
        if len(entry.attempts) < number:
            if not exchange.was_sent or is_refused(reader, candidate):
                certainty = Certainty.NOTHING
            elif certainty is Certainty.COUNTED and reader.is_finished and len(reader.ended) >= request.choices:
                # It broke off behind its end: what the upstream reported by then is the truth.
                certainty = reader.certainty
            weighing = partial(weigh, request, candidate, hold, number, reader, status, error_code, certainty)
            if certainty is Certainty.COUNTED:
                try:
                    attempt = await _weigh_beside(weighing, request, candidate, reader, counting, entry)
                except CancelledError:
                    attempt = weighing()  # a second time: the server stops
            else:
                attempt = weighing()
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


def _locate(attempt: Attempt, place: UpstreamSnapshot) -> Attempt:
    """The attempt, with the endpoint that it went to, if its upstream has some."""
    return attempt if place.id == attempt.upstream_id else attempt._replace(endpoint_id=place.id)


async def _weigh_beside(
    weighing: Callable[..., Attempt],
    request: Request,
    candidate: Candidate,
    reader: AnswerReader,
    counting: Counting,
    entry: Entry,
) -> Attempt:
    """What the upstream did not report is counted, and all that was asked and answered may be long."""
    size = size_of(request, reader)
    return await counting.run(
        size,
        partial(weighing, most_counted=MOST_COUNTED),
        weighing,
        whose=entry.org.id,
        vocabulary=candidate.model.tokenizer,
    )
