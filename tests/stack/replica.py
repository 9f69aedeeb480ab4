"""A streaming replica of the test run's own PostgreSQL."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from costhub.stack.ports import HOST, find_free_port
from costhub.stack.postgres import Postgres
from tests.patience import PATIENCE_SECONDS, wait_until


class Replica:
    """A server in recovery. ``url`` is the application's address there."""

    def __init__(self, url: str) -> None:
        self.url = url

    def pause(self) -> None:
        """It receives, and shows nothing new."""
        self._run("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        """It catches up."""
        self._run("SELECT pg_wal_replay_resume()")

    def _run(self, statement: str) -> None:
        with psycopg.connect(self._superuser, autocommit=True) as connection:
            connection.execute(statement.encode())

    _superuser = ""


@contextmanager
def replica_of(postgres: Postgres, folder: Path) -> Iterator[Replica]:
    """Copied from the primary, and following it."""
    data = folder / "data"
    environment = postgres.superuser_environment
    account = postgres.account()
    as_user: dict[str, Any] = (
        {"user": account.uid, "group": account.gid, "extra_groups": []} if account is not None else {}
    )
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    for parent in [folder, *folder.parents]:
        if parent.owner() == "root" and parent != Path("/") and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    copy = [postgres.program("pg_basebackup"), "--pgdata", data, "--checkpoint", "fast", "--write-recovery-conf"]
    subprocess.run([*map(str, copy), "--no-password"], env=environment, check=True, cwd=folder, **as_user)
    # Chosen when the copy is there: that takes seconds, in which another test's server would have taken it.
    port = find_free_port()
    settings = {"port": port, "listen_addresses": HOST, "unix_socket_directories": "", "hot_standby": "on"}
    arguments = [f"-c{name}={value}" for name, value in settings.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(postgres.program("postgres")), "-D", str(data), *arguments],
            env=environment,
            stdout=log,
            stderr=log,
            cwd=folder,
            **as_user,
        )
    app = urlsplit(postgres.url_app)
    replica = Replica(app._replace(netloc=f"{app.username}:{app.password}@{HOST}:{port}").geturl())
    user, password = environment["PGUSER"], environment["PGPASSWORD"]
    replica._superuser = f"postgresql://{user}:{password}@{HOST}:{port}/postgres"

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        with suppress(psycopg.OperationalError):
            psycopg.connect(replica.url, connect_timeout=2).close()
            return True
        return False

    try:
        wait_until(answers)
        yield replica
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)
        shutil.rmtree(data)
