"""A PostgreSQL that somebody else runs, by the recipe of docs/operations.md: a plain server with the settings that it
comes with, our file for its roles by psql, migrations, the worker's jobs and a proxy on it, and a call."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx2
import orjson
import psycopg
import pytest

from costhub.stack.postgres import SUPERUSER, Postgres
from costhub.stack.valkey import Valkey
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import NO_TLS, ROOT, deploy
from tests.stack.machine import Machine
from tests.stack_fixtures import make_data_dir

ROLES = ROOT / "deploy" / "postgres" / "roles.sql"
COST = 8_400


class Plain(Postgres):
    """A server as its package makes it: nothing of it is set but where it listens."""

    def command(self) -> list[str]:
        where = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        flags = [part for name, value in where.items() for part in ("-c", f"{name}={value}")]
        return [str(self.program("postgres")), "-D", str(self.home / "data"), *flags]

    def wait_ready(self, timeout_seconds: float = 60.0) -> None:
        """Return when its superuser is let in: there is no role and no database of ours yet."""
        self._wait_until(lambda: self._answers(self._superuser_url("postgres")), timeout_seconds)

    def prepare_roles(self) -> None:
        """What the recipe's first step does, with passwords that nobody has to spell."""
        kept = self._kept
        passwords = {"owner_password": kept.owner_password, "app_password": kept.app_password}
        ran = subprocess.run(
            [
                *(self.program("psql"), "-X", "-v", "ON_ERROR_STOP=1", "-f", ROLES),
                *(part for name, value in passwords.items() for part in ("-v", f"{name}={value}")),
            ],
            check=False,
            capture_output=True,
            text=True,
            env=self.superuser_environment | {"PGDATABASE": "postgres"},
        )
        assert ran.returncode == 0, ran.stderr


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    bank = Bank.start(tmp_path)
    yield bank
    bank.stop()


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Valkey, and a PostgreSQL that has been given its roles."""
    folder = make_data_dir()
    postgres, valkey = Plain(folder, durable=False), Valkey(folder)
    try:
        postgres.start()
        valkey.start()
        postgres.wait_ready()
        valkey.wait_ready()
        postgres.prepare_roles()
        yield Machine(folder, postgres, valkey)
    finally:
        valkey.stop()
        postgres.stop()
        if folder not in postgres.home.parents:
            shutil.rmtree(postgres.home)
        shutil.rmtree(folder)


def test_the_recipe_leads_to_a_call_in_the_ledger(machine: Machine, bank: Bank, tmp_path: Path) -> None:
    machine.run("manage.py", "migrate", "--database", "owner", "--verbosity", "0")
    acme = machine.do("furnish", bank.base_url)
    body = {"model": "small", "messages": [{"role": "user", "content": "Hi there"}]}
    with (
        deploy(tmp_path, **machine.environment) as proxy,
        httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http,
    ):
        headers = {"authorization": f"Bearer {acme['api_key']}"}
        answer = http.post(f"{proxy.base_url}/chat/completions", json=body, headers=headers)
        assert (answer.status_code, answer.headers["x-costhub-cost"]) == (200, "0.000008400"), answer.text
        assert http.get(f"{proxy.root_url}/readyz").status_code == 200
        assert machine.do("settle") == {"moved": 1}
    assert machine.ledger()[:2] == (1, COST)
    assert [call.cost_nanos(Decimal("0.15"), Decimal("0.60")) for call in bank.bill()] == [COST]
    found = examine(machine)
    for name in ("PostgreSQL", "Migrations"):
        assert found[name]["ok"], found[name]

    with psycopg.connect(machine.postgres.url_app) as app:
        (role, is_above_walls) = app.execute(
            "SELECT current_user, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).fetchone() or ("", True)
        assert (role, is_above_walls) == ("costhub_app", False)
        assert app.execute("SELECT count(*) FROM tenants_apikey").fetchone() == (0,), "no organisation is open"
        # A statement that fails may carry a person's words; a plain server would write it into its log.
        asked = ("log_min_error_statement", "log_error_verbosity", "jit", "statement_timeout", "lock_timeout")
        assert {name: app.execute(f"SHOW {name}").fetchone() for name in asked} == {
            "log_min_error_statement": ("panic",),
            "log_error_verbosity": ("terse",),
            "jit": ("off",),
            "statement_timeout": ("30s",),
            "lock_timeout": ("10s",),
        }
        with pytest.raises(psycopg.errors.UndefinedColumn):
            app.execute("SELECT 'what somebody said' FROM tenants_apikey WHERE nothing")
    with psycopg.connect(machine.postgres.url_owner) as owner:
        owner.execute("CREATE TEMPORARY TABLE told (words text PRIMARY KEY)")
        with pytest.raises(psycopg.errors.UniqueViolation, match="what somebody said"):
            owner.execute("INSERT INTO told VALUES ('what somebody said'), ('what somebody said')")
    said = machine.postgres.log_path.read_text()
    assert 'column "nothing" does not exist' in said
    assert 'duplicate key value violates unique constraint "told_pkey"' in said
    assert "what somebody said" not in said
    assert SUPERUSER not in machine.postgres.url_app + machine.postgres.url_owner


def examine(machine: Machine) -> dict[str, dict[str, object]]:
    """What `costhub doctor` says, by the name of each check: here no worker runs, so that it does not end well."""
    ran = subprocess.run(
        [sys.executable, "-m", "costhub", "doctor", "--json", "--data-dir", machine.folder / "nobody-ran-up"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | machine.environment,
    )
    return {check["name"]: check for check in orjson.loads(ran.stdout)}
