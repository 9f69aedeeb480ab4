"""A backup is what comes back: the drill, on a real server, to a folder and to a bucket."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from costhub.lib import clock
from costhub.stack.backup import UNFINISHED
from costhub.stack.backup import restore as restoring
from costhub.stack.backup.archive import SLOT, Archive
from costhub.stack.backup.restore import choose_backup, restore
from costhub.stack.backup.state import BASE, LOG, find_state, note_kept, read_ages
from costhub.stack.backup.store import Backup, BackupFailed, BackupStore, next_segment
from costhub.stack.backup.take import _wait_for, open_running, take_backup
from costhub.stack.part import PartFailed
from costhub.stack.ports import HOST, find_free_port
from costhub.stack.postgres import Postgres
from tests.patience import PATIENCE_SECONDS
from tests.stack_fixtures import make_data_dir
from tests.valkeys import until


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

    def restart_postgres(self) -> None:
        self.postgres.stop()
        self.postgres.start()
        self.postgres.wait_ready()

    def as_superuser(self) -> dict[str, Any]:
        found = self.postgres.superuser_environment
        return {
            "host": found["PGHOST"],
            "port": found["PGPORT"],
            "user": found["PGUSER"],
            "password": found["PGPASSWORD"],
            "dbname": "postgres",
            "autocommit": True,
        }

    def spend(self, *amounts: int) -> datetime:
        """Write rows of money; gives a moment after them and before whatever follows."""
        with psycopg.connect(self.postgres.url_owner) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS spent (nanos bigint)")
            connection.cursor().executemany("INSERT INTO spent VALUES (%s)", [(amount,) for amount in amounts])
        with psycopg.connect(self.postgres.url_owner) as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row
        return datetime.fromisoformat(row[0].isoformat())

    def wait_received(self) -> None:
        """Return when the archive has on its disk what the server has on its own: a commit does not wait for that."""

        def is_there() -> bool:
            with psycopg.connect(**self.as_superuser()) as connection:
                row = connection.execute(
                    "SELECT coalesce(bool_and(flush_lsn >= pg_current_wal_flush_lsn()), false) FROM pg_stat_replication"
                ).fetchone()
            return row is not None and row[0]

        until(is_there, "the log was received")


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
    till.wait_received()
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


def test_only_the_log_that_is_needed_is_fetched(till: Till, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, fetched = BackupStore(kept), list[str]()
    take_backup(till.postgres, store)
    moment = till.spend(1)
    needed = till.postgres.switch_segment()
    for amount in (10, 100, 1_000):
        till.spend(amount)
        last = till.postgres.switch_segment()
    _wait_for(last, store)

    def fetch(store: BackupStore, name: str, folder: Path) -> Path:
        fetched.append(name)
        return usual(store, name, folder)

    usual = BackupStore.fetch_segment
    monkeypatch.setattr(BackupStore, "fetch_segment", fetch)
    with restored(store, moment) as postgres:
        assert total(postgres) == (1, 1)
    # The first transaction after the moment is in the one behind.
    assert fetched[-1] == next_segment(needed) < last
    # Without a moment and a gap nobody asks how far the log reaches.
    monkeypatch.setattr(restoring, "_list_ends", lambda segment: pytest.fail(f"{segment} is read for nothing"))
    with restored(store) as postgres:
        assert total(postgres) == (4, 1_111)


def test_a_segment_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "000000010000000000000007").write_bytes(b"short")
    with pytest.raises(
        BackupFailed, match=r"^Segment 000000010000000000000007 of the log cannot be read. pg_waldump: "
    ):
        restoring._list_ends(tmp_path / "000000010000000000000007")


def test_what_a_restored_one_writes_is_none_of_the_originals(till: Till, kept: str, tmp_path: Path) -> None:
    """It may not keep its log in that place. Where it had, before that was refused, a restore goes by it."""
    store, beside = BackupStore(kept), f"file://{tmp_path}/beside"
    take_backup(till.postgres, store)
    till.spend(1)
    _wait_for(till.postgres.switch_segment(), store)
    with restored(store) as postgres:
        refused = Archive(postgres.data_dir, postgres, kept)
        refused.start()
        assert refused.wait_exit(PATIENCE_SECONDS)
        assert refused.log_tail().startswith("archive: Another database keeps its backups in this place")
        assert refused.reap() == 1
        with pytest.raises(BackupFailed, match="Another database keeps its backups in this place"):
            store.claim(postgres.archive_owner)
        archive = Archive(postgres.data_dir, postgres, beside)
        try:
            archive.start()
            archive.wait_ready()
            with psycopg.connect(postgres.url_owner) as connection:
                connection.execute("INSERT INTO spent VALUES (5000)")
            _wait_for(postgres.switch_segment(), BackupStore(beside))
        finally:
            archive.stop()
    till.spend(20)
    shutil.copytree(tmp_path / "beside" / "wal", tmp_path / "kept" / "wal", dirs_exist_ok=True)
    assert {path.name[:8] for path in (tmp_path / "kept" / "wal").iterdir()} == {"00000001", "00000002"}
    _wait_for(till.postgres.switch_segment(), store)
    with restored(store) as postgres:
        assert total(postgres) == (2, 21)


def test_a_log_that_broke_off_goes_on_behind_a_gap_that_is_told(
    till: Till, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server gave up what it kept for an archive that was away: the archive begins anew, and nobody takes what came
    before and after for one."""
    store = BackupStore(kept)
    first = take_backup(till.postgres, store)
    moment = till.spend(1, 2)
    till.spend(10)
    # else what has that moment in it might be on no disk but the server's
    _wait_for(till.postgres.switch_segment(), store)
    till.archive.stop()
    usual = Postgres.command
    with monkeypatch.context() as patched:
        patched.setattr(
            Postgres, "command", lambda self: [word.replace("keep_size=8GB", "keep_size=1MB") for word in usual(self)]
        )
        till.restart_postgres()
        for amount in (100, 1_000, 10_000, 100_000):
            till.spend(amount)
            till.postgres.switch_segment()
            with psycopg.connect(**till.as_superuser()) as connection:
                connection.execute("CHECKPOINT")
    assert not till.postgres.is_slot_kept(SLOT)
    till.restart_postgres()
    till.archive.start()
    till.archive.wait_ready()
    till.spend(1_000_000)
    _wait_for(till.postgres.switch_segment(), store)
    with pytest.raises(
        BackupFailed, match=rf"The log of backup {first.name} has a gap: .* Give --to with a moment before"
    ):
        restore(store, tmp_path / "new", None)
    assert not (tmp_path / "new").exists()
    with restored(store, moment) as postgres:
        assert total(postgres) == (2, 3)
    take_backup(till.postgres, store)
    with restored(store) as postgres:
        assert total(postgres) == (8, 1_111_113)


