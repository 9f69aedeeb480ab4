"""What only CostHub has to answer for: that it stays as fast while its tenants grow, that the ledger keeps up, and what
the whole stack costs at rest."""

import time
from typing import Final

import psycopg

from bench.figures import Figures
from bench.load import NotServed, Throughput, check_answer, run_load
from bench.machine import cpu_seconds, memory_of, wait_until_quiet
from bench.peers.base import Unavailable
from bench.peers.costhub import CostHub, Order, Stack, endpoint_for
from bench.scenarios import CONNECTIONS, QUICK, Bench, Ready
from bench.upstream import Kind, Upstream

KEYS: Final = 10_000
ORGANIZATIONS: Final = 1_000
#: a few per cent are looked for, and the machine changes by more from second to second: so many rounds for one
LIMITS_ROUNDS: Final = 5
#: when the rest of a ledger has not come by then, it is lost
CATCH_UP_SECONDS: Final = 30.0
REST_SECONDS: Final = 5.0
FIRST_CALL_SECONDS: Final = 10.0

#: of the calls since a moment: how many rows, and how long after its end a call was in the table
_LAGS: Final = """
    SELECT count(*),
           coalesce(max(late), 0)::float8,
           coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY late), 0)::float8
    FROM (SELECT extract(epoch FROM recorded_at - started_at) - duration_us / 1e6 AS late
          FROM proxy_ledgerentry WHERE started_at >= %s AND kind = 'call') AS calls
"""


def measure_growth(bench: Bench, ready: Ready, upstream: Upstream) -> dict[str, Figures]:
    """Calls a second with one key, with very many keys of one organisation, with very many organisations.

    The calls go round all of the keys, so that nothing stays warm by being the only one.
    """
    stack = _stack_of(ready)
    share = 50 if bench.pace is QUICK else 1
    keys, organizations = KEYS // share, ORGANIZATIONS // share
    base_urls = {Kind.JSON.value: upstream.base_url(Kind.JSON)}
    alone, many, spread = "1 key", f"{keys:,} keys of one organisation", f"{organizations:,} organisations, a key each"
    bench.say(f"  making {keys:,} keys and {organizations:,} organisations")
    try:
        secrets = {
            alone: stack.populate(Order(base_urls, 1, 1))[0],
            many: stack.populate(Order(base_urls, 1, keys))[0],
            spread: [one for [one] in stack.populate(Order(base_urls, organizations, 1))],
        }
    except Unavailable as error:
        return {"growth": Figures(failed=str(error))}
    found = {name: Figures() for name in secrets}
    try:
        refused = Figures([sum(_meet(stack, secret) for secret in secrets[spread])])
        for name, bearers in secrets.items():  # everybody calls once before anything is counted
            for bearer in bearers:
                _meet(stack, bearer)
            _load(bench, stack, bearers, seconds=bench.pace.seconds * 2)
            bench.say(f"  {name}: warm")
        for _ in range(bench.pace.rounds):
            for name, bearers in secrets.items():
                wait_until_quiet(bench.cores)
                found[name].add(_load(bench, stack, bearers, seconds=bench.pace.seconds).per_second)
    except NotServed as error:
        return {"growth": Figures(failed=str(error))}
    for name in (many, spread):
        pairs = zip(found[name].rounds, found[alone].rounds, strict=True)
        found[f"{name}: share of the speed with one key"] = Figures([grown / single for grown, single in pairs])
    found[f"first calls of {organizations:,} new organisations that were refused"] = refused
    return found


def measure_limits(bench: Bench, ready: Ready, upstream: Upstream) -> dict[str, Figures]:
    """Calls a second under budgets alone, and with rate limits of two scopes and a ladder beside them, in turns; and
    those of an older version under its budgets, where one is at hand."""
    base_urls = {Kind.JSON.value: upstream.base_url(Kind.JSON)}
    alone, limited = "four budgets", "with six sliding windows, calls under way and a ladder beside them"
    ours, others, bases = _stack_of(ready), None, [alone]
    try:
        ways = {
            name: (ours, ours.populate(Order(base_urls, 1, 1, has_limits=name is limited))[0])
            for name in (alone, limited)
        }
        if bench.against is not None:
            bases.append(older := f"four budgets, {bench.against.name}")
            others = Stack.start(upstream, bench.cores, bench.work, checkout=bench.against)
            ways[older] = (others, others.populate(Order(base_urls, 1, 1))[0])
        found = {name: Figures() for name in ways}
        worker = {f"{name}: processor time of the worker a call, µs": Figures() for name in ways}
        for stack, bearers in ways.values():
            _meet(stack, bearers[0])
            _load(bench, stack, bearers, seconds=bench.pace.seconds)
        for _ in range(bench.pace.rounds * LIMITS_ROUNDS):
            for (name, (stack, bearers)), spent in zip(ways.items(), worker.values(), strict=True):
                wait_until_quiet(bench.cores)
                pid = stack.worker_pid()
                before = cpu_seconds(pid)
                load = _load(bench, stack, bearers, seconds=bench.pace.seconds)
                found[name].add(load.per_second)
                spent.add((cpu_seconds(pid) - before) / load.requests * 1e6)
    except (NotServed, Unavailable) as error:
        return {"limits": Figures(failed=str(error))}
    finally:
        if others is not None:
            others.stop()
    shares = {
        f"with limits: share of the speed under {base}": Figures(
            [one / other for one, other in zip(found[limited].rounds, found[base].rounds, strict=True)]
        )
        for base in bases
    }
    return found | shares | worker


