"""The job that trains routes, and takes back what has drifted."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from costhub.lib import clock
from proxy.core.routes.packing import LearnedPairs, LearnedRouter, Unreadable, unpack_cascade, unpack_either
from proxy.learning.route_training import (
    FEWEST_LABELS,
    as_pair,
    find_labels,
    find_pair_labels,
    find_versions,
    has_drifted,
    has_rung_drifted,
    list_newest,
    list_pairs,
    train_route,
)
from proxy.learning.router_training import NothingToLearn
from proxy.routing.model import DRIFTED_SINCE, REFUSED, Feedback, LearnedRoute, RouteLabel
from tenants.access import Actor, job_scope, list_org_ids
from tenants.actions.routes import use_learned
from tenants.choices import RouteKind
from tenants.models import Route

_log = logging.getLogger(__name__)

#: older ones say little of today
LABELS_KEPT: Final = timedelta(days=90)
#: no report looks further back
FEEDBACK_KEPT: Final = timedelta(days=400)
_KINDS: Final = (RouteKind.ROUTER.value, RouteKind.CASCADE.value)


def train_all() -> int:
    """Train the routes of every organisation that learn and have enough new labels. Gives how many were trained."""
    trained = 0
    for org_id in list_org_ids():
        try:
            trained += _train_org(org_id)
        except Exception:  # noqa: BLE001 - whatever is in one organisation's labels, the others learn
            _log.exception("routes could not be trained", extra={"org": str(org_id)})
    return trained


def _train_org(org_id: UUID) -> int:
    trained = 0
    with job_scope(org_id) as actor:
        _forget(actor)
        for route in Route.objects.filter(org=actor.org, kind__in=_KINDS):
            if not route.policy.get("is_learning"):
                continue
            # What has just drifted is trained anew the next time: until then people are told of it.
            if not take_back_if_drifted(actor, route):
                trained += train_route(actor, route) is not None
    return trained


def _forget(actor: Actor) -> None:
    """Words and labels that are old, and labels of routes that are gone."""
    Feedback.objects.filter(org=actor.org, created_at__lt=clock.now() - FEEDBACK_KEPT).delete()
    labels = RouteLabel.objects.filter(org_id=actor.org.pk)
    labels.filter(at__lt=clock.now() - LABELS_KEPT).delete()
    labels.exclude(route_id__in=Route.objects.filter(org=actor.org).values("pk")).delete()


def take_back_if_drifted(actor: Actor, route: Route) -> bool:
    """Have a route decide by nothing learned where its newest labels say something else than was expected of them: of
    the gain, a router; of how often answers are right, a cascade."""
    if not route.learned:
        return False
    in_force = LearnedRoute.objects.filter(org_id=actor.org.pk, pk=route.learned).first()
    since = _find_drift(route, in_force) if in_force is not None else None
    if in_force is None or since is None:
        return False
    _log.warning("what a route has learned has drifted", extra={"org": str(actor.org.pk), "route": str(route.pk)})
    in_force.report = {**in_force.report, DRIFTED_SINCE: since.isoformat()}
    in_force.save(update_fields=["report"])
    use_learned(actor=actor, route=route, learned="")
    return True


def _find_drift(route: Route, in_force: LearnedRoute) -> datetime | None:
    """From when on labels are far from what was expected of them; None where they are not."""
    for labels, version, pair in _pair_with_versions(route, in_force):
        rows = list_newest(labels.filter(at__gt=version.made_at))
        packed = bytes(version.packed)
        try:
            if route.kind == RouteKind.ROUTER:
                is_off = _has_drifted(unpack_either(packed), rows, pair)
            else:
                is_off = has_rung_drifted(unpack_cascade(packed), rows)
        except NothingToLearn:
            # They are of one model alone: there is nothing to compare.
            continue
        except (Unreadable, ValueError):
            # It was learned of answers that are described otherwise by now, and so is of use for nothing.
            is_off = version == in_force
        if is_off:
            return rows[0].at
    return None


def _has_drifted(
    learned: LearnedRouter | LearnedPairs, rows: Sequence[RouteLabel], pair: tuple[str, str] | None
) -> bool:
    """Whether labels, of a pair of a router of more than two where one is given, are far from what was learned."""
    if pair is None:
        # Learned of more targets than there are: it decides nothing.
        return isinstance(learned, LearnedRouter) and has_drifted(learned, rows)
    of_pair = learned.pairs.get(pair) if isinstance(learned, LearnedPairs) else None
    return of_pair is not None and has_drifted(of_pair, as_pair(rows, *pair))


def _pair_with_versions(
    route: Route, in_force: LearnedRoute
) -> Iterator[tuple[QuerySet[RouteLabel], LearnedRoute, tuple[str, str] | None]]:
    """The route's labels, of a cascade each rung's own, of a router of more than two each pair's, with the version that
    they are held against: the last one after which enough of them came. The pair is told, too.

    It is seldom the one in force. Fifty labels have a route trained anew, from the very ones that would tell that
    something has changed: held against that version alone, they would never be enough.
    """
    versions = find_versions(route).filter(made_at__lte=in_force.made_at).exclude(report__has_key=REFUSED)
    drifted = versions.filter(report__has_key=DRIFTED_SINCE).first()
    if drifted is not None:
        versions = versions.filter(made_at__gt=drifted.made_at)
    labels = find_labels(route)
    of_rungs = labels.filter(is_strong=False, features__has_key="answer")
    models = of_rungs.values_list("model", flat=True).distinct()
    each: list[tuple[QuerySet[RouteLabel], tuple[str, str] | None]] = [(labels, None)]
    if route.kind == RouteKind.CASCADE:
        each = [(of_rungs.filter(model=model), None) for model in models]
    elif pairs := list_pairs(route):
        each = [(find_pair_labels(route, *pair), pair) for pair in pairs]
    for own, pair in each:
        newest = list(own.order_by("-at").values_list("at", flat=True)[:FEWEST_LABELS])
        version = versions.filter(made_at__lt=newest[-1]).first() if len(newest) == FEWEST_LABELS else None
        if version is not None:
            yield own, version, pair
