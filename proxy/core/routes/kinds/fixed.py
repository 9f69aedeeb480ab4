"""The first target whose conditions hold, always."""

from proxy.core.routes.values import Choice, Facts, Usable
from proxy.values.routing import Scores
from tenants.route_snapshots import RouteSnapshot


def choose(route: RouteSnapshot, usable: tuple[Usable, ...], facts: Facts, scores: Scores) -> Choice:
    """The first; its model's own fallbacks stand in for it."""
    first = usable[0]
    place = route.targets.index(first.target) + 1
    return Choice((first.name,), "fixed" if len(route.targets) == 1 else f"target {place} of {len(route.targets)}")
