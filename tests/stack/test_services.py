"""Our own processes as the stack runs them: the web server, the Celery worker, beat."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from costhub.lib.process_slots import ProcessSlots
from costhub.stack.part import Part
from costhub.stack.ports import HOST, find_free_port
from costhub.stack.services import Beat, Proxy, Worker, find_served_queues, ping_worker
from costhub.stack.valkey import Valkey
from tests.patience import PATIENCE_SECONDS
from tests.stack.conftest import ROOT, Watch

ENVIRONMENT = {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}


@contextmanager
def running(part: Part) -> Iterator[None]:
    try:
        part.start()
        part.wait_ready()
        yield
    finally:
        part.stop()


@pytest.fixture
def valkey(data_dir: Path) -> Iterator[Valkey]:
    server = Valkey(data_dir)
    with running(server):
        yield server


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def get(port: int) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/")
    body = connection.getresponse().read().decode()
    connection.close()
    return body


def test_the_proxy_serves_with_its_workers_and_takes_them_along_when_killed(data_dir: Path) -> None:
    proxy = Proxy(data_dir, ENVIRONMENT, port=find_free_port(), workers=2, app="tests.stack.small_asgi:application")
    with running(proxy):
        assert proxy.pid is not None
        assert get(proxy.port) in {str(pid) for pid in children_of(proxy.pid)}
        everything = Watch([proxy.pid, *children_of(proxy.pid)])
        os.kill(proxy.pid, signal.SIGKILL)
        assert proxy.wait_exit(PATIENCE_SECONDS)
        left = data_dir / "metrics" / "counter_7.db"
        left.write_bytes(b"")
        left.with_name("7.lock").write_bytes(b"")
        assert proxy.environment()["PROMETHEUS_MULTIPROC_DIR"] == str(left.parent)
        # As the supervisor does before it starts a dead part again: no orphan may keep the port.
        assert proxy.reap() == -signal.SIGKILL
        assert everything.survivors() == []
        proxy.start()
        proxy.wait_ready()
        assert proxy.pid is not None
        assert get(proxy.port) in {str(pid) for pid in children_of(proxy.pid)}
        assert not left.exists()


def test_what_pages_tell_of_themselves_outlives_a_proxy_that_starts_again(data_dir: Path) -> None:
    """They answer /metrics, and go on writing into the files that they have open."""
    folder = data_dir / "metrics"
    pages = ProcessSlots(folder).number()
    (folder / "1.lock").write_bytes(b"")
    for name in (f"gauge_mostrecent_{pages}.db", "gauge_mostrecent_1.db", "counter_1.db", "counter_11.db"):
        (folder / name).write_bytes(b"")
    Proxy(data_dir, ENVIRONMENT, port=find_free_port(), workers=1).prepare()
    assert sorted(file.name for file in folder.glob("*.db")) == ["counter_11.db", "gauge_mostrecent_0.db"]


def test_beat_and_worker_run_what_is_due_and_stop_when_asked(data_dir: Path, valkey: Valkey) -> None:
    environment = ENVIRONMENT | {"REDIS_URL": valkey.url}
    worker = Worker(data_dir, environment, app="tests.stack.small_celery")
    beat = Beat(data_dir, environment, app="tests.stack.small_celery")
    (data_dir / "beat.pid").write_text(f"{os.getpid()}\n")
    with redis.Redis.from_url(valkey.url) as client, running(worker), running(beat):
        assert worker.pid is not None
        _, pid = client.blpop(["ticks"], timeout=PATIENCE_SECONDS)
        assert int(pid) in children_of(worker.pid)
        assert ping_worker(valkey.url, worker.node) is True
        assert ping_worker(valkey.url, "costhub-another@localhost", timeout_seconds=0.2) is False
        everything = Watch([worker.pid, *children_of(worker.pid)])
    assert everything.survivors(0) == []
    assert "Traceback" not in worker.log_path.read_text() + beat.log_path.read_text()


#: a part that says which rights its files get
SAYS_ITS_UMASK = """
import sys
from pathlib import Path
from costhub.stack.run import run_part
from costhub.stack.services import Service
class Says(Service):
    name = "says"
    def command(self): return ["/bin/sh", "-c", "umask"]
    def is_ready(self): return True
run_part(Says(Path(sys.argv[1]), {}))
"""


def test_what_a_part_writes_that_runs_by_itself_is_nobody_elses_to_read(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SAYS_ITS_UMASK, tmp_path], check=True, capture_output=True, text=True, umask=0o022
    )
    assert ran.stdout == "0077\n"


def test_no_worker_answers_where_there_is_no_broker() -> None:
    nowhere = f"redis://{HOST}:{find_free_port()}/0"
    assert ping_worker(nowhere, "costhub-1@localhost", timeout_seconds=0.2) is False
    assert find_served_queues(nowhere, timeout_seconds=0.2) == set()
