"""Performs a plan's attempts: asks the upstream, hands its answer on, and says for each try what it cost and how we
know.

An attempt whose outcome the upstream did not tell is charged at what is known of it, never at nothing that may have
been something: at its bound where the upstream can be asked for its bill later, else at the tokens that we counted.
"""

import random
from asyncio import CancelledError, sleep
from typing import Final

from costhub.lib import clock, failpoints
from costhub.lib.money import format_usd
from proxy.core import pricing, sse, tokens
from proxy.core.plan import exact_bound
from proxy.core.rates import describe
from proxy.core.row import route_of
from proxy.core.wire import upstream_body
from proxy.edges.entry import Entry
from proxy.edges.limits import Limits
from proxy.edges.reply import Reply
from proxy.errors import ApiError, BrokenStream, UpstreamError
from proxy.types import ATTEMPTED, Attempt, Certainty, Hold, Plan, Usage
from proxy.upstreams import openai
from proxy.upstreams.transport import (
    MAX_ANSWER_BYTES,
    MAX_ERROR_BYTES,
    AnswerTooLong,
    BrokenOff,
    Exchange,
    NotTaken,
    Upstreams,
)

#: an upstream that says «later than this» is believed, and its answer handed to the caller
MAX_RETRY_AFTER_SECONDS: Final = 5.0
FIRST_PAUSE_SECONDS: Final = 0.1
_TRANSIENT: Final = frozenset({408, 409, 429, 500, 502, 503, 504})


