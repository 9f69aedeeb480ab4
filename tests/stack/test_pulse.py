"""Who is stuck and who is merely idle: told by the very command that the probes of pods run, of real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import pytest
import redis
from celery import Celery

from costhub.lib import clock
from costhub.lib.broker import broker_options
from costhub.lib.keyspace import QUICK_QUEUE
from costhub.stack import pulse
from costhub.stack.part import Part
from costhub.stack.ports import HOST, find_free_port
from costhub.stack.pulse import Ages, find_fault
from costhub.stack.services import Beat, Service, Worker
from costhub.stack.valkey import Valkey
from tests.patience import wait_until
from tests.stack.conftest import ROOT

ENVIRONMENT = {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
AN_HOUR_AGO = 3_600


@contextmanager
def running(part: Part, is_up: Callable[[], bool] | None = None) -> Iterator[None]:
    try:
        part.start()
        wait_until(is_up) if is_up else part.wait_ready()
        yield
    finally:
        # One that a test has stopped ends by itself all the same.
        part.signal(signal.SIGCONT)
        part.stop()


@pytest.fixture
def valkey(data_dir: Path) -> Iterator[Valkey]:
    server = Valkey(data_dir)
    with running(server):
        yield server


def make(part: type[Worker] | type[Beat], valkey: Valkey, folder: Path) -> Worker | Beat:
    return part(folder, ENVIRONMENT | {"REDIS_URL": valkey.url}, app="tests.stack.small_celery")


def sign(part: Service, which: str) -> Path:
    return part.data_dir / f"{part.name}.{which}"


def let_age(file: Path) -> None:
    """As if nothing had been shown for an hour."""
    then = clock.now_ms() / 1000 - AN_HOUR_AGO
    os.utime(file, (then, then))


def is_fresh(file: Path) -> bool:
    return file.exists() and clock.now_ms() / 1000 - file.stat().st_mtime < AN_HOUR_AGO / 2


def probe(part: Service, valkey: Valkey) -> tuple[int, str]:
    """What the probe's command gives and says."""
    ran = subprocess.run(
        [sys.executable, "-m", "costhub.stack.pulse", part.name, part.data_dir],
        check=False,
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"REDIS_URL": valkey.url},
    )
    return ran.returncode, ran.stderr


LIVES = (0, "")


def test_a_worker_that_has_nothing_to_do_lives(data_dir: Path, valkey: Valkey) -> None:
    worker = make(Worker, valkey, data_dir)
    left = sign(worker, "worked")
    left.touch()
    with running(worker):
        assert not left.exists(), "what a process of before has shown is no sign of this one"
        wait_until(sign(worker, "turned").exists)
        let_age(sign(worker, "turned"))
        wait_until(lambda: is_fresh(sign(worker, "turned")))
        assert not left.exists()
        assert probe(worker, valkey) == LIVES


def test_a_worker_that_has_long_been_at_one_task_lives(data_dir: Path, valkey: Valkey) -> None:
    worker = make(Worker, valkey, data_dir)
    with running(worker), redis.Redis.from_url(valkey.url) as store, queue_of(valkey) as queue:
        queue.send_task("tests.stack.small_celery.hold")
        assert store.blpop(["held"], timeout=0)
        let_age(sign(worker, "worked"))
        wait_until(lambda: is_fresh(sign(worker, "worked")))
        assert probe(worker, valkey) == LIVES
        store.rpush("released", 1)


@pytest.mark.parametrize("part", [Worker, Beat])
def test_one_whose_loop_does_not_turn_is_stuck_unless_valkey_is_away(
    data_dir: Path, valkey: Valkey, part: type[Worker] | type[Beat]
) -> None:
    found = make(part, valkey, data_dir)
    with running(found, sign(found, "turned").exists):
        found.signal(signal.SIGSTOP)
        assert probe(found, valkey) == LIVES
        let_age(sign(found, "turned"))
        code, said = probe(found, valkey)
        assert (code, said.startswith(f"{part.name} is stuck: its loop has shown nothing for 36")) == (1, True)
        valkey.stop()
        assert probe(found, valkey) == LIVES, "whom nobody can give anything to do is not started again"
        valkey.start()
        valkey.wait_ready()


def test_a_worker_that_takes_nothing_is_stuck_once_something_waits(data_dir: Path, valkey: Valkey) -> None:
    """It turns, and believes that it listens: a lost subscription is quiet."""
    worker = make(Worker, valkey, data_dir)
    with running(worker), queue_of(valkey) as queue:
        assert isinstance(worker, Worker)
        assert queue.control.cancel_consumer(QUICK_QUEUE, destination=[worker.node], reply=True, timeout=60)
        wait_until(sign(worker, "turned").exists)
        assert probe(worker, valkey) == LIVES
        queue.send_task("tests.stack.small_celery.tick")
        assert probe(worker, valkey) == (1, "worker is stuck: it has taken no task since its start, and 1 wait\n")


@contextmanager
def queue_of(valkey: Valkey) -> Iterator[Celery]:
    with Celery(set_as_current=False) as app:
        app.conf.update(broker_options(valkey.url))
        yield app


def test_who_does_not_say_where_the_queue_is_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback would end with 1, as if the part were stuck."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        for name in ("REDIS_URL", "COSTHUB_BROKER_URL"):
            patch.delenv(name, raising=False)
        pulse.main(["worker", str(tmp_path)])
    assert ended.value.code == 2
    assert "error: set REDIS_URL" in capsys.readouterr().err


def test_who_has_shown_both_lately_is_asked_nothing_more() -> None:
    nowhere = f"redis://{HOST}:{find_free_port()}/0"
    assert find_fault("worker", Ages(60, 300), nowhere) is None
    assert find_fault("worker", Ages(inf, inf), nowhere) is None
