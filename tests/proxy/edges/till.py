"""One shard of Valkey in a test's hands: the scripts of the money path, spoken to as the hot path does, answers as they
come."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from os import getpid
from secrets import randbelow
from typing import Any, cast

import orjson

from costhub.lib import keyspace
from costhub.lib.redis import client
from proxy.core.layout import pack_numbers
from proxy.edges.reserve import GIVE_BACK, TURN
from proxy.edges.reserve_batch import RESERVE
from proxy.edges.settle import CORRECT, GIVE_UP, LATE
from proxy.edges.settle_batch import SETTLE, Settle, settle_command
from proxy.edges.valkey import Script
from proxy.ledger.recount import REBUILD

NOW = 1_790_000_000_000
LEASE = 45_000
KEPT = 600_000
#: far enough away that no counter of a test is forgotten in it
FORGET_AT = 4_000_000_000_000


def scripts_run() -> int:
    """How many scripts this Valkey has run by their digests."""
    return int(client().info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


_shards = count(1000 + (getpid() * 131 + randbelow(10_000)) % 20_000)


def next_shard() -> int:
    """A shard that nobody else uses: none of the product's, none of another test's. Fits the organisation's column."""
    return next(_shards)


@dataclass(frozen=True)
class Line:
    """A budget's counter as a reserve names it. ``limit`` in nano-USD; -1 only watches."""

    key: str
    limit: int = -1
    is_whole: bool = True
    is_shadow: bool = False
    # Of a ladder: the spend from which to below which a plan holds.
    band: tuple[int, int] | None = None
    # The counter of the period before, of whose ``own`` what was left is added to ``limit`` from ``opens`` on.
    before: str = ""
    own: int = 0
    share: int = 100
    opens: int = NOW


@dataclass(frozen=True)
class Window:
    """A window of rate limits as a reserve names it: ``ms`` 0 are calls under way."""

    name: str
    ms: int
    requests: int = -1
    tokens: int = -1
    nanos: int = -1
    is_shadow: bool = False

    @property
    def log(self) -> str:
        return f"{self.name}:calls"

    @property
    def total(self) -> str:
        return f"{self.name}:total"


@dataclass(frozen=True)
class Ask:
    """What a call asks a reserve for. Prices are pico-USD: a thousand a token is a nano a token."""

    hold_id: str
    fixed: int = 0
    per_token: int = 1000
    wanted: int = 0
    is_exact: bool = True
    max_cost: int = -1
    attempt: int = 1
    row: dict[str, Any] | None = None
    input_tokens: int = 0


