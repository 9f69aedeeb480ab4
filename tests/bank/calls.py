"""One call: produce tokens, bill them, then send them, or do with them what was ordered.

The order that everything rests on: a token is noted in the bill, the bill is durable, and then bytes that show the
token are written. A call is final in the bill before its last chunk is written or its connection is broken by us.
"""

import asyncio
from collections.abc import Iterator
from itertools import chain
from typing import Any

from tests.bank import sse
from tests.bank.answers import Ask, Step, encode, error_body, steps
from tests.bank.behaviour import BREAKS, CHANGED_TOKENS, NO_ANSWERS, REFUSALS, Behaviour
from tests.bank.bill import Bill, BilledCall, usage_object
from tests.bank.bomb import DEFAULT_BOMB_BYTES, make_bomb
from tests.bank.http import Connection, Cut, PeerGone, Reply
from tests.bank.typed import make_answer

LONG_LINE_BYTES = 10 << 20
OTHER_MODEL = "bank-impostor"
EVENT_STREAM = "text/event-stream; charset=utf-8"
RATE_LIMIT_HEADERS = (
    ("x-ratelimit-limit-requests", "60"),
    ("x-ratelimit-remaining-requests", "0"),
    ("x-ratelimit-reset-requests", "1s"),
    ("x-ratelimit-limit-tokens", "40000"),
    ("x-ratelimit-remaining-tokens", "0"),
    ("x-ratelimit-reset-tokens", "1s"),
)


class Ended(Exception):
    """The call ended as it was ordered to, and its connection with it."""


async def refuse(reply: Reply, behaviour: Behaviour, fault: str) -> None:
    """Answer a call that is not served and costs nothing."""
    if fault == "rate_limited":
        body = error_body("Rate limit reached for requests.", "requests", code="rate_limit_exceeded")
        await reply.send_json(429, body, (("retry-after", behaviour.retry_after), *RATE_LIMIT_HEADERS))
    elif fault == "http_error":
        await reply.send_json(behaviour.status or 500, error_body("The bank was told to fail.", "server_error"))
    elif fault == "redirect":
        await reply.send_json(behaviour.status or 302, {}, (("location", behaviour.url),))
    else:
        await reply.send(200, b"<!doctype html><title>Bank</title><p>This is no JSON.", "text/html; charset=utf-8")


async def serve_call(
    call: BilledCall, ask: Ask, behaviour: Behaviour, bill: Bill, connection: Connection, reply: Reply
) -> None:
    """Serve an accepted call to its end, whatever the end is. The call is final when this returns or raises."""
    await _Service(call, ask, behaviour, bill, connection, reply).run()


