"""Routes and compression as the hot path knows them: frozen values, the standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

#: the tag of comparisons' rows, with their route's name; tags of callers do not begin so
OWN_TAGS: Final = "costhub:"
COMPARISON_TAG: Final = f"{OWN_TAGS}comparison"


@dataclass(frozen=True, slots=True)
class ConditionSnapshot:
    """For which calls a target is there: all that is said must hold, and nothing said is every call.

    Lengths are of a body, in tokens as four bytes each. ``is_degraded``: whether a budget's ladder has the call on a
    rung.
    """

    tags: tuple[tuple[str, str], ...] = ()
    end_users: tuple[str, ...] = ()
    min_tokens: int = 0
    max_tokens: int = 0
    has_tools: bool | None = None
    is_degraded: bool | None = None


ANY_CALL: Final = ConditionSnapshot()


@dataclass(frozen=True, slots=True)
class TargetSnapshot:
    """A model that a route may choose. ``weight``: its parts of a weighted route's calls."""

    model: str
    weight: int = 0
    when: ConditionSnapshot = ANY_CALL


@dataclass(frozen=True, slots=True)
class RouteSnapshot:
    """A virtual model: a name that callers ask for, and what decides which model answers. ``policy`` fields that a kind
    does not know have no effect.

    ``baseline`` is the model that it would be without the route: calls go there while the route is off or only watched,
    or held out, and what they would have cost there is their list cost. Money is nano-USD; shares are per mille.
    """

    id: str
    name: str
    kind: str
    mode: str
    version: int
    targets: tuple[TargetSnapshot, ...]
    baseline: str
    #: what of a call stays with one choice: ``conversation`` or ``request``
    sticky: str = "conversation"
    #: calls that go to the baseline, to tell by what the route saves and spoils
    holdout_permille: int = 0
    #: canary: what the second target gets
    share_permille: int = 0
    #: router without labels: the least complexity that goes to the strong model
    hard_from: str = "medium"
    #: router: what one more right answer may cost, and how many calls are sent against its advice to learn
    answer_worth: int = 0
    explore_permille: int = 0
    #: cascade: from which confidence on an answer is given; with a worth of answers, the expected cost decides instead
    confidence_permille: int = 800
    latency_cap_ms: int = 0
    #: cascade: how often the same model is asked again where its upstream does not say how sure an answer is
    agreement_samples: int = 0
    #: how long short questions wait for each other, to be asked in one call; 0: each is asked alone. And how many
    pack_window_ms: int = 0
    pack_most: int = 8
    #: calls that can wait are answered within so long, and not at once; 0: none wait
    deadline_seconds: int = 0
    #: what has been learned for it, and the tasks that do not use that
    learned: str = ""
    stopped_tasks: tuple[str, ...] = ()
    #: whether calls leave numbers behind to learn from
    is_learning: bool = False
    #: calls of which another model is asked too, beside them, to compare; and what that may cost in a month
    compare_permille: int = 0
    compare_monthly_limit: int = 0


@dataclass(frozen=True, slots=True)
class CompressionSnapshot:
    """How prompts are shortened, of a model or route, or of all without a policy of their own where ``model`` is
    empty.

    ``methods``: of ``choices.Compression``. ``keep_permille``: the share of words that pruning keeps, 0 to drop words
    of grammar only; ``extract_permille`` that of passages or turns, 0 to keep as much as their question needs.
    """

    model: str
    mode: str
    methods: tuple[str, ...]
    keep_permille: int = 0
    holdout_permille: int = 0
    #: the model that scores words, where they are pruned by perplexity
    scorer: str = ""
    extract_permille: int = 0


@dataclass(frozen=True, slots=True)
class ApprovedPrompt:
    """The words that are sent in the place of a system prompt, and which version of them this is."""

    name: str
    text: str


def read_route(data: Mapping[str, Any]) -> RouteSnapshot:
    """A route from JSON, as ``snapshots`` dumps it and a version's row keeps its policy."""
    targets = tuple(_target(target) for target in data["targets"])
    stopped = tuple(data.get("stopped_tasks", ()))
    return RouteSnapshot(**{**data, "targets": targets, "stopped_tasks": stopped})


def read_compression(data: Mapping[str, Any]) -> CompressionSnapshot:
    """A compression policy from JSON."""
    return CompressionSnapshot(**{**data, "methods": tuple(data["methods"])})


def _target(data: Mapping[str, Any]) -> TargetSnapshot:
    when = dict(data.get("when") or {})
    if tags := when.get("tags"):
        when["tags"] = tuple((name, value) for name, value in (tags.items() if isinstance(tags, dict) else tags))
    else:
        when.pop("tags", None)
    when["end_users"] = tuple(when.get("end_users", ()))
    condition = ConditionSnapshot(**when)
    # The same object for all that say nothing: nothing of theirs has to be looked at in a call.
    return TargetSnapshot(data["model"], data.get("weight", 0), ANY_CALL if condition == ANY_CALL else condition)


def name_comparison_budget(route_id: UUID) -> str:
    """The id of the budget that a route's comparisons have: no row's, and so made from the route's."""
    return str(uuid5(route_id, "comparisons"))
