"""An hour of an endpoint, split: the parts make the whole, and time that calls share is shared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.gpu.core import HOUR_US, Run, Shared, price_stretch, share

MINUTE = HOUR_US // 60


@pytest.mark.parametrize(
    ("milli_gpus", "hour_nanos", "microseconds", "nanos"),
    [(1_000, 2_000_000_000, HOUR_US, 2_000_000_000), (250, 2_000_000_000, HOUR_US // 2, 250_000_000), (1, 1, 1, 1)],
)
def test_time_is_rounded_up_once(milli_gpus: int, hour_nanos: int, microseconds: int, nanos: int) -> None:
    assert price_stretch(milli_gpus, hour_nanos, microseconds) == nanos


def test_calls_that_run_at_once_share_the_time() -> None:
    runs = [Run(0, 20 * MINUTE, "a"), Run(10 * MINUTE, 30 * MINUTE, "b"), Run(50 * MINUTE, 90 * MINUTE, "a")]
    found = share(runs, 0, HOUR_US, 6_000)
    assert found == Shared(
        busy=40 * MINUTE,
        idle=20 * MINUTE,
        by_project={"a": 2_400, "b": 1_600},
        busy_by_project={"a": 24 * MINUTE, "b": 16 * MINUTE},
        idle_nanos=2_000,
    )


def test_nobody_called() -> None:
    assert share([], 0, HOUR_US, 7) == Shared(0, HOUR_US, {}, {}, 7)


moments = st.integers(min_value=-HOUR_US, max_value=2 * HOUR_US)


@given(
    st.lists(st.tuples(moments, st.integers(1, HOUR_US), st.sampled_from("abc")), max_size=20), st.integers(0, 10**12)
)
def test_the_parts_make_the_whole(calls: list[tuple[int, int, str]], nanos: int) -> None:
    found = share([Run(start, start + took, project) for start, took, project in calls], 0, HOUR_US, nanos)
    assert found.nanos == nanos
    assert sum(found.busy_by_project.values()) == found.busy
    assert found.busy + found.idle == HOUR_US
    assert min([found.idle, found.idle_nanos, *found.by_project.values(), *found.busy_by_project.values()]) >= 0
