"""How long a worker begins lines, by a clock for durations that is moved."""

import os
from collections.abc import Iterator

import pytest
from celery.signals import worker_shutting_down

from costhub.lib import clock
from proxy import tasks
from proxy.batches.shift import Shift, end_shifts

assert callable(tasks.end_batches), "what listens to Celery"


class Watch:
    """A clock for durations."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def read(self) -> int:
        """In nanoseconds."""
        return int(self.seconds * 1_000_000_000)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    made = Watch()
    monkeypatch.setattr(clock, "monotonic_ns", made.read)
    return made


def test_a_shift_ends_with_its_time_where_nothing_is_under_way(watch: Watch) -> None:
    shift = Shift(60)
    watch.seconds = 59.9
    assert not shift.is_over()
    watch.seconds = 60
    assert shift.is_over()
    assert shift.is_over(for_soon=True)


@pytest.mark.parametrize("for_soon", [False, True])
def test_while_lines_are_under_way_others_begin_beside_them_for_a_while(watch: Watch, for_soon: bool) -> None:
    shift = Shift(60)
    with shift.keep(for_soon=for_soon):
        watch.seconds = 239.9
        assert not shift.is_over()
        assert not shift.is_over(for_soon=True)
    assert shift.is_over()
    assert shift.is_over(for_soon=True)


@pytest.fixture
def stopping() -> Iterator[None]:
    """As Celery's first process tells it, to itself, when it is asked to stop."""
    yield
    end_shifts(over=False)


def test_no_line_begins_in_a_process_that_a_worker_forked_once_the_worker_stops(stopping: None) -> None:
    ready, go = os.pipe()
    if (pid := os.fork()) == 0:
        os.read(ready, 1)
        shift = Shift(60)
        with shift.keep(for_soon=True):
            os._exit(int(shift.is_over()) + 2 * int(shift.is_over(for_soon=True)))
    assert not Shift(60).is_over()
    worker_shutting_down.send(sender="celery@localhost", sig="SIGTERM", how="Warm", exitcode=0)
    os.write(go, b"1")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_what_is_near_begins_as_long_as_another_line_keeps_the_worker(watch: Watch) -> None:
    shift = Shift(60)
    with shift.keep(for_soon=False):
        watch.seconds = 480
        assert shift.is_over()
        assert not shift.is_over(for_soon=True)
        watch.seconds = 1_800
        assert shift.is_over(for_soon=True)
    watch.seconds = 480
    with shift.keep(for_soon=True):
        assert shift.is_over(for_soon=True)
