"""What answers from the cache cost a worker, against the calls that they stand for: against an upstream that answers at
once, with the same accounting, in turns. Beside them the exact cache of a peer that has one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.figures import Figures
from bench.load import Caller, Endpoint, NotServed, run_load
from bench.machine import cpu_seconds, wait_until_quiet
from bench.peers.base import Unavailable
from bench.peers.costhub import Order, Stack, endpoint_for
from bench.peers.litellm import LiteLLM
from bench.scenarios import BLOCK_CALLS, CONNECTIONS, Bench, Ready, make_ready
from bench.upstream import Kind, Upstream

_CALL = "a call"
_MEMORY = "found in the worker's memory"
_VALKEY = "found in Valkey"
_PEER = "LiteLLM's exact cache, in its memory"
#: pairs of a call and a hit, one after the other, of one caller
_PAIRS: Final = 10


@dataclass(frozen=True, slots=True)
class _Way:
    endpoint: Endpoint
    find_pid: Callable[[], int]


def measure_cache(bench: Bench, ready: Ready, upstream: Upstream) -> dict[str, Figures]:
    """Calls a second, the worker's processor time, and one caller's median time, of calls and of hits of both exact
    levels."""
    base_urls = {Kind.JSON.value: upstream.base_url(Kind.JSON)}
    ours = ready.peer.stack  # type: ignore[attr-defined]
    without_memory, peer = None, LiteLLM(has_cache=True)
    try:
        without_memory = Stack.start(upstream, bench.cores, bench.work, COSTHUB_CACHE_PROCESS_BYTES="0")
        ways = {
            name: _Way(
                endpoint_for(stack, Kind.JSON, stack.populate(Order(base_urls, 1, 1, has_cache=cached))[0][0]),
                stack.worker_pid,
            )
            for name, stack, cached in ((_CALL, ours, False), (_MEMORY, ours, True), (_VALKEY, without_memory, True))
        }
        found = _take_turns(bench, ways)
        found |= _measure_peer(bench, peer, upstream, ways[_MEMORY])
    except (NotServed, Unavailable, OSError) as error:
        return {"cache": Figures(failed=str(error))}
    finally:
        peer.stop()
        if without_memory is not None:
            without_memory.stop()
    return found


def _measure_peer(bench: Bench, peer: LiteLLM, upstream: Upstream, ours: _Way) -> dict[str, Figures]:
    """The peer's figures, in turns with our hits from memory, and how many times its hits ours are."""
    try:
        endpoint = make_ready(peer, upstream, bench.cores, bench.work).endpoints[Kind.JSON]
        found = _take_turns(bench, {_MEMORY: ours, _PEER: _Way(endpoint, lambda: peer.worker_pids()[0])})
    except (NotServed, Unavailable, OSError) as error:
        return {_PEER: Figures(failed=str(error))}
    pairs = zip(found[_MEMORY].rounds, found[_PEER].rounds, strict=True)
    shares = {f"{_MEMORY}: times {_PEER}": Figures([hit / other for hit, other in pairs])}
    return {name: figures for name, figures in found.items() if name.startswith(_PEER)} | shares


def _take_turns(bench: Bench, ways: dict[str, _Way]) -> dict[str, Figures]:
    speed = {name: Figures() for name in ways}
    worker = {f"{name}: processor time of the worker, µs": Figures() for name in ways}
    alone = {f"{name}: one caller's median time, ms": Figures() for name in ways}
    for way in ways.values():
        _load(bench, way.endpoint, bench.pace.seconds)
    for _ in range(bench.pace.rounds * 2):
        for (name, way), spent in zip(ways.items(), worker.values(), strict=True):
            wait_until_quiet(bench.cores)
            pid = way.find_pid()
            before = cpu_seconds(pid)
            calls, per_second = _load(bench, way.endpoint, bench.pace.seconds)
            speed[name].add(per_second)
            bench.say(f"  {name}: {per_second:,.0f}/s")
            spent.add((cpu_seconds(pid) - before) / calls * 1e6)
        for (name, figures), seconds in zip(alone.items(), _wait_alone(list(ways.values())), strict=True):
            figures.add(seconds * 1000)
            bench.say(f"  {name}: {seconds * 1000:.3f}")
    shares = {
        f"{name}: times the calls": Figures(
            [hit / call for hit, call in zip(speed[name].rounds, speed[_CALL].rounds, strict=True)]
        )
        for name in ways
        if _CALL in ways and name != _CALL
    }
    return speed | shares | worker | alone


def _load(bench: Bench, endpoint: Endpoint, seconds: float) -> tuple[int, float]:
    load = run_load(endpoint, CONNECTIONS, seconds, bench.cores.load, bench.work)
    return load.requests, load.per_second


def _wait_alone(ways: list[_Way]) -> list[float]:
    """Each way's median, in turns of a few calls, so that what else the machine does meets all of them alike."""
    waits: list[list[float]] = [[] for _ in ways]
    for _ in range(_PAIRS):
        for way, found in zip(ways, waits, strict=True):
            with Caller(way.endpoint) as caller:
                caller.call()
                for _ in range(BLOCK_CALLS):
                    began = time.perf_counter()
                    caller.call()
                    found.append(time.perf_counter() - began)
    return [median(found) for found in waits]
