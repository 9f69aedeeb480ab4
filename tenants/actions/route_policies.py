"""What a route may be: which models, under which conditions, with which settings for its kind."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.moments import to_ms
from costhub.lib.money import MAX_LIMIT_NANOS
from tenants.choices import RouteKind, Sticky
from tenants.price_snapshots import PriceSnapshot
from tenants.snapshots import OrgSnapshot

MOST_TARGETS: Final = 8
MOST_RUNGS: Final = 4
#: as many as the classes of prompts that are told apart before anything is learned
MOST_ROUTED: Final = 4
MOST_LISTED: Final = 100
MAX_WEIGHT: Final = 1_000_000
MAX_TOKENS: Final = 100_000_000
#: the rest is a canary
MAX_HOLDOUT_PERCENT: Final = 99
MAX_LATENCY_MS: Final = 600_000
MAX_CHARACTERS: Final = 200
MAX_SAMPLES: Final = 5
#: from a minute to a day (``proxy.core.deadlines``)
DEADLINE_SECONDS: Final = (60, 86_400)
MAX_PACK_WINDOW_MS: Final = 1_000
MOST_IN_A_PACK: Final = 32
USUAL_PACK: Final = 8
HARD_FROM: Final = ("medium", "complex")

_STICKY: Final = "sticky"
_COMPARING: Final = ("compare_percent", "compare_monthly_limit")
#: how short questions go together: of a route that asks one model, and where nothing judges the answers
_PACKS: Final = frozenset({"pack_window_ms", "pack_most"})
#: what a route has that asks one model
_OF_ONE: Final = _PACKS | {"deadline_seconds"}
#: the settings that each kind has beside its targets, its baseline and its hold-out
SETTINGS: Final[Mapping[RouteKind, frozenset[str]]] = {
    RouteKind.FIXED: _OF_ONE,
    RouteKind.FALLBACKS: _OF_ONE,
    RouteKind.WEIGHTED: _OF_ONE | {_STICKY},
    RouteKind.CANARY: _OF_ONE | {_STICKY, "share_percent"},
    RouteKind.ROUTER: _OF_ONE
    | {_STICKY, "hard_from", "answer_worth", "explore_percent", "stopped_tasks", "is_learning", *_COMPARING},
    RouteKind.CASCADE: frozenset(
        {"confidence_percent", "answer_worth", "latency_cap_ms", "agreement_samples", "is_learning", *_COMPARING}
    ),
}
#: settings that hold a whole number: the least, the most, and what it is without one
_NUMBERS: Final[Mapping[str, tuple[int, int, int]]] = {
    "holdout_percent": (0, MAX_HOLDOUT_PERCENT, 2),
    "share_percent": (1, 99, 10),
    "explore_percent": (0, 50, 3),
    "confidence_percent": (1, 100, 80),
    "latency_cap_ms": (0, MAX_LATENCY_MS, 0),
    "answer_worth": (0, MAX_LIMIT_NANOS, 0),
    "agreement_samples": (0, MAX_SAMPLES, 0),
    "compare_percent": (0, 50, 0),
    "compare_monthly_limit": (0, MAX_LIMIT_NANOS, 0),
}
#: of a kind's targets, the fewest and the most
_COUNTS: Final[Mapping[RouteKind, tuple[int, int]]] = {
    RouteKind.FIXED: (1, MOST_TARGETS),
    RouteKind.FALLBACKS: (2, MOST_TARGETS),
    RouteKind.WEIGHTED: (2, MOST_TARGETS),
    RouteKind.CANARY: (2, 2),
    RouteKind.ROUTER: (2, MOST_ROUTED),
    RouteKind.CASCADE: (2, MOST_RUNGS),
}


class _Catalog(NamedTuple):
    """What a policy is checked against: the organisation's models by name with their present prices, its routes."""

    prices: Mapping[str, PriceSnapshot | None]
    routes: frozenset[str]


