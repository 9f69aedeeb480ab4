"""Is this version as fast as the one before? ``python -m bench.versions FOLDER`` loads both in turns, in one run.

FOLDER is a checkout of the older version, set up there. Small JSON calls and streams at 32 connections, with all of the
accounting; a ratio is taken within a round, so that what the machine does differently from minute to minute cancels,
and beside it the worker's processor time a call, which other work on the machine disturbs less.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench.load import Endpoint, run_load
from bench.machine import Cores, cpu_seconds, share_out_cores, wait_until_quiet
from bench.peers.costhub import ROOT, Order, Stack, endpoint_for
from bench.scenarios import CONNECTIONS
from bench.upstream import Kind, start_upstream

ROUNDS: Final = 7
SECONDS: Final = 2.0
KINDS: Final = (Kind.JSON, Kind.STREAM)


class _Side(NamedTuple):
    stack: Stack
    endpoints: dict[Kind, Endpoint]


class _Round(NamedTuple):
    per_second: float
    micros: float


def main(arguments: Sequence[str]) -> int:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.versions")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    wanted = parser.parse_args(arguments)
    cores = share_out_cores()
    os.sched_setaffinity(0, cores.load)
    sides: list[_Side] = []
    with tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        upstream, programs = start_upstream(cores, work)
        try:
            for checkout in (ROOT, wanted.folder.resolve()):
                stack = Stack.start(upstream, cores, work, checkout=checkout)
                sides.append(_Side(stack, {}))
                [[secret]] = stack.populate(Order({kind.value: upstream.base_url(kind) for kind in KINDS}, 1, 1))
                sides[-1].endpoints.update({kind: endpoint_for(stack, kind, secret) for kind in KINDS})
            print("| calls | this version, calls/s | the older one | ratio (range) | CPU µs a call | the older one |")
            print("|---|---:|---:|---:|---:|---:|")
            for kind in KINDS:
                ours, theirs = _measure(sides, kind, cores, work, wanted.rounds)
                ratios = sorted(one.per_second / other.per_second for one, other in zip(ours, theirs, strict=True))
                speeds = [f"{median(each.per_second for each in rounds):,.0f}" for rounds in (ours, theirs)]
                micros = [f"{median(each.micros for each in rounds):.0f}" for rounds in (ours, theirs)]
                ratio = f"{median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
                print(f"| {kind} | {speeds[0]} | {speeds[1]} | {ratio} | {micros[0]} | {micros[1]} |", flush=True)
        finally:
            for side in sides:
                side.stack.stop()
            for program in programs:
                program.stop()
    return 0


def _measure(sides: Sequence[_Side], kind: Kind, cores: Cores, work: Path, rounds: int) -> list[list[_Round]]:
    found: list[list[_Round]] = [[] for _ in sides]
    for side in sides:
        run_load(side.endpoints[kind], CONNECTIONS, SECONDS, cores.load, work)
    for number in range(rounds):
        # Each round another one begins.
        for place in ((0, 1), (1, 0))[number % 2]:
            stack, endpoint = sides[place].stack, sides[place].endpoints[kind]
            wait_until_quiet(cores)
            pid = stack.worker_pid()
            before = cpu_seconds(pid)
            load = run_load(endpoint, CONNECTIONS, SECONDS, cores.load, work)
            found[place].append(_Round(load.per_second, (cpu_seconds(pid) - before) / load.requests * 1e6))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
