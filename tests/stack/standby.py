"""A PostgreSQL that follows another one, and an address that can be moved from the one to the other."""

import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import psycopg

from costhub.stack.account import find_unprivileged_account
from costhub.stack.postgres import Postgres


class Standby(Postgres):
    """A hot standby of ``primary``. ``follow`` before ``start``."""

    def __init__(self, data_dir: Path, primary: Postgres) -> None:
        super().__init__(data_dir)
        self._primary = primary

    def follow(self) -> None:
        """Copy the primary's files, with what makes them a standby's."""
        self.adopt(self._copy)
        kept, primary = self._kept, self._primary._kept
        self._known = type(kept)(
            kept.home, kept.port, primary.superuser_password, primary.owner_password, primary.app_password
        )
        self._provisioned = True

    def wait_ready(self, timeout_seconds: float = 60.0) -> None:
        """Return when it answers; nothing can be written there."""
        self._wait_until(lambda: self._answers(self._superuser_url("postgres")), timeout_seconds)

    def promote(self) -> None:
        """From now on it is the primary."""
        with psycopg.connect(self._superuser_url("postgres"), autocommit=True) as connection:
            assert connection.execute("SELECT pg_promote(true, 60)").fetchone() == (True,)

    def _copy(self, cluster: Path) -> None:
        subprocess.run(
            [
                *(self._primary.program("pg_basebackup"), "--pgdata", cluster, "--write-recovery-conf"),
                *("--wal-method", "stream", "--checkpoint", "fast", "--no-password"),
            ],
            check=True,
            env=self._primary.superuser_environment,
        )
        account = find_unprivileged_account(cluster)
        for path in (cluster, *cluster.rglob("*")):
            if account:
                shutil.chown(path, account.uid, account.gid)


def wait_for_every_commit(primary: Postgres) -> None:
    """Have each commit of the primary wait until its standby has it: one that was told of is on both."""
    with psycopg.connect(primary._superuser_url("postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")


class Address:
    """A port of loopback behind which another one answers: what a floating address is between machines."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def move(self, port: int, *, breaks: bool = True) -> None:
        """New connections go elsewhere; those that are open break, unless they are let end."""
        self._target = port
        if breaks:
            self._break_all()

    def close(self) -> None:
        """Nobody answers any more. A close alone would let who waits for a connection take one more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break_all()

    def _break_all(self) -> None:
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            with self._lock:
                self._open.discard(each)
        source.close()