def _meet(stack: Stack, secret: str) -> int:
    """Make the first call of an organisation, again until it is served; gives how often it was refused.

    Raises:
        NotServed: it is refused for longer than anybody would wait.
    """
    refusals, deadline = 0, time.perf_counter() + FIRST_CALL_SECONDS
    while True:
        try:
            check_answer(endpoint_for(stack, Kind.JSON, secret))
        except NotServed:
            refusals += 1
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.05)
        else:
            return refusals


def _load(bench: Bench, stack: Stack, bearers: list[str], seconds: float) -> Throughput:
    endpoint = endpoint_for(stack, Kind.JSON, bearers[0])
    return run_load(endpoint, CONNECTIONS, seconds, bench.cores.load, bench.work, bearers=bearers)


def measure_ledger(bench: Bench, ready: Ready, upstream: Upstream) -> dict[str, Figures]:
    """Whether the ledger keeps up with the proxy at full speed, and whether each call has its row."""
    stack = _stack_of(ready)
    calls, missing, longest, middle = Figures(), Figures(), Figures(), Figures()
    try:
        with psycopg.connect(stack.environment()["DATABASE_OWNER_URL"], autocommit=True) as database:
            for _ in range(bench.pace.rounds):
                wait_until_quiet(bench.cores)
                [began] = database.execute("SELECT clock_timestamp()").fetchone() or [None]
                load = run_load(
                    ready.endpoints[Kind.JSON], CONNECTIONS, bench.pace.seconds * 2, bench.cores.load, bench.work
                )
                rows, worst, median_lag = _wait_for_rows(database, began, load.requests)
                if not rows:
                    raise NotServed(f"{load.requests} calls were answered and not one of them has a row")
                calls.add(load.per_second)
                missing.add(max(load.requests - rows, 0))
                longest.add(worst)
                middle.add(median_lag)
    except (NotServed, psycopg.Error) as error:
        return {"ledger": Figures(failed=str(error).splitlines()[0])}
    return {
        "calls/s while it drains": calls,
        "calls without a row": missing,
        "median time from a call's end to its row, s": middle,
        "longest time from a call's end to its row, s": longest,
    }


def _wait_for_rows(database: psycopg.Connection, began: object, wanted: int) -> tuple[int, float, float]:
    deadline = time.perf_counter() + CATCH_UP_SECONDS
    while True:
        rows, worst, middle = database.execute(_LAGS, [began]).fetchone() or (0, 0.0, 0.0)
        if rows >= wanted or time.perf_counter() > deadline:
            return rows, worst, middle
        time.sleep(0.25)


def measure_idle_stack(bench: Bench, ready: Ready, upstream: Upstream) -> dict[str, Figures]:
    """MB of a whole fresh stack at rest, the demo's language model included. Pages that processes share count once."""
    _stack_of(ready)  # its own stack stands still meanwhile and is not counted
    try:
        stack = Stack.start(upstream, bench.cores, bench.work, with_model=True)
    except Unavailable as error:
        return {"stack": Figures(failed=str(error))}
    try:
        time.sleep(REST_SECONDS)
        whole, worker = memory_of(stack.all_pids()), memory_of([stack.worker_pid()])
    finally:
        stack.stop()
    return {
        "the whole stack with its language model": Figures([whole.proportional / 1e6]),
        "one proxy worker, resident": Figures([worker.resident / 1e6]),
    }


def _stack_of(ready: Ready) -> Stack:
    assert isinstance(ready.peer, CostHub)
    assert ready.peer.stack is not None
    return ready.peer.stack
