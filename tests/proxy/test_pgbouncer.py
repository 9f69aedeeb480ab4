"""Proxies, pages and jobs through PgBouncer, which gives each transaction another connection."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2
import psycopg
import pytest

from costhub.stack.ports import HOST, find_free_port
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, wait_for_server
from tests.proxy.deployment import NO_TLS, ROOT, deploy
from tests.proxy.scene import Scene, acme
from tests.world import Tenant, World

__all__ = ["acme"]

BINARY = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(BINARY is None, reason="PgBouncer is not installed: apt-get install pgbouncer"),
]
#: fewer than those who want one: every transaction may get another's connection
POOL = 3
JOBS = """
import django; django.setup()
from proxy import tasks
from billing import tasks as billing_tasks
from billing.invoices import tasks as invoice_tasks
from costhub.lib.database import try_to_be_only
for _ in range(3):
    tasks.drain_ledger(); tasks.reap_reservations(); tasks.correct_estimates(); tasks.rebuild_counters()
    tasks.announce_versions(); tasks.run_batches(); tasks.make_partitions()
    billing_tasks.watch_budgets(); billing_tasks.send_messages(); billing_tasks.roll_up()
with try_to_be_only(4711) as first:
    assert first
    tasks.drain_ledger()
"""


@contextmanager
def pgbouncer(folder: Path) -> Iterator[str]:
    """The run's own PostgreSQL behind our configuration of PgBouncer. Gives the application's address there."""
    url, port = urlsplit(os.environ["DATABASE_URL"]), find_free_port()
    config = ConfigParser(inline_comment_prefixes=(";",))
    config.read(ROOT / "deploy/pgbouncer/pgbouncer.ini")
    name, role = url.path.strip("/"), unquote(url.username or "")
    users = folder / "userlist.txt"
    users.write_text(f'"{role}" "{unquote(url.password or "")}"\n')
    config["databases"] = {name: f"host={url.hostname} port={url.port} dbname={name}"}
    config["pgbouncer"].update({"listen_port": str(port), "auth_file": str(users), "default_pool_size": str(POOL)})
    config["pgbouncer"].update({"unix_socket_dir": "", "admin_users": role})
    path = folder / "pgbouncer.ini"
    with path.open("w") as sink:
        config.write(sink)
    # It does not run as root.
    folder.chmod(0o755)
    for file in (users, path):
        file.chmod(0o644)
    assert BINARY is not None
    account = ["-u", "nobody"] if os.getuid() == 0 else []
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen([BINARY, *account, str(path)], stdout=log, stderr=log)
    try:
        wait_for_server(port, lambda: process.poll() is None, (folder / "pgbouncer.log").read_text)
        yield f"postgresql://{url.username}:{url.password}@{HOST}:{port}/{name}"
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


@pytest.fixture
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of processes that go through it."""
    folder = tmp_path_factory.mktemp("pgbouncer")
    for parent in (folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    with pgbouncer(folder) as url:
        yield {"DATABASE_URL": url, "COSTHUB_DATABASE_SESSION_URL": os.environ["DATABASE_URL"]}


def test_calls_pages_and_jobs(
    acme: Tenant, committed_world: World, bank: Bank, tmp_path: Path, pooled: dict[str, str]
) -> None:
    environment = os.environ | pooled | {"DJANGO_SETTINGS_MODULE": "costhub.settings", "PYTHONWARNINGS": ""}
    with deploy(
        tmp_path,
        workers=2,
        DATABASE_URL=pooled["DATABASE_URL"],
        COSTHUB_DATABASE_SESSION_URL=pooled["COSTHUB_DATABASE_SESSION_URL"],
    ) as proxy:
        scene = Scene(acme, bank, proxy)
        assert {outcome.status for outcome in scene.run(calls=100)} == {200}
        subprocess.run([sys.executable, "-c", JOBS], cwd=ROOT, env=environment, check=True, timeout=PATIENCE_SECONDS)
        with org_scope(acme.org_id):
            assert LedgerEntry.objects.filter(org_id=acme.org_id).count() == 100, "the pooled jobs brought all of them"
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
            # Each organisation sees its own, whoever had the connection before.
            for _ in range(10):
                for tenant, has_calls in ((acme, True), (committed_world.mallcorp, False)):
                    answer = http.get(
                        f"{proxy.root_url}/api/v1/requests", headers={"authorization": f"Bearer {tenant.admin_token}"}
                    )
                    assert answer.status_code == 200
                    assert bool(answer.json()["data"]) is has_calls
                    spend = http.get(
                        f"{proxy.root_url}/api/v1/spend", headers={"authorization": f"Bearer {tenant.admin_token}"}
                    )
                    assert spend.status_code == 200
        scene.balance()


def test_nothing_of_an_organisation_is_left_on_a_connection(acme: Tenant, pooled: dict[str, str]) -> None:
    with psycopg.connect(pooled["DATABASE_URL"], prepare_threshold=None) as connection:
        connection.execute("SELECT set_config('costhub.orgs', %s, true)", [f"{{{acme.org_id}}}"])
        assert connection.execute("SELECT count(*) > 0 FROM tenants_apikey").fetchone() == (True,)
        connection.commit()
        found = connection.execute("SELECT current_setting('costhub.orgs', true)").fetchone()
        assert found is not None
        assert not found[0]
        assert connection.execute("SELECT count(*) FROM tenants_apikey").fetchone() == (0,)


def test_a_role_has_its_limits_of_time() -> None:
    text = (ROOT / "deploy/postgres/roles.sql").read_text()
    assert "ALTER ROLE costhub_app SET statement_timeout = '30s'" in text
    assert "ALTER ROLE costhub_app SET lock_timeout = '10s'" in text
