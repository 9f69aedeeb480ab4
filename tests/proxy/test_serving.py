"""Servers of one upstream that come and go: workers on machines that are taken away, with a notice and without one."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from django.db import connections

from billing.gpu.actions import end_gone
from billing.gpu.models import GpuEndpoint
from costhub.client.serving_worker import Gone, Serving, ServingWorker, count_requests, open_costhub
from costhub.stack.ports import find_free_port
from proxy.learning.interruptions import Interruption
from tenants.access import job_scope, org_scope
from tenants.actions.pricing import create_price
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetScope
from tenants.models import UpstreamEndpoint
from tests.bank import Bank, BilledCall
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.proxy.books import Books, assert_balanced
from tests.proxy.deployment import ROOT, Deployment, deploy
from tests.proxy.learning.processes import NOTICE, run_cloud
from tests.proxy.load import Outcome, call_all
from tests.world import Catalog, Tenant, World, make_budget, make_catalog

STREAMS = 100
BILL_PATH = "/costhub/bill"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("serving")) as proxy:
        yield proxy


@dataclass(frozen=True)
class Banks:
    """Several banks whose bills are one, for the books."""

    banks: tuple[Bank, ...]

    def bill(self) -> list[BilledCall]:
        return [call for bank in self.banks for call in bank.bill()]

    def wait_quiet(self) -> None:
        for bank in self.banks:
            bank.wait_quiet()


@dataclass(frozen=True)
class Scene:
    """Acme's model lives on two servers that workers have registered; ``home``, its upstream's own URL, tells all
    bills and is asked where no server can be."""

    acme: Tenant
    catalog: Catalog
    proxy: Deployment
    home: Bank
    one: Bank
    two: Bank

    def stream(self, calls: int, *, tokens: int = 40, pace_ms: int = 30) -> list[Outcome]:
        """So many streams at once."""
        body = {
            "model": "small",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
            "max_tokens": tokens,
            "bank": {"output_tokens": tokens, "pace_ms": pace_ms},
        }
        return asyncio.run(call_all(self.proxy.base_url, self.acme.api_key, iter([body] * calls), clients=calls))

    def run_worker(self, bank: Bank, interruption: Interruption, **terms: Any) -> None:
        """A worker for a bank, until its notice."""
        serving = Serving(
            upstream=self.catalog.upstream.name,
            base_url=bank.base_url,
            busy_url=bank.base_url.removesuffix("/v1") + "/bank/metrics",
            beat_seconds=0.2,
            **terms,
        )
        with open_costhub(self.proxy.root_url, self.acme.admin_token) as costhub:
            ServingWorker(serving, costhub, interruption).run()

    def serve(self, bank: Bank, interruption: Interruption, **terms: Any) -> threading.Thread:
        """The same in a thread; returns when it takes calls."""
        thread = threading.Thread(target=self.run_worker, args=(bank, interruption), kwargs=terms)
        thread.start()
        wait_until(lambda: bank.base_url in self.endpoints())
        return thread

    def endpoints(self) -> dict[str, bool]:
        """URLs of those that are there, and whether they drain."""
        with org_scope(self.acme.org_id):
            rows = UpstreamEndpoint.objects.filter(org=self.acme.org, ended_at=None)
            return dict(rows.values_list("base_url", "is_draining"))

    def balance(self) -> Books:
        return assert_balanced(self.acme, cast(Bank, Banks((self.home, self.one, self.two))))


@pytest.fixture
def scene(committed_world: World, tmp_path: Path, proxy: Deployment) -> Iterator[Scene]:
    acme = committed_world.acme
    for name in ("one", "two", "home"):
        (tmp_path / name).mkdir()
    one, two = (Bank.start(tmp_path / name) for name in ("one", "two"))
    home = Bank.start(tmp_path / "home", others=[one.bill_path, two.bill_path])
    catalog = make_catalog(acme, base_url=home.base_url)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path=BILL_PATH, timeout_ms=30_000)
    make_budget(acme, "100.00")
    make_budget(acme, "100.00", scope=BudgetScope.MODEL, subject="small")
    yield Scene(acme, catalog, proxy, home, one, two)
    for bank in (one, two, home):
        bank.stop()


def under_way(bank: Bank) -> int:
    with httpx2.Client(trust_env=False, timeout=PATIENCE_SECONDS) as http:
        found = count_requests(http.get(bank.base_url.removesuffix("/v1") + "/bank/metrics").text)
    assert found is not None
    return found


def when(is_so: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Act as soon as something is so, beside what the test does."""

    def watch() -> None:
        wait_until(is_so)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_100_streams_while_one_of_two_machines_is_taken_away(scene: Scene) -> None:
    """None breaks, none is asked twice, and the ledger is the bill to the nano."""
    leaving, staying = Interruption(), Interruption()
    with run_cloud() as cloud:
        leaving.poll_cloud(cloud.url, 0.1)
        first, second = scene.serve(scene.one, leaving), scene.serve(scene.two, staying)

        def take_away() -> None:
            cloud.notice = NOTICE

        watch = when(lambda: under_way(scene.one) >= 20, take_away)
        outcomes = scene.stream(STREAMS)
        watch.join()
        first.join()
    assert leaving.reason == "spot interruption"
    assert {(outcome.status, outcome.error_code, outcome.is_whole) for outcome in outcomes} == {(200, "", True)}
    assert len(outcomes) == STREAMS
    scene.one.kill()
    served = len(scene.one.bill())
    assert served >= 20
    assert scene.endpoints() == {scene.two.base_url: False}
    # The machine is gone, and nobody misses it.
    assert {(outcome.status, outcome.is_whole) for outcome in scene.stream(20, tokens=5)} == {(200, True)}
    staying.notice("the end")
    second.join()
    # No server is left: the upstream's own URL is asked.
    assert scene.stream(1, tokens=5)[0].status == 200
    assert len(scene.home.bill()) == 1
    scene.one.restart()
    books = scene.balance()
    assert len(scene.one.bill()) == served
    assert books.corrections == 0
    rows = [row for row in books.rows if row.kind == "call"]
    assert len(rows) == STREAMS + 21
    assert {len(row.attempts) for row in rows} == {1}
    assert sum("endpoint_id" in row.attempts[0] for row in rows) == STREAMS + 20


