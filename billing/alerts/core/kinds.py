"""What each kind of alert counts, and which thresholds a rule has that names none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from billing.choices import AlertKind, Severity


@dataclass(frozen=True, slots=True)
class Traits:
    """``title`` is what people call the kind, ``unit`` what ``thresholds`` count, for people. ``falls``: an alert fires
    at or below its threshold, not at or above.

    An episode begins when it is first seen and is over when it is seen no more; any other kind has windows, which its
    facts name. ``tells_end``: people want to hear that it is over. ``goes_on_from``: an alert that stands is over below
    so many per cent of its threshold, so that what wavers about the threshold is one alert and not many.
    """

    title: str
    unit: str
    thresholds: tuple[int, ...]
    most: int
    falls: bool = False
    is_episode: bool = False
    tells_end: bool = False
    goes_on_from: int = 100


KINDS: Final[dict[AlertKind, Traits]] = {
    AlertKind.BUDGET: Traits("Budgets", "per cent of the budget", (), 200, tells_end=True),
    AlertKind.FORECAST: Traits("Forecasts above budgets", "per cent of the budget", (100,), 1_000, tells_end=True),
    AlertKind.ANOMALY: Traits("Unusual spend", "per cent away from the usual", (0,), 100_000),
    AlertKind.UNPRICED: Traits("Models without a price", "calls of a day", (1,), 10**9),
    AlertKind.OVERRUN: Traits("Calls above their hold", "calls of a day", (1,), 10**9),
    AlertKind.UPSTREAM: Traits(
        "Failing upstreams",
        "per cent of calls that fail",
        (50,),
        100,
        is_episode=True,
        tells_end=True,
        goes_on_from=80,
    ),
    AlertKind.DRIFT: Traits(
        "Counters against the ledger", "counters that do not agree", (1,), 10**9, is_episode=True, tells_end=True
    ),
    AlertKind.METER: Traits(
        "Stripe's meter against the ledger", "hours that do not agree", (1,), 10**9, is_episode=True, tells_end=True
    ),
    AlertKind.LEARNED: Traits(
        "Routes whose learning has drifted", "routes that decide by nothing learned", (1,), 1, is_episode=True
    ),
    AlertKind.PAID_TWICE: Traits("Invoices paid twice", "payments", (1,), 1),
    AlertKind.TOP_UP: Traits("Credits bought by themselves", "troubles", (1,), 1),
    AlertKind.TAKEN_BACK: Traits("Payments given back or disputed", "payments", (1,), 1),
    AlertKind.STRIPE_EVENT: Traits("Events of Stripe's that were given up", "events", (1,), 1, tells_end=True),
    AlertKind.BILL: Traits(
        "Upstreams' bills against the ledger", "per cent of the bill", (2,), 1_000, is_episode=True, tells_end=True
    ),
    AlertKind.KEY_EXPIRING: Traits("Expiring keys", "days until the key expires", (14, 3), 365, falls=True),
    AlertKind.CHANNEL_OFF: Traits("Channels switched off", "channels switched off", (1,), 1, is_episode=True),
    AlertKind.CHANNEL_FAILING: Traits(
        "Failing channels", "tries in a row that failed", (3,), 1_000, is_episode=True, tells_end=True
    ),
    AlertKind.PRICE: Traits("Prices that changed", "per cent that a month changes by", (0,), 100_000),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """How a subject stands: ``value`` in the kind's unit, within the window that began at ``window_start``; an episode
    names none. ``details`` is what texts are made of. ``thresholds`` stand in for a rule that has none; ``budget`` is
    the id of the budget it is about. Of a group it tells of one among many: that this one is well does not mean that
    all are. One that does not open is too weak to begin an alert, and strong enough to let one stand. One that is gone
    is watched no more: its alert ends, and nobody is told that it went well.
    """

    kind: AlertKind
    subject: str
    value: int
    details: Mapping[str, Any]
    window_start: datetime | None = None
    thresholds: tuple[int, ...] = ()
    budget: str = ""
    is_group: bool = False
    opens: bool = True
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """What of a rule decides: see ``AlertRule``."""

    id: str
    kind: AlertKind
    thresholds: tuple[int, ...] = ()
    budget: str = ""
    channels: frozenset[str] = field(default=frozenset())
    tells_recovery: bool = True


def crossed(rule: RuleTerms, fact: Fact, *, is_standing: bool = False) -> tuple[int, ...]:
    """The thresholds of a rule that a fact has crossed, the gravest last; none for a fact that is not the rule's
    business. ``is_standing``: those at which an alert that stands goes on."""
    if rule.kind is not fact.kind or (rule.budget and rule.budget != fact.budget):
        return ()
    traits = KINDS[rule.kind]
    thresholds: Sequence[int] = rule.thresholds or fact.thresholds or traits.thresholds
    if traits.falls:
        return tuple(sorted((each for each in thresholds if fact.value <= each), reverse=True))
    share = traits.goes_on_from if is_standing else 100
    return tuple(sorted(each for each in thresholds if fact.value * 100 >= each * share))


def severity_of(fact: Fact, threshold: int) -> Severity:
    """How much it hurts that this threshold was crossed."""
    if fact.kind in {AlertKind.DRIFT, AlertKind.METER, AlertKind.OVERRUN, AlertKind.UPSTREAM}:
        return Severity.CRITICAL
    if fact.kind is AlertKind.BUDGET:
        # A budget that is spent and refuses has stopped somebody.
        stops = fact.details.get("refuses") and threshold >= 100
        return Severity.CRITICAL if stops else Severity.WARNING if threshold >= 80 else Severity.INFO
    if fact.kind in {AlertKind.ANOMALY, AlertKind.PRICE} and fact.details.get("is_drop"):
        return Severity.INFO
    if fact.kind is AlertKind.KEY_EXPIRING and threshold > 3:
        return Severity.INFO
    return Severity.WARNING
