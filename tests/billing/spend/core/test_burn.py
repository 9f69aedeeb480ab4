"""How fast a budget is used up."""

from datetime import UTC, datetime, timedelta

from billing.spend.core.burn import Burn, burn_of

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
NOW = START + timedelta(days=10)


def burn(spent: int, left: int, now: datetime = NOW) -> Burn:
    return burn_of(spent=spent, left=left, start=START, end=END, now=now)


def test_the_pace_is_a_days_and_says_when_nothing_is_left() -> None:
    assert burn(10 * 10**9, 5 * 10**9) == Burn(10**9, NOW + timedelta(days=5))


def test_what_lasts_to_the_end_of_the_period_ends_with_it() -> None:
    assert burn(10 * 10**9, 20 * 10**9) == Burn(10**9, None)
    assert burn(10 * 10**9, 20 * 10**9 - 1).empty_at == END - timedelta(microseconds=87)


def test_nothing_is_said_where_nothing_can_be() -> None:
    assert burn(0, 10) == Burn(0, None)
    assert burn(10**9, 10, START + timedelta(seconds=59)) == Burn(0, None)


def test_what_is_used_up_is_empty_now() -> None:
    assert burn(10**10, 0) == Burn(10**9, NOW)
    assert burn(10**10, -1).empty_at == NOW
