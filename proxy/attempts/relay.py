"""An answer to the caller: a stream event by event as it comes, anything else in one write."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from costhub.lib import failpoints
from proxy.attempts.headers import cost_fields, final_headers, first_headers
from proxy.core import sse
from proxy.core.weight import SMALL_BYTES
from proxy.edges.counting import run_whole
from proxy.edges.entry import Entry
from proxy.edges.reply import Reply
from proxy.values.answer import MOST_KEPT_BYTES, Answer
from proxy.values.attempt import Usage
from proxy.values.dialect import Dialect, Translation
from proxy.values.request import Wire
from proxy.values.text_run import TextRun

_STREAM = "text/event-stream"
#: what tells an event that only reports usage
_EMPTY = b'"choices":[]'


#: however many events a kept stream has
_LONGEST_REPLAY_SECONDS: Final = 60


class Relay:
    """Where the answer of a call goes while its caller waits. With ``keeps`` it also keeps what was handed on, as it
    came, unless a stream grows too long to be kept. What comes in another format than the caller's is translated on the
    way out."""

    # What is kept of the answer, where somebody wants that.
    _kept: list[bytes] | None = None
    _kept_bytes = 0
    _translation: Translation | None = None

    def __init__(
        self,
        reply: Reply,
        dialect: Dialect,
        entry: Entry,
        *,
        keeps: bool = False,
        archive: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> None:
        self._reply = reply
        self._dialect = dialect
        self._entry = entry
        if keeps:
            self._kept = []
        # Before a caller has the last byte, what it is sent is where it may be asked for again.
        self._archive = archive
        if archive is not None:
            self._told: list[bytes] = []

    @property
    def has_begun(self) -> bool:
        """Whether the caller has received a byte of it."""
        return self._reply.has_begun

    @property
    def parts(self) -> tuple[bytes, ...]:
        """What is kept of the answer so far: nothing of a stream that is too long, whose beginning is no answer."""
        return tuple(self._kept) if self._kept else ()

    async def begin(self) -> None:
        """A stream begins. Its head goes out with the first events that the caller's format has a word for: until then
        another try may follow this one."""
        if failpoints.ARMED:
            failpoints.reach("first_chunk_received")
        if self._kept:
            self._kept.clear()
            self._kept_bytes = 0
        self._begin_translation()

    async def chunk(self, events: bytes, run: TextRun | None = None) -> None:
        """Hand events on as they came. ``run``: the texts that were found together in them."""
        events = await self._take(events, run)
        if not events:
            return
        if self._archive is not None:
            self._told.append(events)
        await self._send(events, more=True)
        if failpoints.ARMED:
            failpoints.reach("chunk_sent")

    async def end_stream(self, closing: bytes, events: bytes = b"", run: TextRun | None = None) -> None:
        """Hand on the last ``events``, say our own last words, in the report of usage and behind it, and close the
        stream: in one write."""
        if not (events or self._reply.has_begun):
            self._begin_translation()
        if events and self._archive is not None:
            # The caller need not wait until the answer is kept, but for its end.
            await self.chunk(events, run)
            events = b""
        if events:
            events = await self._take(events, run)
        if self._kept is not None and closing:
            self._kept.append(closing)
        last = events + self._last_words(closing, self._usage())
        await self._keep(last)
        await self._send(last, more=False)
        if failpoints.ARMED:
            if events:
                failpoints.reach("chunk_sent")
            failpoints.reach("answer_sent")

    async def _take(self, events: bytes, run: TextRun | None) -> bytes:
        """What the caller is sent of some events, which are kept as they came."""
        if self._kept is not None:
            self._kept.append(events)
            self._kept_bytes += len(events)
            if self._kept_bytes > MOST_KEPT_BYTES:
                self._kept = None
        if self._translation is None:
            return events
        return await self._translate(events, partial(self._translation.events, run=run))

    async def _send(self, data: bytes, *, more: bool) -> None:
        """Bytes of a stream, with its head where they are the first."""
        reply = self._reply
        headers = {} if reply.has_begun else first_headers(self._entry) | {"content-type": _STREAM}
        with self._entry.waited:
            # A caller who reads slowly is no overhead of ours.
            if headers:
                await reply.begin_stream(headers, data, more=more)
            elif more:
                await reply.chunk(data)
            else:
                await reply.end(data)

    async def whole(self, content_type: str, body: bytes) -> None:
        """Send an answer that is no stream."""
        if self._kept is not None:
            self._kept.append(body)
        if failpoints.ARMED:
            failpoints.reach("answer_received")
        self._begin_translation()
        if self._translation is not None:
            body = await self._translate(body, partial(self._translation.whole, usage=self._usage()))
        if self._archive is not None:
            await self._keep(body)
        headers = final_headers(self._entry)
        headers["content-type"] = content_type
        if not self._reply.send_at_once(200, headers, body):
            await self._reply.send(200, headers, body)
        if failpoints.ARMED:
            failpoints.reach("answer_sent")

    async def replay(
        self, answer: Answer, more: Mapping[str, str] = MappingProxyType({}), *, pause_ms: int = 0
    ) -> None:
        """Send an answer that is there already, in the form in which it was, with ``more`` headers. A stream is sent in
        one piece, or event by event with a pause between two of them."""
        own = {"content-type": answer.content_type, **more}
        self._begin_translation()
        body = answer.body
        if not answer.is_stream:
            if self._translation is not None:
                body = await self._translate(body, partial(self._translation.whole, usage=answer.usage))
            await self._keep(body)
            await self._reply.send(answer.status, final_headers(self._entry) | own, body)
            return
        await self._reply.begin(answer.status, first_headers(self._entry) | own)
        newest = body.rfind(b"\n\n", 0, -2) + 2
        # The report of usage, where the caller wanted one, says again what this call cost.
        is_report = self._entry.wire is not Wire.CHAT or _EMPTY in body[newest:]
        begins = newest if newest > 1 and is_report else len(body)
        paced = _split(body[:begins]) if pause_ms else []
        if paced:
            await self._pace(paced, min(pause_ms / 1000, _LONGEST_REPLAY_SECONDS / len(paced)))
            events = b""
        elif self._translation is None:
            events = body[:begins]
        else:
            events = await self._translate(body[:begins], self._translation.events)
        last = events + self._last_words(body[begins:], answer.usage)
        await self._keep(last)
        await self._reply.end(last)

    async def _pace(self, events: Sequence[bytes], pause: float) -> None:
        for place, event in enumerate(events):
            if place:
                with self._entry.waited:
                    # Waiting on purpose is no overhead.
                    await asyncio.sleep(pause)
            told = event if self._translation is None else self._translation.events(event)
            if not told:
                continue
            if self._archive is not None:
                self._told.append(told)
            with self._entry.waited:
                await self._reply.chunk(told)

    async def _translate(self, said: bytes, translate: Callable[[bytes], bytes]) -> bytes:
        """What was said, in the caller's format. Long texts are translated in a thread, as they were read."""
        return translate(said) if len(said) <= SMALL_BYTES else await run_whole(partial(translate, said))

    def _usage(self) -> Usage:
        """The usage of the attempt whose answer this is: a cascade may come back to an earlier one."""
        entry = self._entry
        name = entry.served.model.name if entry.served is not None else entry.attempts[-1].model
        return next(one.usage for one in reversed(entry.attempts) if one.model == name)

    async def _keep(self, last: bytes) -> None:
        if self._archive is not None:
            with self._entry.waited:
                await self._archive(b"".join([*self._told, last]))

    def _begin_translation(self) -> None:
        """Choose the translation, now that it is known who answers and in which format: a try before, of which nothing
        went out, may have had another one."""
        entry = self._entry
        self._translation = self._reply.render_error_event = None
        if entry.plan is None:
            return
        if entry.plan.request.wire is entry.wire and not entry.plan.request.is_compacting:
            return
        self._translation = self._dialect.make_translation(entry.plan.request, entry.request_id, entry.started_at_ms)
        if self._translation is not None:
            self._reply.render_error_event = self._translation.error_event

    def _last_words(self, closing: bytes, usage: Usage) -> bytes:
        if self._translation is not None:
            return self._translation.end(cost_fields(self._entry), usage)
        return self._dialect.end_stream(cost_fields(self._entry), closing)


def _split(body: bytes) -> list[bytes]:
    splitter = sse.EventSplitter()
    return [event for event in (*splitter.feed(body), splitter.finish()) if event]
