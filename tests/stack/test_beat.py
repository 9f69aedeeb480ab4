"""Two beats on one Valkey, as two machines have them: every run is sent once, and nobody is missed who is killed."""

import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from costhub.lib import clock
from costhub.lib.keyspace import BEAT, JOBS, QUEUES
from costhub.ops.beat import RUN_HEADER
from costhub.stack.services import Beat
from costhub.stack.valkey import Valkey
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.stack.conftest import ROOT

TICK = "tick"
TICK_MS = 200


class Beats:
    """A queue that no worker empties, and the beats that fill it."""

    def __init__(self, folder: Path, valkey: Valkey) -> None:
        self.folder = folder
        self.valkey = valkey
        self.store = redis.Redis.from_url(valkey.url)
        self.parts: list[Beat] = []

    def start(self) -> Beat:
        folder = self.folder / str(len(self.parts))
        folder.mkdir()
        environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "REDIS_URL": self.valkey.url}
        beat = Beat(folder, environment, app="tests.stack.small_celery")
        self.parts.append(beat)
        beat.start()
        beat.wait_ready()
        return beat

    def messages(self) -> list[dict[str, Any]]:
        """Headers of every message, oldest first."""
        return [orjson.loads(raw)["headers"] for raw in reversed(self.store.lrange(QUEUES[0], 0, -1))]

    def senders(self) -> dict[int, int]:
        """How many messages each process has sent."""
        found: dict[int, int] = defaultdict(int)
        for headers in self.messages():
            found[int(headers["origin"].removeprefix("gen").partition("@")[0])] += 1
        return found

    def runs(self) -> list[int]:
        """The run that each message is."""
        return [headers[RUN_HEADER] for headers in self.messages()]


@pytest.fixture
def beats(data_dir: Path) -> Iterator[Beats]:
    valkey = Valkey(data_dir)
    valkey.start()
    valkey.wait_ready()
    beats = Beats(data_dir, valkey)
    yield beats
    for part in beats.parts:
        part.stop()
    beats.store.close()
    valkey.stop()


def pid_of(beat: Beat) -> int:
    assert beat.pid is not None
    return beat.pid


def assert_sent_once(runs: list[int]) -> None:
    """No run is there twice, and between two runs lies a whole period."""
    gaps = [after - before for before, after in pairwise(sorted(runs))]
    assert min(gaps) >= TICK_MS


def test_two_beats_send_each_run_once_and_one_that_is_killed_is_not_missed(beats: Beats) -> None:
    first, second = beats.start(), beats.start()
    wait_until(lambda: len(beats.senders()) == 2)
    os.kill(pid_of(first), signal.SIGKILL)
    assert first.wait_exit(PATIENCE_SECONDS)
    before = len(beats.messages())
    wait_until(lambda: len(beats.messages()) >= before + 10)
    assert_sent_once(beats.runs())
    assert beats.senders()[pid_of(second)] >= 10


def test_a_beat_that_slept_sends_nothing_that_was_sent_meanwhile(beats: Beats) -> None:
    first, _ = beats.start(), beats.start()
    wait_until(lambda: len(beats.senders()) == 2)
    os.kill(pid_of(first), signal.SIGSTOP)
    before = len(beats.messages())
    wait_until(lambda: len(beats.messages()) >= before + 10)
    own = beats.senders()[pid_of(first)]
    os.kill(pid_of(first), signal.SIGCONT)
    wait_until(lambda: beats.senders()[pid_of(first)] > own)
    assert_sent_once(beats.runs())


def test_what_came_due_while_no_beat_ran_is_made_up_for_once(beats: Beats) -> None:
    beats.store.hset(BEAT, TICK, clock.now_ms() - 86_400_000)
    beats.start()
    wait_until(lambda: len(beats.messages()) >= 3)
    assert_sent_once(beats.runs())


def test_a_moment_in_the_future_stops_nobody(beats: Beats) -> None:
    """Another beat's clock was a day ahead."""
    beats.store.hset(BEAT, TICK, clock.now_ms() + 86_400_000)
    beats.start()
    wait_until(lambda: len(beats.messages()) >= 3)
    assert_sent_once(beats.runs())


def test_a_valkey_that_comes_back_empty_makes_no_job_late(beats: Beats) -> None:
    """Whoever asks how long ago a job succeeded is told of the moment from which on anybody knows."""
    beats.start()
    wait_until(lambda: len(beats.messages()) >= 1)
    began = int(beats.store.hget(JOBS, TICK))  # type: ignore[arg-type]
    beats.store.flushall()
    wait_until(lambda: beats.store.hexists(JOBS, TICK) is True)
    assert int(beats.store.hget(JOBS, TICK)) > began  # type: ignore[arg-type]


def test_a_beat_outlives_valkey(beats: Beats) -> None:
    beat = beats.start()
    wait_until(lambda: len(beats.messages()) >= 1)
    beats.valkey.stop()
    wait_until(lambda: "nothing is scheduled until it is back" in beat.log_path.read_text())
    beats.valkey.start()
    beats.valkey.wait_ready()
    before = len(beats.messages())
    wait_until(lambda: len(beats.messages()) >= before + 3)
    assert list(beats.senders()) == [pid_of(beat)]
    assert_sent_once(beats.runs())


def test_a_job_that_never_ran_is_as_old_as_its_first_beat(beats: Beats) -> None:
    beats.start()
    wait_until(lambda: len(beats.messages()) >= 1)
    first = beats.store.hget(JOBS, TICK)
    assert first is not None
    beats.start()
    wait_until(lambda: len(beats.senders()) == 2)
    assert beats.store.hget(JOBS, TICK) == first
