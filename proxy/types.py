"""What the steps of a call hand to each other. All of it is frozen: tuples, which are made in a third of the time that
a frozen dataclass takes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from costhub.lib.keyspace import COUNTER_KEPT_MS
from tenants.snapshots import ModelSnapshot, PriceSnapshot, RungSnapshot, UpstreamSnapshot

#: of those that have a rollover: a month with a change of the clock in it
LONGEST_PERIOD_MS: Final = 32 * 86_400_000
#: in the place of a limit that nobody set
NO_LIMIT: Final = -1
_NO_TAGS: Final[Mapping[str, str]] = {}
#: something that a call waited for: what, for which attempt, and its start and end on the clock for durations
Timing = tuple[str, int, int, int]
RESERVED: Final = "reserve"
ATTEMPTED: Final = "upstream attempt"


class Endpoint(StrEnum):
    """The endpoints that reach an upstream, by OpenAI's path."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"


class Draft(NamedTuple):
    """What the rungs of a ladder change of a call: where it goes, at which price, how long its answer may be, and how
    long it waits first."""

    model: ModelSnapshot
    price: PriceSnapshot
    most_output: int = NO_LIMIT
    delay_ms: int = 0


class Controls(NamedTuple):
    """What a caller asks of us in headers. ``max_cost`` in nano-USD."""

    tags: Mapping[str, str] = _NO_TAGS
    end_user: str = ""
    max_cost: int | None = None
    idempotency_key: str = ""
    session: str = ""


class Request(NamedTuple):
    """A parsed body. ``max_output`` is per choice; ``choices`` is how many the upstream will produce and bill."""

    endpoint: Endpoint
    model: str
    body: dict[str, Any]
    body_bytes: int
    is_stream: bool
    wants_usage: bool
    choices: int
    max_output: int | None
    end_user: str
    # Every message is a plain text: no parts, no pictures, no sound.
    is_plain: bool = False


class Usage(NamedTuple):
    """Tokens in disjoint classes: ``input`` excludes what was read from or written to a cache, and audio.

    ``reasoning`` is inside ``output``, as every provider bills it; ``output`` excludes audio.
    """

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0

    def to_row(self) -> dict[str, int]:
        """The classes that were used, by name: ``Usage(**row)`` reads them back."""
        return {name: tokens for name, tokens in zip(self._fields, self, strict=True) if tokens}


class Certainty(StrEnum):
    """How we know what an attempt cost."""

    EXACT = "exact"  # the upstream said so
    COUNTED = "counted"  # we counted what we received
    BOUND = "bound"  # unknown, and charged at what was held until the upstream's bill says otherwise
    NOTHING = "nothing"  # the upstream never took it


class Bound(NamedTuple):
    """The most that one attempt may cost: ``fixed_picos`` whatever the answer, ``output_picos`` a token and choice."""

    input_tokens: int
    fixed_picos: int
    output_picos: int
    choices: int
    max_output: int
    is_exact: bool


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

    @property
    def breadth(self) -> int:
        """How many counters and windows a call's reserve and settle have to do with."""
        return len(self.scopes) + len(self.rates)


class Plan(NamedTuple):
    """Everything that was decided about a call before the first byte left."""

    request: Request
    controls: Controls
    model: ModelSnapshot
    upstream: UpstreamSnapshot
    price: PriceSnapshot
    bound: Bound
    layout: Layout
    #: what the model that was asked for costs
    list_price: PriceSnapshot
    #: what a ladder did to the call: its rungs, the most output, and how long it waits
    rungs: tuple[str, ...] = ()
    most_output: int = NO_LIMIT
    delay_ms: int = 0
    #: of each scope with a ladder, its place from 1 and the spend from which to below which its rungs are these
    bands: Bands = ()
    #: a hard limit holds this call, so that we must set the upstream's output limit ourselves
    is_capped: bool = False

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Every budget that the call must fit."""
        return self.layout.scopes

    @property
    def rates(self) -> tuple[Rate, ...]:
        """Every window of rate limits that it must fit."""
        return self.layout.rates


class Hold(NamedTuple):
    """Money set aside: ``amount`` nano-USD, which pays for ``max_output`` tokens a choice."""

    id: str
    amount: int
    max_output: int
    remaining: int | None
    # Of the amount, what was set aside for the present attempt; 0 where there was only one.
    for_attempt: int = 0
    # What has happened in each of the plan's windows, this call included: requests, tokens and nano-USD.
    used: tuple[int, ...] = ()


class Attempt(NamedTuple):
    """One try at an upstream, as the ledger keeps it. ``cost`` in nano-USD."""

    number: int
    status: int
    certainty: Certainty
    usage: Usage
    cost: int
    error: str = ""
    response_model: str = ""
    finish_reason: str = ""
    # How much more the model that was asked for would have cost; less than nothing if it would have been cheaper.
    saved: int = 0

    def to_row(self) -> dict[str, Any]:
        """The attempt as JSON in the ledger's row."""
        return {
            "number": self.number,
            "status": self.status,
            "certainty": self.certainty.value,
            "cost": self.cost,
            "error": self.error,
            "input_tokens": self.usage.input
            + self.usage.cached_input
            + self.usage.cache_write
            + self.usage.audio_input,
            "output_tokens": self.usage.output + self.usage.audio_output,
            "usage": self.usage.to_row(),
        }
