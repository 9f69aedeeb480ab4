"""What is decided about a call before the first byte leaves, and the money set aside for it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.values.attempt import Mechanism
from proxy.values.request import Controls, Request
from proxy.values.routing import Routing
from proxy.values.windows import NO_LIMIT, Bands, Layout, Rate, Scope
from tenants.price_snapshots import DEFAULT_TIER, PriceSnapshot
from tenants.snapshots import ModelSnapshot, UpstreamSnapshot

_NO_NEIGHBOURS: Final[Mapping[str, ModelSnapshot]] = {}


class Draft(NamedTuple):
    """What the rungs of a ladder change of a call: where it goes, at which price, how long its answer may be, and how
    long it waits first."""

    model: ModelSnapshot
    price: PriceSnapshot
    most_output: int = NO_LIMIT
    delay_ms: int = 0
    # Nothing is asked of an upstream any more.
    is_cache_only: bool = False
    # The prompt is shortened, and a route chooses the model.
    is_compressed: bool = False
    route: str = ""


class Demand(NamedTuple):
    """Which classes of a price an answer may be billed by, beside fresh and cached text.

    ``tiers`` are the service tiers that may answer, ``units`` the most of each unit class, by name. ``context_reads``
    is how often the model may read as much as its window takes, where the provider's own tools bring something in; 0
    where the request is all that is read.
    """

    tiers: tuple[str, ...] = (DEFAULT_TIER,)
    has_audio: bool = False
    has_images: bool = False
    has_long_cache: bool = False
    units: tuple[tuple[str, int], ...] = ()
    context_reads: int = 0


class Bound(NamedTuple):
    """The most that one attempt may cost, in pico-USD."""

    input_tokens: int
    #: whatever the answer
    fixed_picos: int
    #: for each token of output of each choice
    output_picos: int
    choices: int
    max_output: int
    is_exact: bool
    #: a provider's tools may bring input in that is in no request: nobody can count it afterwards
    is_open: bool = False


class Candidate(NamedTuple):
    """A model that may serve the call: where it is asked, what it costs, and the most that one try may cost."""

    model: ModelSnapshot
    upstream: UpstreamSnapshot
    price: PriceSnapshot
    bound: Bound
    #: the budgets that a try must fit, and the windows of rate limits
    layout: Layout
    #: what the model that was asked for costs, and to what a difference is attributed
    list_price: PriceSnapshot
    mechanism: Mechanism = Mechanism.ROUTING
    #: of each scope with a ladder, its place from 1 and the spend from which to below which it is asked first
    bands: Bands = ()
    #: a limit holds a try, so that we must set the upstream's output limit ourselves
    is_capped: bool = False
    #: the catalog's models at the same upstream, by the name that it knows them by: another one may answer
    neighbours: Mapping[str, ModelSnapshot] = _NO_NEIGHBOURS
    at_ms: int = 0

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Every budget that a try must fit."""
        return self.layout.scopes

    @property
    def rates(self) -> tuple[Rate, ...]:
        """Every window of rate limits that it must fit."""
        return self.layout.rates


class Plan(NamedTuple):
    """Everything that was decided about a call before the first byte left."""

    request: Request
    controls: Controls
    #: who may serve the call, in the order in which they are asked
    candidates: tuple[Candidate, ...]
    #: what a ladder did to the call: its rungs, the most output, and how long it waits
    rungs: tuple[str, ...] = ()
    most_output: int = NO_LIMIT
    delay_ms: int = 0
    #: models that would have been asked before the first one, and whose upstreams do not answer at the moment
    passed_over: tuple[str, ...] = ()
    #: what a route decided, where one did
    routing: Routing | None = None
    #: others may be asked after the first candidate, who are not planned yet
    has_others: bool = False

    @property
    def is_learning(self) -> bool:
        """Whether a route chose, and wants to learn from what becomes of it."""
        return self.routing is not None and self.routing.route.is_learning

    @property
    def is_cascade(self) -> bool:
        """Whether an answer is judged before it is given, and the next candidate asked where it does not do."""
        return self.routing is not None and self.routing.is_cascade and len(self.candidates) > 1

    @property
    def first(self) -> Candidate:
        """The candidate that is asked first."""
        return self.candidates[0]


class Hold(NamedTuple):
    """Money set aside: ``amount`` nano-USD, which pays for ``max_output`` tokens a choice."""

    id: str
    amount: int
    max_output: int
    # Nano-USD left in the tightest hard budget besides this amount; None where there is no hard budget.
    remaining: int | None
    # Of the amount, what was set aside for the present attempt; 0 where there was only one.
    for_attempt: int = 0
    # What has happened in each of the candidate's windows, this call included: requests, tokens and nano-USD.
    used: tuple[int, ...] = ()
