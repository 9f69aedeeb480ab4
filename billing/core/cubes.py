"""Which cube answers a question: one that is split by everything the question groups or filters by."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from billing.choices import Cube

TAG: Final = "tag:"
#: groups that are stretches of time: any cube has them, but only quarters know hours
TIMES: Final = frozenset({"day", "hour"})

#: the smallest first
_SPLITS: Final[dict[Cube, frozenset[str]]] = {
    Cube.TOTAL: frozenset(),
    Cube.MODELS: frozenset({"project", "model"}),
    Cube.KEYS: frozenset({"project", "key"}),
    Cube.END_USERS: frozenset({"project", "end_user"}),
    Cube.CALLS: frozenset({"project", "key", "model", "upstream", "status"}),
}
#: kept by the quarter of an hour too
_COARSE: Final = frozenset({Cube.TOTAL, Cube.MODELS, Cube.KEYS})


@dataclass(frozen=True, slots=True)
class Part:
    """A cube to be added, or with ``sign`` -1 taken away. ``is_rest``: as what has none of the values grouped by."""

    cube: Cube
    sign: int = 1
    is_rest: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The cubes whose sum answers a question, and whether quarters of them are kept."""

    parts: tuple[Part, ...]
    by_quarter: bool


def choose_cubes(groups: Collection[str], filters: Collection[str]) -> Choice | None:
    """The cubes for these groups and filters (names as in ``GROUPS``, and ``tag:<name>``), or None: rows must be
    read."""
    wanted = {*groups, *filters} - TIMES
    tags = {name for name in wanted if name.startswith(TAG)}
    cube = next((cube for cube, split in _SPLITS.items() if wanted - tags <= split), None)
    if cube is None or len(tags) > 1:
        return None
    choice = Choice((Part(cube),), cube in _COARSE)
    if tags:
        if not wanted - tags <= {"project"}:
            return None
        # Calls without the tag are a group too: all calls less those that have it.
        rest = () if tags & {*filters} else (Part(Cube.TAGS, -1, is_rest=True), Part(cube, is_rest=True))
        choice = Choice((Part(Cube.TAGS), *rest), by_quarter=False)
    return choice if choice.by_quarter or "hour" not in groups else None
