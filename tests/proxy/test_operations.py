"""What an operator's tools ask a real proxy of two workers: alive, ready, what it counts, what it logs."""

import asyncio
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from costhub.stack.ports import find_free_port
from costhub.stack.valkey import Valkey
from proxy import tasks
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.choices import BudgetScope
from tests.bank import Bank
from tests.deploy.test_files import probes_of_compose, probes_of_pods
from tests.patience import PATIENCE_SECONDS
from tests.plugin import STACK
from tests.proxy.books import wait_for_calls
from tests.proxy.deployment import NO_TLS, Deployment, deploy
from tests.proxy.load import call_all, make_bodies
from tests.stack_fixtures import make_data_dir
from tests.world import Tenant, World, make_budget, make_catalog

WORKERS = 2
#: what is asked of a proxy's pod, and of its container in compose
PROBED = [path for path, _ in (*probes_of_pods(), *probes_of_compose())]


def get(proxy: Deployment, path: str, **headers: str) -> httpx2.Response:
    """On a connection of its own, so that any worker may answer."""
    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        return http.get(f"{proxy.root_url}{path}", headers=headers)


def away(proxy: Deployment) -> set[str]:
    """What Prometheus is told of Valkeys that do not answer."""
    told = get(proxy, "/metrics").text.splitlines()
    return {line for line in told if line.startswith(("costhub_shards_away ", "costhub_queue_away "))}


def wait_until(is_so: Callable[[], bool]) -> None:
    """Ask until it is so; the test's own time limit ends what never comes."""
    pause = threading.Event()
    while not is_so():
        pause.wait(0.02)


