"""Which cubes answer which question."""

from collections.abc import Sequence

import pytest

from billing.choices import Cube
from billing.spend.core.cubes import Choice, Part, Quarters, choose_cubes, choose_for_named

ALL, RECENT, NONE = Quarters.ALL, Quarters.RECENT, Quarters.NONE
REST = Part(Cube.TAGS, -1, is_rest=True)


@pytest.mark.parametrize(
    ("groups", "filters", "expected"),
    [
        ([], [], Choice((Part(Cube.TOTAL),), ALL)),
        (["hour"], [], Choice((Part(Cube.TOTAL),), ALL)),
        (["day", "model"], ["project"], Choice((Part(Cube.MODELS),), ALL)),
        (["key"], [], Choice((Part(Cube.KEYS),), ALL)),
        (["key", "day"], [], Choice((Part(Cube.KEYS),), ALL)),
        (["day", "end_user"], ["project"], Choice((Part(Cube.END_USERS),), RECENT)),
        (["end_user"], [], Choice((Part(Cube.END_USERS),), RECENT, in_blocks=True)),
        (["project"], ["end_user"], Choice((Part(Cube.END_USERS),), RECENT, in_blocks=True)),
        (["hour", "end_user"], [], Choice((Part(Cube.END_USERS),), RECENT)),
        (["status"], ["upstream"], Choice((Part(Cube.STATUSES),), RECENT)),
        (["hour", "status"], [], Choice((Part(Cube.STATUSES),), RECENT)),
        (["cache", "price"], [], Choice((Part(Cube.CACHE),), RECENT)),
        (["hour"], ["tag:team"], Choice((Part(Cube.TAGS),), RECENT)),
        (["model"], ["key"], Choice((Part(Cube.CALLS),), NONE)),
        (["status"], ["upstream", "model"], Choice((Part(Cube.CALLS),), NONE)),
        (["tag:team"], [], Choice((Part(Cube.TAGS), REST, Part(Cube.TOTAL, is_rest=True)), RECENT)),
        (["tag:team", "day"], ["project"], Choice((Part(Cube.TAGS), REST, Part(Cube.MODELS, is_rest=True)), RECENT)),
        (["day"], ["tag:team"], Choice((Part(Cube.TAGS),), RECENT)),
        (["tag:team"], ["tag:team"], Choice((Part(Cube.TAGS),), RECENT)),
        (["tags"], [], Choice((Part(Cube.TAGS),), RECENT)),
        (["tags"], ["project"], Choice((Part(Cube.TAGS),), RECENT)),
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
        (["tags"], ["key"]),
        (["hour", "end_user"], ["model"]),
        (["hour", "status"], ["key"]),
        (["cache"], ["project"]),
        ([], ["id"]),
    ],
)
def test_for_what_no_cube_is_split_by_rows_are_read(groups: Sequence[str], filters: Sequence[str]) -> None:
    assert choose_cubes(groups, filters) is None


NAMED = Part(Cube.END_USERS, is_named=True)


@pytest.mark.parametrize(
    ("groups", "filters", "rest"),
    [
        (["end_user"], [], Cube.TOTAL),
        (["day", "end_user"], [], Cube.TOTAL),
        (["hour", "end_user"], ["project"], Cube.MODELS),
        (["project", "end_user"], [], Cube.MODELS),
    ],
)
def test_of_a_few_end_users_theirs_are_read_and_the_others_are_what_is_left(
    groups: Sequence[str], filters: Sequence[str], rest: Cube
) -> None:
    assert choose_for_named(groups, filters) == Choice((NAMED, Part(rest, is_rest=True)), RECENT)


@pytest.mark.parametrize(
    ("groups", "filters"),
    [
        (["day", "model"], []),
        (["end_user"], ["end_user"]),
        (["model", "end_user"], []),
        (["day", "end_user"], ["key"]),
        (["day", "end_user"], ["upstream"]),
    ],
)
def test_where_nothing_is_saved_by_it_all_are_read(groups: Sequence[str], filters: Sequence[str]) -> None:
    assert choose_for_named(groups, filters) is None