def test_no_new_call_comes_to_one_that_drains(scene: Scene) -> None:
    leaving, staying = Interruption(), Interruption()
    first, second = scene.serve(scene.one, leaving), scene.serve(scene.two, staying)
    long = threading.Thread(target=scene.stream, args=(6,), kwargs={"tokens": 60, "pace_ms": 40})
    long.start()
    wait_until(lambda: under_way(scene.one) >= 1)
    leaving.notice("SIGTERM")
    wait_until(lambda: scene.endpoints().get(scene.one.base_url, True))

    def are_left_out(machine: Bank) -> bool:
        before = len(machine.calls_received())
        scene.stream(10, tokens=2, pace_ms=0)
        return len(machine.calls_received()) == before

    # The proxy hears of it a moment after it is written down.
    wait_until(lambda: are_left_out(scene.one))
    assert are_left_out(scene.one)
    long.join()
    first.join()
    staying.notice("SIGTERM")
    second.join()
    scene.balance()


def test_a_machine_that_dies_in_mid_stream(scene: Scene) -> None:
    """What had begun ends in an error, as nobody can take it back; everything else is answered by the other one; and
    what the dead one billed is in the ledger to the nano, once."""
    one, two = Interruption(), Interruption()
    first, second = scene.serve(scene.one, one), scene.serve(scene.two, two)
    watch = when(lambda: under_way(scene.one) >= 8, scene.one.kill)
    outcomes = scene.stream(30)
    watch.join()
    broken = [outcome for outcome in outcomes if outcome.error_code]
    assert {outcome.error_code for outcome in broken} <= {"upstream_broke_off"}
    assert len(broken) <= len(scene.one.bill())
    assert {outcome.status for outcome in outcomes} == {200}
    after = scene.stream(20, tokens=5)
    assert {(outcome.status, outcome.error_code) for outcome in after} == {(200, "")}
    one.notice("it is dead anyway")
    first.join()
    # It comes back.
    scene.one.restart()
    again = Interruption()
    third = scene.serve(scene.one, again)
    before = len(scene.one.bill())
    wait_until(lambda: scene.stream(4, tokens=2)[0].status == 200 and len(scene.one.bill()) > before)
    for interruption, thread in ((again, third), (two, second)):
        interruption.notice("the end")
        thread.join()
    books = scene.balance()
    assert books.corrections <= len(broken) + 30