class TestReadiness:
    def test_all_is_well(self, metered: "Metered") -> None:
        assert get(metered.proxy, "/healthz").json() == {"status": "alive"}
        answer = get(metered.proxy, "/readyz")
        assert (answer.status_code, answer.json()) == (
            200,
            {"checks": {"postgresql": True, "valkey": True, "migrations": True}},
        )

    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    def test_what_balancers_ask_takes_no_body(self, metered: "Metered", path: str) -> None:
        """It would be held in the processes that serve calls, for anybody."""
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
            answers = [http.post(f"{metered.proxy.root_url}{path}", content=body) for body in (b"x", iter([b"x"]))]
        assert [answer.status_code for answer in answers] == [413, 413]

    def test_valkey_is_named_while_it_is_down(self, django_db_setup: None, tmp_path: Path) -> None:
        with own_valkey() as valkey, deploy(tmp_path, REDIS_URL=valkey.url) as proxy:
            assert get(proxy, "/readyz").status_code == 200
            assert [get(proxy, path).status_code for path in PROBED] == [200] * len(PROBED)
            assert away(proxy) == {"costhub_shards_away 0.0", "costhub_queue_away 0.0"}
            valkey.stop()
            answer = get(proxy, "/readyz?for=calls")
            assert (answer.status_code, answer.json()) == (503, {"checks": {"valkey": False}})
            answer = get(proxy, "/readyz")
            assert (answer.status_code, answer.json()) == (
                503,
                {"checks": {"postgresql": True, "valkey": False, "migrations": True}},
            )
            assert get(proxy, "/healthz").status_code == 200
            # Else no alert of Prometheus's would tell anybody: every other figure is what was read last, or nothing.
            assert away(proxy) == {f"costhub_shards_away {keyspace.SHARDS}.0", "costhub_queue_away 1.0"}
            valkey.start()
            valkey.wait_ready()
            assert get(proxy, "/readyz").status_code == 200
            assert away(proxy) == {"costhub_shards_away 0.0", "costhub_queue_away 0.0"}

    def test_postgresql_is_named_while_it_is_down(self, tmp_path: Path) -> None:
        nowhere = f"postgresql://nobody:nothing@127.0.0.1:{find_free_port()}/nothing"
        with deploy(tmp_path, DATABASE_URL=nowhere) as proxy:
            answer = get(proxy, "/readyz")
            assert (answer.status_code, answer.json()) == (
                503,
                {"checks": {"postgresql": False, "valkey": True, "migrations": False}},
            )
            # Calls go on: whoever balances them takes no proxy away, by any of the files in deploy/.
            assert [get(proxy, path).status_code for path in PROBED] == [200] * len(PROBED)
            assert get(proxy, "/readyz?for=calls").json() == {"checks": {"valkey": True}}
            assert "costhub_holds_open" in get(proxy, "/metrics").text

    def test_a_database_that_is_not_migrated_is_not_ready(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        stack = request.config.stash.get(STACK, None)
        if stack is None:
            pytest.skip("somebody else's PostgreSQL gets no further database")
        with deploy(tmp_path, DATABASE_URL=stack.create_database("not_migrated")) as proxy:
            answer = get(proxy, "/readyz")
            assert (answer.status_code, answer.json()) == (
                503,
                {"checks": {"postgresql": True, "valkey": True, "migrations": False}},
            )


@contextmanager
def own_valkey() -> Iterator[Valkey]:
    folder = make_data_dir()
    valkey = Valkey(folder)
    try:
        valkey.start()
        valkey.wait_ready()
        yield valkey
    finally:
        valkey.stop()
        shutil.rmtree(folder)


class Metered:
    """A proxy of two workers that keep their metrics in one folder."""

    def __init__(self, proxy: Deployment, folder: Path) -> None:
        self.proxy = proxy
        self.folder = folder

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def read(self) -> dict[str, dict[str, float]]:
        """Every sample by its name and its labels."""
        found: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(get(self.proxy, "/metrics").text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[json.dumps(sample.labels)] = sample.value
        return found

    def find(self, name: str, **labels: str) -> float:
        """One sample; 0 when there is none."""
        return sum(
            value for told, value in self.read().get(name, {}).items() if labels.items() <= json.loads(told).items()
        )

    def counted_by(self, number: int) -> float:
        """How many calls one worker has counted."""
        file = self.folder / f"counter_{number}.db"
        if not file.exists():
            return 0
        families = MultiProcessCollector.merge([str(file)])  # type: ignore[no-untyped-call]
        calls = [family for family in families if family.name == "costhub_calls"]
        return float(sum(sample.value for family in calls for sample in family.samples))

    @property
    def workers(self) -> list[int]:
        """The processes that serve: those that have the metrics open."""
        return [pid for pid in self.proxy.worker_pids if self._has_metrics(pid)]

    def _has_metrics(self, pid: int) -> bool:
        try:
            return any(str(self.folder) in mapped.path for mapped in psutil.Process(pid).memory_maps())
        except psutil.NoSuchProcess:
            return False


@pytest.fixture(scope="module")
def metered(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Metered]:
    folder = tmp_path_factory.mktemp("metrics")
    with (
        django_db_blocker.unblock(),
        deploy(tmp_path_factory.mktemp("operations"), workers=WORKERS, PROMETHEUS_MULTIPROC_DIR=str(folder)) as proxy,
    ):
        metered = Metered(proxy, folder)
        wait_until(lambda: len(metered.workers) == WORKERS)
        yield metered


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    make_catalog(committed_world.acme, base_url=bank.base_url)
    return committed_world.acme


def call(metered: Metered, acme: Tenant, count: int, **fields: Any) -> None:
    """So many calls, each long enough that one worker alone does not take them all."""
    bodies = make_bodies(count, "small", n=1, stream=False, bank={"output_tokens": 12, "first_ms": 20}, **fields)
    outcomes = asyncio.run(call_all(metered.proxy.base_url, acme.api_key, bodies, clients=count))
    assert {outcome.status for outcome in outcomes} == {200}


def call_every_worker(metered: Metered, acme: Tenant) -> int:
    """Calls of a new organisation until each worker has counted some. Gives how many, all of them counted."""
    before = [metered.counted_by(number) for number in range(WORKERS)]
    made = 0
    while made == 0 or any(metered.counted_by(number) == before[number] for number in range(WORKERS)):
        call(metered, acme, 20)
        made += 20
        tokens = 12 * made
        wait_until(
            lambda tokens=tokens: metered.find("llm_tokens_total", org=acme.org.slug, direction="output") == tokens  # type: ignore[misc]
        )
    return made


class TestMetrics:
    def test_calls_of_all_workers_are_summed(self, metered: Metered, acme: Tenant) -> None:
        before = metered.find("costhub_calls_total", endpoint="chat/completions", status="200")
        made = call_every_worker(metered, acme)
        assert metered.find("costhub_calls_total", endpoint="chat/completions", status="200") == before + made
        spent = metered.find("llm_cost_dollars_total", org=acme.org.slug, model="small")
        wait_for_calls(acme, made)
        with org_scope(acme.org_id):
            rows = LedgerEntry.objects.filter(org_id=acme.org_id)
            assert len(rows) == made
            assert spent == pytest.approx(sum(row.effective_cost for row in rows) / 1e9, rel=1e-9)

    def test_a_refusal_is_counted_by_its_code(self, metered: Metered, acme: Tenant) -> None:
        make_budget(acme, "0.000000001", scope=BudgetScope.KEY, subject=str(acme.key.pk))
        before = metered.find("costhub_errors_total", code="budget_exceeded")
        body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
            answer = http.post(
                f"{metered.proxy.base_url}/chat/completions",
                json=body,
                headers={"authorization": f"Bearer {acme.api_key}"},
            )
        assert answer.status_code == 402
        wait_until(lambda: metered.find("costhub_errors_total", code="budget_exceeded") > before)
        assert metered.find("costhub_errors_total", code="budget_exceeded") == before + 1
        wait_until(lambda: metered.find("costhub_calls_total", status="402") > 0)

    def test_what_valkey_knows_is_read_from_it(self, metered: Metered) -> None:
        shard = 9_999_999 % keyspace.SHARDS
        samples = metered.read()
        assert {"costhub_holds_open", "costhub_ledger_lag_seconds", "costhub_ledger_unread_events"} <= samples.keys()
        lease = f"test:{os.getpid()}"
        before = metered.find("costhub_holds_open")
        client().zadd(keyspace.leases_key(shard), {lease: 4_000_000_000_000})
        try:
            assert metered.find("costhub_holds_open") == before + 1
        finally:
            client().zrem(keyspace.leases_key(shard), lease)
        assert metered.find("costhub_holds_open") == before

    def test_the_age_of_jobs_is_told_while_no_worker_runs(self, metered: Metered) -> None:
        client().hset(keyspace.JOBS, "proxy.tasks.drain_ledger", clock.now_ms() - 1_000_000)
        client().hdel(keyspace.JOBS, "proxy.tasks.reap_reservations")
        client().rpush(keyspace.QUEUES[0], "a message")
        try:
            assert 1_000 <= metered.find("costhub_job_age_seconds", task="drain_ledger") < 1_300
            assert metered.find("costhub_job_age_seconds", task="reap_reservations") == inf
            assert metered.find("costhub_job_late_after_seconds", task="drain_ledger") == 60
            assert metered.find("costhub_job_late_after_seconds", task="make_partitions") == 7_200
            assert metered.find("costhub_queued_tasks") == 1
        finally:
            client().delete(keyspace.JOBS, keyspace.QUEUES[0])

    def test_spend_of_today_budgets_and_drift_are_those_of_the_last_recount(
        self, metered: Metered, acme: Tenant
    ) -> None:
        make_budget(acme, "2.00")
        call(metered, acme, 4)
        wait_until(lambda: metered.find("llm_tokens_total", org=acme.org.slug, direction="output") == 48)
        try:
            tasks.rebuild_counters()
            with org_scope(acme.org_id):
                spent = sum(row.effective_cost for row in LedgerEntry.objects.filter(org_id=acme.org_id))
            assert spent > 0
            assert metered.find("llm_daily_cost_dollars", org=acme.org.slug) == spent / 1e9
            assert metered.find("llm_budget_remaining_dollars", org=acme.org.slug, scope="organization") == (
                (2_000_000_000 - spent) / 1e9
            )
            assert metered.find("costhub_counter_drift_dollars") == 0
        finally:
            client().delete(keyspace.FIGURES)
        assert metered.find("llm_daily_cost_dollars", org=acme.org.slug) == 0

    def test_the_overhead_is_a_histogram(self, metered: Metered, acme: Tenant) -> None:
        call(metered, acme, 40)
        buckets = metered.read()["costhub_overhead_seconds_bucket"]
        assert json.dumps({"le": "+Inf"}) in buckets
        assert metered.find("costhub_overhead_seconds_count") >= 1

    def test_no_label_names_a_key_an_end_user_or_a_prompt(self, metered: Metered, acme: Tenant) -> None:
        call(metered, acme, 4, user="una-the-end-user", messages=[{"role": "user", "content": "my-own-words"}])
        told = get(metered.proxy, "/metrics").text
        for secret in ("una-the-end-user", "my-own-words", acme.api_key, acme.key.prefix, str(acme.key.pk)):
            assert secret not in told

    def test_a_worker_that_died_is_not_forgotten_and_its_successor_takes_its_files(
        self, metered: Metered, acme: Tenant
    ) -> None:
        call_every_worker(metered, acme)
        before, files = metered.find("costhub_calls_total"), metered.files
        assert [name for name in files if name.startswith("counter")] == ["counter_0.db", "counter_1.db"]
        for _ in range(2):
            dead = metered.workers[0]
            os.kill(dead, 9)
            wait_until(lambda dead=dead: dead not in metered.workers and len(metered.workers) == WORKERS)  # type: ignore[misc]
            assert metered.find("costhub_calls_total") == before
        call(metered, acme, 20)
        wait_until(lambda: metered.find("costhub_calls_total") == before + 20)
        assert metered.files == files


class TestForeignHost:
    @pytest.mark.parametrize("path", ["/", "/login", "/api/v1/keys"])
    def test_it_is_a_clean_400_and_one_line_in_the_log(self, metered: Metered, path: str) -> None:
        before = len(metered.proxy.log.read_text())
        answer = get(metered.proxy, path, host="evil.example")
        assert answer.status_code == 400
        assert "This address cannot be read" in answer.text
        assert "evil" not in answer.text
        told = [json.loads(line) for line in metered.proxy.log.read_text()[before:].splitlines()]
        (line,) = [line for line in told if line["logger"] == "django.security.DisallowedHost"]
        assert line["message"] == (
            "Invalid HTTP_HOST header: 'evil.example'. You may need to add 'evil.example' to COSTHUB_ALLOWED_HOSTS."
        )
        assert not any("exception" in line for line in told)
