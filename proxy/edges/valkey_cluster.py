"""The hot path's connections to a Valkey Cluster: one to each master, every command to the master of its slot.

A failover, a slot that moves and a node that comes or goes end in one of these, for each command:

=============================  ========================================================================
the master's connection broke  what was on it: OutcomeUnknown. What comes after: ValkeyUnavailable, until
                               a new master is known. Other masters' slots are served on
MOVED, ASK                     it was not run: it is sent again, once, to whom the server names
TRYAGAIN, CLUSTERDOWN, ...     it was not run: ValkeyUnavailable
=============================  ========================================================================

Nothing is sent twice that may have run. Commands of one slot run in the order in which they were sent also while it
moves: a new owner gets nothing before the old one has answered everything, and what the old one refused goes first.

Who has which slots is asked of most masters at once, and whoever claims a slot in the highest epoch is believed: a
master that is cut off from the others keeps telling what was so before they elected another.
"""

import asyncio
import logging
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Final

import hiredis

from costhub.lib.valkey_slots import SLOTS, slot_of
from costhub.lib.valkey_url import Address, Kind, parse_valkey_url
from proxy.edges.valkey import RECONNECT_SECONDS, Valkey
from proxy.edges.valkey_dial import FAILURES, Script, gather_first
from proxy.edges.valkey_line import NOT_RUN, Answer, Argument, Line, ValkeyUnavailable

_log = logging.getLogger(__name__)

_ASK_SLOTS: Final = (b"CLUSTER", b"SLOTS")
#: tells of epochs, but not by which name a node wants to be called
_ASK_NODES: Final = (b"CLUSTER", b"NODES")
#: a master that does not let us in is not waited for any longer: perhaps another one is elected meanwhile
_CONNECT_SECONDS: Final = 1.0
#: doubts come many at a time
_PAUSE_SECONDS: Final = 0.005

Owners = list[Address | None]
#: (the epoch in which it is claimed, first slot, last slot, by whom)
Claim = tuple[int, int, int, Address]
#: what one node tells: claims, and every node that it knows
View = tuple[list[Claim], list[Address]]


def make_valkey(url: str, scripts: Sequence[Script], timeout_ms: int) -> Valkey:
    """The client for what a URL names. Raises ValueError where it names nothing."""
    kind = parse_valkey_url(url).kind
    return ValkeyCluster(url, scripts, timeout_ms) if kind is Kind.CLUSTER else Valkey(url, scripts, timeout_ms)


