"""Keeps the write-ahead log: receives it as it is written, and ships each segment as soon as it is full.

pg_receivewal holds a replication slot, so that the server keeps what was not received yet. What it has written is
shipped and deleted here; the segment that is being filled is shipped again whenever it changed, so that a machine that
burns down loses some seconds of PostgreSQL's and nothing older.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import ClassVar, Final

from costhub.stack.backup.state import LOG, begin, find_state, note_kept
from costhub.stack.backup.store import HISTORY, PARTIAL, SEGMENT_DIGITS, BackupFailed, BackupStore, StoreInTrouble
from costhub.stack.part import Part, PartFailed
from costhub.stack.postgres import Postgres
from costhub.stack.private_files import make_passable
from costhub.stack.processes import die_with_parent

SLOT: Final = "costhub_archive"
#: how often is looked for segments that are full
LOOK_SECONDS: Final = 1.0
#: the segment that is being filled goes at most every so many looks
PARTIAL_LOOKS: Final = 10


class Archive(Part):
    """The process that keeps the write-ahead log of an embedded PostgreSQL."""

    name: ClassVar[str] = "archive"
    stop_signals = ((signal.SIGTERM, 20.0),)

    def __init__(self, data_dir: Path, postgres: Postgres, url: str) -> None:
        super().__init__(data_dir)
        self._postgres = postgres
        self._url = url

    def prepare(self) -> None:
        """Raises PartFailed where the address is none. No bucket is asked: the supervisor, who calls this, has every
        other part to look after meanwhile."""
        make_passable(self._spool)
        self._spool.chmod(0o700)
        begin(find_state(self.data_dir))
        try:
            BackupStore(self._url)
        except StoreInTrouble:
            return
        except BackupFailed as error:
            raise PartFailed(str(error)) from error

    def command(self) -> list[str]:
        return [sys.executable, "-m", "costhub.stack.backup.archive", str(self.data_dir)]

    def environment(self) -> dict[str, str]:
        cloud = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        return super().environment() | cloud | {"COSTHUB_BACKUP_URL": self._url}

    def is_ready(self) -> bool:
        return self.is_alive() and self._postgres.has_slot(SLOT)

    @property
    def _spool(self) -> Path:
        return self.data_dir / "wal"


def ship(spool: Path, store: BackupStore) -> int:
    """Ship and delete what is whole. Gives how many files went."""
    whole = [
        file
        for file in sorted(spool.iterdir())
        if (len(file.name) == SEGMENT_DIGITS or file.name.endswith(HISTORY)) and not file.name.endswith(PARTIAL)
    ]
    for file in whole:
        store.put_segment(file.name, file.read_bytes())
        # The server has been told that we have it, so that this may be the only copy that is on a disk.
        store.settle()
        file.unlink()
    return len(whole)


def ship_partial(spool: Path, store: BackupStore, seen: Mapping[str, int]) -> dict[str, int]:
    """Ship what is being filled, if it was written to since ``seen``; gives what was seen now."""
    now: dict[str, int] = {}
    for file in spool.glob(f"*{PARTIAL}"):
        try:
            now[file.name] = file.stat().st_mtime_ns
            content = file.read_bytes() if seen.get(file.name) != now[file.name] else None
        except FileNotFoundError:
            continue  # it has become whole, and has got its other name
        if content is not None:
            store.put_segment(file.name, content)
    return now


def renew_slot(postgres: Postgres, spool: Path, store: BackupStore) -> None:
    """Make ready to begin anew where the server has given up what it kept for us, because nobody came for it for too
    long: the log goes on behind a gap, which ends what earlier base backups are good for, and which a restore finds.
    What was received before is kept. Nothing where there is no gap."""
    if postgres.is_slot_kept(SLOT):
        return
    ship(spool, store)
    ship_partial(spool, store, {})
    # The receiver would go on behind the newest of these, which the server no longer has.
    for file in spool.iterdir():
        file.unlink()
    postgres.drop_slot(SLOT)


def main(data_dir: Path) -> int:
    """Receive and ship until SIGTERM. Gives the exit code. Raises BackupFailed, PartFailed."""
    postgres, store, stop = Postgres(data_dir), BackupStore(os.environ["COSTHUB_BACKUP_URL"]), Event()
    spool, state = data_dir / "wal", find_state(data_dir)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if not postgres.attach():
        raise PartFailed("postgres does not answer.")
    store.claim(postgres.archive_owner)
    renew_slot(postgres, spool, store)
    command = [str(postgres.program("pg_receivewal")), "--directory", str(spool), "--slot", SLOT, "--no-password"]
    environment = postgres.superuser_environment
    subprocess.run([*command, "--create-slot", "--if-not-exists"], check=True, env=environment)
    receiver = subprocess.Popen(
        [*command, "--synchronous", "--no-loop"],
        env=environment,
        preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509 - one prctl call, no lock, no import
    )
    looks, seen = 0, dict[str, int]()
    while not stop.wait(LOOK_SECONDS) and receiver.poll() is None:
        ship(spool, store)
        looks += 1
        if looks % PARTIAL_LOOKS == 0:
            seen = ship_partial(spool, store, seen)
            note_kept(state, LOG)
    receiver.send_signal(signal.SIGINT)
    receiver.wait()
    ship(spool, store)
    ship_partial(spool, store, seen)
    return 0 if stop.is_set() else 1


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except (BackupFailed, PartFailed) as error:
        sys.exit(f"archive: {error}")
