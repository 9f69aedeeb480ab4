"""kill -9 of a job at every await of its way, by name, after a crash has left it work: the ledger is the bank's
bill."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import assert_balanced, settle_the_dead
from tests.proxy.deployment import ROOT, deploy
from tests.proxy.failpoints import CALLS, CLIENTS, IN_THE_JOBS, acme
from tests.proxy.load import call_all, make_bodies
from tests.world import Tenant

__all__ = ["acme"]

RUN_JOB = """
import django; django.setup()
import time_machine
from datetime import timedelta
from costhub.lib import clock
from proxy import tasks
with time_machine.travel(clock.now() + timedelta(minutes=10), tick=True):
    tasks.{job}()
"""


@pytest.mark.parametrize("place", IN_THE_JOBS)
def test_a_job_dies(place: str, acme: Tenant, bank: Bank, tmp_path: Path) -> None:
    job = IN_THE_JOBS[place]
    with deploy(tmp_path) as proxy:
        bodies = make_bodies(CALLS, "small", bank={"output_tokens": 50, "pace_ms": 5})
        asyncio.run(call_all(proxy.base_url, acme.api_key, bodies, clients=CLIENTS, on_end=_at(10, proxy.kill)))
    if job == "correct_estimates":
        settle_the_dead()
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
        timeout=PATIENCE_SECONDS,
    ).returncode


def _at(number: int, act: Callable[[], object]) -> Callable[[int], None]:
    def watch(ended: int) -> None:
        if ended == number:
            act()

    return watch