def test_its_hours_are_charged_until_it_goes_and_no_token_beside_them(scene: Scene) -> None:
    acme, terms = scene.acme, {"per_hour": "4.00", "project": "default", "gpus": "0.5"}
    with pytest.raises(Gone, match="small costs by the token too"):
        scene.run_worker(scene.one, Interruption(), **terms)
    assert scene.endpoints() == {}
    with org_scope(acme.org_id):
        create_price(
            actor=acme.owner, model=scene.catalog.model, input_per_million=Decimal(0), output_per_million=Decimal(0)
        )
    interruption = Interruption()
    worker = scene.serve(scene.one, interruption, **terms)

    def read() -> GpuEndpoint | None:
        with org_scope(acme.org_id):
            return GpuEndpoint.objects.filter(org=acme.org).first()

    wait_until(lambda: read() is not None)
    with org_scope(acme.org_id):
        server = UpstreamEndpoint.objects.get(org=acme.org, ended_at=None)
    interruption.notice("the end")
    worker.join()
    with job_scope(acme.org.pk) as actor:
        assert end_gone(actor) == 1
    found = read()
    assert found is not None
    with org_scope(acme.org_id):
        assert not UpstreamEndpoint.objects.filter(org=acme.org).exists()
    assert (found.server, found.gpus, found.hour_nanos, found.project) == (
        *(server.pk, Decimal("0.5"), 4_000_000_000, acme.project.pk),
    )
    assert found.ends_at is not None
    assert found.starts_at < found.ends_at


def test_the_command_starts_a_server_drains_it_and_comes_back(scene: Scene, tmp_path: Path) -> None:
    connections.close_all()
    port, bill = find_free_port(), tmp_path / "started.jsonl"
    url = f"http://127.0.0.1:{port}/v1"
    command = [
        *(sys.executable, "-m", "costhub.cli", "serving-worker", "--upstream", scene.catalog.upstream.name),
        *("--base-url", url, "--busy-url", f"http://127.0.0.1:{port}/bank/metrics", "--name", "spot-1", "--"),
        *(sys.executable, "-m", "tests.bank", "--port", str(port), "--bill", str(bill)),
    ]
    environment = os.environ | {
        "COSTHUB_URL": scene.proxy.root_url,
        "COSTHUB_ADMIN_TOKEN": scene.acme.admin_token,
    }
    for _ in range(2):
        worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        wait_until(lambda: url in scene.endpoints())
        ends = when(lambda: count(port) == 3, worker.terminate)
        outcomes = scene.stream(3, tokens=30, pace_ms=40)
        ends.join()
        assert worker.wait(timeout=PATIENCE_SECONDS) == 0
        assert {(outcome.status, outcome.error_code, outcome.is_whole) for outcome in outcomes} == {(200, "", True)}
        assert scene.endpoints() == {}
    assert scene.home.bill() == []


def count(port: int) -> int:
    with httpx2.Client(trust_env=False, timeout=PATIENCE_SECONDS) as http:
        return count_requests(http.get(f"http://127.0.0.1:{port}/bank/metrics").text) or 0


def test_who_may_not_is_told_so(scene: Scene, capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "costhub.cli", "serving-worker", "--upstream", "nowhere", "--base-url"]
    environment = os.environ | {"COSTHUB_URL": scene.proxy.root_url, "COSTHUB_ADMIN_TOKEN": scene.acme.admin_token}
    worker: Any = subprocess.run([*command, scene.one.base_url], cwd=ROOT, env=environment, check=False)
    assert worker.returncode == 1
    assert "There is no such upstream." in capfd.readouterr().err
