"""The measurements of ``bench.close``: in the process that has Django, in the database that it made."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import time_machine
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from bench.computing import SERVERS, Computing, show_computing
from bench.ledger_rows import without_indexes
from bench.rollup_figures import owner_address
from billing.invoices.actions.closing import close_period
from billing.invoices.actions.documents import make_document
from billing.invoices.actions.sellers import create_legal_entity, create_plan
from billing.invoices.models import BillingAccount, Subscription
from billing.invoices.tasks import close_months
from billing.spend.actions.rollups import roll_up
from billing.spend.selectors.bridge import find_bridge
from costhub.lib import clock
from costhub.lib.keyspace import shard_of
from tenants.access import job_scope
from tenants.models import ListPrice, Organization, Project

SEPTEMBER: Final = datetime(2026, 9, 1, tzinfo=UTC)
OCTOBER: Final = datetime(2026, 10, 1, tzinfo=UTC)
NOVEMBER: Final = datetime(2026, 11, 1, tzinfo=UTC)
#: behind the days of grace
NOW: Final = NOVEMBER + timedelta(days=3)
MODELS: Final = ("gpt-4o", "gpt-4o-mini", "o3-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano")
#: of the largest organisation, so that its invoice has more than 200 lines, and of each other one
MANY_PROJECTS: Final = 20
PROJECTS: Final = 3
#: calls come on so many days of a month and so many hours of a day
DAYS: Final = 28
HOURS: Final = 8
BRIDGES: Final = 7
_COMPUTING: Final = Computing("the job", SERVERS)
_STEP: Final = 250_000
#: how much of the month is issued when the first worker is killed
_KILLED_AT: Final = 0.3
_CALLS: Final = """
INSERT INTO proxy_ledgerentry (
    started_at, id, org_id, project_id, key_id, end_user, tags, session, kind, endpoint, request_model, response_model,
    provider, attempts, is_stream, input_tokens, cache_read_input_tokens, cache_write_input_tokens, output_tokens,
    reasoning_tokens, audio_input_tokens, audio_output_tokens, list_cost, effective_cost, savings, price_id,
    is_estimated, is_overrun, held, cache_status, route_reason, would_refuse, status, error_code, finish_reason,
    duration_us, first_byte_us, overhead_us, recorded_at)
SELECT at, gen_random_uuid(), org, project, project, '', jsonb_build_object('team', 'team-' || number %% 8), '', 'call',
       'chat/completions', models[1 + what], models[1 + what], 'openai',
       '[{"number": 1, "status": 200, "certainty": "exact", "cost": 1, "error": ""}]', number %% 3 = 0,
       400 + number %% %(tokens)s, 100, 0, 100 + number %% 300, 0, 0, 0, cost + saved, cost,
       CASE WHEN saved > 0 THEN jsonb_build_object('routing', saved) ELSE '{}' END, prices[1 + what],
       false, false, cost, 'bypass', 'direct', '[]', 200, '', 'stop', 800000, 90000, 900, at + interval '2 seconds'
