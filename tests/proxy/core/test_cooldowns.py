"""When an upstream is left alone, and who tries it anew."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.cooldowns import FAILURES, FIRST_NANOS, LONGEST_NANOS, Health, after_failure, take_probe

SECOND = 1_000_000_000


def fail(times: int, now_ns: int = SECOND) -> Health:
    health = Health()
    for _ in range(times):
        health = after_failure(health, now_ns)
    return health


def test_it_takes_several_failures_in_a_row() -> None:
    assert fail(FAILURES - 1).until_ns == 0
    assert fail(FAILURES).until_ns == SECOND + FIRST_NANOS


def test_failures_of_tries_that_began_before_change_nothing() -> None:
    assert fail(FAILURES + 5).until_ns == fail(FAILURES).until_ns


def test_one_that_says_how_long_is_believed_at_once() -> None:
    assert after_failure(Health(), SECOND, 20 * SECOND).until_ns == 21 * SECOND
    assert after_failure(Health(), SECOND, 900 * SECOND).until_ns == SECOND + LONGEST_NANOS


def test_the_first_after_a_cool_down_is_the_only_probe_until_it_has_told() -> None:
    health = fail(FAILURES)
    assert take_probe(health, health.until_ns - 1) is None
    probing = take_probe(health, health.until_ns)
    assert probing is not None
    assert take_probe(probing, health.until_ns + 1) is None
    # one that never tells, because its call was refused, holds nobody up for long
    assert take_probe(probing, health.until_ns + FIRST_NANOS) is not None


def test_a_probe_that_fails_doubles_the_cool_down_up_to_a_bound() -> None:
    health, lengths = fail(FAILURES), []
    for _ in range(6):
        probing = take_probe(health, health.until_ns)
        assert probing is not None
        now = health.until_ns + SECOND
        health = after_failure(probing, now)
        lengths.append(health.until_ns - now)
    assert lengths == [10 * SECOND, 20 * SECOND, 40 * SECOND, 60 * SECOND, 60 * SECOND, 60 * SECOND]


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), max_size=20))
def test_no_cool_down_is_longer_than_the_longest(failures: list[tuple[int, int]]) -> None:
    health, now = Health(), SECOND
    for wait, pause in failures:
        now += wait
        health = after_failure(health, now, pause)
        assert health.until_ns <= now + LONGEST_NANOS
