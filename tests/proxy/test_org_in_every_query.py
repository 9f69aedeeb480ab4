"""The path to many databases: every statement of a call's path and of the ledger's says which organisation it is about.

A database that is spread by ``org_id`` (Citus) sends such a statement to one server and any other to all of them. Seen
is what is really sent while calls are served, drained, summed and recounted, and the bodies of the functions that it
calls; what goes over all organisations on purpose is listed here with its reason.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import pytest
from django.db import connection, connections

from billing.spend.actions.rollups import roll_up
from proxy.ledger import drain, recount
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tenants.choices import BudgetPeriod, BudgetScope, CacheMode, RouteKind
from tests.bank import Bank
from tests.proxy.batches.desk import Json, line, open_desk, read, run_worker
from tests.proxy.batches.test_background import RESPONSES
from tests.proxy.cache.calls import make_policy
from tests.proxy.cache.rows import read_entries
from tests.proxy.cache.test_semantic import learned
from tests.proxy.edges.till import Till
from tests.proxy.in_process import CHAT, chat, converse, running, serve
from tests.tenants.route_examples import make_models, make_route
from tests.tenants.spread import spread
from tests.world import Tenant, make_budget

#: what has no organisation in it, and why. A part of the statement, or a function's name
ACROSS: Final = {
    "costhub_find_key": "a key's digest: whose it is is what is asked",
    "costhub_find_api_key": "the same of one key",
    "costhub_orgs_with_batches": "which organisations have batches, for workers that go from one to the next",
    "costhub_known_keys": "digests of keys that a process has not met, many at a time",
    "costhub_all_orgs": "the list of organisations, for jobs that go from one to the next",
    "costhub_append_ledger": "rows of a shard's organisations, each with its own; split by org_id before it is sent",
    "costhub_roll_up": "marks of all organisations: run on each server for those that live there",
}
_NAMES: Final = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:ONLY\s+)?\"?(?:public\.)?\"?([a-z_]+)", re.IGNORECASE)
_SAYS: Final = re.compile(
    r"""\borg_id"?\s*(?:=|IN\b)|=\s*(?:"?\w+"?\.)?"?org_id\b|\bUSING\s*\(org_id|\bINTO\b[^()]*\([^()]*\borg_id\b""",
    re.IGNORECASE,
)
_CALLS: Final = re.compile(r"\b(costhub_[a-z_]+)\s*\(")


@contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement that any thread of this process sends."""
    sent: list[str] = []
    usual, usual_many = psycopg.Cursor.execute, psycopg.Cursor.executemany

    def execute(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(str(query))
        return usual(self, query, *arguments, **options)

    def executemany(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(str(query))
        return usual_many(self, query, *arguments, **options)

    patch = pytest.MonkeyPatch()
    # Whatever is sent past Django, too.
    patch.setattr(psycopg.Cursor, "execute", execute)
    patch.setattr(psycopg.Cursor, "executemany", executemany)
    try:
        yield sent
    finally:
        patch.undo()


def tenant_tables() -> frozenset[str]:
    """Tables with an ``org_id``, and views over them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'org_id'"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')"
        )
        return frozenset(name for (name,) in cursor.fetchall())


def bodies_of(names: set[str]) -> dict[str, str]:
    """The text of functions."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT proname, prosrc FROM pg_proc WHERE proname = ANY (%s)", [sorted(names)])
        return dict(cursor.fetchall())


def is_about_one(statement: str, tables: frozenset[str]) -> bool:
    """Whether a statement says by conditions, or in what it adds, whose rows of each table of tenants' it names they
    are. A column that is read says nothing."""
    named = [name for name in _NAMES.findall(statement) if name in tables]
    return len(named) <= len(_SAYS.findall(statement))


@pytest.fixture
def furnished(acme: Tenant, bank: Bank) -> Tenant:
    """Acme with all that a call may have to look up."""
    make_models(acme, base_url=bank.base_url)
    make_route(acme, RouteKind.CASCADE, ["small", "large"], name="cascade")
    make_policy(acme, semantic=CacheMode.ON)
    for period in (BudgetPeriod.DAY, BudgetPeriod.TOTAL):
        make_budget(acme, "100.00", period=period)
        make_budget(acme, "90.00", period=period, scope=BudgetScope.MODEL, subject="small")
        make_budget(acme, "80.00", period=period, scope=BudgetScope.TAG, subject="team=search")
    with org_scope(acme.org_id):
        update_organization(actor=acme.owner, answers_kept_hours=1)
    connections.close_all()
    return acme


async def make_calls(acme: Tenant) -> list[int]:
    """Of a process that knows nobody yet: a call, a stream, a kept answer and its continuation, a file that is none."""
    key = acme.api_key
    async with running() as app:
        first = await serve(app, converse(key, {"model": "small", "input": "Hi there", "store": True}, path=RESPONSES))
        told = re.search(rb"resp_[0-9a-z-]+", first.body)
        assert told is not None
        bodies: list[tuple[str, Any]] = [
            (CHAT, chat(store=True)),
            (CHAT, chat(stream=True, messages=[{"role": "user", "content": "Where is Berlin?"}])),
            (CHAT, chat(model="cascade", messages=[{"role": "user", "content": "Where is Bonn?"}])),
            (RESPONSES, {"model": "small", "input": "And now?", "previous_response_id": told[0].decode()}),
            (RESPONSES, {"model": "small", "input": "Later", "background": True}),
        ]
        found = [
            (await serve(app, converse(key, body, path=path, x_costhub_tags="team=search"))).status
            for path, body in bodies
        ]
        found.append((await serve(app, converse("sk-nobody", chat()))).status)
        await learned(app)
    return [first.status, *found]


def run_a_batch(acme: Tenant) -> None:
    """A batch to its end, and the file that it ends in."""

    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(0), line(1)]))

    async def fetch(batch: Json) -> list[Json]:
        async with open_desk(acme) as desk:
            found = await desk.look(batch)
            assert (found["status"], found["request_counts"]["completed"]) == ("completed", 2), found
            return await desk.read_lines(found["output_file_id"])

    batch = asyncio.run(hand_in())
    run_worker(acme)
    assert len(asyncio.run(fetch(batch))) == 2


