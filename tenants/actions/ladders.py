"""The ladders of budgets that degrade: which rungs there may be, and in which order."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.moments import to_ms
from tenants.access import Actor
from tenants.choices import RouteKind, RungKind
from tenants.route_snapshots import RouteSnapshot
from tenants.selectors import load_org_snapshot
from tenants.snapshots import ModelSnapshot

MAX_RUNGS: Final = 10
MAX_PERCENT: Final = 200
MAX_TOKENS: Final = 10_000_000
#: longer than this, callers give up
MAX_DELAY_MS: Final = 60_000

_EXAMPLE: Final = '{"at": 80, "rung": "cheaper_model", "model": "small"}'
#: the one field that each rung has beside ``at`` and ``rung``
_FIELDS: Final = {
    RungKind.CHEAPER_MODEL: "model",
    RungKind.SHORTER_OUTPUT: "max_tokens",
    RungKind.SLOWER_LANE: "delay_ms",
    RungKind.CACHE_ONLY: None,
    RungKind.COMPRESS: None,
    RungKind.ROUTE: "route",
    RungKind.BLOCK: None,
}


def check_ladder(actor: Actor, rungs: Sequence[Mapping[str, Any]], model: str = "") -> list[dict[str, Any]]:
    """The ladder as it is stored. ``model``: the one whose calls alone the budget counts, where it is one.

    Raises InvalidField, saying which rung cannot be and why.
    """
    if not 1 <= len(rungs) <= MAX_RUNGS:
        raise _refusal(f"Give 1 to {MAX_RUNGS} rungs, such as {_EXAMPLE}.")
    org = load_org_snapshot(str(actor.org.pk))
    models = org.models if org is not None else {}
    routes = org.routes if org is not None else {}
    checked = [_check_rung(models, routes, place, rung) for place, rung in enumerate(rungs, 1)]
    for (place, low), (_, high) in pairwise(enumerate(checked, 1)):
        if low["at"] > high["at"]:
            raise _refusal(f"Rung {place + 1} begins before rung {place}: put them in rising order.")
        if low["rung"] == RungKind.BLOCK:
            raise _refusal(f"Rung {place + 1} comes after block: no call gets that far.")
    seen: set[tuple[str, int]] = set()
    for place, rung in enumerate(checked, 1):
        if (rung["rung"], rung["at"]) in seen:
            raise _refusal(f"Rung {place} is there twice: one of a kind at one per cent.")
        seen.add((rung["rung"], rung["at"]))
    _check_use(models, checked, model)
    return checked


def _check_use(models: Mapping[str, ModelSnapshot], rungs: Sequence[Mapping[str, Any]], model: str) -> None:
    """Raise InvalidField for a rung that does nothing which those before it do not do already."""
    before: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for place, rung in enumerate(rungs, 1):
        kind = RungKind(rung["rung"])
        field, earlier = _FIELDS[kind], before.get(kind)
        before[kind] = (place, rung)
        if kind is RungKind.CHEAPER_MODEL and earlier is None and model in models:
            earlier = (0, {"model": model})
        if field is None or earlier is None:
            continue
        at, other = earlier
        if kind is RungKind.CHEAPER_MODEL:
            whose = f"that of rung {at}" if at else "the budget's own"
            if not _is_cheaper(models, rung["model"], other["model"]):
                raise _refusal(f"Rung {place}: {rung['model']} is not cheaper than {other['model']}, {whose}.")
        elif kind is RungKind.SHORTER_OUTPUT and rung[field] >= other[field]:
            raise _refusal(f"Rung {place}: give fewer max_tokens than the {other[field]} of rung {at}.")
        elif kind is RungKind.SLOWER_LANE and rung[field] <= other[field]:
            raise _refusal(f"Rung {place}: give a longer delay_ms than the {other[field]} of rung {at}.")


def _is_cheaper(models: Mapping[str, ModelSnapshot], name: str, other: str) -> bool:
    now_ms = to_ms(clock.now())
    price, theirs = models[name].find_price(now_ms), models[other].find_price(now_ms)
    # Of what has no price nothing is known.
    return price is None or theirs is None or price.is_cheaper_than(theirs)


def _check_rung(
    models: Mapping[str, ModelSnapshot], routes: Mapping[str, RouteSnapshot], place: int, rung: Mapping[str, Any]
) -> dict[str, Any]:
    kind = rung.get("rung")
    if not isinstance(kind, str) or kind not in set(RungKind):
        raise _refusal(f"Rung {place}: give one of {', '.join(RungKind)} as its rung.")
    at = rung.get("at")
    if not isinstance(at, int) or isinstance(at, bool) or not 1 <= at <= MAX_PERCENT:
        raise _refusal(f"Rung {place}: at is a whole number of per cent from 1 to {MAX_PERCENT}.")
    field = _FIELDS[RungKind(kind)]
    known = {"at", "rung", *([field] if field else [])}
    if unknown := sorted(set(rung) - known):
        raise _refusal(f"Rung {place}: {kind} has no {unknown[0][:50]}.")
    if field is None:
        return {"at": at, "rung": kind}
    value = rung.get(field)
    if field == "model":
        return {"at": at, "rung": kind, "model": _check_model(models, place, value)}
    if field == "route":
        return {"at": at, "rung": kind, "route": _check_route(routes, place, value)}
    most = MAX_TOKENS if field == "max_tokens" else MAX_DELAY_MS
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise _refusal(f"Rung {place}: {field} is a whole number from 1 to {most}.")
    return {"at": at, "rung": kind, field: value}


def _check_model(models: Mapping[str, ModelSnapshot], place: int, name: Any) -> str:
    now_ms = to_ms(clock.now())
    if not isinstance(name, str) or name not in models:
        raise _refusal(
            f"Rung {place}: give one of the organisation's models as its model; {str(name)[:100]!r} is none."
        )
    own = models[name].find_price(now_ms)
    if own is None:
        raise _refusal(f"Rung {place}: the model {name} has no price.")
    others = [
        price for other, model in models.items() if other != name and (price := model.find_price(now_ms)) is not None
    ]
    if not any(own.is_cheaper_than(other) for other in others):
        raise _refusal(f"Rung {place}: no model is more expensive than {name}, so that nothing would become cheaper.")
    return name


def _check_route(routes: Mapping[str, RouteSnapshot], place: int, name: Any) -> str:
    if not isinstance(name, str) or name not in routes:
        raise _refusal(
            f"Rung {place}: give one of the organisation's routes as its route; {str(name)[:100]!r} is none."
        )
    if routes[name].kind == RouteKind.CASCADE:
        raise _refusal(f"Rung {place}: {name} is a cascade, which may ask several models for one answer.")
    return name


def _refusal(message: str) -> InvalidField:
    return InvalidField(message, field="ladder")
