"""What a call makes the interpreter do, in this version and in an older one: ``python -m bench.counted FOLDER``.

FOLDER is a checkout of the older version, set up there. On a machine that does something else at the same time the
clock says little (``bench.versions``); how many instructions of Python a call takes is the same every time. What a
worker does without any call in as much time is taken off. Beside small JSON calls and streams it counts streams of
Responses and Messages that a chat answers, hits of the cache in the worker's memory, and calls to a router with
lossless compression; ``--way stream`` takes one alone. With
``--functions 40`` the functions follow whose share has changed the most.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final, NamedTuple

from bench.load import CHAT, MESSAGES, RESPONSES, Caller, Endpoint, NotServed, call_once
from bench.machine import Cores, free_port, share_out_cores
from bench.peers.costhub import ROOT, Order, Stack
from bench.upstream import Kind, Upstream, start_upstream

CALLS: Final = 200
#: some calls come together, as they do at load
CONNECTIONS: Final = 4
_START_SECONDS: Final = 60.0
_IDLE_SECONDS: Final = 3.0
#: counting makes everything a hundred times slower
_PATIENCE: Final = {"COSTHUB_GOVERNANCE_TIMEOUT_MS": "10000"}
_OPCODES: Final = "opcodes"


class _Way(NamedTuple):
    """A kind of call, and what its organisation has beside models and budgets."""

    kind: Kind
    path: str = CHAT
    has_cache: bool = False
    has_routes: bool = False


WAYS: Final[Mapping[str, _Way]] = {
    "JSON": _Way(Kind.JSON),
    "stream": _Way(Kind.STREAM),
    "stream of Responses": _Way(Kind.STREAM, RESPONSES),
    "stream of Messages": _Way(Kind.STREAM, MESSAGES),
    "hit": _Way(Kind.JSON, has_cache=True),
    "routed": _Way(Kind.JSON, has_routes=True),
}


class Counts(NamedTuple):
    """What was done, as a whole, and the instructions of each function."""

    whole: dict[str, float]
    functions: dict[str, float]

    def without(self, idle: "Counts", part: float, calls: int) -> "Counts":
        """Of one call of so many, without a part of what is done by itself."""

        def divide(found: dict[str, float], by_itself: dict[str, float]) -> dict[str, float]:
            return {name: (count - by_itself.get(name, 0) * part) / calls for name, count in found.items()}

        return Counts(divide(self.whole, idle.whole), divide(self.functions, idle.functions))


def main(arguments: Sequence[str]) -> int:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.counted")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--way", action="append", choices=list(WAYS), default=[])
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--functions", type=int, default=0)
    wanted = parser.parse_args(arguments)
    ways = {name: way for name, way in WAYS.items() if not wanted.way or name in wanted.way}
    cores = share_out_cores()
    with tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        upstream, programs = start_upstream(cores, work)
        try:
            ours, theirs = (
                count_version(checkout, upstream, cores, work, ways, wanted.calls)
                for checkout in (ROOT, wanted.folder.resolve())
            )
        finally:
            for program in programs:
                program.stop()
    _print(ours, theirs, wanted.functions)
    return 0


def _print(ours: dict[str, Counts], theirs: dict[str, Counts], functions: int) -> None:
    head = "this version | the older one"
    print(f"| a call | {head} | ratio |\n|---|---:|---:|---:|")
    for way, counts in ours.items():
        for what, count in counts.whole.items():
            older = theirs[way].whole[what]
            print(f"| {way}: {what} | {count:,.0f} | {older:,.0f} | {count / older:.2f} |")
    for way in ours if functions else ():
        print(f"\n| {_OPCODES} of {way} | {head} |\n|---|---:|---:|")
        mine, older_ones = ours[way].functions, theirs[way].functions
        changes = {name: mine.get(name, 0) - older_ones.get(name, 0) for name in mine | older_ones}
        for name in sorted(changes, key=lambda name: -abs(changes[name]))[:functions]:
            print(f"| {name} | {mine.get(name, 0):,.0f} | {older_ones.get(name, 0):,.0f} |")


def count_version(
    checkout: Path, upstream: Upstream, cores: Cores, work: Path, ways: Mapping[str, _Way], calls: int
) -> dict[str, Counts]:
    """The counts of one call of each way."""
    stack = Stack.start(upstream, cores, work, checkout=checkout)
    try:
        bearers = {}
        for name, (kind, _, has_cache, has_routes) in ways.items():
            base_urls = {kind.value: upstream.base_url(kind)}
            [[bearers[name]]] = stack.populate(Order(base_urls, 1, 1, has_cache=has_cache, has_routes=has_routes))
        found = {}
        with _counting_worker(checkout, stack.environment()) as (worker, port):
            for name, way in ways.items():
                headers = {"authorization": f"Bearer {bearers[name]}"}
                endpoint = Endpoint(port, way.kind, way.path, f"bench-{way.kind}", headers)
                found[name] = _count_calls(worker, endpoint, calls)
        return found
    finally:
        stack.stop()


def _count_calls(worker: subprocess.Popen[str], endpoint: Endpoint, calls: int) -> Counts:
    """What one of so many calls makes the worker do."""
    _call(endpoint, CONNECTIONS * 5)
    began = time.perf_counter()
    counts = _counted(worker, partial(_call, endpoint, calls))
    took = time.perf_counter() - began
    idle = _counted(worker, partial(time.sleep, _IDLE_SECONDS))
    return counts.without(idle, took / _IDLE_SECONDS, calls)


@contextmanager
def _counting_worker(checkout: Path, environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    python = sys.executable if checkout == ROOT else str(checkout / ".venv" / "bin" / "python")
    worker = subprocess.Popen(
        [python, "-P", str(ROOT / "bench" / "counting_worker.py"), str(port)],
        env=environment | {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(checkout)} | _PATIENCE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_for(port)
        yield worker, port
    finally:
        worker.terminate()
        worker.wait(_START_SECONDS)


def _wait_for(port: int) -> None:
    ends = time.perf_counter() + _START_SECONDS
    while True:
        try:
            call_once(Endpoint(port, Kind.JSON))
            return
        except OSError:
            if time.perf_counter() > ends:
                raise
            time.sleep(0.1)


def _counted(worker: subprocess.Popen[str], work: Callable[[], None]) -> Counts:
    output: IO[str] | None = worker.stdout
    assert output is not None
    worker.send_signal(signal.SIGUSR1)
    output.readline()
    work()
    worker.send_signal(signal.SIGUSR2)
    found = json.loads(output.readline())
    return Counts(found["counts"], found["functions"])


def _call(endpoint: Endpoint, calls: int) -> None:
    """So many calls on a few connections; those of one come one after the other. Raises NotServed."""

    def run(_: int) -> None:
        with Caller(endpoint) as caller:
            for _ in range(calls // CONNECTIONS):
                answer = caller.call()[0]
                if b" 200 " not in answer[:20]:
                    raise NotServed(answer[:400].decode(errors="replace"))

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(run, range(CONNECTIONS)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