@pytest.fixture(params=["as it is", "spread"])
def keys(request: pytest.FixtureRequest, furnished: Tenant) -> Iterator[None]:
    """Primary keys as they are, and with ``org_id`` in front, as Citus wants them: everything works on both."""
    connections.close_all()
    if request.param == "as it is":
        yield
        return
    with spread() as changed:
        assert len(changed) >= 50
        yield
        connections.close_all()


@pytest.mark.usefixtures("keys")
def test_every_statement_says_its_organisation(furnished: Tenant, till: Till, caplog: pytest.LogCaptureFixture) -> None:
    tables = tenant_tables()
    with statements() as sent:
        till.lose_everything()
        assert asyncio.run(make_calls(furnished)) == [200] * 6 + [401]
        while drain.drain(till.shard):
            pass
        roll_up()
        recount.recount(till.shard, "", ())
        assert recount.find_drift(till.shard) == []
        run_a_batch(furnished)
    # Beside calls nobody would hear of a statement that does not work.
    assert [record.message for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []
    assert read_entries(furnished), "the semantic level has learned"
    connections.close_all()
    assert len(sent) >= 50, "it was looked at what is sent"
    assert any("proxy_ledgerentry" in each for each in sent)
    called = {name for each in sent for name in _CALLS.findall(each)}
    assert {each for each in sent if not is_about_one(each, tables)} == set()
    inside = {
        f"{name}: {part.strip()}"
        for name, body in bodies_of(called - ACROSS.keys()).items()
        for part in body.split(";")
        if not is_about_one(part, tables)
    }
    assert inside == set()


def test_one_that_forgets_it_is_found(furnished: Tenant) -> None:
    tables = tenant_tables()
    with statements() as sent, org_scope(furnished.org_id), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM proxy_ledgerentry WHERE request_model = 'small'")
        cursor.execute("SELECT count(*) FROM proxy_ledgerentry WHERE org_id = %s", [furnished.org_id])
    assert [each.partition(" FROM")[0] for each in sent if not is_about_one(each, tables)] == [
        "SELECT count(*)",
    ]
