"""How a try fails before anything of an answer was handed on."""

import math
from copy import copy
from typing import Final

from costhub.lib import clock
from proxy.core.retries import MAX_RETRY_AFTER_SECONDS
from proxy.errors import ApiError, BrokenStream, Carrier, UpstreamError
from proxy.upstreams.transport import MAX_ERROR_BYTES, AnswerTooLong, Exchange
from proxy.values.answer import Sink
from proxy.values.plan import Candidate
from proxy.values.vendor import AnswerReader, Refusal, Vendor
from tenants.choices import Habit

_TRANSIENT: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})


class Failure(Carrier[ApiError]):
    """An attempt failed before anything was handed on.

    ``is_transient``: the same may be tried again; ``is_about_upstream``: another upstream may well answer what this one
    did not. ``learned`` is what the upstream refused of our own writing: without it the next try may be taken.
    ``reason`` is for routes, in a word.
    """

    def __init__(
        self,
        error: ApiError,
        is_transient: bool,
        pause_seconds: float | None = None,
        learned: Habit | None = None,
        *,
        is_about_upstream: bool = True,
        reason: str = "",
    ) -> None:
        super().__init__(error)
        self.is_transient = is_transient
        self.pause_seconds = pause_seconds
        self.learned = learned
        self.is_about_upstream = is_about_upstream
        self.reason = reason or error.word

    def again(self) -> "Failure":
        """The same, without what has led to it, for a call that has met it, too: each hands its own error over."""
        failure = Failure(
            copy(self.error), self.is_transient, self.pause_seconds, is_about_upstream=self.is_about_upstream
        )
        failure.reason = self.reason
        return failure


def cut_short(failure: Failure, sink: Sink) -> Failure | BrokenStream:
    """What ends an answer that failed so: the failure itself, or the error of a stream that broke where something of it
    was handed on already, because nobody else can continue that."""
    if not sink.has_begun:
        return failure
    return BrokenStream(failure.error.message, code=failure.error.error_code)


async def read_refusal(exchange: Exchange, vendor: Vendor) -> Refusal:
    """What an upstream says that does not answer with 200, as it said it. Raises BrokenOff."""
    try:
        return vendor.read_refusal(await exchange.read_whole(MAX_ERROR_BYTES))
    except AnswerTooLong:
        return Refusal()


def explain_refusal(
    refusal: Refusal, status: int, exchange: Exchange, vendor: Vendor, name: str, learned: Habit | None = None
) -> Failure:
    """The refusal of the upstream of a name, with the status that it meant, as callers are told of it: in its own
    words."""
    if status in {401, 403}:
        # Its message may quote the tenant's credential: the caller of an application must not see that.
        error = UpstreamError(
            f"The upstream {name} does not accept the credential that is stored for it.",
            code="upstream_credential_refused",
            status=status,
        )
        return Failure(error, is_transient=False, is_about_upstream=False)
    if not 400 <= status < 600:
        error = UpstreamError(
            f"The upstream {name} answered with status {status}, which is no answer of this API.",
            code="upstream_unexpected_status",
        )
        return Failure(error, is_transient=False)
    told = refusal.shortened()
    pause = vendor.read_pause(exchange.header, clock.now_ms())
    if pause is None:
        pause = told.pause_seconds
    error = UpstreamError(
        told.message or f"The upstream {name} answered with status {status}.",
        code=told.code or "upstream_error",
        status=status,
        param=told.param,
        # whole seconds: never earlier than the upstream said
        headers={} if pause is None else {"retry-after": str(math.ceil(pause))},
    )
    is_transient = status in _TRANSIENT and (pause is None or pause <= MAX_RETRY_AFTER_SECONDS)
    return Failure(
        error,
        is_transient,
        pause,
        learned,
        is_about_upstream=status >= 500 or status in _TRANSIENT,
        reason=f"status {status}",
    )


def explain_no_answer(candidate: Candidate, reader: AnswerReader, exchange: Exchange, vendor: Vendor) -> Failure:
    """What came with a 200 and was no answer: a refusal, with the status that it names, or nothing that makes sense."""
    name = candidate.upstream.name
    if reader.refusal is None:
        error = UpstreamError(
            f"The upstream {name} sent something that is no answer of this API.", code="upstream_malformed"
        )
        return Failure(error, is_transient=False)
    refusal = exchange.hide_words(reader.refusal)
    if refusal.status:
        return explain_refusal(refusal, refusal.status, exchange, vendor, name)
    told = refusal.shortened()
    error = UpstreamError(
        f"The upstream {name} reported an error: {told.message or 'no reason given'}",
        code=told.code or "upstream_error",
        param=told.param,
    )
    return Failure(error, is_transient=False)
