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
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import ClassVar, Final

from costhub.stack.backup.store import HISTORY, PARTIAL, SEGMENT_DIGITS, BackupStore
from costhub.stack.part import Part
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
        make_passable(self._spool)
        self._spool.chmod(0o700)

    def command(self) -> list[str]:
        program = str(self._postgres.program("pg_receivewal"))
        return [sys.executable, "-m", "costhub.stack.backup.archive", program, str(self._spool)]

    def environment(self) -> dict[str, str]:
        cloud = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        return super().environment() | cloud | self._postgres.superuser_environment | {"COSTHUB_BACKUP_URL": self._url}

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
        store.put_segment(file)
        file.unlink()
    return len(whole)


def ship_partial(spool: Path, store: BackupStore, seen: Mapping[str, int]) -> dict[str, int]:
    """Ship what is being filled, if it was written to since ``seen``; gives what was seen now."""
    now: dict[str, int] = {}
    for file in spool.glob(f"*{PARTIAL}"):
        # It may become whole, and with that get its other name, at any moment.
        with suppress(FileNotFoundError):
            now[file.name] = file.stat().st_mtime_ns
            if seen.get(file.name) != now[file.name]:
                store.put_segment(file)
    return now


def main(program: str, folder: str) -> int:
    """Receive and ship until SIGTERM. Gives the exit code."""
    spool, store, stop = Path(folder), BackupStore(os.environ["COSTHUB_BACKUP_URL"]), Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    slot = [program, "--directory", str(spool), "--slot", SLOT, "--no-password"]
    subprocess.run([*slot, "--create-slot", "--if-not-exists"], check=True)
    receiver = subprocess.Popen(
        [*slot, "--synchronous", "--no-loop"],
        preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509 - one prctl call, no lock, no import
    )
    looks, seen = 0, dict[str, int]()
    while not stop.wait(LOOK_SECONDS) and receiver.poll() is None:
        ship(spool, store)
        looks += 1
        if looks % PARTIAL_LOOKS == 0:
            seen = ship_partial(spool, store, seen)
    receiver.send_signal(signal.SIGINT)
    receiver.wait()
    ship(spool, store)
    ship_partial(spool, store, seen)
    return 0 if stop.is_set() else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