FROM (
    SELECT number, org, what, projects[1 + (number / many) %% cardinality(projects)] AS project,
           %(cost)s + number %% 900000 AS cost, CASE WHEN number %% 10 = 3 THEN 12345 ELSE 0 END AS saved,
           date_trunc('milliseconds', %(first)s::timestamptz + day * interval '1 day' + interval '8 hours'
               + (number * %(days)s::float8 / %(rows)s - day) * %(hours)s * interval '1 hour') AS at
    FROM (
        SELECT number, floor(number * %(days)s::float8 / %(rows)s) AS day, orgs[1 + number %% many] AS org,
               ((number / many / 7) %% cardinality(%(models)s::text[]))::int AS what, many
        FROM generate_series(%(start)s::bigint, %(stop)s::bigint) AS number,
             (SELECT %(orgs)s::uuid[] AS orgs, cardinality(%(orgs)s::uuid[]) AS many) AS known
    ) AS placed JOIN (SELECT org_id, array_agg(id ORDER BY id) AS projects FROM tenants_project GROUP BY 1) AS owned
        ON org_id = org
) AS calls, (SELECT %(models)s::text[] AS models, %(prices)s::uuid[] AS prices) AS names
"""


@dataclass(frozen=True, slots=True)
class _Books:
    """What the invoices of the month come to, as the owner of the tables sees them."""

    issued: int
    different_numbers: int
    last_number: int
    lines: int
    invoiced_nanos: int
    ledger_nanos: int
    documents: int

    def tell(self) -> str:
        is_gapless = self.issued == self.different_numbers == self.last_number
        return (
            f"{self.issued:,} invoices of {self.lines:,} lines, {self.documents:,} documents;"
            f" numbers {'without' if is_gapless else 'WITH'} gaps or twins;"
            f" usage {self.invoiced_nanos:,} nano-USD, ledger {self.ledger_nanos:,}:"
            f" {'equal' if self.invoiced_nanos == self.ledger_nanos else 'DIFFERENT'}"
        )


def measure(rows: int, organizations: int) -> Iterator[str]:
    """Fill, roll up, close, look; the report line by line."""
    call_command("migrate", database="owner", verbosity=0)
    call_command("seed_prices", verbosity=0)
    owner = psycopg.connect(owner_address(), autocommit=True)
    owner.execute("SELECT costhub_ensure_partitions(%s, 4)", [SEPTEMBER.date()])
    orgs = _make_customers(organizations)
    largest, others = orgs[0], orgs[1:]
    began = time.perf_counter()
    with without_indexes(owner):
        _fill(owner, [largest], SEPTEMBER, rows // 2)
        _fill(owner, [largest], OCTOBER, rows // 2)
        _fill(owner, others, OCTOBER, rows - rows // 2)
    owner.execute("VACUUM ANALYZE proxy_ledgerentry")
    yield f"{rows:,} rows of October, and half as many of September, written in {time.perf_counter() - began:.0f} s"
    with time_machine.travel(NOW, tick=True):
        began, buckets = time.perf_counter(), 0
        while batch := roll_up(512):
            buckets += batch
        yield f"their sums made, {buckets:,} buckets, in {time.perf_counter() - began:.0f} s"
        owner.execute("VACUUM ANALYZE")
        yield from _measure_one(largest)
        with override_settings(EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend"):
            yield from _measure_all(owner, len(orgs))
        yield _read_books(owner).tell()
        yield from _measure_bridge(owner, largest)
    owner.close()


def _measure_one(org: UUID) -> Iterator[str]:
    """One invoice of many lines, from the ledger's sums to its PDF."""
    began = time.perf_counter()
    with job_scope(org) as actor:
        (invoice,) = close_period(actor, clock.now())
    issued = time.perf_counter()
    with job_scope(org) as actor:
        lines = invoice.lines.count()
        first = time.perf_counter()
        size = len(make_document(actor, invoice, "pdf"))
        again = time.perf_counter()
        make_document(actor, invoice, "pdf")
        done = time.perf_counter()
    yield (
        f"one invoice of {lines} lines: issued in {issued - began:.2f} s, PDF of {size / 1000:,.0f} kB in"
        f" {again - first:.2f} s, once more in {done - again:.2f} s"
    )


def _measure_all(owner: psycopg.Connection[Any], customers: int) -> Iterator[str]:
    """The job as the worker runs it: one worker is killed in the middle, the runs of another go on."""
    began = time.perf_counter()
    connections.close_all()
    child = os.fork()
    if child == 0:
        close_months()
        os._exit(0)
    while _count_issued(owner) < customers * _KILLED_AT:
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    at_death, died, before = _count_issued(owner), time.perf_counter(), _COMPUTING.read()
    yield f"one worker issued {at_death:,} in {died - began:.1f} s and was killed"
    with ThreadPoolExecutor(max_workers=1) as beside:
        last_issued = beside.submit(_await_issued, customers)
        runs, issued = 0, at_death
        while issued < customers or _count_unmailed(owner):
            runs += 1
            issued += close_months()
    done = time.perf_counter()
    yield (
        f"another had issued the rest after {last_issued.result() - began:.1f} s in all, and mailed all of them, with"
        f" PDF and CSV, after {done - began:.1f} s, in {runs} run{'s' if runs > 1 else ''} without pauses"
    )
    yield f"  computing since, us a customer: {show_computing(_COMPUTING.since(before), customers)}"
    began = time.perf_counter()
    assert close_months() == 0
    yield f"a run that finds nothing to do for {customers:,} customers: {time.perf_counter() - began:.2f} s"


def _await_issued(customers: int) -> float:
    """When the last invoice had its number."""
    with psycopg.connect(owner_address(), autocommit=True) as watching:
        while _count_issued(watching) < customers:
            time.sleep(0.2)
    return time.perf_counter()


