"""Checkpoints in S3, and in a folder: whole or not there, and one writer's alone."""

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

import obstore
import pytest
from obstore.store import LocalStore, S3Store

from proxy.learning.checkpoint_writer import CheckpointWriter
from proxy.learning.checkpoints import Checkpoints, Fenced, Store, StoreFailed, list_jobs, open_store
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import ROOT
from tests.proxy.learning.s3 import S3


@pytest.fixture(params=["s3", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "file":
        store = open_store(f"file://{tmp_path}/checkpoints")
        assert isinstance(store, LocalStore)
        return store
    s3: S3 = request.getfixturevalue("s3")
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return open_store(s3.url(token_hex(4)))


def parts(step: int) -> dict[str, bytes]:
    return {"weights": b"w" * step, "order": b"o%d" % step}


def begun(store: Store, fence: int, **options: int) -> Checkpoints:
    checkpoints = Checkpoints(store, "job", fence, **options)
    checkpoints.take_over()
    return checkpoints


def keys(store: Store) -> list[str]:
    return sorted(str(item["path"]) for batch in obstore.list(store) for item in batch)


def test_the_newest_comes_back_and_the_last_three_are_kept(store: Store) -> None:
    one = begun(store, 1)
    assert one.load() is None
    for step in range(1, 6):
        one.save(step, parts(step))
    found = one.load()
    assert found is not None
    assert (found.step, found.parts) == (5, parts(5))
    kept = [key.rsplit("/", 1)[1] for key in keys(store)]
    assert kept == [
        *("0000000004.json", "0000000005.json", "0000000006.json"),
        *(f"000001-{step:012d}-{name}" for step in (3, 4, 5) for name in ("order", "weights")),
    ]
    two = begun(store, 2)
    assert two.load() == found
    two.save(6, parts(6))
    assert two.load() != found
    assert list_jobs(store) == ["job"]
    two.forget()
    assert (keys(store), list_jobs(store)) == ([], [])
    assert two.load() is None


def test_a_worker_that_was_thought_dead_writes_nothing_more(store: Store) -> None:
    one = begun(store, 1)
    one.save(10, parts(10))
    two = begun(store, 2)
    with pytest.raises(Fenced, match="Worker 2 has taken over from 1"):
        one.save(20, parts(20))
    found = two.load()
    assert found is not None
    assert found.step == 10
    two.save(11, parts(11))
    for late in (one, Checkpoints(store, "job", 1)):
        with pytest.raises(Fenced):
            late.take_over()
    found = two.load()
    assert found is not None
    assert found.step == 11


def test_an_old_writers_number_that_was_free_again_changes_nothing(store: Store) -> None:
    one = begun(store, 1)
    two = begun(store, 2, kept=1)
    for step in range(1, 6):
        two.save(step, parts(step))
    # Its next number was deleted with old manifests: it can write it, and learns all the same.
    with pytest.raises(Fenced):
        one.save(99, parts(99))
    found = two.load()
    assert found is not None
    assert found.step == 5


@pytest.mark.parametrize("damage", ["lost", "torn", "changed", "manifest"])
def test_what_is_torn_is_passed_over(store: Store, damage: str) -> None:
    one = begun(store, 1)
    one.save(1, parts(1))
    one.save(2, parts(2))
    key = "jobs/job/parts/000001-000000000002-weights"
    if damage == "lost":
        obstore.delete(store, key)
    elif damage == "manifest":
        obstore.put(store, "jobs/job/manifests/0000000003.json", b"{")
    else:
        obstore.put(store, key, b"w" if damage == "torn" else b"wx")
    found = begun(store, 2).load()
    assert found is not None
    assert (found.step, found.parts) == (1, parts(1))


def test_what_all_workers_need_is_kept_once_and_whole(store: Store) -> None:
    one = begun(store, 1)
    assert one.find("vectors") is None
    one.keep("vectors", b"\0" * 1_000)
    one.save(1, parts(1))
    assert begun(store, 2).find("vectors") == b"\0" * 1_000
    obstore.put(store, "jobs/job/shared/vectors", b"\0" * 1_000)
    assert one.find("vectors") is None


def test_a_store_that_is_away_is_told_of() -> None:
    away = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:9",
        access_key_id="a",
        secret_access_key="b",
        region="us-east-1",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    checkpoints = Checkpoints(away, "job", 1)
    for act in (checkpoints.take_over, checkpoints.load, lambda: checkpoints.keep("a", b"")):
        with pytest.raises(StoreFailed):
            act()


#: a process that may write no file beyond 64 KiB: what it writes of a longer one is taken, and the rest refused in the
#: middle of it, as a disk does that fills up
_FULL = """
import resource, signal, sys
from proxy.learning.checkpoints import Checkpoints, StoreFailed, open_store

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
one = Checkpoints(open_store(sys.argv[1]), "job", 1)
one.take_over()
one.save(1, {"weights": b"w" * 1_000, "order": b"o1"})
resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, resource.RLIM_INFINITY))
try:
    one.save(2, {"order": b"o2", "weights": b"w" * 1_000_000})
except StoreFailed as failed:
    print(failed)
print(one.load().step)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
one.save(3, {"order": b"o3", "weights": b"w" * 1_000_000})
print(one.load().step)
"""


def test_a_full_disk_is_told_of_and_leaves_the_last_one(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", _FULL, f"file://{tmp_path}"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert made.returncode == 0, made.stderr
    failed, before, after = made.stdout.splitlines()
    assert failed.startswith("jobs/job/parts/000001-000000000002-weights could not be written: ")
    assert (before, after) == ("1", "3")
    # Neither the torn part nor what was written of its checkpoint stays.
    names = sorted(path.name for path in (tmp_path / "jobs/job/parts").iterdir())
    assert names == [
        *(f"000001-{step:012d}-{name}" for step in (1, 3) for name in ("order", "weights")),
    ]


@pytest.mark.parametrize("url", ["", "s3://", "http://bucket", "gs://bucket/prefix", "file://"])
def test_a_place_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(StoreFailed, match="give file:///a/folder or s3://bucket/prefix"):
        open_store(url)


def test_the_writer_writes_beside_and_skips_what_is_overtaken(tmp_path: Path) -> None:
    checkpoints = begun(open_store(f"file://{tmp_path}"), 1)
    writer = CheckpointWriter(checkpoints)
    for step in range(1, 200):
        writer.submit(step, parts(step))
    assert writer.flush(10)
    assert writer.written == 199
    found = checkpoints.load()
    assert found is not None
    assert (found.step, writer.failures) == (199, 0)
    begun(open_store(f"file://{tmp_path}"), 2)
    writer.submit(200, parts(200))
    with pytest.raises(Fenced):
        writer.flush(10)
    with pytest.raises(Fenced):
        writer.submit(201, parts(201))
    writer.close(10)


def test_the_writer_tries_again_until_the_store_is_back(tmp_path: Path) -> None:
    checkpoints = begun(open_store(f"file://{tmp_path}"), 1)
    blocked = tmp_path / "jobs/job/parts"
    blocked.touch()
    writer = CheckpointWriter(checkpoints)
    writer.submit(1, parts(1))
    assert not writer.flush(0.2)
    assert writer.failures >= 1
    assert "could not be written" in writer.last_failure
    blocked.unlink()
    assert writer.flush(10)
    writer.close(10)
    assert writer.written == 1


class Hanging(Checkpoints):
    """A store that takes a checkpoint and says nothing more."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, "job", 1)
        self.is_asked, self.goes_on = threading.Event(), threading.Event()

    def save(self, step: int, parts: Mapping[str, bytes]) -> None:
        self.is_asked.set()
        self.goes_on.wait(PATIENCE_SECONDS)


def test_a_store_that_hangs_keeps_nobody(tmp_path: Path) -> None:
    checkpoints, others = Hanging(open_store(f"file://{tmp_path}")), threading.enumerate()
    writer = CheckpointWriter(checkpoints)
    (thread,) = (one for one in threading.enumerate() if one not in others)
    writer.submit(1, parts(1))
    assert checkpoints.is_asked.wait(PATIENCE_SECONDS)
    assert not writer.flush(0.05)
    writer.close(0.05)
    assert (writer.written, thread.is_alive()) == (-1, True)
    checkpoints.goes_on.set()
    writer.close(10)
    assert not thread.is_alive()