@dataclass(frozen=True)
class Till:
    """The scripts on one shard. A hold's fields are kept by Valkey alone: nothing is remembered here."""

    shard: int

    @property
    def leases(self) -> str:
        return keyspace.leases_key(self.shard)

    def open(self, epoch: str = "first") -> None:
        """Say that the shard's counters are known."""
        client().set(keyspace.epoch_key(self.shard), epoch)

    def line(self, name: str, limit: int = -1, *, is_whole: bool = True) -> Line:
        """A counter of this shard."""
        return Line(f"{keyspace.tag(self.shard)}:budget:{name}:0:", limit, is_whole)

    def reserve(
        self,
        hold_id: str,
        *lines: Line,
        windows: Sequence[Window] = (),
        fewest: int = 16,
        ends: int = NOW + LEASE,
        now: int = NOW,
        org_id: str = "",
        version: int = 0,
        **asked: Any,
    ) -> list[Any]:
        """Reserve.lua for one call, which asks for what ``Ask`` has."""
        [answer] = self.reserve_together(
            Ask(hold_id, **asked),
            lines=lines,
            windows=windows,
            fewest=fewest,
            ends=ends,
            now=now,
            org_id=org_id,
            version=version,
        )
        # What it says of windows and of shadows, where there are any.
        return answer if answer[0] != 1 or windows or any(line.is_shadow for line in lines) else answer[:5]

    def reserve_together(
        self,
        *asks: Ask,
        lines: Sequence[Line],
        windows: Sequence[Window] = (),
        fewest: int = 16,
        ends: int = NOW + LEASE,
        now: int = NOW,
        org_id: str = "",
        version: int = 0,
    ) -> list[list[Any]]:
        """Reserve.lua for calls of one path."""
        befores = [(place, line) for place, line in enumerate(lines, 1) if line.before]
        numbers = [now, ends, len(lines), len(befores), fewest, version, len(lines)]
        for line in lines:
            numbers += (line.limit, line.is_whole, FORGET_AT, line.is_shadow)
        keys = [keyspace.epoch_key(self.shard), self.leases, keyspace.oldest_version_key(self.shard, org_id)]
        keys += [*(line.key for line in lines)]
        for window in windows:
            keys += (window.log, window.total)
            numbers += (window.ms, window.requests, window.tokens, window.nanos, window.is_shadow)
        for place, line in befores:
            keys.append(line.before)
            numbers += (place, line.own, max(line.limit, line.own), line.share, line.opens)
        for place, line in enumerate(lines, 1):
            if line.band:
                numbers += (place, *line.band)
        text = "".join(f"{window.name} {window.ms}\n" for window in windows)
        arguments = [pack_numbers(numbers), text]
        for ask in asks:
            keys += (keyspace.closed_key(self.shard, ask.hold_id), keyspace.hold_key(self.shard, ask.hold_id))
            terms = (ask.attempt, ask.fixed, ask.per_token, ask.wanted, ask.is_exact, ask.max_cost, ask.input_tokens, 1)
            arguments += (ask.hold_id, orjson.dumps(ask.row or {}), pack_numbers(terms))
        return cast("list[list[Any]]", self._run(RESERVE, keys, arguments))

    def settle(
        self,
        hold_id: str,
        cost: int,
        *,
        event: bytes = b"{}",
        mark: str = "",
        only_before: int | str = "",
        now: int = NOW,
        tokens: int | bytes = b"",
    ) -> int:
        """Settle.lua, as a worker sends it; with ``mark`` and ``only_before`` as the reaper does."""
        settle = Settle(hold_id, cost, event, tokens, mark)
        return cast("list[int]", self._run(SETTLE, *settle_command(self.shard, [settle], now, only_before)))[0]

    def settle_together(self, *settles: Settle, now: int = NOW) -> list[int]:
        """Settle.lua for several holds."""
        return cast("list[int]", self._run(SETTLE, *settle_command(self.shard, settles, now)))

    def turn(self, hold_id: str, cost: int, *, tokens: int = 0, now: int = NOW, model: str = "small") -> int:
        """Turn.lua."""
        arguments = [hold_id, cost, tokens, now, model]
        return cast("int", self._run(TURN, [keyspace.hold_key(self.shard, hold_id)], arguments))

    def give_back(self, hold_id: str) -> int:
        """Give_back.lua."""
        return cast("int", self._run(GIVE_BACK, [keyspace.hold_key(self.shard, hold_id), self.leases], [hold_id]))

    def give_up(self, hold_id: str, *, event: bytes = b"{}", now: int = NOW) -> int:
        """Give_up.lua."""
        keys = [*self.hold_keys(hold_id), keyspace.ledger_key(self.shard)]
        return cast("int", self._run(GIVE_UP, keys, [hold_id, event, KEPT, now]))

    def late(
        self, hold_id: str, epoch: str, cost: int, *lines: Line, event: bytes = b"{}", costs: Sequence[int] = ()
    ) -> bytes:
        """Late.lua; with ``costs``, each counter is charged its own."""
        keys = [
            keyspace.closed_key(self.shard, hold_id),
            keyspace.epoch_key(self.shard),
            keyspace.ledger_key(self.shard),
            *(line.key for line in lines),
        ]
        arguments: list[Any] = [epoch, event, KEPT]
        for line, nanos in zip(lines, costs or [cost] * len(lines), strict=True):
            arguments += (1 if line.is_whole else 0, FORGET_AT, nanos)
        return cast("bytes", self._run(LATE, keys, arguments))

    def correct(self, request_id: str, difference: int, *lines: Line, event: bytes = b"{}") -> int:
        """Correct.lua."""
        keys = [
            keyspace.corrected_key(self.shard, request_id),
            keyspace.ledger_key(self.shard),
            *(line.key for line in lines),
        ]
        return cast("int", self._run(CORRECT, keys, [difference, event, KEPT, *(difference for _ in lines)]))

    def rebuild(
        self, *sums: tuple[Line, int], match: dict[str, Any] | None = None, since: str = "-", epoch: str = ""
    ) -> int:
        """Rebuild.lua, for counters whose period is all of time."""
        keys = [keyspace.epoch_key(self.shard), keyspace.ledger_key(self.shard), self.leases]
        arguments: list[Any] = [epoch, since]
        for line, settled in sums:
            keys.append(line.key)
            arguments += (settled, 0, FORGET_AT, FORGET_AT, orjson.dumps(match or {}), 1, "", 0)
        return cast("list[int]", self._run(REBUILD, keys, arguments))[0]

    def hold_keys(self, hold_id: str) -> list[str]:
        """What became of a hold, the hold, and the leases."""
        return [
            keyspace.closed_key(self.shard, hold_id),
            keyspace.hold_key(self.shard, hold_id),
            self.leases,
        ]

    def put(self, line: Line, settled: int, held: int = 0) -> None:
        """Set a counter."""
        client().hset(line.key, mapping={"s": settled, "h": held})

    def read(self, line: Line) -> tuple[int, int] | None:
        """(settled, held) in nano-USD; None for a counter that does not exist."""
        found = client().hgetall(line.key)
        return (int(found.get(b"s", 0)), int(found.get(b"h", 0))) if found else None

    def hold(self, hold_id: str) -> dict[str, str]:
        """A hold's fields."""
        found = cast("dict[bytes, bytes]", client().hgetall(keyspace.hold_key(self.shard, hold_id)))
        return {name.decode(): value.decode() for name, value in found.items()}

    def lease(self, hold_id: str) -> int | None:
        """The millisecond at which a hold's lease ends."""
        ends = client().zscore(self.leases, hold_id)
        return None if ends is None else int(ends)

    def events(self) -> list[bytes]:
        """The ledger events on the shard's stream."""
        return [fields[b"e"] for fields in self.entries()]

    def entries(self) -> list[dict[bytes, bytes]]:
        """Everything on the shard's stream, with all its fields."""
        found = cast("list[tuple[bytes, dict[bytes, bytes]]]", client().xrange(keyspace.ledger_key(self.shard)))
        return [fields for _, fields in found]

    def add_event(self, event: bytes) -> str:
        """Put an event on the shard's stream. Gives its id."""
        return cast("bytes", client().xadd(keyspace.ledger_key(self.shard), {"e": event})).decode()

    def lose_everything(self) -> None:
        """What FLUSHDB does, to this shard only."""
        for name in client().scan_iter(match=f"{keyspace.tag(self.shard)}:*", count=1000):
            client().delete(name)

    def _run(self, script: Script, keys: list[str], arguments: list[Any]) -> Any:
        return client().register_script(script.source)(keys=keys, args=arguments)
