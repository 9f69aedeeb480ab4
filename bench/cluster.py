"""Is a Valkey Cluster as fast as one Valkey? A worker's reserves and settles through its own client, on both in turns.

python -m bench.cluster [--rounds N] [--masters N] [--replicas N]

Organisations of every shard, 64 calls under way, all on loopback. A ratio is taken within a round, so that what the
machine does differently from minute to minute cancels. Beside calls a second stands the worker's own processor time a
call, which is what a second machine for the masters would leave: here they share the worker's cores.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Final, NamedTuple

import uvloop

from bench.steps import make_tenant
from costhub.lib import clock, keyspace
from costhub.stack.valkey import Valkey as Server
from proxy.core.budgets import find_scopes
from proxy.core.ladders import find_bands
from proxy.core.layout import lay_out
from proxy.edges.reserve_batch import RESERVE, Reserve, Reserves
from proxy.edges.settle_batch import SETTLE, Settle, Settles
from proxy.edges.valkey import Valkey
from proxy.edges.valkey_cluster import make_valkey
from proxy.values.plan import Bound
from proxy.values.windows import Bands, Layout
from tenants.snapshots import OrgSnapshot
from tests.valkeys import cluster

CALLS: Final = 6_000
UNDER_WAY: Final = 64
TIMEOUT_MS: Final = 10_000
BOUND: Final = Bound(
    input_tokens=60, max_output=60, choices=1, fixed_picos=10_000_000, output_picos=600_000, is_exact=True
)


class Pace(NamedTuple):
    """Calls a second, and processor time a call in microseconds."""

    calls: float
    cpu_us: float


class _Side:
    """A worker at one of the two."""

    def __init__(self, valkey: Valkey) -> None:
        self.valkey = valkey
        self._reserves, self._settles = Reserves(valkey), Settles(valkey)
        self._tenants = [_make_tenant(shard) for shard in range(keyspace.SHARDS)]

    async def open(self) -> None:
        await self.valkey.open()
        await self.valkey.wait_connected()
        for shard in range(keyspace.SHARDS):
            await self.valkey.send(b"SET", keyspace.epoch_key(shard), "first")

    async def measure(self, calls: int) -> Pace:
        each = calls // UNDER_WAY
        began, cpu = perf_counter(), process_time()
        await asyncio.gather(*(self._call_on(caller, each) for caller in range(UNDER_WAY)))
        took, used = perf_counter() - began, process_time() - cpu
        for shard in range(keyspace.SHARDS):
            await self.valkey.send(b"XTRIM", keyspace.ledger_key(shard), b"MAXLEN", 0)
        return Pace(each * UNDER_WAY / took, used / (each * UNDER_WAY) * 1e6)

    async def _call_on(self, caller: int, calls: int) -> None:
        org, layout, bands = self._tenants[caller % keyspace.SHARDS]
        for _ in range(calls):
            hold_id, _ = clock.new_request_id()
            verdict, *_ = await self._reserves.send(org, layout, bands, Reserve(hold_id, 1, BOUND, None, b"{}" * 400))
            assert verdict == 1
            settle = Settle(hold_id, 30_000, b"{}" * 500, 80)
            assert await self._settles.send(org.shard, settle, layout.breadth) == 1


def _make_tenant(shard: int) -> tuple[OrgSnapshot, Layout, Bands]:
    org, key = make_tenant()
    org = replace(org, shard=shard)
    now = clock.now_ms()
    layout = lay_out(find_scopes(org, key, end_user="ann", model="small", tags={}, session="", at_ms=now), ())
    return org, layout, find_bands(layout.ladders, {})


async def _compare(single: str, clustered: str, rounds: int) -> None:
    scripts = (RESERVE, SETTLE)
    sides = {
        name: _Side(make_valkey(url, scripts, TIMEOUT_MS)) for name, url in (("one", single), ("cluster", clustered))
    }
    found: dict[str, list[Pace]] = {name: [] for name in sides}
    for side in sides.values():
        await side.open()
        await side.measure(CALLS // 3)
    for number in range(rounds):
        # who begins takes turns
        for name in sorted(sides, reverse=bool(number % 2)):
            found[name].append(await sides[name].measure(CALLS))
    for name, paces in found.items():
        calls, cpu = median(pace.calls for pace in paces), median(pace.cpu_us for pace in paces)
        print(f"{name:8} {calls:8.0f} calls/s  {cpu:6.1f} us of the worker a call")
    pairs = list(zip(found["cluster"], found["one"], strict=True))
    print(
        f"cluster / one: {median(ours.calls / theirs.calls for ours, theirs in pairs):.2f} of the calls a second,",
        end=" ",
    )
    print(f"{median(ours.cpu_us / theirs.cpu_us for ours, theirs in pairs):.2f} of the worker's time a call")
    for side in sides.values():
        await side.valkey.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print both paces and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--masters", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=0)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="costhub-cluster-") as folder,
        cluster(Path(folder) / "nodes", masters=options.masters, replicas=options.replicas) as nodes,
    ):
        server = Server(Path(folder))
        server.start()
        server.wait_ready()
        try:
            uvloop.run(_compare(server.url, nodes.url, options.rounds))
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
