"""Which of several servers a call goes to."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.endpoints import choose
from tenants.snapshots import EndpointSnapshot


def server(name: str, weight: int = 1) -> EndpointSnapshot:
    return EndpointSnapshot(name, f"http://{name}/v1", f"http://{name}", None, weight)


ONE, TWO, HEAVY = server("one"), server("two"), server("heavy", 3)


def test_the_least_busy_one_for_its_weight_is_asked() -> None:
    assert choose([ONE, TWO], {"one": 2, "two": 1}, {}) is TWO
    assert choose([ONE, HEAVY], {"one": 1, "heavy": 2}, {}) is HEAVY
    assert choose([ONE, HEAVY], {"one": 1, "heavy": 4}, {}) is ONE


def test_idle_ones_take_turns_by_their_weights() -> None:
    turns: dict[str, int] = {}
    order = [choose([ONE, HEAVY], {}, turns).id for _ in range(8)]
    assert order == ["heavy", "one", "heavy", "heavy"] * 2 or Counter(order) == {"heavy": 6, "one": 2}
    assert "one" in order[:4], "a heavier one does not come in one run"
    assert "one" in order[4:]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 4))
def test_over_whole_rounds_shares_are_exact(weights: list[int], rounds: int) -> None:
    servers = [server(str(place), weight) for place, weight in enumerate(weights)]
    turns: dict[str, int] = {}
    asked = Counter(choose(servers, {}, turns).id for _ in range(sum(weights) * rounds))
    assert asked == {str(place): weight * rounds for place, weight in enumerate(weights)}
