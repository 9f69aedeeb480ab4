"""The bill: what the bank has charged for, kept durably ahead of what it sends.

One call of ``POST /v1/...`` is one ``BilledCall``, known by its ``x-client-request-id``. Every durable change of it is
one JSON line with the call's whole new state, so the last line of a call is its bill. Rules:

- input tokens are billed when the call is accepted, an output token before the first byte that carries it is written;
- a call is ``open`` while it may still grow and ``final`` for ever after; a final call never changes again;
- a call that was refused (429, 500, a redirect, ...) is final with no tokens;
- the same ``x-client-request-id`` sent twice is two calls, and both are billed;
- after a restart, calls that were open are final at what was durable.
"""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Decimal, Inexact, localcontext
from pathlib import Path
from typing import Any, Literal

import orjson

NANO_USD_PER_MILLIONTH_USD = 1_000


@dataclass(slots=True)
class BilledCall:
    """One attempt as the bank charges for it. Token counts are running totals; cached is part of input, reasoning of
    output. ``outcome`` says in a word how a final call ended."""

    call: int
    request_id: str
    model: str
    authorization: str | None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    state: Literal["open", "final"] = "open"
    outcome: str = ""

    @property
    def usage(self) -> dict[str, Any]:
        """The call's tokens as OpenAI's usage object."""
        return usage_object(self.input_tokens, self.cached_input_tokens, self.output_tokens, self.reasoning_tokens)

    def cost_nanos(
        self,
        input_per_million: Decimal,
        output_per_million: Decimal,
        cached_per_million: Decimal | None = None,
    ) -> int:
        """The price of this call in nano-USD, at prices in USD per million tokens.

        Exact over all token classes and rounded up once, for the whole call. Cached input without a price of its own
        costs what input costs.
        """
        cached_price = input_per_million if cached_per_million is None else cached_per_million
        with localcontext(prec=100) as context:
            context.traps[Inexact] = True
            millionths_of_usd = (
                (self.input_tokens - self.cached_input_tokens) * input_per_million
                + self.cached_input_tokens * cached_price
                + self.output_tokens * output_per_million
            )
            return int((millionths_of_usd * NANO_USD_PER_MILLIONTH_USD).to_integral_value(ROUND_CEILING))


def usage_object(input_tokens: int, cached: int, output: int, reasoning: int) -> dict[str, Any]:
    """OpenAI's usage object for these token counts."""
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output,
        "total_tokens": input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def authorization_hash(header: str | None) -> str | None:
    """What the bill keeps of an ``Authorization`` header: enough to tell two credentials apart, not to use one."""
    return None if header is None else hashlib.sha256(header.encode("latin-1")).hexdigest()[:16]


def read_bill(path: Path) -> list[BilledCall]:
    """The last durable state of every call in a bill file, in the order in which the calls came.

    A last line without its newline never became durable, so nothing it would have billed was sent: it does not count.
    Raises ValueError for any other line that is not a bill record.
    """
    return _fold(path.read_bytes()) if path.exists() else []


def _fold(text: bytes) -> list[BilledCall]:
    calls: dict[int, BilledCall] = {}
    for line in text.split(b"\n")[:-1]:
        call = BilledCall(**orjson.loads(line))
        calls[call.call] = call
    return list(calls.values())


class Bill:
    """The bank's own hold on its bill file: note changes, then ``commit`` before any byte that depends on them."""

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        self._fsync = fsync
        self._calls: dict[str, list[BilledCall]] = {}
        self._dirty: dict[int, BilledCall] = {}
        self._flush: asyncio.Future[None] | None = None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._sync_directory(path.parent)
        text = path.read_bytes()
        os.ftruncate(self._descriptor, text.rfind(b"\n") + 1)
        self._last_call = 0
        for call in _fold(text):
            self._last_call = call.call
            self._calls.setdefault(call.request_id, []).append(call)
            if call.state == "open":
                self.close(call, "restarted")
        self.commit_now()

    def __iter__(self) -> Iterator[BilledCall]:
        return (call for calls in self._calls.values() for call in calls)

    def open(self, request_id: str | None, model: str, authorization: str | None) -> BilledCall:
        """Start the bill of a call that has just arrived. Without an id of the client's the bank gives it one."""
        self._last_call += 1
        call = BilledCall(self._last_call, request_id or f"bank-{self._last_call}", model, authorization)
        self._calls.setdefault(call.request_id, []).append(call)
        self._dirty[call.call] = call
        return call

    def add(
        self, call: BilledCall, *, input_tokens: int = 0, cached: int = 0, output: int = 0, reasoning: int = 0
    ) -> None:
        """Bill tokens to an open call. Raises RuntimeError for a final one."""
        if call.state == "final":
            raise RuntimeError(f"call {call.request_id} is final: it cannot be billed again")
        call.input_tokens += input_tokens
        call.cached_input_tokens += cached
        call.output_tokens += output
        call.reasoning_tokens += reasoning
        self._dirty[call.call] = call

    def close(self, call: BilledCall, outcome: str) -> None:
        """Make a call final. A call that is final already stays as it is."""
        if call.state == "open":
            call.state = "final"
            call.outcome = outcome
            self._dirty[call.call] = call

    def find(self, request_id: str) -> list[BilledCall]:
        """Every call that came with this id."""
        return self._calls.get(request_id, [])

    async def commit(self) -> None:
        """Return when everything noted so far is durable. All who wait in one turn of the loop share one fsync."""
        if not self._dirty:
            return
        if not self._fsync:
            self.commit_now()
            await asyncio.sleep(0)
            return
        if self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.create_future()
            loop.call_soon(self._finish_flush, self._flush)
        await asyncio.shield(self._flush)

    def commit_now(self) -> None:
        """Write and sync what was noted, at once. A bill that cannot be kept ends the bank: it must not send more."""
        lines = b"".join(orjson.dumps(asdict(call)) + b"\n" for call in self._dirty.values())
        self._dirty.clear()
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
            if self._fsync:
                os.fsync(self._descriptor)
        except OSError as error:
            os.write(2, f"The bill cannot be written: {error}\n".encode())
            os._exit(1)

    def _finish_flush(self, flush: asyncio.Future[None]) -> None:
        self._flush = None
        self.commit_now()
        flush.set_result(None)

    @staticmethod
    def _sync_directory(directory: Path) -> None:
        descriptor = os.open(directory, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def summed_usage(calls: Iterable[BilledCall]) -> dict[str, Any]:
    """One usage object for all calls that share an id."""
    calls = list(calls)
    return usage_object(
        sum(call.input_tokens for call in calls),
        sum(call.cached_input_tokens for call in calls),
        sum(call.output_tokens for call in calls),
        sum(call.reasoning_tokens for call in calls),
    )