def _measure_bridge(owner: psycopg.Connection[Any], org: UUID) -> Iterator[str]:
    times = []
    with job_scope(org) as actor:
        for _ in range(BRIDGES):
            began = time.perf_counter()
            found = find_bridge(actor, before=(SEPTEMBER, OCTOBER), after=(OCTOBER, NOVEMBER))
            times.append(time.perf_counter() - began)
    (rows,) = owner.execute("SELECT count(*) FROM proxy_ledgerentry WHERE org_id = %s", [org]).fetchone() or (0,)
    yield (
        f"bridge of two months of {rows:,} rows: {median(times):.3f} s ({min(times):.3f} to {max(times):.3f}),"
        f" {len(found.bridge.parts)} causes, change {found.bridge.change:,} nano-USD"
    )


def _make_customers(count: int) -> list[UUID]:
    seller = create_legal_entity(
        name="CostHub GmbH",
        street="Musterstr. 1",
        postcode="10115",
        city="Berlin",
        country="DE",
        tax_id="DE123456789",
        email="billing@bench.example",
        prefix="B-",
        tax_rates={"DE": "19"},
    )
    plan = create_plan(name="Plan", terms={"fee": "10", "markup": "5"}, is_public=True)
    ids = [uuid4() for _ in range(count)]
    made = [
        Organization(id=org, name=f"Org {n}", slug=f"org-{n}", time_zone="UTC", shard=shard_of(str(org)), data_key=b"")
        for n, org in enumerate(ids)
    ]
    Organization.objects.using("owner").bulk_create(made)
    Project.objects.using("owner").bulk_create(
        Project(org=org, name=f"Project {number}")
        for org in made
        for number in range(MANY_PROJECTS if org.pk == ids[0] else PROJECTS)
    )
    accounts = [
        BillingAccount(
            org=org,
            legal_entity_id=seller.pk,
            name=f"Customer {n} GmbH",
            street="Hauptstr. 1",
            postcode="10115",
            city="Berlin",
            country="DE",
            emails=["finance@bench.example"],
        )
        for n, org in enumerate(made)
    ]
    BillingAccount.objects.using("owner").bulk_create(accounts)
    contracts = [Subscription(org=org, plan_id=plan.pk, starts_at=OCTOBER) for org in made]
    Subscription.objects.using("owner").bulk_create(contracts)
    return ids


def _fill(owner: psycopg.Connection[Any], orgs: list[UUID], first: datetime, rows: int) -> None:
    """So many calls of a month, in order of time; before October they are shorter and cost less."""
    prices = [
        ListPrice.objects.filter(provider="openai", model=model).values_list("pk", flat=True)[:1].get()
        for model in MODELS
    ]
    values = {"orgs": orgs, "first": first, "rows": rows, "days": DAYS, "hours": HOURS}
    values |= {"tokens": 700, "cost": 100_000} if first >= OCTOBER else {"tokens": 500, "cost": 90_000}
    values |= {"models": list(MODELS), "prices": prices}
    for start in range(0, rows, _STEP):
        owner.execute(_CALLS, values | {"start": start, "stop": min(start + _STEP, rows) - 1})


def _read_books(owner: psycopg.Connection[Any]) -> _Books:
    row = owner.execute(
        """SELECT count(*), count(DISTINCT number), max(regexp_replace(number, '.*-', '')::int),
                  (SELECT count(*) FROM billing_invoiceline), sum(usage_nanos),
                  (SELECT sum(effective_cost) FROM proxy_ledgerentry WHERE started_at >= %s AND started_at < %s),
                  (SELECT count(*) FROM billing_invoicedocument)
           FROM billing_invoice WHERE number <> ''""",
        [OCTOBER, NOVEMBER],
    ).fetchone()
    assert row is not None
    return _Books(*(int(value) for value in row))


def _count_issued(owner: psycopg.Connection[Any]) -> int:
    (count,) = owner.execute("SELECT count(*) FROM billing_invoice WHERE number <> ''").fetchone() or (0,)
    return int(count)


def _count_unmailed(owner: psycopg.Connection[Any]) -> int:
    (count,) = owner.execute(
        "SELECT count(*) FROM billing_invoice WHERE number <> '' AND mailed_at IS NULL"
    ).fetchone() or (0,)
    return int(count)
