"""The replay: each call at its moment, whether those before it were answered or not, over a bounded number of
connections."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

import httptools
import orjson

from bench.replay.trace import TEMPLATE_TOKENS, TraceCall

CONNECTIONS: Final = 256
ANSWER_SECONDS: Final = 120.0
#: each of these words is one token, for the bank and for every tokenizer
WORD: Final = "the "
#: the bank waits before it answers, so that calls overlap: the trace does not say how long answers took
MS_A_TOKEN: Final = 2.0
MOST_DELAY_MS: Final = 1_500.0
#: so many tokens of a stream in one write
BURST: Final = 64


#: what a 503 says when PostgreSQL was too slow to tell whose key it is
_KEY_UNREAD: Final = "The key"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call. ``late`` is how many seconds after its moment it was sent; ``status`` 0 if nothing came."""

    call: TraceCall
    status: int
    code: str
    message: str
    request_id: str
    late: float
    # of the budget that refused it: its id, its subject, and whether what is spent, most of it, left too little
    refused_by: tuple[str, str, bool] | None = None

    @property
    def has_row(self) -> bool:
        """Whether the ledger is to know of it: a key that is unknown, or cannot be read just now, is nobody's."""
        return self.status != 401 and not self.message.startswith(_KEY_UNREAD)


def delay_of(call: TraceCall) -> float:
    """How many milliseconds the bank takes for a call."""
    return min(call.output_tokens * MS_A_TOKEN, MOST_DELAY_MS)


def delay_ms(calls: Sequence[TraceCall]) -> float:
    """The same in the mean."""
    return fmean(delay_of(call) for call in calls) if calls else 0.0


async def replay(
    calls: Sequence[TraceCall], base_url: str, secrets: Mapping[str, str], speed: float
) -> tuple[list[Answer], float]:
    """Make all calls; gives their answers, and how many seconds it took."""
    address = urlsplit(base_url)
    assert address.hostname
    assert address.port
    pool = _Pool(address.hostname, address.port)
    began = perf_counter()

    async def make(call: TraceCall, due: float) -> Answer:
        async with pool.room:
            late = perf_counter() - due
            status, headers, body = await pool.ask(_head_and_body(call, secrets, address.netloc))
        code, message, refused_by = _error_of(status, body)
        return Answer(call, status, code, message, headers.get("x-request-id", ""), late, refused_by)

    tasks = []
    for call in calls:
        due = began + call.at / speed
        if (wait := due - perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(make(call, due)))
    answers = await asyncio.gather(*tasks)
    seconds = perf_counter() - began
    pool.close()
    return answers, seconds


def _head_and_body(call: TraceCall, secrets: Mapping[str, str], host: str) -> bytes:
    body = {
        "model": call.model,
        "max_tokens": call.max_tokens,
        "messages": [{"role": "user", "content": WORD * (call.input_tokens - TEMPLATE_TOKENS)}],
        "bank": {"output_tokens": call.output_tokens, "first_ms": delay_of(call), "burst": BURST},
    }
    if call.is_stream:
        body["stream"] = True
    content = orjson.dumps(body)
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"host: {host}",
        "content-type: application/json",
        f"content-length: {len(content)}",
        f"authorization: Bearer {secrets.get(call.key, 'sk-unknown')}",
    ]
    if call.end_user:
        lines.append(f"x-costhub-user: {call.end_user}")
    if call.tags:
        lines.append("x-costhub-tags: " + ",".join(f"{name}={value}" for name, value in call.tags.items()))
    return "\r\n".join([*lines, "", ""]).encode() + content


def _error_of(status: int, body: bytes) -> tuple[str, str, tuple[str, str, bool] | None]:
    """An error's code and message, and the budget that it names."""
    if status == 200 or not status:
        return "", "", None
    try:
        error = orjson.loads(body)["error"]
        budget = error.get("budget")
        by = (budget["id"], budget["subject"], _is_at_its_end(budget)) if budget else None
        return str(error["code"]), str(error["message"]), by
    except (ValueError, KeyError, TypeError):
        return "unreadable", "", None


def _is_at_its_end(budget: dict[str, str]) -> bool:
    limit, spent, needed = (Decimal(budget[name]) for name in ("limit", "spent", "needed"))
    return spent + needed > limit and spent > limit / 2


class _Pool:
    """Kept connections, at most ``CONNECTIONS``."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._idle: deque[_Connection] = deque()
        self.room = asyncio.Semaphore(CONNECTIONS)

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request over an idle connection, or a new one; (0, nothing, nothing) if no whole answer comes."""
        try:
            while self._idle:
                connection = self._idle.pop()
                if connection.is_open:
                    break
            else:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(_Connection, *self._address)
            answer = await asyncio.wait_for(connection.ask(request), ANSWER_SECONDS)
        except (OSError, TimeoutError):
            return 0, {}, b""
        self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            connection.close()


class _Connection(asyncio.Protocol):
    """One call at a time."""

    def __init__(self) -> None:
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.is_open = transport, True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if not self._answer.done():
            self._answer.set_exception(ConnectionError("closed in the middle of an answer"))

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        self._answer: asyncio.Future[tuple[int, dict[str, str], bytes]] = asyncio.get_running_loop().create_future()
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), self._headers, bytes(self._body)))