def check_policy(org: OrgSnapshot | None, name: str, kind: RouteKind, given: Mapping[str, Any]) -> dict[str, Any]:
    """The policy of the route ``name`` as it is stored, what was left out as it is without.

    Raises InvalidField, naming the field that cannot be and saying why: a target that is no model, has no price, or is
    a route itself (routes of routes could be circles); rungs of a cascade that do not become dearer; a setting that
    the kind does not have.
    """
    known = {"targets", "baseline", "holdout_percent", *SETTINGS[kind]}
    if unknown := sorted(set(given) - known):
        raise InvalidField(f"A {kind} route has no such setting.", field=unknown[0])
    now_ms = to_ms(clock.now())
    models = org.models if org is not None else {}
    catalog = _Catalog(
        {each: model.find_price(now_ms) for each, model in models.items()},
        frozenset({name, *(org.routes if org is not None else ())}),
    )
    targets = _check_targets(catalog, kind, given.get("targets", ()))
    policy: dict[str, Any] = {"targets": targets, "baseline": _check_baseline(catalog, targets, given.get("baseline"))}
    for field, (least, most, usual) in _NUMBERS.items():
        if field in known:
            policy[field] = _check_number(field, given.get(field, usual), least, most)
    if packs := {field: given[field] for field in _PACKS & known if field in given}:
        policy |= _check_packs(packs)
    if "deadline_seconds" in known and (seconds := given.get("deadline_seconds", 0)) != 0:
        policy["deadline_seconds"] = _check_number("deadline_seconds", seconds, *DEADLINE_SECONDS)
    if _STICKY in known:
        policy[_STICKY] = _check_among(_STICKY, given.get(_STICKY, Sticky.CONVERSATION), tuple(Sticky))
    if "hard_from" in known:
        if len(targets) == 2:
            policy["hard_from"] = _check_among("hard_from", given.get("hard_from", "medium"), HARD_FROM)
        elif "hard_from" in given:
            raise InvalidField(
                "A router of three or four targets has a class of prompts for each: only one of two has hard_from.",
                field="hard_from",
            )
        policy["stopped_tasks"] = _check_texts("stopped_tasks", given.get("stopped_tasks", ()))
    if "is_learning" in known:
        policy["is_learning"] = bool(given.get("is_learning", False))
        _check_comparing(policy)
    return policy


def _check_comparing(policy: Mapping[str, Any]) -> None:
    """Comparisons cost money for what the route learns: nobody pays for them without a limit, or for nothing."""
    if not policy["compare_percent"]:
        return
    if not policy["compare_monthly_limit"]:
        raise InvalidField(
            "Comparisons cost what the other model costs: say how many USD a month they may.",
            field="compare_monthly_limit",
        )
    if not policy["is_learning"]:
        raise InvalidField("The route learns from comparisons: switch is_learning on, too.", field="compare_percent")


def _check_packs(given: Mapping[str, Any]) -> dict[str, Any]:
    """How questions go together, nothing where they do not."""
    window = _check_number("pack_window_ms", given.get("pack_window_ms", 0), 0, MAX_PACK_WINDOW_MS)
    most = _check_number("pack_most", given.get("pack_most", USUAL_PACK), 2, MOST_IN_A_PACK)
    return {"pack_window_ms": window, "pack_most": most} if window else {}


