"""`costhub restore`: a new data directory with the database as it was at a moment."""

import shutil
import signal
import tarfile
import tempfile
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final

from costhub.stack.account import Account, find_unprivileged_account
from costhub.stack.backup import UNFINISHED
from costhub.stack.backup.store import Backup, BackupFailed, BackupStore
from costhub.stack.postgres import SUPERUSER, Postgres
from costhub.stack.private_files import make_passable

#: replaying a day of a busy database takes its time
RECOVERY_SECONDS: Final = 3_600.0
_HBA: Final = "# For the time of a recovery: nobody but the owner of this folder's socket.\nlocal all all trust\n"


class Recovering(Postgres):
    """The restored cluster while it replays the log: it listens on a socket in a private folder, and nowhere else."""

    name: ClassVar[str] = "recovery"
    stop_signals = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0))

    def __init__(self, data_dir: Path, backup: Backup, log: Path, moment: datetime | None) -> None:
        super().__init__(data_dir)
        self._backup = backup
        self._log = log
        self._moment = moment

    def prepare(self) -> None:
        super().prepare()
        (self.home / "pg_hba.conf").write_text(_HBA)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self._sockets,
            "restore_command": f'cp "{self._log}/%f" "%p"',
            "recovery_target_action": "promote",
            "archive_mode": "off",
        }
        if self._moment:
            settings["recovery_target_time"] = self._moment.isoformat(sep=" ", timespec="microseconds")
        return [*super().command(), *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))]

    def is_ready(self) -> bool:
        return self._answers(self._socket_url) and self._ask(self._socket_url, "SELECT NOT pg_is_in_recovery()") is True

    def wait_ready(self, timeout_seconds: float = RECOVERY_SECONDS) -> None:
        self._wait_until(self.is_ready, timeout_seconds)
        # The passwords inside are those of the stack that was: from now on this data directory's hold.
        self.set_superuser_password(self._socket_url)

    @property
    def _sockets(self) -> Path:
        return self.home / "sockets"

    @property
    def _socket_url(self) -> str:
        return f"postgresql://{SUPERUSER}@/postgres?host={self._sockets}&port={self.port}"


def choose_backup(store: BackupStore, moment: datetime | None) -> Backup:
    """The newest backup that ended before ``moment``. Raises BackupFailed when there is none."""
    backups = store.list_backups()
    if not backups:
        raise BackupFailed("There is no backup there.")
    fitting = [backup for backup in backups if moment is None or backup.ended_at <= moment]
    if not fitting:
        raise BackupFailed(f"The oldest backup ended at {backups[0].ended_at.isoformat()}: no earlier moment is kept.")
    return fitting[-1]


def restore(store: BackupStore, data_dir: Path, secrets: Path | None, moment: datetime | None = None) -> Backup:
    """Make ``data_dir`` a stack's whose database is as it was at ``moment``, or as late as the log reaches. Counters
    are not in it: they are counted from the ledger when the stack starts with an empty Valkey. It is marked
    ``UNFINISHED``, for whoever has erased in it who was erased since to take that away.

    Raises BackupFailed, PartFailed.
    """
    # Counters, snapshots and keys of another moment would be taken for this one's.
    if any((data_dir / name).exists() for name in ("postgres.json", "postgres", "valkey")):
        raise BackupFailed(f"{data_dir} holds a database already: give a new --data-dir.")
    backup = choose_backup(store, moment)
    with tempfile.TemporaryDirectory(prefix="costhub-restore-") as folder:
        temporary = Path(folder)
        # The server that replays may be another user.
        temporary.chmod(0o711)
        log = temporary / "wal"
        log.mkdir()
        store.fetch_base(backup, temporary / "base.tar.gz")
        store.fetch_segments(backup.first_segment, log)
        recovering = Recovering(data_dir, backup, log, moment)
        make_passable(data_dir)
        (data_dir / UNFINISHED).touch()
        recovering.adopt(lambda cluster: _unpack(temporary / "base.tar.gz", cluster))
        account = recovering.account()
        _give(log, account)
        _make_private(recovering.home / "sockets", account)
        try:
            recovering.start()
            recovering.wait_ready()
        finally:
            recovering.stop()
            shutil.rmtree(recovering.home / "sockets", ignore_errors=True)
    if secrets is not None:
        kept = data_dir / "secrets.json"
        kept.touch(mode=0o600)
        kept.write_bytes(secrets.read_bytes())
    return backup


def _unpack(archive: Path, cluster: Path) -> None:
    with tarfile.open(archive, "r:gz") as packed:
        packed.extractall(cluster, filter="data")
    (cluster / "recovery.signal").touch()
    cluster.chmod(0o700)
    for path in cluster.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    _give(cluster, find_unprivileged_account(cluster))


def _give(folder: Path, account: Account | None) -> None:
    if account:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, account.uid, account.gid)


def _make_private(folder: Path, account: Account | None) -> None:
    folder.mkdir(mode=0o700)
    _give(folder, account)
