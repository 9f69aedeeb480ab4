"""A backup is what comes back: the drill, on a real server, to a folder and to a bucket."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from costhub.stack.backup import UNFINISHED
from costhub.stack.backup.archive import Archive
from costhub.stack.backup.restore import choose_backup, restore
from costhub.stack.backup.store import Backup, BackupFailed, BackupStore
from costhub.stack.backup.take import open_running, take_backup
from costhub.stack.part import PartFailed
from costhub.stack.postgres import Postgres
from tests.stack_fixtures import make_data_dir


class Till:
    """A stack's database with a table of money in it, and the archive beside it."""

    def __init__(self, data_dir: Path, url: str) -> None:
        self.data_dir = data_dir
        self.postgres = Postgres(data_dir)
        self.archive = Archive(data_dir, self.postgres, url)

    def start(self) -> None:
        self.postgres.start()
        self.postgres.wait_ready()
        self.archive.start()
        self.archive.wait_ready()

    def stop(self) -> None:
        self.archive.stop()
        self.postgres.stop()

    def spend(self, *amounts: int) -> datetime:
        """Write rows of money; gives a moment after them and before whatever follows."""
        with psycopg.connect(self.postgres.url_owner) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS spent (nanos bigint)")
            connection.cursor().executemany("INSERT INTO spent VALUES (%s)", [(amount,) for amount in amounts])
        with psycopg.connect(self.postgres.url_owner) as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row
        return datetime.fromisoformat(row[0].isoformat())


@contextmanager
def restored(store: BackupStore, moment: datetime | None = None) -> Iterator[Postgres]:
    """What a restore has made, started as `costhub up` does."""
    folder = make_data_dir()
    secrets = folder.parent / f"{folder.name}.secrets"
    secrets.write_text('{"COSTHUB_MASTER_KEY": "of the stack that was"}')
    restore(store, folder, secrets, moment)
    assert (folder / "secrets.json").read_text() == secrets.read_text()
    assert (folder / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert (folder / UNFINISHED).exists(), "nobody has erased in it who was erased since"
    postgres = Postgres(folder)
    try:
        postgres.start()
        postgres.wait_ready()
        yield postgres
    finally:
        postgres.stop()
        secrets.unlink()
        shutil.rmtree(folder)


def total(postgres: Postgres) -> tuple[int, int]:
    """How many rows there are, and their sum."""
    with psycopg.connect(postgres.url_owner) as connection:
        row = connection.execute("SELECT count(*), coalesce(sum(nanos), 0)::bigint FROM spent").fetchone()
    assert row
    return row[0], row[1]


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """Where backups go."""
    return f"file://{tmp_path}/kept"


@pytest.fixture
def till(kept: str) -> Iterator[Till]:
    folder = make_data_dir()
    till = Till(folder, kept)
    try:
        till.start()
        yield till
    finally:
        till.stop()
        shutil.rmtree(folder)


def test_the_drill(till: Till, kept: str) -> None:
    """Money before the backup, after it, and after the moment to go back to; then the machine is gone."""
    store = BackupStore(kept)
    till.spend(1, 2, 3)
    backup = take_backup(open_running(till.data_dir), store)
    moment = till.spend(10, 20)
    till.spend(100)
    till.archive.stop()
    till.postgres.kill()
    with restored(store, moment) as postgres:
        assert total(postgres) == (5, 36)
        with psycopg.connect(postgres.url_owner) as connection:
            connection.execute("INSERT INTO spent VALUES (1000)")
        assert total(postgres) == (6, 1036)
    with restored(store) as postgres:
        assert total(postgres) == (6, 136), "as late as the log reaches: also the segment that was not full"
    with pytest.raises(BackupFailed, match="The oldest backup ended at"):
        choose_backup(store, backup.ended_at - timedelta(seconds=1))
    with (
        pytest.raises(PartFailed, match="recovery ended before configured recovery target was reached"),
        restored(store, datetime.now(UTC) + timedelta(days=1)),
    ):
        pass


def test_old_backups_and_their_log_are_forgotten(till: Till, kept: str, tmp_path: Path) -> None:
    store = BackupStore(kept)
    till.spend(1)
    first = take_backup(till.postgres, store)
    second = take_backup(till.postgres, store, keep=1)
    assert store.list_backups() == [second]
    assert second.first_segment > first.first_segment
    segments = sorted(path.name for path in (tmp_path / "kept" / "wal").iterdir())
    assert segments[0] >= second.first_segment
    with restored(store) as postgres:
        assert total(postgres) == (1, 1)


def test_without_an_archive_there_is_no_backup(till: Till, kept: str) -> None:
    till.archive.stop()
    with pytest.raises(BackupFailed, match="Nobody keeps the write-ahead log"):
        take_backup(till.postgres, BackupStore(kept))
    assert BackupStore(kept).list_backups() == []


def test_damaged_files_are_not_brought_back(till: Till, kept: str, tmp_path: Path) -> None:
    backup = take_backup(till.postgres, BackupStore(kept))
    with (tmp_path / "kept" / "base" / backup.name / "base.tar.gz").open("r+b") as file:
        file.seek(-9, 2)
        file.write(b"!")
    target = make_data_dir()
    with pytest.raises(BackupFailed, match="are damaged"):
        restore(BackupStore(kept), target, None)
    assert not (target / "postgres").exists()
    shutil.rmtree(target)


def test_a_directory_that_holds_a_database_is_left_alone(till: Till, kept: str) -> None:
    take_backup(till.postgres, BackupStore(kept))
    with pytest.raises(BackupFailed, match="holds a database already"):
        restore(BackupStore(kept), till.data_dir, None)


@pytest.mark.parametrize("url", ["", "kept", "file://", "file:///", "s3://", "ftp://host/x", "file://host/x"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(BackupFailed, match="give file:///a/folder or s3://bucket/prefix"):
        BackupStore(url)


def test_what_a_person_types(tmp_path: Path) -> None:
    """No stack, no backup, no moment: a sentence and 1, or the usage and 2."""

    def costhub(*arguments: str) -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "-m", "costhub", *arguments], check=False, capture_output=True, text=True, cwd=tmp_path
        )
        return ran.returncode, ran.stderr

    url = ("--url", f"file://{tmp_path}/kept")
    code, said = costhub("backup", *url)
    assert (code, "There is no running PostgreSQL of ours in" in said) == (1, True)
    code, said = costhub("restore", *url)
    assert (code, said) == (1, "costhub restore: There is no backup there.\n")
    code, said = costhub("restore", *url, "--to", "2026-11-28T12:00:00")
    assert (code, "say of which time zone" in said) == (2, True)


def test_a_backup_that_was_not_finished_is_none(tmp_path: Path) -> None:
    store = BackupStore(f"file://{tmp_path}/kept")
    folder = tmp_path / "kept" / "base" / "20261128T120000Z"
    folder.mkdir(parents=True)
    (folder / "base.tar.gz").write_bytes(b"half")
    assert store.list_backups() == []
    store.seal(Backup("20261128T120000Z", datetime(2026, 11, 28, 12, 1, tzinfo=UTC), "0" * 24, 18, 4, "x"))
    assert [backup.name for backup in store.list_backups()] == ["20261128T120000Z"]
