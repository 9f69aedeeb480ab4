"""Where backups lie: what is kept is nobody else's to write over, and nothing goes that is still needed."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

from costhub.stack.backup import UNFINISHED
from costhub.stack.backup.archive import ship, ship_partial
from costhub.stack.backup.restore import restore
from costhub.stack.backup.store import Backup, BackupFailed, BackupStore, Log, StoreInTrouble, name_of
from costhub.stack.ports import HOST, find_free_port
from tests.patience import PATIENCE_SECONDS
from tests.proxy.learning.s3 import run_s3

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
    assert store.list_log(name) == Log((name,))
    assert store.fetch_segment(name, tmp_path).read_bytes() == b"mine"


def test_nothing_is_deleted_whose_copy_a_power_cut_could_take(
    store: BackupStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's files are in the kernel's memory at first: it is asked to write them while there still are others."""
    name, spool = f"{SEGMENT}07", write(tmp_path / "one", f"{SEGMENT}07", b"mine")
    seen: list[tuple[list[str], list[str]]] = []

    def sync() -> None:
        kept = sorted(path.name for path in (tmp_path / "kept").rglob("*") if path.is_file())
        seen.append(([path.name for path in spool.iterdir()], kept))

    monkeypatch.setattr(os, "sync", sync)
    assert (ship(spool, store), ship(spool, store)) == (1, 0)
    assert seen == [([name], [f"{name}.gz"])]
    store.seal(copy(store, 7))
    assert [kept for _, kept in seen[1:]] == [
        [f"{name}.gz", "base.tar.gz"],
        [f"{name}.gz", "backup.json", "base.tar.gz"],
    ]


@pytest.mark.parametrize("left", [slice(0), slice(12), slice(-1)], ids=["nothing", "its beginning", "nearly all"])
def test_what_a_power_cut_has_left_of_a_segment_is_no_other_one(
    store: BackupStore, tmp_path: Path, left: slice
) -> None:
    """Whoever shipped it still has it, and would be refused for ever."""
    name = f"{SEGMENT}07"
    ship(write(tmp_path / "one", name, b"mine"), store)
    torn = tmp_path / "kept" / "wal" / f"{name}.gz"
    torn.write_bytes(torn.read_bytes()[left])
    assert ship(write(tmp_path / "one", name, b"mine"), store) == 1
    assert store.fetch_segment(name, tmp_path).read_bytes() == b"mine"


def test_what_is_being_filled_is_written_over(store: BackupStore, tmp_path: Path) -> None:
    seen: dict[str, int] = {}
    for content in (b"m", b"mine"):
        seen = ship_partial(write(tmp_path / "one", f"{SEGMENT}07.partial", content), store, seen)
    assert store.list_log(f"{SEGMENT}07") == Log((f"{SEGMENT}07.partial",))
    assert store.fetch_segment(f"{SEGMENT}07.partial", tmp_path) == tmp_path / f"{SEGMENT}07"
    assert (tmp_path / f"{SEGMENT}07").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("kept", "log"),
    [
        (["FE", "FF"], Log(("FE", "FF"))),
        (["FE", "FE.partial", "FF.partial"], Log(("FE", "FF.partial"))),
        ([], Log((), "FE")),
        (["FF"], Log((), "FE", "FF")),
        (["FD", "FE", "1:01"], Log(("FE",), "FF", "1:01")),
        # What was being filled when the log broke off never became whole.
        (["FE", "FF.partial", "1:00"], Log(("FE", "FF.partial"), "FF", "1:00")),
        # Another database's, which went on from here.
        (["FE", "2:FF"], Log(("FE",))),
    ],
)
def test_a_log_reaches_as_far_as_it_has_no_gap(store: BackupStore, kept: list[str], log: Log) -> None:
    """Of a timeline, over the end of a file of 256 segments."""
    full = {"1": "00000001" + "00000001" + "000000", "2": "00000002" + "00000000" + "000000"}

    def name(short: str) -> str:
        file, _, segment = short.rpartition(":")
        return full.get(file, SEGMENT) + segment

    for short in kept:
        store.put_segment(name(short), b"x")
    found = store.list_log(name("FE"))
    assert found == Log(tuple(map(name, log.names)), log.missing and name(log.missing), log.later and name(log.later))


def test_a_place_is_one_databases(store: BackupStore) -> None:
    store.claim("one")
    store.claim("one")
    with pytest.raises(BackupFailed, match=r"Another database keeps its backups in this place.*_URL of its own"):
        store.claim("two")


def test_a_bucket_in_trouble_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{find_free_port()}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }.items():
        monkeypatch.setenv(name, value)
    store = BackupStore("s3://costhub/kept")
    write(tmp_path / "spool", f"{SEGMENT}07", b"mine")
    asked: list[Callable[[], object]] = [
        store.list_backups,
        lambda: store.list_log(f"{SEGMENT}07"),
        lambda: store.has_segment(f"{SEGMENT}07"),
        lambda: store.claim("one"),
        lambda: ship(tmp_path / "spool", store),
        lambda: copy(store, 0),
    ]
    for ask in asked:
        with pytest.raises(StoreInTrouble, match=r"^The store of backups is in trouble: [^\n]+$"):
            ask()
    ran = subprocess.run(
        [sys.executable, "-m", "costhub", "restore", "--url", "s3://costhub/kept", "--data-dir", tmp_path / "data"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr[:55], "Traceback" in ran.stderr) == (
        1,
        "costhub restore: Who was erased cannot be read beside t",
        False,
    )


def test_a_bucket_that_is_not_there_keeps_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its library calls that a file that is not found, which a segment is that has just got its other name."""
    with run_s3() as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        store = BackupStore("s3://nobody-made-it/kept")
        for suffix in ("", ".partial"):
            write(tmp_path / "spool", f"{SEGMENT}07{suffix}", b"mine")
        for ask in (
            lambda: store.claim("one"),
            lambda: ship(tmp_path / "spool", store),
            lambda: ship_partial(tmp_path / "spool", store, {}),
        ):
            with pytest.raises(StoreInTrouble, match=r"^The store of backups is in trouble: [^\n]+$"):
                ask()
    assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == [f"{SEGMENT}07", f"{SEGMENT}07.partial"]


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
        timeout=PATIENCE_SECONDS,
    )
    assert (ran.returncode, "did not come to its end" in ran.stdout + ran.stderr) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == [UNFINISHED]
