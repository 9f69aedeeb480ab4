"""An upstream's answer, read as it comes: what is long of it in a thread."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from costhub.lib import clock
from proxy.attempts.failures import Failure, cut_short, explain_no_answer
from proxy.core import sse
from proxy.core.routes import said
from proxy.core.routes.said import Said
from proxy.core.weight import SMALL_BYTES
from proxy.edges.counting import run_whole
from proxy.edges.entry import Entry
from proxy.errors import UpstreamError
from proxy.upstreams.transport import MAX_ANSWER_BYTES, AnswerTooLong, Exchange
from proxy.values.answer import Answer, Sink
from proxy.values.attempt import Certainty
from proxy.values.plan import Candidate
from proxy.values.vendor import AnswerReader, NotAnAnswer, Vendor

_T = TypeVar("_T")
#: finding a member of an enumeration costs as much as a sum
_EXACT: Final = Certainty.EXACT


async def read_whole(
    exchange: Exchange, candidate: Candidate, vendor: Vendor, reader: AnswerReader, entry: Entry
) -> bytes:
    """An answer that is no stream, in the form in which the caller's side takes it. Raises Failure for what is no
    answer, and BrokenOff."""
    try:
        raw = exchange.read_at_once()
        if raw is not None:
            entry.first_byte_ns = clock.monotonic_ns()
            return reader.read_answer(raw)
        raw = await exchange.read_whole()
        entry.first_byte_ns = clock.monotonic_ns()
        return await read_answer(raw, reader)
    except (AnswerTooLong, NotAnAnswer) as error:
        raise explain_no_answer(candidate, reader, exchange, vendor) from error


async def read_answer(raw: bytes, reader: AnswerReader) -> bytes:
    """What the reader gives of a whole answer. Raises NotAnAnswer."""
    if len(raw) <= SMALL_BYTES:
        return reader.read_answer(raw)
    return await run_whole(partial(reader.read_answer, raw))


async def _read_part(events: Sequence[bytes], reader: AnswerReader, *, wants_usage: bool) -> tuple[bytes, bool]:
    """What the reader gives of some events."""
    if max(map(len, events), default=0) <= SMALL_BYTES:
        return reader.read_part(events, wants_usage=wants_usage)
    return await run_whole(partial(reader.read_part, events, wants_usage=wants_usage))


async def _read_rest(rest: bytes, reader: AnswerReader, *, wants_usage: bool) -> tuple[bytes, bool]:
    """What the reader gives of what was left at the end."""
    if len(rest) <= SMALL_BYTES:
        return reader.read_rest(rest, wants_usage=wants_usage)
    return await run_whole(partial(reader.read_rest, rest, wants_usage=wants_usage))


async def read_stream(
    exchange: Exchange,
    candidate: Candidate,
    vendor: Vendor,
    reader: AnswerReader,
    sink: Sink,
    entry: Entry,
    *,
    wants_usage: bool,
) -> bytes:
    """Push a stream's events into ``sink`` as they come, but for what is said of its usage at the end. Gives those that
    came with the end, which go out with our own last words: one write is saved.

    Raises Failure for what is no answer before anything was handed on, BrokenStream after that, and BrokenOff.
    """
    splitter = sse.EventSplitter()
    is_done, is_first, received = False, True, 0
    last = b""
    try:
        while not is_done:
            part = await exchange.read()
            if part is None:
                outgoing, is_done = await _read_rest(splitter.finish(), reader, wants_usage=wants_usage)
            else:
                if received == 0 and not sse.is_stream(part):
                    part = await _read_as_stream(part, exchange, vendor, reader)
                received += len(part)
                if received > MAX_ANSWER_BYTES:
                    raise sse.EventTooLong
                outgoing, is_done = await _read_part(splitter.feed(part), reader, wants_usage=wants_usage)
            if outgoing:
                if is_first:
                    is_first = False
                    entry.first_byte_ns = clock.monotonic_ns()
                    await sink.begin()
                if is_done and reader.refusal is None and reader.certainty is _EXACT:
                    # What it cost need not be counted first, so that nobody waits.
                    last = outgoing
                else:
                    await sink.chunk(outgoing, reader.run)
            if reader.refusal is not None:
                raise NotAnAnswer
            if part is None:
                break
    except (NotAnAnswer, AnswerTooLong, sse.EventTooLong) as error:
        raise cut_short(explain_no_answer(candidate, reader, exchange, vendor), sink) from error
    if not reader.is_finished and not is_done:
        too_early = UpstreamError(
            f"The upstream {candidate.upstream.name} ended its answer too early.", code="upstream_broke_off"
        )
        raise cut_short(Failure(too_early, is_transient=True), sink)
    return last


async def _read_as_stream(part: bytes, exchange: Exchange, vendor: Vendor, reader: AnswerReader) -> bytes:
    """Read what does not begin like a stream: a refusal, or the whole answer of a server that does not stream, as a
    stream. Raises NotAnAnswer, AnswerTooLong and BrokenOff."""
    raw = part + await exchange.read_whole()
    reader.refusal = await _beside(raw, vendor.find_refusal)
    if reader.refusal is not None:
        raise NotAnAnswer
    return await _beside(raw, vendor.as_stream)


async def _beside(raw: bytes, read: Callable[[bytes], _T]) -> _T:
    return read(raw) if len(raw) <= SMALL_BYTES else await run_whole(partial(read, raw))


async def read_said(answer: Answer) -> Said:
    """What an answer says that was kept whole."""
    return await _beside(answer.body, partial(said.read_answer, is_stream=answer.is_stream))


async def drop_logprobs(parts: Sequence[bytes], *, is_stream: bool) -> Sequence[bytes]:
    """The answer without the probabilities that only we asked for."""
    drop = partial(said.drop_logprobs, parts, is_stream=is_stream)
    return drop() if sum(map(len, parts)) <= SMALL_BYTES else await run_whole(drop)
