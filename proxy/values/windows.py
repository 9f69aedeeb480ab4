"""The budgets and windows of rate limits on a call's path."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from costhub.lib.keyspace import COUNTER_KEPT_MS
from tenants.snapshots import RungSnapshot

#: of those that have a rollover: a month with a change of the clock in it
LONGEST_PERIOD_MS: Final = 32 * 86_400_000
#: in the place of a limit that nobody set
NO_LIMIT: Final = -1


class Scope(NamedTuple):
    """A budget that this call must fit, and its counter in the period that the call belongs to."""

    budget_id: str
    kind: str
    subject: str
    period: str
    counter: str
    limit: int
    is_hard: bool
    # The budget is older than the period: a counter that does not exist is a true zero.
    is_whole: bool
    starts_ms: int
    ends_ms: int
    # The project or key whose calls alone are counted, by its id; empty for one that counts everywhere.
    within_scope: str = ""
    within: str = ""
    # It only says what it would have refused.
    is_shadow: bool = False
    # A budget of the subject's own has the word; this default only goes on counting.
    is_lifted: bool = False
    # Of a budget that degrades: from how many nanos on which rung is in force.
    steps: tuple[tuple[int, RungSnapshot], ...] = ()
    # What the limit is made of: the budget's own and the increases in force; ``share`` is the per cent of them from
    # which a ladder blocks, else 100.
    own: int = 0
    increased: int = 0
    share: int = 100
    # Its counter is kept for a period longer, because what is left is added to the next.
    has_rollover: bool = False
    # The period before, of which what was left is added. The limit and steps above are those without it.
    before: "Scope | None" = None
    # What people call the budget, if anything.
    name: str = ""

    @property
    def kept_until_ms(self) -> int:
        """When its counter may be forgotten."""
        return self.ends_ms + COUNTER_KEPT_MS + (LONGEST_PERIOD_MS if self.has_rollover else 0)


class Rate(NamedTuple):
    """The rate limits of one subject over one window, ``NO_LIMIT`` where there is none; ``window_ms`` 0 are calls under
    way.

    ``requests``, ``tokens`` and ``nanos`` are the most that may happen within the window, which slides.
    """

    kind: str
    subject: str
    window_ms: int
    is_shadow: bool
    # As a scope has it.
    within_scope: str
    within: str
    # What its keys begin with.
    name: str
    requests: int
    tokens: int
    nanos: int
    limit_ids: tuple[str, ...]

    @property
    def log(self) -> str:
        """The key of what happened, each with its moment."""
        return f"{self.name}:calls"

    @property
    def total(self) -> str:
        """The key of the total of that."""
        return f"{self.name}:total"


class ToldWindow(NamedTuple):
    """Of one window in one unit: its place among the sums, its limit, and the headers that never change."""

    place: int
    limit: int
    fixed: Mapping[str, str]


class Told(NamedTuple):
    """What callers are told of one unit: how amounts are written, the header of what is left, and the windows."""

    write: Callable[[int], str]
    remaining: str
    windows: tuple[ToldWindow, ...]


#: of counters of budgets that have a ladder, the place from 1 and the spend from which to below which a plan holds
Bands = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The budgets and windows on a call's path, and what follows from them alone: one for many calls, and so compared
    by identity."""

    scopes: tuple[Scope, ...]
    rates: tuple[Rate, ...]
    # Of the scopes those that a try is held in: of the ones behind them only the ladders are looked at.
    counters: tuple[str, ...]
    # The keys and numbers of lua/reserve.lua from the counters on, the numbers packed, and what a hold remembers of its
    # windows.
    keys: tuple[str, ...]
    numbers: bytes
    windows: str
    # The budgets that have a ladder, each with its place from 1.
    ladders: tuple[tuple[int, Scope], ...]
    # How many of the counters are of a period before, and from when on, in ms, a call came too late for its own.
    rolling: int
    closes_ms: int
    # One of them may cut an answer short.
    is_capping: bool
    told: tuple[Told, ...]
    # How many counters and windows a call's reserve and settle have to do with.
    breadth: int
    # The budgets of the model that was asked for, where another one is.
    asked: tuple[Scope, ...] = ()
