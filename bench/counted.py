"""What a call makes the interpreter do, in this version and in an older one: ``python -m bench.counted FOLDER``.

FOLDER is a checkout of the older version, set up there. On a machine that does something else at the same time the
clock says little (``bench.versions``); how many instructions of Python a call takes is the same every time. What a
worker does without any call in as much time is taken off. With ``--functions 40`` the functions follow whose share has
changed the most. With ``--routes`` in place of FOLDER, what a call to a router with lossless compression takes beyond
one to a model.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final, NamedTuple

from bench.load import Caller, Endpoint, NotServed, call_once
from bench.machine import Cores, free_port, share_out_cores
from bench.peers.costhub import ROOT, Order, Stack
from bench.upstream import Kind, Upstream, start_upstream

CALLS: Final = 200
#: some calls come together, as they do at load
CONNECTIONS: Final = 4
_START_SECONDS: Final = 60.0
_IDLE_SECONDS: Final = 3.0
_KINDS: Final = (Kind.JSON, Kind.STREAM)
#: counting makes everything a hundred times slower
_PATIENCE: Final = {"COSTHUB_GOVERNANCE_TIMEOUT_MS": "10000"}
_OPCODES: Final = "opcodes"


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
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--routes", action="store_true")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--functions", type=int, default=0)
    wanted = parser.parse_args(arguments)
    if (wanted.folder is None) != wanted.routes:
        parser.error("say either an older version's folder or --routes")
    cores = share_out_cores()
    with tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        upstream, programs = start_upstream(cores, work)
        try:
            if wanted.folder is None:
                titles = ("to a router", "to a model")
                ours, theirs = count_routes(upstream, cores, work, wanted.calls)
            else:
                titles = ("this version", "the older one")
                ours, theirs = (
                    count_version(checkout, upstream, cores, work, wanted.calls)
                    for checkout in (ROOT, wanted.folder.resolve())
                )
        finally:
            for program in programs:
                program.stop()
    _print(titles, ours, theirs, wanted.functions)
    return 0


def _print(titles: tuple[str, str], ours: dict[Kind, Counts], theirs: dict[Kind, Counts], functions: int) -> None:
    head = " | ".join(titles)
    print(f"| a call | {head} | ratio |\n|---|---:|---:|---:|")
    for kind in _KINDS:
        for what, count in ours[kind].whole.items():
            older = theirs[kind].whole[what]
            print(f"| {kind}: {what} | {count:,.0f} | {older:,.0f} | {count / older:.2f} |")
    for kind in _KINDS if functions else ():
        print(f"\n| {_OPCODES} of {kind} | {head} |\n|---|---:|---:|")
        mine, older_ones = ours[kind].functions, theirs[kind].functions
        changes = {name: mine.get(name, 0) - older_ones.get(name, 0) for name in mine | older_ones}
        for name in sorted(changes, key=lambda name: -abs(changes[name]))[:functions]:
            print(f"| {name} | {mine.get(name, 0):,.0f} | {older_ones.get(name, 0):,.0f} |")


def count_routes(
    upstream: Upstream, cores: Cores, work: Path, calls: int
) -> tuple[dict[Kind, Counts], dict[Kind, Counts]]:
    """The counts of one call of each kind to a router, whose prompt is looked through for what can go without loss, and
    of the same call to a model."""
    stack = Stack.start(upstream, cores, work)
    try:
        base_urls = {kind.value: upstream.base_url(kind) for kind in _KINDS}
        routed, plain = (
            count_calls(
                ROOT, stack.environment(), stack.populate(Order(base_urls, 1, 1, has_routes=routes))[0][0], calls
            )
            for routes in (True, False)
        )
        return routed, plain
    finally:
        stack.stop()


def count_version(checkout: Path, upstream: Upstream, cores: Cores, work: Path, calls: int) -> dict[Kind, Counts]:
    """The counts of one call of each kind."""
    stack = Stack.start(upstream, cores, work, checkout=checkout)
    try:
        [[secret]] = stack.populate(Order({kind.value: upstream.base_url(kind) for kind in _KINDS}, 1, 1))
        return count_calls(checkout, stack.environment(), secret, calls)
    finally:
        stack.stop()


def count_calls(checkout: Path, environment: dict[str, str], secret: str, calls: int) -> dict[Kind, Counts]:
    """The same of a stack that runs."""
    with _counting_worker(checkout, environment) as (worker, port):
        found = {}
        for kind in _KINDS:
            headers = {"authorization": f"Bearer {secret}"}
            endpoint = Endpoint(port, kind, model=f"bench-{kind}", headers=headers)
            _call(endpoint, CONNECTIONS * 5)
            began = time.perf_counter()
            counts = _counted(worker, partial(_call, endpoint, calls))
            took = time.perf_counter() - began
            idle = _counted(worker, partial(time.sleep, _IDLE_SECONDS))
            found[kind] = counts.without(idle, took / _IDLE_SECONDS, calls)
        return found


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
