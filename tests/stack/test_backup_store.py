"""Where backups lie: what is kept is nobody else's to write over, and nothing goes that is still needed."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

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
