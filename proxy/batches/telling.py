"""What a response in the background says while it is made: its events in Valkey, as they come, for whoever listens.

A worker puts them into a stream of the response's own, in pieces, each with the number of its first event and the id of
the call that asked. Listeners read on from where they are: nobody waits for anybody. How it began and ended is in
PostgreSQL, and told from there: here an end is a mark. What is lost with Valkey, or finds no room there, is not told
again; the last event has the whole response. Each piece is sealed with its organisation's data key.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

import hiredis

from costhub.lib import keyspace
from costhub.lib.secrets import UnusableCredential
from proxy.core import exact_json, sse
from proxy.dialects.openai_responses import ENDINGS, OPENING, OPENING_EVENTS
from proxy.edges.told import send_words
from proxy.edges.valkey import Answer, Valkey, ValkeyUnavailable
from proxy.upstreams.reading import parse
from tenants.sealed_rows import Sealer

Json = dict[str, Any]

#: of one response no more is kept
_MOST_BYTES: Final = 4 * 1024 * 1024
_LOOK_SECONDS: Final = 0.1
_AT_ONCE: Final = 100


class Piece(NamedTuple):
    """Events that came together, the ``first`` with this number, of a response that was asked as the call ``by``."""

    by: str
    first: int
    events: list[bytes]

    @property
    def next(self) -> int:
        """The number of the event behind it."""
        return self.first + len(self.events)

    def behind(self, number: int) -> bytes:
        """The events that come after one."""
        return b"".join(self.events[max(0, number + 1 - self.first) :])


class Teller:
    """In the place of a caller at a socket: takes the events of a response that are sent to it, but for its beginning
    and end, and has the ``response`` in the end."""

    def __init__(self, valkey: Valkey, shard: int, name: str, call_id: str, sealer: Sealer) -> None:
        self._send: Callable[..., Answer] = partial(send_words, valkey, shard, name, by=call_id)
        self._seal = partial(sealer.seal, _place_of(name))
        self._splitter = sse.EventSplitter()
        self._next = OPENING
        self._room = _MOST_BYTES
        self.response: Json | None = None

    async def send(self, message: Json) -> None:
        """What ASGI has an application call."""
        if message["type"] == "http.response.body" and message["body"]:
            self._take(message["body"])

    def _take(self, data: bytes) -> None:
        first = self._next
        told = [event for raw in self._splitter.feed(data) if (event := self._read(raw)) is not None]
        if not told:
            return
        self._room -= sum(map(len, told))
        if self._room < 0:
            return
        # Who listens hears of it or does not: the answer is made either way.
        with suppress(ValkeyUnavailable, UnusableCredential):
            self._send(first=first, events=self._seal(b"".join(told))).add_done_callback(self._learn)

    def _learn(self, done: Answer) -> None:
        if not done.cancelled() and done.exception() is None and not done.result():
            # What comes behind a gap is told to nobody.
            self._room = 0

    def _read(self, raw: bytes) -> bytes | None:
        data = sse.data_of(raw)
        event = None if data is None else parse(data)
        if not isinstance(event, dict):
            return None
        kind, response = str(event.get("type")), event.get("response")
        if kind in ENDINGS and isinstance(response, dict):
            self.response = response
        if kind in ENDINGS or kind in OPENING_EVENTS or kind == "error":
            return None
        event["sequence_number"] = self._next
        self._next += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), exact_json.dumps(event))


async def read_told(valkey: Valkey, shard: int, name: str, sealer: Sealer) -> list[Piece]:
    """What there is of a response, and is kept still."""
    found: list[Piece] = []
    last = b"-"
    while pieces := await _read(valkey, shard, name, last, sealer):
        found += [piece for _, piece in pieces if piece is not None]
        last = b"(" + pieces[-1][0]
    return found


async def hear(
    valkey: Valkey, shard: int, name: str, sealer: Sealer, silence_seconds: float
) -> AsyncIterator[Piece | None]:
    """Pieces of a response as they come, from its beginning to its end; None after each such silence, in which it may
    have ended unheard."""
    last, silent = b"-", 0.0
    while True:
        pieces = await _read(valkey, shard, name, last, sealer)
        for place, piece in pieces:
            last, silent = b"(" + place, 0.0
            if piece is None:
                return
            yield piece
        if not pieces:
            await asyncio.sleep(_LOOK_SECONDS)
            silent += _LOOK_SECONDS
            if silent >= silence_seconds:
                silent = 0.0
                yield None


async def _read(valkey: Valkey, shard: int, name: str, last: bytes, sealer: Sealer) -> list[tuple[bytes, Piece | None]]:
    """What came next, each with its place in the stream; None for the mark of an end."""
    try:
        found = await valkey.send(b"XRANGE", keyspace.told_key(shard, name), last, b"+", b"COUNT", _AT_ONCE)
    except (ValkeyUnavailable, hiredis.ReplyError):
        return []
    return [(place, _read_piece(fields, name, sealer)) for place, fields in found]


def _place_of(name: str) -> str:
    """What words are sealed for: among those of another response they do not open."""
    return f"words of response {name}"


def _read_piece(fields: list[bytes], name: str, sealer: Sealer) -> Piece | None:
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    if b"events" not in named:
        return None
    try:
        words = sealer.open(_place_of(name), named[b"events"])
    except UnusableCredential:
        # As if there had been no room for them.
        words = b""
    events = [event + b"\n\n" for event in words.split(b"\n\n") if event]
    return Piece(named[b"by"].decode(), int(named[b"first"]), events)
