"""The gate: it learns which look-ups are right, and serves no more than its bound of errors."""

import math
from dataclasses import replace

import numpy as np
import pytest

from proxy.cache import gate
from proxy.cache.gate import Neighbour, Observation, WordCounts

WORDS = WordCounts(4, {"reset": 1, "password": 1, "the": 4})
NEAR = Neighbour("reset the password", 1, 0.9, entries=2, right=3, wrong=0)
OTHER = Neighbour("change the name", 2, 0.6, entries=1, right=0, wrong=1)


def observe(seed: int, count: int) -> list[Observation]:
    """Look-ups that are right with the chance that their first feature says."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(count, 11))
    right = draw.random(count) < 1 / (1 + np.exp(-3 * rows[:, 0]))
    return [Observation(tuple(row), bool(said)) for row, said in zip(rows, right, strict=True)]


def test_the_features_of_a_look_up() -> None:
    features = gate.make_features("reset password", [NEAR, OTHER], WORDS, is_guarded=True)

    assert features[0] == 0.9
    assert features[1] == pytest.approx(0.3)
    assert features[2] == pytest.approx(1 / (1 + math.exp(-6)))
    assert features[3] == pytest.approx(0.75)
    # "the" is in every text and hardly counts.
    assert features[4] == pytest.approx(2 * math.log(5 / 1.5) / (2 * math.log(5 / 1.5) + math.log(5 / 4.5)))
    assert features[5:] == pytest.approx((math.log(3), math.log(4), 0.0, 0.0, math.log(3), 1.0))


def test_one_neighbour_is_enough() -> None:
    assert len(gate.make_features("", [replace(NEAR, text="")], WordCounts(0, {}), is_guarded=False)) == 11


def test_it_rates_as_often_right_as_it_says() -> None:
    fitted = gate.fit_gate(observe(1, 3_000))
    assert fitted is not None
    held = observe(2, 3_000)
    rated = fitted.rate([observation.features for observation in held])
    right = np.array([observation.right for observation in held])
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.0)):
        inside = (rated >= low) & (rated < high)
        assert rated[inside].mean() == pytest.approx(right[inside].mean(), abs=0.04)


def test_the_same_observations_make_the_same_gate() -> None:
    first, second = gate.fit_gate(observe(3, 300)), gate.fit_gate(observe(3, 300))
    assert first is not None
    assert second is not None
    assert np.array_equal(first.weights, second.weights)


@pytest.mark.parametrize("right", [True, False])
def test_nothing_is_learned_from_one_kind(right: bool) -> None:
    assert gate.fit_gate([Observation((0.5,) * 11, right)] * 9) is None
    assert gate.fit_gate([]) is None


def test_a_rechecked_hit_stands_for_those_that_were_not() -> None:
    alike = [Observation((1.0,) * 11, True)] * 60 + [Observation((1.0,) * 11, False, share=0.02)] * 2
    fitted = gate.fit_gate(alike)
    assert fitted is not None
    # Two wrong ones at a share of 0.02 weigh as much as 66, the most that they may.
    assert fitted.rate([(1.0,) * 11])[0] == pytest.approx(60 / 126, abs=0.01)


def test_the_threshold_keeps_the_expected_errors_below_the_bound() -> None:
    likelihoods = np.array([0.99, 0.98, 0.9, 0.5] + [0.0] * 6)

    assert gate.find_threshold(likelihoods, 1.0, target=0.0131) == 0.9
    assert gate.find_threshold(likelihoods, 2.0, target=0.0131) == 0.98
    assert gate.find_threshold(likelihoods, 1.0, target=0.0005) > 1.0
    assert gate.find_threshold(np.zeros(0), 1.0) == 1.0


def test_a_gate_that_has_seen_little_aims_lower() -> None:
    assert [gate.draw_in(0.009, known) for known in (0, 500, 1_500, 3_000, 20_000)] == [
        0.0,
        pytest.approx(0.0015),
        pytest.approx(0.0045),
        0.009,
        0.009,
    ]


def test_kappa_rises_with_errors_that_were_not_expected() -> None:
    assert gate.measure_kappa(0.0, 0) == 1.0
    assert gate.measure_kappa(4.0, 8) == 1.5
    assert gate.measure_kappa(1.0, 50) == 2.0
    assert gate.measure_kappa(20.0, 0) == 1.0


def test_hits_near_the_threshold_are_checked_more_often() -> None:
    assert gate.recheck_share(0.96, 0.95) == gate.RECHECK_NEAR
    assert gate.recheck_share(0.999, 0.95) == gate.RECHECK_CONFIDENT
    assert gate.recheck_share(1.0, 0.95) == gate.RECHECK_CONFIDENT
