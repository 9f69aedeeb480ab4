"""What is measured. Every scenario takes all gateways in turn, round after round."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench.figures import Figures
from bench.load import Caller, Endpoint, NotServed, check_answer, run_load
from bench.machine import BusyMeter, Cores, memory_of, wait_until_quiet
from bench.peers.base import Peer, Unavailable
from bench.upstream import Kind, Upstream

CONNECTIONS: Final = 32
READY_SECONDS: Final = 90.0
#: callers at one connection take turns in blocks of so many calls, or of so many seconds
BLOCK_CALLS: Final = 20
BLOCK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Pace:
    """How long all of it may take."""

    rounds: int
    seconds: float
    blocks: int


FULL: Final = Pace(rounds=3, seconds=3.0, blocks=34)
QUICK: Final = Pace(rounds=3, seconds=1.0, blocks=6)


class Ready:
    """A gateway that is up, and the ways into it."""

    def __init__(self, peer: Peer, endpoints: dict[Kind, Endpoint]) -> None:
        self.peer = peer
        self.endpoints = endpoints
        self.failures: dict[Kind, str] = {}
        self._warm: set[Kind] = set()

    def warm_up(self, kind: Kind, cores: Cores, work: Path) -> None:
        """Let a gateway that compiles as it goes get to its best before anything is counted."""
        if kind not in self._warm:
            run_load(self.endpoints[kind], CONNECTIONS, self.peer.warm_up_seconds, cores.load, work)
            self._warm.add(kind)


def make_ready(peer: Peer, upstream: Upstream, cores: Cores, work: Path) -> Ready:
    """Install, start and check a gateway: each kind of answer must come through whole.

    Raises:
        Unavailable: it cannot be installed, does not start, or answers nothing.
    """
    peer.install()
    ready = Ready(peer, peer.start(upstream, cores, work))
    _wait_for_answer(ready)
    for kind, endpoint in ready.endpoints.items():
        try:
            check_answer(endpoint)
        except (NotServed, OSError) as error:
            ready.failures[kind] = str(error)
    return ready


def _wait_for_answer(ready: Ready) -> None:
    deadline = time.perf_counter() + READY_SECONDS
    while True:
        try:
            return check_answer(ready.endpoints[Kind.JSON])
        except (NotServed, OSError) as error:
            if time.perf_counter() > deadline:
                raise Unavailable("does not answer", f"{error} {ready.peer.last_words()}") from error
            time.sleep(0.25)


@dataclass(frozen=True, slots=True)
class Bench:
    """All that a scenario needs."""

    gateways: Sequence[Ready]
    cores: Cores
    work: Path
    pace: Pace
    say: Callable[[str], None]
    #: the folder of an older version, with whose speed ours is compared
    against: Path | None = None

    def turns(self, number: int) -> Iterator[Ready]:
        """The gateways in the order of one round: each round another one begins."""
        first = number % max(len(self.gateways), 1)
        yield from [*self.gateways[first:], *self.gateways[:first]]


def measure_throughput(bench: Bench, kind: Kind, prompt_bytes: int = 0) -> dict[str, Figures]:
    """Calls a second at 32 connections, each round of a few seconds on a machine that has come to rest."""
    found = _empty_figures(bench, kind)
    for number in range(bench.pace.rounds):
        for ready in bench.turns(number):
            figures = found[ready.peer.name]
            if not figures.failed:
                try:
                    _one_round_of_load(bench, ready, kind, prompt_bytes, figures)
                except (NotServed, OSError) as error:
                    figures.failed = str(error)
    return found


def _one_round_of_load(bench: Bench, ready: Ready, kind: Kind, prompt_bytes: int, figures: Figures) -> None:
    ready.warm_up(kind, bench.cores, bench.work)
    noise = wait_until_quiet(bench.cores)
    seconds = max(bench.pace.seconds, ready.peer.least_seconds)
    meter = BusyMeter.start()
    load = run_load(ready.endpoints[kind], CONNECTIONS, seconds, bench.cores.load, bench.work, prompt_bytes)
    busy = meter.read()
    figures.add(
        load.per_second,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        server_core_busy=busy.get(bench.cores.server, 0.0),
        load_core_busy=max(busy.get(core, 0.0) for core in bench.cores.load),
        noise_before=noise,
    )
    bench.say(f"  {ready.peer.title}: {load.per_second:,.0f}/s")


def measure_one_caller(bench: Bench, kind: Kind) -> dict[str, Figures]:
    """The median time in ms that one caller waits: for the whole answer, or for the first event of a paced stream."""
    found = _empty_figures(bench, kind)
    for number in range(bench.pace.rounds):
        waits: dict[str, list[float]] = {ready.peer.name: [] for ready in bench.gateways}
        blocks = bench.pace.blocks if kind is Kind.JSON else max(bench.pace.blocks // 6, 2)
        for block in range(blocks):
            for ready in bench.turns(number + block):
                figures = found[ready.peer.name]
                if not figures.failed:
                    try:
                        waits[ready.peer.name] += _one_block(ready.endpoints[kind])
                    except (NotServed, OSError) as error:
                        figures.failed = str(error)
        for name, seconds in waits.items():
            if seconds and not found[name].failed:
                found[name].add(median(seconds) * 1000, calls=len(seconds))
    for ready in bench.gateways:
        if found[ready.peer.name].rounds:
            bench.say(f"  {ready.peer.title}: {median(found[ready.peer.name].rounds):.3f} ms")
    return found


def _one_block(endpoint: Endpoint) -> list[float]:
    waits = []
    with Caller(endpoint) as caller:
        caller.call()  # the first call of a connection pays for accepting it
        began = time.perf_counter()
        for _ in range(BLOCK_CALLS):
            _, first_event, whole = caller.call()
            waits.append(whole if endpoint.kind is Kind.JSON else first_event)
            if endpoint.kind is Kind.JSON and time.perf_counter() - began > BLOCK_SECONDS:
                break
    return waits


def measure_memory(bench: Bench) -> dict[str, Figures]:
    """MB that each gateway's worker holds after all that it has served so far."""
    found = {}
    for ready in bench.gateways:
        if pids := ready.peer.worker_pids():
            memory = memory_of(pids)
            found[ready.peer.name] = Figures([memory.resident / 1e6], {"proportional_mb": [memory.proportional / 1e6]})
    return found


def _empty_figures(bench: Bench, kind: Kind) -> dict[str, Figures]:
    return {ready.peer.name: Figures(failed=ready.failures.get(kind, "")) for ready in bench.gateways}