def _check_targets(catalog: _Catalog, kind: RouteKind, given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    fewest, most = _COUNTS[kind]
    if not fewest <= len(given) <= most:
        wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        raise _refusal(f"Give {wanted} targets for a {kind} route.")
    targets = [_check_target(catalog, kind, place, target) for place, target in enumerate(given, 1)]
    names = [target["model"] for target in targets]
    if kind is not RouteKind.FIXED and len(set(names)) < len(names):
        raise _refusal("Name each model once.")
    if kind is RouteKind.FIXED and any(not target.get("when") for target in targets[:-1]):
        raise _refusal("Only the last target of a fixed route has no condition: those after it would never be asked.")
    if kind in {RouteKind.ROUTER, RouteKind.CASCADE}:
        for (place, low), (_, high) in pairwise(enumerate(names, 1)):
            if not _price_of(catalog, low).is_cheaper_than(_price_of(catalog, high)):
                raise _refusal(f"Target {place}: {low} is not cheaper than {high}. Put the cheapest first.")
    return targets


def _check_target(catalog: _Catalog, kind: RouteKind, place: int, given: Mapping[str, Any]) -> dict[str, Any]:
    name = given.get("model")
    if name in catalog.routes:
        raise _refusal(f"Target {place}: {name} is a route. Give models, so that routes cannot become a circle.")
    if not isinstance(name, str) or name not in catalog.prices:
        raise _refusal(f"Target {place}: there is no active model {str(name)[:100]}.")
    if catalog.prices[name] is None:
        raise _refusal(f"Target {place}: the model {name} has no price: set one first, under Models & prices.")
    target: dict[str, Any] = {"model": name}
    weight = given.get("weight")
    if kind is RouteKind.WEIGHTED:
        if not isinstance(weight, int) or isinstance(weight, bool) or not 1 <= weight <= MAX_WEIGHT:
            raise _refusal(f"Target {place}: weight is a whole number from 1 to {MAX_WEIGHT}.")
        target["weight"] = weight
    elif weight is not None:
        raise _refusal(f"Target {place}: only targets of a weighted route have a weight.")
    if when := given.get("when"):
        if kind is RouteKind.CASCADE:
            raise _refusal(f"Target {place}: rungs of a cascade have no conditions.")
        target["when"] = _check_condition(place, when)
    return target


def _check_condition(place: int, given: Mapping[str, Any]) -> dict[str, Any]:
    checks: dict[str, Callable[[str, Any], Any]] = {
        "tags": _check_tags,
        "end_users": _check_texts,
        "min_tokens": lambda field, value: _check_number(field, value, 1, MAX_TOKENS),
        "max_tokens": lambda field, value: _check_number(field, value, 1, MAX_TOKENS),
        "has_tools": _check_flag,
        "is_degraded": _check_flag,
    }
    if unknown := sorted(set(given) - set(checks)):
        raise _refusal(f"Target {place}: there is no condition {unknown[0][:50]}; there are {', '.join(checks)}.")
    try:
        condition = {field: checks[field](field, value) for field, value in given.items()}
    except InvalidField as error:
        raise _refusal(f"Target {place}: {error.field}: {error.message}") from error
    if 0 < condition.get("max_tokens", 0) < condition.get("min_tokens", 0):
        raise _refusal(f"Target {place}: no call has at least min_tokens and at most max_tokens.")
    return condition


def _check_baseline(catalog: _Catalog, targets: Sequence[Mapping[str, Any]], given: str | None) -> str:
    """The model that was given, else the dearest target: by a call of as many tokens in as out."""
    if not given:
        return str(max((target["model"] for target in targets), key=lambda name: _dearness(catalog, name)))
    if catalog.prices.get(given) is None:
        raise InvalidField("Give one of the organisation's models that has a price.", field="baseline")
    return given


def _dearness(catalog: _Catalog, name: str) -> int:
    price = _price_of(catalog, name)
    return price.dearest_input + price.dearest_output


def _price_of(catalog: _Catalog, name: str) -> PriceSnapshot:
    price = catalog.prices[name]
    if price is None:
        raise _refusal(f"The model {name} has no price: set one first, under Models & prices.")
    return price


def _check_number(field: str, value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidField(f"Give a whole number from {least} to {most}.", field=field)
    return value


def _check_among(field: str, value: Any, known: Sequence[str]) -> str:
    if value not in known:
        raise InvalidField(f"Give one of {', '.join(known)}.", field=field)
    return str(value)


def _check_flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidField("Give true or false.", field=field)
    return value


def _check_texts(field: str, value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > MOST_LISTED or not all(map(_is_text, value)):
        raise InvalidField(
            f"Give a list of at most {MOST_LISTED} texts of 1 to {MAX_CHARACTERS} printable characters.", field=field
        )
    return list(dict.fromkeys(value))


def _check_tags(field: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= MOST_LISTED:
        raise InvalidField('Give tags by name, such as {"team": "search"}.', field=field)
    if not all(_is_text(name) and _is_text(each) for name, each in value.items()):
        raise InvalidField(f"Names and values of tags are 1 to {MAX_CHARACTERS} printable characters.", field=field)
    return dict(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_CHARACTERS and value.isprintable()


def _refusal(message: str) -> InvalidField:
    return InvalidField(message, field="targets")
