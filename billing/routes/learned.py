"""What a route has learned before, put in force again by a person: what somebody, or drift, has taken back does not
come back by itself."""

from billing.routes.selectors import list_learned
from costhub.lib.errors import Conflict, NotFound
from proxy.core.routes.packing import Unreadable, unpack_cascade, unpack_either
from proxy.routing.model import DRIFTED_SINCE, PAIRS, REFUSED, LearnedRoute
from tenants.access import Actor, find_uuid
from tenants.actions.routes import use_learned
from tenants.choices import Permission, RouteKind
from tenants.models import Route


def bring_back_learned(*, actor: Actor, route: Route, version: str = "") -> None:
    """Have the route decide by what it has learned: by a version of that, by its id, or by the newest that can be used
    where none is given. From the newest on it learns as ever; an older one stays in force.

    Raises NotFound where there is no such version, and Conflict where it cannot be used, or none can.
    """
    actor.check(Permission.WRITE_SETTINGS)
    every = list_learned(actor, route)
    if not version:
        found = next((row for row in every if not why_not(row, route)), None)
        if found is None:
            raise Conflict("The route has learned nothing that it can decide by: more labels are needed.")
    else:
        wanted = find_uuid(version)
        found = every.filter(pk=wanted).first() if wanted else None
        if found is None:
            raise NotFound("The route has learned no such version.", field="version")
    if reason := why_not(found, route):
        raise Conflict(reason, field="version")
    try:
        (unpack_either if route.kind == RouteKind.ROUTER else unpack_cascade)(bytes(found.packed))
    except (Unreadable, ValueError) as error:
        raise Conflict("This version was written by another release, and cannot be read.", field="version") from error
    use_learned(actor=actor, route=route, learned=str(found.pk))


def why_not(row: LearnedRoute, route: Route) -> str:
    """Why a route cannot decide by something that it has learned, for people; empty where it can."""
    if REFUSED in row.report:
        return "Nothing was learned then that tells better than chance."
    if row.kind != route.kind:
        return f"This was learned by a {row.kind} route, and the route is a {route.kind} one now."
    is_of_pairs = len(route.policy["targets"]) > 2
    if route.kind == RouteKind.ROUTER and (PAIRS in row.report) is not is_of_pairs:
        return "This was learned by a router of another number of targets."
    if DRIFTED_SINCE in row.report:
        return "Newer labels say something else than this version expects of them."
    return ""
