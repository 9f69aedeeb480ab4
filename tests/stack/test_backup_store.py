"""Where backups lie: what is kept is nobody else's to write over, and nothing goes that is still needed."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

from costhub.stack.backup import UNFINISHED
from costhub.stack.backup.archive import ship, ship_partial
from costhub.stack.backup.restore import restore
from costhub.stack.backup.store import Backup, BackupFailed, BackupStore, name_of

SEGMENT = "0000000100000000000000"
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> BackupStore:
    return BackupStore((tmp_path / "kept").as_uri())


def write(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder


def copy(store: BackupStore, minutes: int) -> Backup:
    """A base that is not sealed."""
    began = NOON + timedelta(minutes=minutes)
    segment = f"{SEGMENT}{minutes:02d}"
    size, sha256 = store.write_base(BytesIO(b"files"), name_of(began), segment, 17)
    return Backup(name_of(began), began + timedelta(minutes=1), segment, 17, size, sha256)


def test_a_log_is_not_written_over_by_another_databases(store: BackupStore, tmp_path: Path) -> None:
    name = f"{SEGMENT}07"
    assert ship(write(tmp_path / "one", name, b"mine"), store) == 1
    assert ship(write(tmp_path / "one", name, b"mine"), store) == 1, "again, as after a death"
    with pytest.raises(BackupFailed, match="another database keeps its log in this place"):
        ship(write(tmp_path / "two", name, b"theirs"), store)
    assert (tmp_path / "two" / name).exists()
    back = tmp_path / "back"
    back.mkdir()
    assert store.fetch_segments(name, back) == 1
    assert (back / name).read_bytes() == b"mine"


def test_what_is_being_filled_is_written_over(store: BackupStore, tmp_path: Path) -> None:
    seen: dict[str, int] = {}
    for content in (b"m", b"mine"):
        seen = ship_partial(write(tmp_path / "one", f"{SEGMENT}07.partial", content), store, seen)
    back = tmp_path / "back"
    back.mkdir()
    store.fetch_segments(f"{SEGMENT}07", back)
    assert (back / f"{SEGMENT}07").read_bytes() == b"mine"


def test_a_backup_that_is_being_taken_beside_stays(store: BackupStore, tmp_path: Path) -> None:
    broken_off, old, new = copy(store, 0), copy(store, 5), copy(store, 10)
    beside = copy(store, 11)
    for backup in (old, new):
        store.seal(backup)
    store.forget_before(new)
    store.seal(beside)
    assert [backup.name for backup in store.list_backups()] == [new.name, beside.name]
    store.fetch_base(beside, tmp_path / "base.tar.gz")
    assert not (tmp_path / "kept" / "base" / broken_off.name / "base.tar.gz").exists()


def test_counters_of_another_moment_are_not_taken_over(store: BackupStore, tmp_path: Path) -> None:
    store.seal(copy(store, 0))
    (tmp_path / "data" / "valkey").mkdir(parents=True)
    with pytest.raises(BackupFailed, match="holds a database already"):
        restore(store, tmp_path / "data", None)


def test_a_journal_of_erasures_that_cannot_be_read_stops_a_restore_before_it_begins(tmp_path: Path) -> None:
    """A file that is none of ours: whoever was erased could not be told from the others."""
    kept, data = tmp_path / "kept", tmp_path / "data"
    store = BackupStore(kept.as_uri())
    store.seal(copy(store, 0))
    for name, content in (("x.json", "{}"), ("018f/y.json", "no JSON")):
        file = kept / "erased_end_users" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        with pytest.raises(BackupFailed, match="Who was erased cannot be read"):
            store.list_erased_end_users()
        ran = subprocess.run(
            [sys.executable, "-m", "costhub", "restore", "--url", kept.as_uri(), "--data-dir", data],
            check=False,
            capture_output=True,
            text=True,
        )
        assert (ran.returncode, ran.stderr.splitlines()[0][:52]) == (
            1,
            "costhub restore: Who was erased cannot be read besid",
        )
        assert not data.exists()
        file.unlink()


def test_nothing_is_started_on_what_was_restored_until_the_erasure_has_run(tmp_path: Path) -> None:
    (tmp_path / UNFINISHED).touch()
    ran = subprocess.run(
        [sys.executable, "-m", "costhub", "up", "--no-demo", "--no-model", "--data-dir", tmp_path],
        check=False,
        capture_output=True,
        text=True,
        # It would go on for ever.
        timeout=60,
    )
    assert (ran.returncode, "did not come to its end" in ran.stdout + ran.stderr) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == [UNFINISHED]
