"""`costhub backup`: a base backup of the running stack, whole and sure to be replayed."""

import subprocess
import time
from pathlib import Path
from typing import Final

from costhub.lib import clock
from costhub.stack.backup.archive import SLOT
from costhub.stack.backup.state import BASE, find_state, note_kept
from costhub.stack.backup.store import Backup, BackupFailed, BackupStore, name_of
from costhub.stack.postgres import Postgres

#: how long the archive may take to ship the last segment that the backup needs
SHIP_SECONDS: Final = 120.0


def take_backup(postgres: Postgres, store: BackupStore, *, keep: int | None = None) -> Backup:
    """Copy the files of a running database, wait until the log that makes them whole is kept, and forget all but the
    newest ``keep`` backups. Raises BackupFailed."""
    if not postgres.has_slot(SLOT):
        raise BackupFailed(
            "Nobody keeps the write-ahead log: start the stack with COSTHUB_BACKUP_URL set, then take a backup."
        )
    store.claim(postgres.archive_owner)
    first_segment, name = postgres.current_segment(), name_of(clock.now())
    with subprocess.Popen(
        [
            *(postgres.program("pg_basebackup"), "--pgdata", "-", "--format", "tar", "--wal-method", "none"),
            *("--checkpoint", "fast", "--no-password"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=postgres.superuser_environment,
    ) as copying:
        if copying.stdout is None or copying.stderr is None:
            raise RuntimeError("a pipe was asked for")
        size, sha256 = store.write_base(copying.stdout, name, first_segment, postgres.server_version)
        complaint = copying.stderr.read().decode(errors="replace").strip()
    if copying.returncode:
        raise BackupFailed(f"pg_basebackup failed: {complaint}")
    last_segment = postgres.switch_segment()
    ended_at = clock.now()
    _wait_for(last_segment, store)
    backup = Backup(name, ended_at, first_segment, postgres.server_version, size, sha256)
    store.seal(backup)
    note_kept(find_state(postgres.data_dir), BASE)
    if keep is not None:
        store.forget_before(store.list_backups()[-keep:][0])
    return backup


def _wait_for(segment: str, store: BackupStore) -> None:
    deadline = clock.ends_in(SHIP_SECONDS)
    while not store.has_segment(segment):
        if clock.monotonic_ns() > deadline:
            raise BackupFailed(
                f"Segment {segment} was not shipped within {SHIP_SECONDS:g} seconds: see logs/archive.log. There is no "
                "backup."
            )
        time.sleep(0.2)


def open_running(data_dir: Path) -> Postgres:
    """The embedded database of a stack that runs. Raises BackupFailed when there is none."""
    postgres = Postgres(data_dir)
    if not postgres.attach():
        raise BackupFailed(f"There is no running PostgreSQL of ours in {data_dir}: start the stack first.")
    return postgres
