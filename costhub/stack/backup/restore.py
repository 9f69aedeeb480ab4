"""`costhub restore`: a new data directory with the database as it was at a moment."""

import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final

from costhub.stack.account import Account, find_unprivileged_account
from costhub.stack.backup import UNFINISHED
from costhub.stack.backup.store import Backup, BackupFailed, BackupStore, Log
from costhub.stack.postgres import SUPERUSER, Postgres, packaged_programs
from costhub.stack.private_files import make_passable

#: replaying a day of a busy database takes its time
RECOVERY_SECONDS: Final = 3_600.0
#: as pg_waldump tells of a commit or rollback
_AN_END: Final = re.compile(r"desc: (?:COMMIT|ABORT) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC")
#: of what pg_waldump complains where what was written ends, and in a segment in the middle of one long record
_AN_END_OF_LOG: Final = re.compile("error in WAL record at|could not find a valid record after")
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
            # Whatever else lies there: what another database has gone on to write is none of this one's.
            "recovery_target_timeline": "current",
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
        kept = store.list_log(backup.first_segment)
        if not kept.names:
            raise BackupFailed(f"The log of backup {backup.name} is not kept: segment {kept.missing} is missing.")
        store.fetch_base(backup, temporary / "base.tar.gz")
        reaches = _fetch_log(store, kept, log, moment)
        if kept.missing and (moment is None or reaches is None or reaches <= moment):
            raise BackupFailed(_tell_gap(backup, kept, reaches))
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
        ours = data_dir / "secrets.json"
        ours.touch(mode=0o600)
        ours.write_bytes(secrets.read_bytes())
    return backup


def _fetch_log(store: BackupStore, kept: Log, folder: Path, moment: datetime | None) -> datetime | None:
    """Bring the log that follows without a gap, up to the first transaction after ``moment``. Gives when the last one
    that was brought ended; None where there is none, or where neither moment nor gap asks for it."""
    for history in store.list_histories():
        store.fetch_segment(history, folder)
    reaches: datetime | None = None
    for name in kept.names:
        segment = store.fetch_segment(name, folder)
        if moment or kept.missing:
            reaches = max(_list_ends(segment), default=reaches)
        if moment and reaches and reaches > moment:
            break
    return reaches


def _list_ends(segment: Path) -> list[datetime]:
    """When the transactions ended whose end is in a segment. Raises BackupFailed where it cannot be read."""
    command = [str(packaged_programs() / "pg_waldump"), "--rmgr", "Transaction", str(segment)]
    read = subprocess.run(command, check=False, capture_output=True, text=True, env={"TZ": "UTC", "LC_ALL": "C"})
    if read.returncode and not _AN_END_OF_LOG.search(read.stderr):
        raise BackupFailed(f"Segment {segment.name} of the log cannot be read. {read.stderr.strip()}")
    return [datetime.fromisoformat(f"{each}+00:00") for each in _AN_END.findall(read.stdout)]


def _tell_gap(backup: Backup, kept: Log, reaches: datetime | None) -> str:
    told = f"The log of backup {backup.name} has a gap: segment {kept.missing} is missing before {kept.later}."
    if reaches is None:
        return f"{told} Nothing of it can be brought back to a moment."
    return f"{told} Give --to with a moment before {reaches.isoformat()}, up to which it is whole."


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
