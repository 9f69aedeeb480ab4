"""Whether a sample says what the answer says, and when enough of them have been asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.routes.agreement import MOST_CHARACTERS, agrees, can_be_sampled, is_decided
from proxy.core.routes.judge import ask_again
from proxy.core.routes.said import Said
from tests.proxy.core.examples import make_chat


@pytest.mark.parametrize(
    ("answer", "sample", "is_same"),
    [
        ("Paris.", "paris", True),
        ("The capital of France is Paris.", "The capital of France is  Paris", True),
        ("The capital of France is Paris.", "The capital of France is Lyon.", False),
        ("3 * 4 = 12", "Three times four makes 12.", True),
        ("3 * 4 = 12", "3 * 4 = 13", False),
        ("Yes, this is allowed here.", "Yes, this is not allowed here.", False),
        ("It opens at 9 in the morning.", "It opens at 8 in the morning.", False),
        ("", "", False),
        ("Paris", "", False),
        ("東京です", "東京です", True),
        ("東京です", "大阪です", False),
    ],
)
def test_what_says_the_same(answer: str, sample: str, *, is_same: bool) -> None:
    assert agrees(answer, sample) is is_same


@pytest.mark.parametrize(
    ("said", "can"),
    [
        (Said("Paris."), True),
        (Said("  "), False),
        (Said("x" * (MOST_CHARACTERS + 1)), False),
        (Said("Paris.", ('{"city": "Paris"}',)), False),
    ],
)
def test_only_short_words_are_sampled(said: Said, *, can: bool) -> None:
    assert can_be_sampled(said) is can


@given(
    st.integers(1, 5).flatmap(lambda wanted: st.tuples(st.just(wanted), st.lists(st.booleans(), max_size=wanted))),
    st.floats(0.01, 0.99),
)
def test_samples_that_are_not_asked_for_would_have_changed_nothing(drawn: tuple[int, list[bool]], floor: float) -> None:
    wanted, answers = drawn
    agreed, asked = sum(answers), len(answers)
    if not asked or not is_decided(agreed, asked, wanted, floor):
        return
    is_good = agreed / asked >= floor
    for more in range(wanted - asked + 1):
        assert ((agreed + more) / wanted >= floor) is is_good


@pytest.mark.parametrize(("given_", "asked"), [(None, 0.7), (0, 0.7), (1.2, 1.2), (True, 0.7), ("hot", 0.7)])
def test_a_sample_is_asked_for_at_a_temperature(given_: object, asked: float) -> None:
    again = ask_again(make_chat(temperature=given_, seed=7)._replace(is_judged=True))
    assert (again.body["temperature"], "seed" in again.body, again.is_judged) == (asked, False, False)
