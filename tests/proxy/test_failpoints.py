"""kill -9 at every await of the money path, by name: whatever had happened by then, the ledger is the bank's bill."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from costhub.lib import failpoints
from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tests.bank import Bank
from tests.proxy.books import assert_balanced
from tests.proxy.deployment import ROOT, deploy
from tests.proxy.load import call_all, make_bodies
from tests.world import Tenant, World, make_budget, make_catalog

CALLS = 40
CLIENTS = 8

IN_THE_PROXY = (
    "before_reserve",
    "after_reserve",
    "before_upstream",
    "upstream_connected",
    "first_chunk_received",
    "chunk_sent",
    "answer_received",
    "answer_sent",
    "before_settle",
    "settle_sent",
)
IN_THE_JOBS = {
    "drain_inserted": "drain_ledger",
    "drain_committed": "drain_ledger",
    "drain_acknowledged": "drain_ledger",
    "reap_found": "reap_reservations",
    "reap_settled": "reap_reservations",
    "correct_asked": "correct_estimates",
    "correct_posted": "correct_estimates",
}
#: off the money path: tests/billing/test_sender.py, tests/billing/test_rollups.py
IN_BILLING = ("delivery_taken", "delivery_sent", "rollup_computed")
#: tests/proxy/edges/test_retention.py
IN_RETENTION = ("month_carried", "month_dropped")
RUN_JOB = """
import django; django.setup()
import time_machine
from datetime import timedelta
from costhub.lib import clock
from proxy import tasks
with time_machine.travel(clock.now() + timedelta(minutes=10), tick=True):
    tasks.{job}()
"""


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=bank.base_url)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path="/costhub/bill")
    make_budget(acme, "100.00")
    return acme


def test_every_place_has_its_turn() -> None:
    assert {*IN_THE_PROXY, *IN_THE_JOBS, *IN_BILLING, *IN_RETENTION} == set(failpoints.NAMES)


@pytest.mark.parametrize("place", IN_THE_PROXY)
def test_a_worker_dies(place: str, acme: Tenant, bank: Bank, tmp_path: Path) -> None:
    with deploy(tmp_path, COSTHUB_FAILPOINT=f"{place}:5") as proxy:
        outcomes = asyncio.run(call_all(proxy.base_url, acme.api_key, make_bodies(CALLS, "small"), clients=CLIENTS))
        assert any(not outcome.is_whole for outcome in outcomes), "nobody noticed a death"
    assert_balanced(acme, bank)


@pytest.mark.parametrize("place", IN_THE_JOBS)
def test_a_job_dies(place: str, acme: Tenant, bank: Bank, tmp_path: Path) -> None:
    job = IN_THE_JOBS[place]
    with deploy(tmp_path) as proxy:
        bodies = make_bodies(CALLS, "small", bank={"output_tokens": 50, "pace_ms": 5})
        asyncio.run(call_all(proxy.base_url, acme.api_key, bodies, clients=CLIENTS, on_end=_at(10, proxy.kill)))
    if job == "correct_estimates":
        assert _run_job("drain_ledger") == 0
        assert _run_job("reap_reservations") == 0
        assert _run_job("drain_ledger") == 0
    assert _run_job(job, COSTHUB_FAILPOINT=f"{place}:1") == -9, "the job passed the place alive"
    books = assert_balanced(acme, bank)
    assert books.corrections > 0


def _run_job(job: str, **environment: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", RUN_JOB.format(job=job)],
        cwd=ROOT,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "costhub.settings", "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8"}
        | environment,
        timeout=60,
    ).returncode


def _at(number: int, act: Callable[[], object]) -> Callable[[int], None]:
    def watch(ended: int) -> None:
        if ended == number:
            act()

    return watch
