"""How long a worker begins lines, by a clock for durations that is moved."""

import pytest

from costhub.lib import clock
from proxy.batches.shift import Shift


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