class _Failure(Exception):
    """An attempt failed before anything was handed on: it may be tried again."""

    def __init__(self, error: ApiError, is_transient: bool, pause_seconds: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.is_transient = is_transient
        self.pause_seconds = pause_seconds


async def run_attempts(
    plan: Plan, hold: Hold, upstreams: Upstreams, limits: Limits, reply: Reply, entry: Entry
) -> None:
    """Serve the plan's answer through ``reply``. Every attempt is in ``entry.attempts`` when this returns or raises.

    Raises UpstreamError, with the upstream's status, when no attempt brings an answer, and BrokenStream when one ends
    in the middle.
    """
    number = 1
    if plan.delay_ms:
        # A slower lane is not our overhead.
        await sleep(plan.delay_ms / 1000)
        entry.waited_ns = plan.delay_ms * 1_000_000
    while True:
        try:
            await _attempt(plan, hold, number, upstreams, reply, entry)
            return
        except _Failure as failure:
            if not failure.is_transient or number > plan.upstream.max_retries:
                raise failure.error from failure
            pause = failure.pause_seconds
            if pause is None:
                # Full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015).
                pause = random.uniform(0, FIRST_PAUSE_SECONDS * 2**number)  # noqa: S311 - spreads retries, hides nothing
            await sleep(pause)
            number += 1
            if entry.attempts[-1].certainty is not Certainty.NOTHING:
                # The last try may be billed, so that this one needs money of its own.
                try:
                    hold = await limits.reserve(plan, entry, attempt=number)
                except ApiError:
                    raise failure.error from failure


async def _attempt(plan: Plan, hold: Hold, number: int, upstreams: Upstreams, reply: Reply, entry: Entry) -> None:
    reader = openai.AnswerReader()
    status, error_code, certainty = 0, "", Certainty.COUNTED
    body = upstream_body(
        plan.request,
        plan.model.upstream_model,
        kind=plan.upstream.kind,
        max_output=hold.max_output if plan.is_capped else None,
    )
    exchange = upstreams.post(
        plan.upstream, entry.org, plan.request.endpoint.value, body, f"{entry.request_id}:{number}"
    )
    began = clock.monotonic_ns()
    try:
        async with exchange:
            status = exchange.status
            if status != 200:
                raise await _refusal(exchange, plan)
            if exchange.header("content-encoding") not in {None, "identity"}:
                # Nothing compressed was asked for, and a few kB of it may unfold into gigabytes.
                raise _Failure(_not_an_answer(plan, reader), is_transient=False)
            if plan.request.is_stream:
                await _relay(exchange, plan, hold, reader, reply, entry, began)
            else:
                await _answer(exchange, plan, hold, number, reader, reply, entry, began)
    except NotTaken as failure:
        certainty, error_code = Certainty.NOTHING, failure.error.error_code
        raise _Failure(failure.error, is_transient=True) from failure
    except _Failure as failure:
        error_code = failure.error.error_code
        if _is_unbilled(status, plan):
            certainty = Certainty.NOTHING
        raise
    except BrokenOff as failure:
        error_code = failure.error.error_code
        if reply.has_begun:
            raise BrokenStream(failure.error.message, code=error_code) from failure
        raise _Failure(failure.error, is_transient=True) from failure
    except UpstreamError as error:
        error_code = error.error_code
        raise
    except CancelledError:
        error_code = "client_disconnected"
        raise
    finally:
        ended = clock.monotonic_ns()
        entry.timings.append((ATTEMPTED, number, began, ended))
        if entry.upstream_ns == 0:
            entry.upstream_ns = ended - began
        if len(entry.attempts) < number:
            if not exchange.was_sent:
                certainty = Certainty.NOTHING
            elif certainty is Certainty.COUNTED and reader.is_finished and len(reader.ended) >= plan.request.choices:
                # It broke off behind its end: what the upstream reported by then is the truth.
                certainty = openai.certainty_of(reader)
            entry.attempts.append(_weigh(plan, hold, number, reader, status, error_code, certainty))


async def _answer(
    exchange: Exchange,
    plan: Plan,
    hold: Hold,
    number: int,
    reader: openai.AnswerReader,
    reply: Reply,
    entry: Entry,
    began: int,
) -> None:
    try:
        raw = await exchange.read_whole()
        entry.upstream_ns += clock.monotonic_ns() - began
        reader.read_answer(raw)
    except (AnswerTooLong, openai.NotAnAnswer) as error:
        raise _Failure(_not_an_answer(plan, reader), is_transient=False) from error
    failpoints.reach("answer_received")
    certainty = openai.certainty_of(reader)
    entry.attempts.append(_weigh(plan, hold, number, reader, 200, "", certainty))
    entry.first_byte_ns = clock.monotonic_ns()
    content_type = exchange.header("content-type") or "application/json"
    await reply.send(200, _final_headers(plan, entry) | {"content-type": content_type}, raw)
    failpoints.reach("answer_sent")


async def _relay(
    exchange: Exchange,
    plan: Plan,
    hold: Hold,
    reader: openai.AnswerReader,
    reply: Reply,
    entry: Entry,
    began: int,
) -> None:
    """Hand events on as they come; keep back the closing one until our own last words are said."""
    splitter = sse.EventSplitter()
    wants_usage = plan.request.wants_usage
    is_done, relayed = False, 0
    try:
        while not is_done:
            part = await exchange.read()
            if part is None:
                rest = splitter.finish()
                if rest.strip() and not reader.is_finished:
                    raise openai.NotAnAnswer
                break
            outgoing, is_done = _read_part(splitter.feed(part), reader, wants_usage=wants_usage)
            relayed += len(part)
            if relayed > MAX_ANSWER_BYTES:
                raise sse.EventTooLong
            if outgoing:
                if not reply.has_begun:
                    entry.first_byte_ns = clock.monotonic_ns()
                    entry.upstream_ns = entry.first_byte_ns - began
                    failpoints.reach("first_chunk_received")
                    await reply.begin(200, _first_headers(plan, entry) | {"content-type": "text/event-stream"})
                await reply.chunk(outgoing)
                failpoints.reach("chunk_sent")
    except (openai.NotAnAnswer, sse.EventTooLong) as error:
        failure = _not_an_answer(plan, reader)
        if reply.has_begun:
            raise BrokenStream(failure.message, code=failure.error_code) from error
        raise _Failure(failure, is_transient=False) from error
    if not reader.is_finished and not is_done:
        failure = UpstreamError(
            f"The upstream {plan.upstream.name} ended its answer too early.", code="upstream_broke_off"
        )
        if reply.has_begun:
            raise BrokenStream(failure.message, code=failure.error_code)
        raise _Failure(failure, is_transient=True)
    certainty = openai.certainty_of(reader)
    number = len(entry.attempts) + 1
    entry.attempts.append(_weigh(plan, hold, number, reader, 200, "", certainty))
    if not reply.has_begun:
        await reply.begin(200, _first_headers(plan, entry) | {"content-type": "text/event-stream"})
    await reply.end(_last_words(entry) + b"data: [DONE]\n\n")
    failpoints.reach("answer_sent")


def _read_part(events: list[bytes], reader: openai.AnswerReader, *, wants_usage: bool) -> tuple[bytes, bool]:
    """What of these events the caller gets, and whether the stream is done. Raises NotAnAnswer."""
    is_done = False
    datas: list[bytes] = []
    places: list[int] = []
    for place, event in enumerate(events):
        data = sse.data_of(event)
        if data is None:
            continue
        if data == sse.DONE:
            events, is_done = events[:place], True
            break
        datas.append(data)
        places.append(place)
    reports = reader.read_events(datas) if datas else set()
    if reports and not wants_usage:
        unwanted = {places[report] for report in reports}
        events = [event for place, event in enumerate(events) if place not in unwanted]
    return b"".join(events), is_done


def _weigh(
    plan: Plan,
    hold: Hold,
    number: int,
    reader: openai.AnswerReader,
    status: int,
    error_code: str,
    certainty: Certainty,
) -> Attempt:
    """What the attempt cost. What would have to be counted is charged at its bound where a bill will tell the truth."""
    if certainty is Certainty.COUNTED and plan.upstream.bill_path:
        certainty = Certainty.BOUND
    if certainty is Certainty.NOTHING:
        used, cost = Usage(), 0
    elif certainty is Certainty.EXACT and reader.usage is not None:
        used = reader.usage
        cost = pricing.cost(used, plan.price)
    elif certainty is Certainty.BOUND:
        # What is held, not the plan's own bound: the input may have been counted exactly when the budget was tight.
        used, cost = Usage(), hold.for_attempt or hold.amount
    else:
        used = _count(plan, hold, reader)
        cost = pricing.cost(used, plan.price)
    saved = 0
    if plan.list_price is not plan.price and certainty in {Certainty.EXACT, Certainty.COUNTED}:
        saved = pricing.cost(used, plan.list_price) - cost
    return Attempt(
        number=number,
        status=status,
        certainty=certainty,
        usage=used,
        cost=cost,
        error=error_code,
        response_model=reader.model,
        finish_reason=reader.finish_reason,
        saved=saved,
    )


def _count(plan: Plan, hold: Hold, reader: openai.AnswerReader) -> Usage:
    """Our own count of an answer whose upstream did not report: never more than was set aside for it."""
    produced = tokens.count_text("".join(reader.texts), plan.model.tokenizer)
    return Usage(
        input=exact_bound(plan).input_tokens,
        output=min(produced, hold.max_output * plan.bound.choices) if plan.is_capped else produced,
    )


def _is_unbilled(status: int, plan: Plan) -> bool:
    """A refusal costs nothing. A server error may have cost something, which only an upstream's bill can tell."""
    if status == 200:
        return False
    return 300 <= status < 500 or (status >= 500 and not plan.upstream.bill_path)


async def _refusal(exchange: Exchange, plan: Plan) -> _Failure:
    status = exchange.status
    name = plan.upstream.name
    try:
        raw = await exchange.read_whole(MAX_ERROR_BYTES)
    except AnswerTooLong:
        raw = b""
    message, code, param = openai.error_message(raw)
    if status in {401, 403}:
        # Its message may quote the tenant's credential: the caller of an application must not see that.
        error = UpstreamError(
            f"The upstream {name} does not accept the credential that is stored for it.",
            code="upstream_credential_refused",
            status=status,
        )
        return _Failure(error, is_transient=False)
    if not 400 <= status < 600:
        error = UpstreamError(
            f"The upstream {name} answered with status {status}, which is no answer of this API.",
            code="upstream_unexpected_status",
        )
        return _Failure(error, is_transient=False)
    headers = {}
    retry_after = exchange.header("retry-after")
    if retry_after is not None and retry_after.isdecimal() and len(retry_after) < 6:
        headers["retry-after"] = retry_after
    error = UpstreamError(
        exchange.hide_credential(message) or f"The upstream {name} answered with status {status}.",
        code=code or "upstream_error",
        status=status,
        param=param,
        headers=headers,
    )
    pause = float(retry_after) if "retry-after" in headers and retry_after else None
    is_transient = status in _TRANSIENT and (pause is None or pause <= MAX_RETRY_AFTER_SECONDS)
    return _Failure(error, is_transient, pause)


def _not_an_answer(plan: Plan, reader: openai.AnswerReader) -> UpstreamError:
    if reader.error is not None:
        message = str(reader.error.get("message") or "no reason given")[:500]
        return UpstreamError(f"The upstream {plan.upstream.name} reported an error: {message}", code="upstream_error")
    return UpstreamError(
        f"The upstream {plan.upstream.name} sent something that is no answer of this API.", code="upstream_malformed"
    )


def _first_headers(plan: Plan, entry: Entry) -> dict[str, str]:
    """What is known before the first byte of an answer."""
    return {
        **(describe(plan.layout.told, entry.hold.used) if plan.layout.told and entry.hold else {}),
        "x-request-id": entry.request_id,
        "x-costhub-cache": "bypass",
        "x-costhub-model": plan.model.name,
        "x-costhub-route": route_of(plan),
        "x-costhub-overhead-ms": _overhead_ms(entry),
    }


def _final_headers(plan: Plan, entry: Entry) -> dict[str, str]:
    """What is known when the whole answer is there."""
    return _first_headers(plan, entry) | _cost_fields(entry)


def _last_words(entry: Entry) -> bytes:
    """A comment that clients ignore and people can read: what the stream cost."""
    return b"".join(f": {name}: {value}\n".encode() for name, value in _cost_fields(entry).items()) + b"\n"


def _cost_fields(entry: Entry) -> dict[str, str]:
    cost, saved = entry.cost, entry.saved
    fields = {
        "x-costhub-cost": format_usd(cost),
        "x-costhub-list-cost": format_usd(cost + saved),
        "x-costhub-savings": format_usd(saved),
    }
    hold = entry.hold
    if hold is not None and hold.remaining is not None:
        fields["x-costhub-budget-remaining"] = format_usd(hold.remaining + hold.amount - cost)
    return fields


def _overhead_ms(entry: Entry) -> str:
    micros = (clock.monotonic_ns() - entry.started_ns - entry.upstream_ns - entry.waited_ns) // 1000
    return f"{micros // 1000}.{micros % 1000:03d}"