def test_a_store_that_is_away_stops_no_stack(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{HOST}:{find_free_port()}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    till.archive.stop()
    archive = Archive(till.data_dir, till.postgres, "s3://costhub/kept")
    try:
        archive.start()
        assert archive.wait_exit(PATIENCE_SECONDS)
        assert archive.log_tail().startswith("archive: The store of backups is in trouble: ")
        assert archive.reap() == 1
    finally:
        archive.stop()


def test_nothing_waits_for_a_bucket_that_never_answers(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections and says nothing: a request would wait for its time to be over."""
    till.archive.stop()
    with socket.create_server((HOST, 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{HOST}:{silent.getsockname()[1]}")
        for name, value in {"ALLOW_HTTP": "true", "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        archive = Archive(till.data_dir, till.postgres, "s3://costhub/kept")
        try:
            began = clock.monotonic_ns()
            archive.start()
            assert clock.monotonic_ns() - began < 10_000_000_000
            silent.settimeout(PATIENCE_SECONDS)
            asked, _ = silent.accept()
            with asked:
                asked.settimeout(PATIENCE_SECONDS)
                assert asked.recv(64).startswith(b"PUT /costhub/kept/owner.json")
                assert archive.is_alive()
        finally:
            archive.kill()
            archive.stop()


def test_how_old_what_is_kept_is(till: Till, kept: str) -> None:
    state = find_state(till.data_dir)
    assert read_ages("") == {}
    assert sorted(read_ages(str(state))) == ["base", "log"]
    note_kept(state, BASE)
    until((state / LOG).exists, "the log is kept")
    for name, seconds in ((LOG, 301), (BASE, 200_000)):
        os.utime(state / name, times=(clock.now_ms() / 1000 - seconds,) * 2)
    assert {name: round(age) for name, age in read_ages(str(state)).items()} == {"log": 301, "base": 200_000}
    take_backup(till.postgres, BackupStore(kept))
    assert read_ages(str(state))["base"] < 100
    until(lambda: read_ages(str(state))["log"] < 100, "the log is kept")


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
