"""The measurements of ``bench.rollups``: in the process that has Django, in the database that it made."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import psycopg
import time_machine
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from bench.ledger_rows import END_USERS, fill, without_indexes
from bench.rollup_pages import ROUNDS, cpu_ms, measure_lists, measure_pages, measure_spend, milliseconds
from billing.spend.actions.rollups import roll_up
from costhub.lib.moments import to_ms
from costhub.lib.money import Nanos
from proxy.core.row import open_row
from tenants.access import Actor, org_scope
from tenants.actions.budgets import create_budget
from tenants.actions.keys import create_key
from tenants.actions.orgs import create_organization, find_or_create_user
from tenants.actions.projects import create_project
from tenants.choices import BudgetPeriod, BudgetScope, Role
from tenants.models import User
from tenants.snapshots import KeySnapshot

#: organisations and how many in a hundred of the rows are theirs
SHARES: Final = {"Big": 97, "One": 1, "Two": 1, "Three": 1}
KEYS: Final = 20
PROJECTS: Final = 5
UPSTREAMS: Final = 2
TIME_ZONE: Final = "Europe/Berlin"
#: when the ledger ends and its pages are read: late in a month, in mid quarter
NOW: Final = datetime(2026, 11, 25, 14, 7, 31, tzinfo=UTC)
#: how old the events of the inserting are, out of the way of the pages
LONG_AGO: Final = timedelta(days=40)
EVENTS: Final = 2_000
#: calls of the organisation that is looked at which nothing has rolled up yet
LIVE: Final = 20
BUDGETS: Final = (
    (BudgetScope.ORGANIZATION, BudgetPeriod.MONTH),
    (BudgetScope.PROJECT, BudgetPeriod.MONTH),
    (BudgetScope.KEY, BudgetPeriod.DAY),
    (BudgetScope.ORGANIZATION, BudgetPeriod.TOTAL),
)


@dataclass(frozen=True)
class _Tenant:
    actor: Actor
    user: User
    projects: list[UUID]
    keys: list[UUID]


def measure(rows: int, keys: int = KEYS, end_users: int = END_USERS) -> Iterator[str]:
    """Fill, roll up, read; the report line by line."""
    call_command("migrate", database="owner", verbosity=0)
    owner = psycopg.connect(owner_address(), autocommit=True)
    owner.execute("SELECT costhub_ensure_partitions(%s, 4)", [NOW.date().replace(month=NOW.month - 3)])
    tenants = {name: _make_tenant(name, keys if name == "Big" else KEYS) for name in SHARES}
    with without_indexes(owner):
        for name, share in SHARES.items():
            tenant = tenants[name]
            upstreams = [uuid4() for _ in range(UPSTREAMS)]
            fill(
                owner, tenant.actor.org.pk, tenant.projects, tenant.keys, upstreams, rows * share // 100, NOW, end_users
            )
    owner.execute("VACUUM ANALYZE proxy_ledgerentry")
    with time_machine.travel(NOW, tick=True):
        yield from _measure_roll_up(owner)
        big = tenants["Big"]
        yield from _measure_inserts(owner, tenants["Three"])
        while roll_up():
            pass
        _append(_make_events(big, LIVE, NOW))
        owner.execute("VACUUM ANALYZE")
        yield from measure_pages(big.user, big.actor.org.slug)
        yield from measure_lists(big.user, big.actor.org.slug)
        yield from measure_spend(big.actor, NOW.replace(day=1, hour=0), NOW)
    owner.close()


def _make_tenant(name: str, key_count: int) -> _Tenant:
    user = find_or_create_user(f"{name.lower()}@bench.example")
    made = create_organization(name=name, acting_name="bench", owner=user, time_zone=TIME_ZONE)
    actor = Actor(made.org, Role.OWNER, "bench")
    with org_scope(made.org.pk):
        projects = [create_project(actor=actor, name=f"Project {number}") for number in range(PROJECTS)]
        keys = [
            create_key(actor=actor, name=f"key {number}", project=projects[number % PROJECTS]).key
            for number in range(key_count)
        ]
        for scope, period in BUDGETS:
            create_budget(actor=actor, scope=scope, period=period, limit_nanos=Nanos(10**15))
    return _Tenant(actor, user, [project.pk for project in projects], [key.pk for key in keys])


def _measure_roll_up(owner: psycopg.Connection[Any]) -> Iterator[str]:
    (entries,) = owner.execute("SELECT count(*) FROM proxy_ledgerentry").fetchone() or (0,)
    began, computed = time.perf_counter(), cpu_ms()
    buckets, longest = 0, 0.0
    while batch := _timed_roll_up():
        buckets += batch[0]
        longest = max(longest, batch[1])
    took, computed = time.perf_counter() - began, (cpu_ms() - computed) / 1000
    again = milliseconds(roll_up)
    yield "| ledger rows | buckets | seconds | of them computing in PostgreSQL | computing, µs a row | longest transaction, s | again, nothing to do, ms |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    yield (
        f"| {entries:,} | {buckets:,} | {took:.1f} | {computed:.1f} | {computed / entries * 1e6:.1f} | {longest:.2f}"
        f" | {again:.1f} |\n"
    )
    yield "| table | cube | rows | size of the table |"
    yield "|---|---|---:|---:|"
    for table in ("billing_quarterrollup", "billing_dayrollup"):
        (size,) = owner.execute(f"SELECT pg_size_pretty(pg_total_relation_size('{table}'))").fetchone() or ("",)
        for cube, count in owner.execute(f"SELECT cube, count(*) FROM {table} GROUP BY 1 ORDER BY 2"):
            yield f"| {table} | {cube} | {count:,} | {size} |"
    yield ""


def _timed_roll_up() -> tuple[int, float] | None:
    began = time.perf_counter()
    batch = roll_up()
    return (batch, time.perf_counter() - began) if batch else None


def _measure_inserts(owner: psycopg.Connection, tenant: _Tenant) -> Iterator[str]:
    """What the drain's function takes for one batch, by turns with and without the trigger; of an organisation that
    nothing else is measured of, since rows that came without it are in no sum."""
    found: dict[str, list[float]] = {"ENABLE": [], "DISABLE": []}
    with psycopg.connect(_app_address(), autocommit=True) as app:
        for _ in range(ROUNDS):
            for state, times in found.items():
                owner.execute(f"ALTER TABLE proxy_ledgerentry {state} TRIGGER mark_quarters")
                events = _make_events(tenant, EVENTS, NOW - LONG_AGO)
                times.append(milliseconds(partial(app.execute, "SELECT costhub_append_ledger(%s)", [events])))
    owner.execute("ALTER TABLE proxy_ledgerentry ENABLE TRIGGER mark_quarters")
    yield f"| {EVENTS:,} events into the ledger | ms, median of {ROUNDS} | least to greatest |"
    yield "|---|---:|---:|"
    for state, label in (("DISABLE", "without the trigger"), ("ENABLE", "with it")):
        times = found[state]
        yield f"| {label} | {median(times):.1f} | {min(times):.1f}–{max(times):.1f} |"
    yield ""


def _append(events: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_append_ledger(%s)", [events])


def _make_events(tenant: _Tenant, count: int, moment: datetime) -> str:
    row = {
        **open_row(
            "",
            to_ms(moment),
            KeySnapshot(
                str(tenant.keys[0]), str(tenant.actor.org.pk), str(tenant.projects[0]), 1, None, None, None, False
            ),
            "chat/completions",
        ),
        "status": 200,
        "list_cost": 5,
        "effective_cost": 5,
        "request_model": "small",
        "tags": {"team": "team-1"},
    }
    return orjson.dumps(
        [{**row, "id": str(uuid4()), "started_at_ms": to_ms(moment) - number} for number in range(count)]
    ).decode()


def _app_address() -> str:
    return _address("default")


def owner_address() -> str:
    return _address("owner")


def _address(alias: str) -> str:
    one = settings.DATABASES[alias]
    return f"postgresql://{one['USER']}:{one['PASSWORD']}@{one['HOST']}:{one['PORT']}/{one['NAME']}"
