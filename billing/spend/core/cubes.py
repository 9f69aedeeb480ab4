"""Which cube answers a question: one that is split by everything the question groups or filters by."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Final

from billing.choices import Cube

TAG: Final = "tag:"
#: the group of each tag that a call has, as ``name=value``: a call is in as many groups as it has tags, or in none
EACH_TAG: Final = "tags"
#: groups that are stretches of time: any cube has them, but only quarters know hours
TIMES: Final = frozenset({"day", "hour"})

#: in what the sums by end user are kept beside days and quarters: blocks of two days, of two of these and so
#: on, and of quarters. They begin at multiples of their length since 1970.
BLOCK_DAYS: Final = (2, 4, 8, 16, 32, 64)
PART: Final = timedelta(hours=4)

#: the smallest first
_SPLITS: Final[dict[Cube, frozenset[str]]] = {
    Cube.TOTAL: frozenset(),
    Cube.MODELS: frozenset({"project", "model"}),
    Cube.KEYS: frozenset({"project", "key"}),
    Cube.STATUSES: frozenset({"project", "upstream", "status"}),
    Cube.CACHE: frozenset({"cache", "price"}),
    Cube.END_USERS: frozenset({"project", "end_user"}),
    Cube.CALLS: frozenset({"project", "key", "model", "upstream", "status"}),
}
#: of which quarters of an hour are kept as long as days
_COARSE: Final = frozenset({Cube.TOTAL, Cube.MODELS, Cube.KEYS})
#: of which several days or quarters are kept as one, too
_IN_BLOCKS: Final = frozenset({Cube.END_USERS})
#: of which none are
_BY_DAY: Final = frozenset({Cube.CALLS})


class Quarters(Enum):
    """Of which time there are sums by the quarter of an hour."""

    ALL = auto()
    #: since ``billing_rollupzone.fine_from``
    RECENT = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """A cube to be added, or with ``sign`` -1 taken away. ``is_rest``: as what has none of the values grouped by.
    ``is_named``: of the values that are asked for by name alone; the same is taken away from all others together."""

    cube: Cube
    sign: int = 1
    is_rest: bool = False
    is_named: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The cubes whose sum answers a question, and which quarters of them are kept. ``in_blocks``: several days or
    quarters of the one cube may be read as a block."""

    parts: tuple[Part, ...]
    quarters: Quarters
    in_blocks: bool = False

    @property
    def by_quarter(self) -> bool:
        """Whether any are."""
        return self.quarters is not Quarters.NONE


def choose_cubes(groups: Collection[str], filters: Collection[str]) -> Choice | None:
    """The cubes for these groups and filters (names as in ``GROUPS``, and ``tag:<name>``), or None: rows must be
    read."""
    wanted = {*groups, *filters} - TIMES
    if EACH_TAG in wanted:
        return Choice((Part(Cube.TAGS),), Quarters.RECENT) if wanted <= {EACH_TAG, "project"} else None
    tags = {name for name in wanted if name.startswith(TAG)}
    cube = next((cube for cube, split in _SPLITS.items() if wanted - tags <= split), None)
    if cube is None or len(tags) > 1:
        return None
    quarters = Quarters.ALL if cube in _COARSE else Quarters.NONE if cube in _BY_DAY else Quarters.RECENT
    in_blocks = cube in _IN_BLOCKS and TIMES.isdisjoint(groups)
    choice = Choice((Part(cube),), quarters, in_blocks)
    if tags:
        if not wanted - tags <= {"project"}:
            return None
        # Calls without the tag are a group too: all calls less those that have it.
        rest = () if tags & {*filters} else (Part(Cube.TAGS, -1, is_rest=True), Part(cube, is_rest=True))
        choice = Choice((Part(Cube.TAGS), *rest), Quarters.RECENT)
    return choice if choice.by_quarter or "hour" not in groups else None


def choose_for_named(groups: Collection[str], filters: Collection[str]) -> Choice | None:
    """The same where only a few of the end users, the last group, are told apart: theirs are read, and of all others
    together what a cube without end users has beside them. That is thirty rows a month in place of each end user's
    every day. None where nothing is saved by it."""
    if "end_user" not in groups or "end_user" in filters:
        return None
    rest = choose_cubes([name for name in groups if name != "end_user"], filters)
    if rest is None or rest.quarters is not Quarters.ALL or choose_cubes(groups, filters) is None:
        return None
    parts = Part(Cube.END_USERS, is_named=True), *(Part(each.cube, is_rest=True) for each in rest.parts)
    return Choice(parts, Quarters.RECENT)
