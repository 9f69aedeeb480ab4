"""Are two proxy workers worth two? ``python -m bench.workers`` has one and two of them take turns on one core.

A machine of two cores cannot show two workers beside their load. What can be shown on any: what a call costs with one
and with two, of the workers' processor time and of Valkey's, which they share; two have twice as many callers, so that
each of them has as many calls to reserve and settle together. Two workers on the one core that one
had should serve as many calls as it did; where they do, nothing that they share holds them up, and on a core each they
serve twice as many, until Valkey's own core is full. A call that costs ``x`` times as much leaves ``2 / x``.
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
from bench.peers.costhub import Order, Stack, endpoint_for
from bench.scenarios import CONNECTIONS
from bench.upstream import Kind, start_upstream

ROUNDS: Final = 9
SECONDS: Final = 3.0
WORKERS: Final = (1, 2)
KINDS: Final = (Kind.JSON, Kind.STREAM)


class _Round(NamedTuple):
    per_second: float
    micros: float
    valkey_micros: float
    #: of the workers' processor time, the part of the one that had least: one half where they share the calls evenly
    least_share: float


def main(arguments: Sequence[str]) -> int:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    wanted = parser.parse_args(arguments)
    cores = share_out_cores()
    os.sched_setaffinity(0, cores.load)
    stacks: list[Stack] = []
    with tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        upstream, programs = start_upstream(cores, work)
        try:
            endpoints: list[dict[Kind, Endpoint]] = []
            for workers in WORKERS:
                stacks.append(Stack.start(upstream, cores, work, workers=workers))
                [[secret]] = stacks[-1].populate(Order({kind.value: upstream.base_url(kind) for kind in KINDS}, 1, 1))
                endpoints.append({kind: endpoint_for(stacks[-1], kind, secret) for kind in KINDS})
            print(
                "| calls | workers | calls/s on one core | the workers' µs a call | Valkey's | least worker's share |"
            )
            print("|---|---:|---:|---:|---:|---:|")
            for kind in KINDS:
                rounds = _measure(stacks, [each[kind] for each in endpoints], cores, work, wanted.rounds)
                for workers, found in zip(WORKERS, rounds, strict=True):
                    middle = _Round(*(median(column) for column in zip(*found, strict=True)))
                    print(
                        f"| {kind} | {workers} | {middle.per_second:,.0f} | {middle.micros:.0f} "
                        f"| {middle.valkey_micros:.0f} | {middle.least_share:.2f} |"
                    )
                dearer = sorted(two.micros / one.micros for one, two in zip(*rounds, strict=True))
                print(f"\n{kind}: a call costs {median(dearer):.2f} ({dearer[0]:.2f}–{dearer[-1]:.2f}) times as much,")
                print(f"which leaves {2 / median(dearer):.2f} times the calls on a core each\n", flush=True)
        finally:
            for stack in stacks:
                stack.stop()
            for program in programs:
                program.stop()
    return 0


def _measure(
    stacks: Sequence[Stack], endpoints: Sequence[Endpoint], cores: Cores, work: Path, rounds: int
) -> list[list[_Round]]:
    found: list[list[_Round]] = [[] for _ in stacks]
    for endpoint in endpoints:
        run_load(endpoint, CONNECTIONS, SECONDS, cores.load, work)
    for number in range(rounds):
        # Each round another one begins.
        for place in ((0, 1), (1, 0))[number % 2]:
            stack = stacks[place]
            wait_until_quiet(cores)
            workers = stack.worker_pids()
            pids = [*workers, stack.valkey_pid()]
            before = [cpu_seconds(pid) for pid in pids]
            load = run_load(endpoints[place], CONNECTIONS * len(workers), SECONDS, cores.load, work)
            *spent, valkey = (cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True))
            found[place].append(
                _Round(
                    load.per_second,
                    sum(spent) / load.requests * 1e6,
                    valkey / load.requests * 1e6,
                    min(spent) / sum(spent),
                )
            )
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
