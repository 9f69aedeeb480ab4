"""What the console's overview asks the database for, query by query, and what that takes."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from django.db import connection
from django.test import Client

from billing.choices import Cube
from billing.spend.selectors import find_spend
from tenants.access import Actor, org_scope
from tenants.models import User

ROUNDS: Final = 9
#: how often the first page is asked for, as it opens
FIRST_PAGES: Final = 61
PAGES: Final = {
    "as it opens: month to date, by model": "",
    "30 days, by key": "?range=30d&by=key",
    "24 hours, by hour and model": "?range=24h",
    "month to date, by end user": "?by=end_user",
}


LISTS: Final = (
    "",
    "?range=30d&by=key",
    "?by=end_user",
    "overview/table?by=end_user",
    "overview/table?by=model",
    "overview/table?by=tag:team",
    "overview/table?by=key",
    "overview/money",
    "requests",
    "requests?range=mtd&sort=-cost",
    "requests?range=mtd&sort=-duration",
    "breakdown",
    "breakdown?by=end_user",
    "breakdown?by=end_user&sort=-change&page=2",
    "breakdown?by=key&range=30d",
    "breakdown?by=status",
    "breakdown?by=tag:team",
    "end-users?q=user-77",
    "keys",
    "end-users",
    "projects",
    "models",
    "budgets",
    "upstreams",
    "cache",
    "routes",
    "compression",
    "learning",
    "alerts",
    "members",
    "audit-log",
    "invoices",
)


@dataclass(frozen=True)
class _Query:
    """``cube`` is empty where no sums were read."""

    cube: str
    wall_ms: float
    cpu_ms: float


def measure_pages(user: User, slug: str) -> Iterator[str]:
    """The overview under several addresses, asked for by one who is signed in, on a connection that is kept, as in the
    web server, unless a line says otherwise: report lines."""
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    lines = ["| the overview | queries | computing, ms | ms | least |", "|---|---:|---:|---:|---:|"]
    for label, query in PAGES.items():
        get = partial(_get, client, f"/o/{slug}/{query}")
        found = [_time_queries(get) for _ in range(ROUNDS)][1:]
        if not query:
            yield from _show_queries(found)
        lines.append(f"| {label} | {_show(found)} |")
        if not query:
            # As the web server's first pages ask: PostgreSQL's process then knows none of the tables and has no plan.
            fresh = [(_connect_anew(), _time_queries(get)) for _ in range(ROUNDS)]
            lines.append(f"| the same on a new connection | {_show([queries for _, queries in fresh])} |")
            connecting = [took for took, _ in fresh]
            lines.append(f"| connecting, before that | | | {median(connecting):.1f} | {min(connecting):.1f} |")
    yield from lines
    yield ""


def _show(found: list[list[_Query]]) -> str:
    walls = [sum(one.wall_ms for one in queries) for queries in found]
    computed = median(sum(one.cpu_ms for one in queries) for queries in found)
    return f"{len(found[0])} | {computed:.1f} | {median(walls):.1f} | {min(walls):.1f}"


def _show_queries(found: list[list[_Query]]) -> Iterator[str]:
    """One line for each query that reads sums, by the cube that answers it, one for all others together."""
    yield "| query of the overview as it opens | computing, ms | ms | least |"
    yield "|---|---:|---:|---:|"
    places = [place for place, one in enumerate(found[0]) if one.cube]
    rest = [place for place in range(len(found[0])) if place not in places]
    for label, group in [*((found[0][place].cube, [place]) for place in places), (f"{len(rest)} others", rest)]:
        walls = [sum(queries[place].wall_ms for place in group) for queries in found]
        computed = median(sum(queries[place].cpu_ms for place in group) for queries in found)
        yield f"| {label} | {computed:.2f} | {median(walls):.2f} | {min(walls):.2f} |"
    yield ""


def measure_lists(user: User, slug: str) -> Iterator[str]:
    """The console's pages: what PostgreSQL's process computes for each and what ours does, and the clock's time; the
    first page as it opens more often than the others. Ours collects garbage as the web server's processes do."""
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    yield "| page | computing in PostgreSQL, ms | in our process | ms | p95 |"
    yield "|---|---:|---:|---:|---:|"
    lists: list[float] = []
    for path in LISTS:
        found = []
        for _ in range(ROUNDS if path else FIRST_PAGES):
            began, ours, theirs = time.perf_counter(), time.process_time(), cpu_ms()
            _get(client, f"/o/{slug}/{path}")
            found.append((time.perf_counter() - began, time.process_time() - ours, (cpu_ms() - theirs) / 1_000))
        walls, processes, databases = ([one * 1_000 for one in column] for column in zip(*found[1:], strict=True))
        yield (
            f"| {path or 'overview'} | {median(databases):.1f} | {median(processes):.1f} | {median(walls):.1f}"
            f" | {_p95(walls):.1f} |"
        )
        if path and not path.startswith("?"):
            lists += walls
    yield f"| all of these but the overview, {len(lists)} times | | | {median(lists):.1f} | {_p95(lists):.1f} |"
    yield ""


def _p95(times: Sequence[float]) -> float:
    return sorted(times)[len(times) * 95 // 100]


def measure_spend(actor: Actor, start: datetime, end: datetime) -> Iterator[str]:
    """Groupings that the overview does not ask for."""
    yield "| spend of the month to date | ms, median |"
    yield "|---|---:|"
    for groups in (["tag:team"], ["project", "key", "model"], ["end_user"], ["status"]):
        with org_scope(actor.org.pk):
            times = [
                milliseconds(partial(find_spend, actor, start=start, end=end, group_by=groups)) for _ in range(ROUNDS)
            ]
        yield f"| by {', '.join(groups)} | {median(times):.1f} |"


def _get(client: Client, path: str) -> None:
    answer = client.get(path)
    if answer.status_code != 200:
        raise RuntimeError(f"{path} was answered with {answer.status_code}")


def _time_queries(act: Callable[[], object]) -> list[_Query]:
    """Every query that ``act`` makes."""
    found: list[_Query] = []

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        computed, began = cpu_ms(), time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            wall = (time.perf_counter() - began) * 1000
            cube = next((cube for cube in Cube if "billing_ledgerline" in sql and cube in params), "")
            found.append(_Query(cube, wall, cpu_ms() - computed))

    with connection.execute_wrapper(watch):
        act()
    return found


def _connect_anew() -> float:
    connection.close()
    return milliseconds(connection.ensure_connection)


def cpu_ms() -> float:
    """What PostgreSQL's process behind the current connection has computed so far. It is the same however busy the
    machine is, which waiting is not."""
    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def milliseconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000
