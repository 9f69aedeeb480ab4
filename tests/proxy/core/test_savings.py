"""What was saved, attributed: the parts are the whole, whatever they are."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.savings import add_up, split
from proxy.values.attempt import Mechanism

steps = st.lists(st.tuples(st.sampled_from(Mechanism), st.integers(0, 10**15)), max_size=6)


def test_each_mechanism_has_what_it_made_cheaper_or_dearer() -> None:
    saved = split(1_000, [(Mechanism.COMPRESSION, 700), (Mechanism.ROUTING, 100), (Mechanism.CASCADE, 150)])
    assert saved == {Mechanism.COMPRESSION: 300, Mechanism.ROUTING: 600, Mechanism.CASCADE: -50}


def test_what_changed_nothing_is_not_told() -> None:
    assert split(1_000, [(Mechanism.ROUTING, 1_000)]) == {}
    assert split(1_000, [(Mechanism.ROUTING, 900), (Mechanism.ROUTING, 1_000)]) == {}


@given(st.integers(0, 10**15), steps)
def test_the_parts_sum_to_list_cost_less_the_last_cost(list_cost: int, path: list[tuple[Mechanism, int]]) -> None:
    saved = split(list_cost, path)
    assert sum(saved.values()) == list_cost - (path[-1][1] if path else list_cost)
    assert 0 not in saved.values()


@given(st.lists(st.tuples(st.integers(0, 10**15), steps), max_size=4))
def test_a_sum_over_attempts_keeps_every_part(attempts: list[tuple[int, list[tuple[Mechanism, int]]]]) -> None:
    parts = [split(list_cost, path) for list_cost, path in attempts]
    total = add_up(parts)
    for mechanism in Mechanism:
        assert total.get(mechanism, 0) == sum(part.get(mechanism, 0) for part in parts)