class ValkeyCluster(Valkey):
    """A ``Valkey`` that is a cluster. The first argument of a command is its key; all keys of a script are in one
    slot."""

    def __init__(self, url: str, scripts: Sequence[Script], timeout_ms: int) -> None:
        super().__init__(url, scripts, timeout_ms)
        self._timeout = timeout_ms / 1000
        self._owners: Owners = [None] * SLOTS
        self._lines: dict[Address, Line] = {}
        # replicas too: whoever is left tells of the others
        self._known: list[Address] = list(self._dial.url.nodes)
        # While slots change hands: commands that an old owner refused, and those that came meanwhile.
        self._moved: list[tuple[int, bytes, Answer]] = []
        self._held: list[tuple[int, bytes, Answer]] | None = None
        self._hold_ends: asyncio.TimerHandle | None = None
        self._told: dict[int, Address] = {}
        self._redirected: weakref.WeakSet[Answer] = weakref.WeakSet()
        self._is_doubtful = asyncio.Event()
        self._run_ids: dict[Address, bytes] = {}

    async def close(self) -> None:
        await super().close()
        self._release(moved_too=False)
        for line in self._lines.values():
            line.abort()

    @property
    def is_connected(self) -> bool:
        return bool(self._lines)

    def send(self, *command: Argument) -> Answer:
        return self._put(slot_of(command[1]), hiredis.pack_command(command))  # type: ignore[arg-type]

    def run(self, script: Script, keys: Sequence[Argument], arguments: Sequence[Argument]) -> Answer:
        command = (b"EVALSHA", script.sha, len(keys), *keys, *arguments)
        return self._put(slot_of(keys[0]), hiredis.pack_command(command))  # type: ignore[arg-type]

    def _put(self, slot: int, packed: bytes) -> Answer:
        answer: Answer = asyncio.get_running_loop().create_future()
        if self._held is not None:
            self._held.append((slot, packed, answer))
            return answer
        return self._pass(slot, packed, answer)

    def _pass(self, slot: int, packed: bytes, answer: Answer) -> Answer:
        owner = self._owners[slot]
        line = self._lines.get(owner) if owner is not None else None
        if line is None:
            raise ValkeyUnavailable
        return line.put(packed, answer)

    # What servers refuse

    def _note_refusal(self, line: Line, answer: Answer, error: hiredis.ReplyError, packed: bytes) -> bool:
        word, *rest = str(error).split(" ")
        if word in NOT_RUN:
            self._is_doubtful.set()
        if word not in {"MOVED", "ASK"}:
            return False
        self._is_doubtful.set()
        slot, address = int(rest[0]), self._read_address(line, rest[1])
        if answer in self._redirected:
            answer.set_exception(ValkeyUnavailable("the cluster does not agree on who has the slot"))
            return True
        self._redirected.add(answer)
        if word == "MOVED":
            self._told[slot] = address
            self._hold()
            self._moved.append((slot, packed, answer))
        elif (importing := self._lines.get(address)) is not None and not importing.broken.done():
            importing.put_asking(packed, answer)
        else:
            answer.set_exception(ValkeyUnavailable("the slot's new master is not connected yet"))
        return True

    def _read_address(self, line: Line, text: str) -> Address:
        host, _, port = text.rpartition(":")
        if not host:
            # where the node does not know its own name, it is the one that we know it by
            host = next(address[0] for address, one in self._lines.items() if one is line)
        return host, int(port)

    # While slots change hands

    def _hold(self) -> None:
        if self._held is None:
            self._held = []
            loop = asyncio.get_running_loop()
            self._hold_ends = loop.call_later(self._timeout, lambda: self._release(moved_too=False))

    def _release(self, *, moved_too: bool = True) -> None:
        """Send what was held back, in its order. ``moved_too`` says whether owners are known for what was refused."""
        if self._hold_ends is not None:
            self._hold_ends.cancel()
            self._hold_ends = None
        moved, self._moved = self._moved, []
        held, self._held = self._held or [], None
        if not moved_too:
            for _, _, answer in moved:
                _fail(answer)
            moved = []
        for slot, packed, answer in chain(moved, held):
            if answer.done():
                continue
            try:
                self._pass(slot, packed, answer)
            except ValkeyUnavailable:
                _fail(answer)

    # Who has what

    async def _keep_connected(self) -> None:
        """Look around, and come back when that is to be done anew."""
        self._is_doubtful.clear()
        try:
            await self._look_around()
        except FAILURES as error:
            _log.warning("the Valkey cluster is out of reach: %s", type(error).__name__)
        if self._moved or self._held is not None:
            self._release(moved_too=False)
        if all(owner in self._lines for owner in self._owners):
            self._restored.set()
            await self._is_doubtful.wait()
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            self._restored.clear()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _look_around(self) -> None:
        """Learn which server has which slots, connect to those that we have no connection to, and note slots that
        moved."""
        owners, nodes = await self._ask_topology()
        told, self._told = self._told, {}
        for slot, address in told.items():
            owners[slot] = address
        self._known = list(dict.fromkeys([*nodes, *self._dial.url.nodes]))
        wanted = {owner for owner in owners if owner is not None}
        await asyncio.gather(*(self._connect(address) for address in wanted - self._lines.keys()))
        if owners != self._owners:
            self._hold()
            await _drain(self._lines.values())
            self._owners = owners
            self.generation += 1
            for address in self._lines.keys() - wanted:
                self._lines[address].abort()
            self._release()
        elif self._held is not None:
            self._release()

    async def _ask_topology(self) -> tuple[Owners, list[Address]]:
        """(who has each slot, every node). Raises ValkeyUnavailable where nobody tells."""
        masters = {owner for owner in self._owners if owner is not None}
        most = len(masters) // 2 + 1
        views = await gather_first([self._ask_view(address, line) for address, line in self._lines.items()], most)
        if len(views) < most:
            # perhaps those whom we still reach are the ones that are cut off
            others = [address for address in self._known if address not in self._lines]
            views += await gather_first([self._ask_view(address) for address in others], len(others))
        if not views:
            raise ValkeyUnavailable("no node of the cluster tells who has the slots")
        return _merge(views)

    async def _ask_view(self, address: Address, line: Line | None = None) -> View:
        """What a node tells, on its connection or on one of its own. Raises one of FAILURES."""
        asked = line or await self._dial.teller(address)
        try:
            return _read_view(*await asyncio.gather(asked.send(_ASK_SLOTS), asked.send(_ASK_NODES)), address)
        finally:
            if asked is not line:
                asked.abort()

    async def _connect(self, address: Address) -> None:
        try:
            line = await asyncio.wait_for(self._dial.node(address, self._note_refusal), _CONNECT_SECONDS)
        except FAILURES as error:
            _log.warning("a master of the Valkey cluster is out of reach: %s", type(error).__name__)
            return
        self._lines[address] = line
        if address in self._run_ids and (self._run_ids[address] != line.run_id or not line.run_id):
            self.generation += 1
        self._run_ids[address] = line.run_id
        line.broken.add_done_callback(lambda _: self._lose(address, line))
        if line.broken.done():
            self._lose(address, line)

    def _lose(self, address: Address, line: Line) -> None:
        if self._lines.get(address) is line:
            del self._lines[address]
            self._restored.clear()
            self._is_doubtful.set()


def _read_view(slots: Any, nodes: bytes, asked: Address) -> View:
    epochs = {fields[0]: int(fields[6]) for line in nodes.splitlines() if (fields := line.split())}
    claims: list[Claim] = []
    known: list[Address] = []
    for first, last, *servers in slots:
        # a node without a name is the one that was asked
        found = [((host or asked[0].encode()).decode(), int(port)) for host, port, *_ in servers]
        known += found
        claims.append((epochs.get(servers[0][2], 0), first, last, found[0]))
    return claims, known


def _merge(views: Iterable[View]) -> tuple[Owners, list[Address]]:
    """(who has each slot, every node), where nodes differ: who claims a slot in the highest epoch has it."""
    owners: Owners = [None] * SLOTS
    claims: set[Claim] = set()
    nodes: list[Address] = []
    for claimed, known in views:
        claims.update(claimed)
        nodes += known
    for _, first, last, owner in sorted(claims):
        owners[first : last + 1] = [owner] * (last + 1 - first)
    return owners, nodes


async def _drain(lines: Iterable[Line]) -> None:
    """Return once everything that was sent on these is answered, or lost."""
    asked = []
    for line in list(lines):
        with suppress(ValkeyUnavailable):
            asked.append(line.send((b"PING",)))
    await asyncio.gather(*asked, return_exceptions=True)


def _fail(answer: Answer) -> None:
    if not answer.done():
        answer.set_exception(ValkeyUnavailable())
