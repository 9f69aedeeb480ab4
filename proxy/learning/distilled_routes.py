"""Routes that ask what was distilled first, and its teacher where that is not sure: made, changed and taken away."""

import logging
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django.db import transaction

from costhub.lib.errors import AppError, Conflict, InvalidField
from proxy.learning.models import Trusted
from tenants.access import Actor
from tenants.actions.routes import create_route, delete_route, update_route
from tenants.choices import Mode, RouteKind
from tenants.models import CapturePolicy, LanguageModel, Route

_log = logging.getLogger(__name__)

#: conversations that the teacher answers all the same, which say how often the two agree
HOLDOUT_PERCENT: Final = 5


class Trust(NamedTuple):
    """How a route asks: whether it does, how sure an answer must be, and how much of the calls is the teacher's
    alone."""

    threshold: float
    holdout_percent: int = HOLDOUT_PERCENT
    mode: Mode = Mode.ON

    @property
    def settings(self) -> dict[str, Any]:
        """As a cascade has them, in whole per cent: rounded up, for what is less sure than the threshold has no floor
        under it. Of a threshold above 0.99 that asks for certainty."""
        confidence = min(100, max(1, math.ceil(self.threshold * 100)))
        return {"mode": self.mode, "confidence_percent": confidence, "holdout_percent": self.holdout_percent}


def name_route(given: str, before: str, teacher: str) -> str:
    """What a route is called: as somebody has said, now or earlier, or by its teacher."""
    return given or before or f"{teacher}-distilled"


def check_one_route(actor: Actor, before: str, name: str, *, upstream_model: str, teacher: str) -> None:
    """Raise Conflict where it is asked by another route already: that one would follow nobody's trust any more."""
    if before and before != name and find_route(actor, before, upstream_model=upstream_model, teacher=teacher):
        raise Conflict(f"The route {before} asks it: leave the route out, or serve it no longer first.", field="route")


def put_route(actor: Actor, name: str, *, model: str, teacher: str, trust: Trust) -> None:
    """Have calls of ``name`` asked of a model that is a student of this teacher, and then of the teacher. Raises
    InvalidField where the route does something else, or it cannot be."""
    policy = {"targets": [{"model": model}, {"model": teacher}], "baseline": teacher, **trust.settings}
    there = Route.objects.filter(org=actor.org, name=name).first()
    if there is None:
        create_route(actor=actor, name=name, kind=RouteKind.CASCADE, **policy)
    elif find_first(actor, there, teacher) is None:
        raise InvalidField("This route does something else: give another name.", field="route")
    else:
        update_route(actor=actor, route=there, kind=RouteKind.CASCADE, **policy)


class Around(NamedTuple):
    """What is read once of an organisation for a whole list of what was trained there: its routes and models by name,
    and the share of each model's calls that is kept."""

    routes: Mapping[str, Route]
    models: Mapping[str, LanguageModel]
    kept: Mapping[str, int]

    def find_route(self, name: str, *, upstream_model: str, teacher: str) -> Route | None:
        """As the function of this name."""
        there = self.routes.get(name)
        first = self.models.get(_name_first(there, teacher)) if there is not None else None
        is_first = first is not None and (first.student_of, first.upstream_model) == (teacher, upstream_model)
        return there if is_first else None


def look_around(actor: Actor) -> Around:
    """The open organisation's."""
    return Around(
        {route.name: route for route in Route.objects.filter(org=actor.org)},
        {model.name: model for model in LanguageModel.objects.filter(org=actor.org)},
        dict(CapturePolicy.objects.filter(org=actor.org).values_list("model", "per_mille")),
    )


def find_route(actor: Actor, name: str, *, upstream_model: str, teacher: str) -> Route | None:
    """The route of this name, as long as it asks this student before this teacher, and nobody has put something else
    there."""
    there = Route.objects.filter(org=actor.org, name=name).first() if name else None
    first = find_first(actor, there, teacher) if there is not None else None
    return there if first is not None and first.upstream_model == upstream_model else None


def follow(actor: Actor, row: Trusted, route: Route | None, trust: Trust) -> None:
    """Have a route that ``find_route`` has found ask as far as what was trained is trusted now. A route that somebody
    has changed to ask others is not found, and left alone. The caller stores the row, whose reason tells of a route
    that cannot follow."""
    if route is None:
        return
    try:
        with transaction.atomic():
            update_route(actor=actor, route=route, **trust.settings)
    except AppError as error:
        # Such as a teacher without a price: then nothing is asked by it either. What is found out is kept all the same.
        _log.warning("a route did not follow", extra={"route": route.name, "reason": error.message})
        row.reason += f" Its route {route.name} could not follow: {error.message}"


def drop_route(actor: Actor, name: str, *, upstream_model: str, teacher: str) -> None:
    """The route goes, and with it the name that calls had for it; one that does something else stays."""
    there = find_route(actor, name, upstream_model=upstream_model, teacher=teacher)
    if there is not None:
        delete_route(actor=actor, route=there)


def find_first(actor: Actor, route: Route, teacher: str) -> LanguageModel | None:
    """The student that a cascade asks before this teacher; None for any other route."""
    name = _name_first(route, teacher)
    return LanguageModel.objects.filter(org=actor.org, name=name, student_of=teacher).first() if name else None


def _name_first(route: Route, teacher: str) -> str:
    """The model that a cascade asks before this teacher; empty for any other route."""
    names = [target.get("model") for target in route.policy.get("targets", [])]
    return names[0] or "" if route.kind == RouteKind.CASCADE.value and names[1:] == [teacher] else ""
