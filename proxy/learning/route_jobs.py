"""The job that trains routes, and takes back what has drifted."""

import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

from costhub.lib import clock
from proxy.core.routes.packing import Unreadable, unpack_cascade, unpack_router
from proxy.learning.route_training import MORE_LABELS, has_cascade_drifted, has_drifted, list_labels, train_route
from proxy.learning.router_training import NothingToLearn
from proxy.routing.model import Feedback, LearnedRoute, RouteLabel
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
            take_back_if_drifted(actor, route)
            trained += train_route(actor, route) is not None
    return trained


def _forget(actor: Actor) -> None:
    """Words and labels that are old, and labels of routes that are gone."""
    Feedback.objects.filter(org=actor.org, created_at__lt=clock.now() - FEEDBACK_KEPT).delete()
    labels = RouteLabel.objects.filter(org_id=actor.org.pk)
    labels.filter(at__lt=clock.now() - LABELS_KEPT).delete()
    labels.exclude(route_id__in=Route.objects.filter(org=actor.org).values("pk")).delete()


def take_back_if_drifted(actor: Actor, route: Route) -> bool:
    """Have a route decide by nothing learned where its newest labels say something else than it expects of them: of
    the gain, a router; of how often answers are right, a cascade."""
    if not route.learned:
        return False
    learned = LearnedRoute.objects.filter(org_id=actor.org.pk, pk=route.learned).first()
    newest = [row for row in list_labels(route) if learned is not None and row.at > learned.made_at]
    if learned is None or len(newest) < MORE_LABELS:
        return False
    try:
        packed = bytes(learned.packed)
        is_off = (
            has_drifted(unpack_router(packed), newest)
            if route.kind == RouteKind.ROUTER
            else has_cascade_drifted(unpack_cascade(packed), newest)
        )
    except NothingToLearn:
        # The newest labels are of one model alone: there is nothing to compare.
        return False
    except (Unreadable, ValueError):
        # ValueError: it was learned of answers that are described otherwise by now.
        is_off = True
    if is_off:
        _log.warning("what a route has learned has drifted", extra={"org": str(actor.org.pk), "route": str(route.pk)})
        learned.report = {**learned.report, "drifted": True}
        learned.save(update_fields=["report"])
        use_learned(actor=actor, route=route, learned="")
    return is_off
