"""What limits cost in Valkey: processor time of its process for one reserve and one settle, under budgets alone and
with rate limits and a ladder beside them.

python -m bench.windows

Windows are as full as two thousand calls a second keep them: at each call one leaves. As at full speed, eight calls
come in one tick of a worker, and eight end.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

import redis

from bench.machine import cpu_seconds
from bench.steps import TOGETHER, make_tenant
from costhub.lib import keyspace
from costhub.stack.valkey import Valkey
from proxy.core.budgets import find_scopes
from proxy.core.ladders import find_bands
from proxy.core.layout import lay_out
from proxy.core.rate_limits import find_rates
from proxy.edges.reserve_batch import RESERVE, Reserve, reserve_command
from proxy.edges.settle_batch import SETTLE, Settle, settle_command
from proxy.values.plan import Bound
from proxy.values.windows import Layout
from tenants.snapshots import BudgetSnapshot, RateLimitSnapshot, RungSnapshot

ROUNDS: Final = 15
CALLS: Final = 2_000
UNDER_WAY: Final = 32
CALLS_A_MS: Final = 2
#: in a time to come, so that no counter is forgotten
START_MS: Final = 4_000_000_000_000
WINDOW_MS: Final = 2_000
MUCH: Final = 10**14
BOUND: Final = Bound(
    input_tokens=60, max_output=60, choices=1, fixed_picos=10_000_000, output_picos=600_000, is_exact=True
)
RUNG: Final = RungSnapshot(90, "shorter_output", max_tokens=10)
LADDER: Final = BudgetSnapshot("ladder", "project", "", "day", MUCH, "degrade", "ladder", 0, ladder=(RUNG,))
LIMITS: Final = (
    *(
        RateLimitSnapshot(f"{scope}-{unit}", scope, "", unit, MUCH, WINDOW_MS, is_shadow=False)
        for scope in ("organization", "key")
        for unit in ("requests", "tokens", "usd")
    ),
    RateLimitSnapshot("under-way", "key", "", "concurrent", MUCH, 0, is_shadow=False),
)


def main() -> int:
    """Print microseconds a call: the least and the median of the rounds, because other work makes all of them
    longer."""
    with _server() as (store, pid):
        tills = {has_limits: _Till(store, pid, has_limits) for has_limits in (False, True)}
        for till in tills.values():
            till.serve(CALLS)
        found: dict[bool, list[float]] = {which: [] for which in tills}
        for _ in range(ROUNDS):
            for which, till in tills.items():
                found[which].append(till.serve(CALLS))
    for how, pick in (("least", min), ("median", median)):
        alone, limited = (pick(found[has_limits]) for has_limits in (False, True))
        print(f"{how}: {alone:.0f} us under four budgets, {limited:.0f} us with limits")
    return 0


class _Till:
    """Calls of one key on one shard. ``serve`` says how many microseconds of Valkey each took."""

    def __init__(self, store: redis.Redis, pid: int, has_limits: bool) -> None:
        self._store, self._pid, self._shard = store, pid, int(has_limits)
        self._layout = _lay_out(has_limits)
        self._bands = find_bands(self._layout.ladders, {})
        store.set(keyspace.epoch_key(self._shard), "first")
        self._reserve, self._settle = (store.script_load(script.source) for script in (RESERVE, SETTLE))
        self._calls = 0

    def serve(self, calls: int) -> float:
        before = cpu_seconds(self._pid)
        pipe = self._store.pipeline(transaction=False)
        for number in range(calls // TOGETHER):
            self._add(pipe)
            if number % (UNDER_WAY // TOGETHER) == 0:
                pipe.execute()
        pipe.execute()
        return (cpu_seconds(self._pid) - before) / calls * 1e6

    def _add(self, pipe: redis.client.Pipeline) -> None:
        now = START_MS + self._calls // CALLS_A_MS
        coming = [_name(self._calls + each) for each in range(TOGETHER)]
        reserves = [Reserve(name, 1, BOUND, None, b"{}" * 400) for name in coming]
        keys, arguments = reserve_command(self._shard, self._layout, self._bands, "bench", 1, reserves, now)
        pipe.evalsha(self._reserve, len(keys), *keys, *arguments)
        if self._calls >= UNDER_WAY:
            ended = [_name(self._calls - UNDER_WAY + each) for each in range(TOGETHER)]
            settles = [Settle(name, 30_000, b"{}" * 500, 80) for name in ended]
            named, terms = settle_command(self._shard, settles, now)
            pipe.evalsha(self._settle, len(named), *named, *terms)
            pipe.xtrim(keyspace.ledger_key(self._shard), maxlen=100)
        self._calls += TOGETHER


def _name(call: int) -> str:
    return f"019a-{call:031d}"


def _lay_out(has_limits: bool) -> Layout:
    org, key = make_tenant()
    if has_limits:
        org = replace(org, budgets=(*org.budgets, LADDER), rate_limits=LIMITS)
    scopes = find_scopes(org, key, end_user="ann", model="small", tags={}, session="", at_ms=START_MS)
    return lay_out(scopes, find_rates(org, key, end_user="ann", model="small", tags={}, session=""))


@contextmanager
def _server() -> Iterator[tuple[redis.Redis, int]]:
    with tempfile.TemporaryDirectory(prefix="costhub-windows-") as folder:
        part = Valkey(Path(folder))
        part.prepare()
        process = subprocess.Popen(part.command(), stdout=subprocess.DEVNULL)
        try:
            while not part.is_ready():
                if process.poll() is not None:
                    raise SystemExit("Valkey does not start.")
            yield redis.Redis.from_url(part.url), process.pid
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