class _Service:
    def __init__(
        self, call: BilledCall, ask: Ask, behaviour: Behaviour, bill: Bill, connection: Connection, reply: Reply
    ) -> None:
        self._call = call
        self._ask = ask
        self._behaviour = behaviour
        self._faults = behaviour.fault
        self._bill = bill
        self._connection = connection
        self._reply = reply
        model = OTHER_MODEL if "wrong_model" in self._faults else behaviour.as_model or ask.model
        begun = usage_object(ask.input_tokens, behaviour.cached_tokens, 0, 0)
        self._answer = make_answer(ask, call.call, model, begun)
        self._steps: Iterator[Step] = steps(ask)
        self._shown = 0
        self._batch: list[bytes] = []
        self._batched_tokens = 0

    async def run(self) -> None:
        self._bill.add(self._call, input_tokens=self._ask.input_tokens, cached=self._behaviour.cached_tokens)
        try:
            try:
                await self._deliver()
            except Cut:
                await self._break()
        except PeerGone:
            if self._behaviour.on_disconnect == "finish":
                await self._produce_unwatched()
            await self._settle("peer gone")
        except Ended:
            self._reply.keep_alive = False
        finally:
            await self._settle("failed")

    async def _deliver(self) -> None:
        self._reply.split_wide = "split_utf8" in self._faults
        if self._behaviour.one_of(BREAKS - {"error_event"}) and self._break_at is None:
            self._reply.cut_at = self._behaviour.at_byte
        if self._behaviour.first_ms:
            await self._bill.commit()
            await self._connection.hold(self._behaviour.first_ms / 1000)
        if self._behaviour.one_of(NO_ANSWERS):
            await self._give_no_answer()
        elif self._ask.stream and not self._faults & {"gzip_bomb", "wrong_content_length"}:
            await self._deliver_stream()
        else:
            await self._deliver_whole()

    # A stream

    async def _deliver_stream(self) -> None:
        await self._bill.commit()
        await self._reply.start(200, EVENT_STREAM, (("cache-control", "no-cache"),))
        for step in self._steps:
            if self._breaks_before(step):
                self._put_back(step)
                await self._flush()
                await self._break()
            self._take(step)
            if step.kind == "token" and self._batched_tokens >= self._behaviour.burst:
                await self._flush()
                await self._pause(self._behaviour.pace_ms)
        await self._flush()
        await self._reply.finish()

    def _take(self, step: Step) -> None:
        """Bill a step and put its events into the batch."""
        if step.kind == "finish" and self._call.state == "open":
            self._bill.close(self._call, "finished")
            if self._gives_usage and "usage_before_finish" in self._faults and not self._is_typed:
                self._put(self._answer.usage_chunk(self._usage()))
        elif step.output:
            self._bill.add(self._call, output=step.output, reasoning=step.reasoning)
        if step.kind != "hidden":
            self._put_chunk(step)
        if step.kind == "finish" and step.choice == self._ask.choices - 1:
            self._put_end()

    def _put_chunk(self, step: Step) -> None:
        change = self._change_of(step)
        long_line = " " + "x" * self._long_line_bytes if change == "long_line" else None
        for chunk in self._answer.events(step, long_line):
            if "cumulative_usage" in self._faults:
                chunk["usage"] = self._usage()
            elif self._gives_usage and "type" not in chunk:
                chunk["usage"] = None
            self._put_payload(encode(chunk), change)
        if step.kind == "token":
            self._shown += 1
            self._batched_tokens += 1

    def _put_payload(self, payload: bytes, change: str | None) -> None:
        if change == "nul":
            self._batch.append(b"data: " + sse.with_raw_nuls(payload) + b"\n\n")
        elif change == "garbage":
            self._batch.append(b"data: " + sse.without_sense(payload) + b"\n\n")
        else:
            self._batch.append(sse.frame(payload, self._faults))

    def _put_end(self) -> None:
        usage = self._usage_before_wire() if self._gives_usage else None
        if (ends := self._answer.end_events(usage, is_done="no_done" not in self._faults)) is not None:
            for event in ends:
                self._put(event)
            if "duplicate_final" in self._faults:
                self._batch.append(self._batch[-1])
            return
        if self._gives_usage and "usage_before_finish" not in self._faults:
            self._put(self._answer.usage_chunk(self._usage()))
        if "duplicate_final" in self._faults:
            self._batch.append(self._batch[-1])
        if "no_done" not in self._faults:
            self._batch.append(sse.done(self._faults))

    def _put(self, chunk: dict[str, Any]) -> None:
        self._batch.append(sse.frame(encode(chunk), self._faults))

    async def _flush(self) -> None:
        await self._bill.commit()
        batch, self._batch, self._batched_tokens = b"".join(self._batch), [], 0
        await self._reply.write(batch)

    def _put_back(self, step: Step) -> None:
        """A step that was looked at and not taken: whoever goes on with the answer begins with it."""
        self._steps = chain([step], self._steps)

    # A whole answer

    async def _deliver_whole(self) -> None:
        break_name = self._behaviour.one_of(BREAKS)
        await self._produce(self._break_at)
        if break_name and self._break_at is not None:
            await self._break()
        await self._settle("finished")
        body, content_type = (
            (self._stream_body(), EVENT_STREAM) if self._ask.stream else (self._whole_body(), "application/json")
        )
        if break_name and self._behaviour.at_byte is None:
            self._reply.cut_at = len(body) // 2
        if "gzip_bomb" in self._faults:
            padding = b":\n" if self._ask.stream else b" "
            bomb = await asyncio.to_thread(make_bomb, body, padding, self._behaviour.size or DEFAULT_BOMB_BYTES)
            await self._reply.send(200, bomb, content_type, (("content-encoding", "gzip"),))
        elif "wrong_content_length" in self._faults:
            claimed = max(0, len(body) + (10 if self._behaviour.by is None else self._behaviour.by))
            await self._reply.send(200, body, content_type, claimed_length=claimed)
            raise Ended
        else:
            await self._reply.send(200, body, content_type)

    def _whole_body(self) -> bytes:
        changes = self._faults & CHANGED_TOKENS
        body = self._answer.whole("x" * self._long_line_bytes if "long_line" in changes else "")
        if "no_usage" not in self._faults:
            body["usage"] = self._usage()
        payload = encode(body)
        if "nul" in changes:
            payload = sse.with_raw_nuls(payload)
        return sse.without_sense(payload) if "garbage" in changes else payload

    def _stream_body(self) -> bytes:
        """The events of a stream whose tokens are all billed already, at once."""
        for step in steps(self._ask):
            if step.kind != "hidden":
                self._put_chunk(step)
        self._put_end()
        body, self._batch = b"".join(self._batch), []
        return body

    async def _produce(self, stop_at: int | None) -> None:
        """Bill tokens without sending any, all or up to the given number of visible ones."""
        for step in self._steps:
            if stop_at is not None and step.kind == "token" and self._shown >= stop_at:
                self._put_back(step)
                break
            self._bill.add(self._call, output=step.output, reasoning=step.reasoning)
            if step.kind == "token":
                self._shown += 1
                if self._behaviour.pace_ms:
                    await self._bill.commit()
                    await self._pause(self._behaviour.pace_ms)

    async def _produce_unwatched(self) -> None:
        """Bill what is left of an answer whose reader has gone, at the pace at which it would have been sent."""
        if self._call.state == "final":
            return
        for step in self._steps:
            self._bill.add(self._call, output=step.output, reasoning=step.reasoning)
            await self._bill.commit()
            await asyncio.sleep(self._behaviour.pace_ms / 1000)

    # What goes wrong

    async def _give_no_answer(self) -> None:
        await self._produce(1 if self._behaviour.at is None else self._behaviour.at)
        fault = self._behaviour.one_of(NO_ANSWERS)
        if fault == "slow_headers":
            await self._bill.commit()
            await self._connection.pause(None)
        await self._settle(f"ordered: {fault}")
        if fault == "hang_up":
            raise Ended
        await self._reply.send_json(500, error_body("The bank failed after it had worked.", "server_error"))

    async def _break(self) -> None:
        """Break the answer here, with all that is billed written."""
        fault = self._behaviour.one_of(BREAKS)
        if fault == "stall":
            await self._bill.commit()
            await self._connection.pause(None)
        await self._settle(f"ordered: {fault}")
        if fault == "reset":
            await self._connection.reset()
        elif fault == "error_event":
            words = "The bank was told to fail in the middle."
            body = self._answer.error(words, "server_error", code="server_error")
            if not self._reply.started:
                await self._reply.send_json(200, body)
            else:
                await self._reply.write(sse.frame(encode(body), self._faults))
                await self._reply.finish()
        elif self._behaviour.terminate and self._reply.started:
            await self._reply.terminate()
        raise Ended

    @property
    def _break_at(self) -> int | None:
        """The token at which the answer breaks; None when it does not, or breaks at a byte."""
        at, at_byte = self._behaviour.at, self._behaviour.at_byte
        if "error_event" in self._faults:
            return 1 if at is None else at
        if not self._behaviour.one_of(BREAKS) or at_byte is not None:
            return None
        return 1 if at is None and self._ask.stream else at

    def _breaks_before(self, step: Step) -> bool:
        at = self._break_at
        return at is not None and (step.kind == "finish" or (step.kind == "token" and self._shown >= at))

    def _change_of(self, step: Step) -> str | None:
        at = 1 if self._behaviour.at is None else self._behaviour.at
        last = self._ask.visible_tokens * self._ask.choices - 1
        is_due = step.kind == "token" and self._shown == min(at, last)
        return self._behaviour.one_of(CHANGED_TOKENS) if is_due else None

    # What the bill and the answer say

    async def _settle(self, outcome: str) -> None:
        self._bill.close(self._call, outcome)
        await self._bill.commit()

    async def _pause(self, milliseconds: float) -> None:
        await self._connection.pause(milliseconds / 1000)

    @property
    def _gives_usage(self) -> bool:
        return self._ask.include_usage and "no_usage" not in self._faults

    @property
    def _long_line_bytes(self) -> int:
        return self._behaviour.size or LONG_LINE_BYTES

    def _usage(self) -> Any:
        """What the answer says of its usage, which the orders may make a lie."""
        if self._behaviour.report_usage is not None:
            return self._behaviour.report_usage
        return self._answer.wire_usage(self._usage_before_wire())

    def _usage_before_wire(self) -> Any:
        return usage_object(0, 0, 0, 0) if "zero_usage" in self._faults else self._call.usage

    @property
    def _is_typed(self) -> bool:
        return self._ask.kind in {"messages", "responses"}


def refusal_of(behaviour: Behaviour) -> str | None:
    """The fault by which the call is not served at all, if there is one."""
    return behaviour.one_of(REFUSALS)
