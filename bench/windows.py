"""What limits cost in Valkey: processor time of its process for one reserve and one settle, under budgets alone and
with rate limits beside them.

python -m bench.windows [--against FOLDER]   another version's scripts, in turns with these

Windows are as full as two thousand calls a second keep them: at each call one leaves.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final
from uuid import UUID

import redis

from bench.machine import cpu_seconds
from costhub.lib import keyspace
from costhub.stack.valkey import Valkey
from proxy.edges.settles import Settle, settle_command
from proxy.edges.valkey import pack_numbers

SCRIPTS: Final = Path(__file__).resolve().parent.parent / "proxy" / "edges" / "lua"
ROUNDS: Final = 15
CALLS: Final = 2_000
UNDER_WAY: Final = 32
#: so many calls end in one tick
TOGETHER: Final = 8
CALLS_A_MS: Final = 2
START_MS: Final = 1_790_000_000_000
WINDOW_MS: Final = 2_000
MUCH: Final = 10**14


def main(arguments: Sequence[str]) -> int:
    """Print microseconds a call: the least and the median of the rounds, because other work makes all of them
    longer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path)
    against = parser.parse_args(arguments).against
    folders = {"these": SCRIPTS} | ({"the others": against} if against else {})
    with _server() as (store, pid):
        tills = {
            (name, windows): _Till(store, pid, folder, 2 * place + windows, windows)
            for place, (name, folder) in enumerate(folders.items())
            for windows in (False, True)
        }
        for till in tills.values():
            till.serve(CALLS)
        found: dict[tuple[str, bool], list[float]] = {which: [] for which in tills}
        for _ in range(ROUNDS):
            for which, till in tills.items():
                found[which].append(till.serve(CALLS))
    for name in folders:
        for how, pick in (("least", min), ("median", median)):
            alone, limited = (pick(found[name, windows]) for windows in (False, True))
            print(f"{name}, {how}: {alone:.0f} us under four budgets, {limited:.0f} us with limits")
    return 0


class _Till:
    """Calls of one key on one shard. ``serve`` says how many microseconds of Valkey each took."""

    def __init__(self, store: redis.Redis, pid: int, folder: Path, shard: int, has_windows: bool) -> None:
        self._store, self._pid, self._shard, self._has_windows = store, pid, shard, has_windows
        self._tag = keyspace.tag(shard)
        shared = (folder / "rates.lua").read_bytes()
        self._reserve, self._settle = (
            store.script_load(shared + (folder / f"{name}.lua").read_bytes()) for name in ("reserve", "settle")
        )
        self._calls = 0
        store.set(keyspace.epoch_key(shard), "first")

    def serve(self, calls: int) -> float:
        before = cpu_seconds(self._pid)
        pipe = self._store.pipeline(transaction=False)
        for _ in range(calls):
            self._calls += 1
            self._add(pipe)
            if self._calls % UNDER_WAY == 0:
                pipe.execute()
        pipe.execute()
        return (cpu_seconds(self._pid) - before) / calls * 1e6

    def _add(self, pipe: redis.client.Pipeline) -> None:
        now = START_MS + self._calls // CALLS_A_MS
        budgets = [str(UUID(int=number)) for number in range(5 if self._has_windows else 4)]
        counters = [keyspace.counter_key(self._shard, f"{budget}.0", budget, START_MS) for budget in budgets]
        head = [now, now + 45_000, 1, 10_000_000, 600_000, 60, 16, True, -1, len(counters), 60, 1]
        numbers = [*head, 0]
        for _ in counters[:4]:
            numbers += (MUCH, True, 4 * 10**12, False)
        hold_id = f"call-{self._calls:028d}"
        keys = [
            keyspace.epoch_key(self._shard),
            keyspace.closed_key(self._shard, hold_id),
            keyspace.hold_key(self._shard, hold_id),
            keyspace.leases_key(self._shard),
            *counters,
        ]
        text = ""
        if self._has_windows:
            numbers += (-1, True, 4 * 10**12, False)
            for name, ms, tokens in (("org", WINDOW_MS, 10**12), ("key", WINDOW_MS, 10**12), ("now", 0, -1)):
                base = f"{self._tag}:rate:{name:020}"
                keys += [f"{base}:calls", f"{base}:total"]
                numbers += (ms, 10**9, tokens, MUCH if ms else -1, False)
                text += f"{base} {ms}\n"
            numbers += (5, 0, MUCH)
        pipe.evalsha(self._reserve, len(keys), *keys, hold_id, b"{}" * 400, pack_numbers(numbers), text)
        if self._calls % TOGETHER == 0 and self._calls > UNDER_WAY:
            ended = range(self._calls - UNDER_WAY - TOGETHER + 1, self._calls - UNDER_WAY + 1)
            settles = [Settle(f"call-{call:028d}", 30_000, b"{}" * 500, 80) for call in ended]
            named, arguments = settle_command(self._shard, settles, now)
            pipe.evalsha(self._settle, len(named), *named, *arguments)
            pipe.xtrim(keyspace.ledger_key(self._shard), maxlen=100)


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
    sys.exit(main(sys.argv[1:]))
