"""Which cubes answer which question."""

from collections.abc import Sequence

import pytest

from billing.choices import Cube
from billing.core.cubes import Choice, Part, choose_cubes

REST = Part(Cube.TAGS, -1, is_rest=True)


@pytest.mark.parametrize(
    ("groups", "filters", "expected"),
    [
        ([], [], Choice((Part(Cube.TOTAL),), True)),
        (["hour"], [], Choice((Part(Cube.TOTAL),), True)),
        (["day", "model"], ["project"], Choice((Part(Cube.MODELS),), True)),
        (["key"], [], Choice((Part(Cube.KEYS),), True)),
        (["day", "end_user"], ["project"], Choice((Part(Cube.END_USERS),), False)),
        (["model"], ["key"], Choice((Part(Cube.CALLS),), False)),
        (["status"], ["upstream", "model"], Choice((Part(Cube.CALLS),), False)),
        (["tag:team"], [], Choice((Part(Cube.TAGS), REST, Part(Cube.TOTAL, is_rest=True)), False)),
        (["tag:team", "day"], ["project"], Choice((Part(Cube.TAGS), REST, Part(Cube.MODELS, is_rest=True)), False)),
        (["day"], ["tag:team"], Choice((Part(Cube.TAGS),), False)),
        (["tag:team"], ["tag:team"], Choice((Part(Cube.TAGS),), False)),
    ],
)
def test_the_smallest_that_is_split_by_all(groups: Sequence[str], filters: Sequence[str], expected: Choice) -> None:
    assert choose_cubes(groups, filters) == expected


@pytest.mark.parametrize(
    ("groups", "filters"),
    [
        (["end_user", "model"], []),
        (["end_user"], ["key"]),
        (["tag:team", "tag:feature"], []),
        (["tag:team"], ["tag:feature"]),
        (["tag:team"], ["model"]),
        (["hour", "end_user"], []),
        (["hour", "status"], []),
        (["hour"], ["tag:team"]),
        ([], ["id"]),
    ],
)
def test_for_what_no_cube_is_split_by_rows_are_read(groups: Sequence[str], filters: Sequence[str]) -> None:
    assert choose_cubes(groups, filters) is None
