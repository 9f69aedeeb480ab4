"""What a method costs, beside what it may."""

from bench.figures import Figures
from bench.methods import GOALS, make_table, measure_methods


def test_a_figure_stands_beside_its_goal_and_says_whether_it_is_met() -> None:
    names = list(GOALS)[:2]
    first, second, third = make_table(
        {names[0]: Figures([0.5, 0.25, 2.0]), names[1]: Figures([1.5]), "without": Figures([7.0])}
    ).splitlines()[2:5]
    assert first == f"| {names[0]} | 0.500 | 0.250–2.000 | 1, met |"
    assert second == f"| {names[1]} | 1.500 | 1.500–1.500 | 1, **not met** |"
    assert third == "| without | 7.000 | 7.000–7.000 |  |"


def test_every_goal_is_of_something_that_is_measured() -> None:
    assert GOALS.keys() <= measure_methods().keys()
