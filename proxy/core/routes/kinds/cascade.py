"""The targets as rungs, the cheapest first: an answer that does not do is followed by the next one's."""

from proxy.core.routes.values import Choice, Facts, Usable
from proxy.values.routing import Scores
from tenants.route_snapshots import RouteSnapshot


def choose(route: RouteSnapshot, usable: tuple[Usable, ...], facts: Facts, scores: Scores) -> Choice:
    """All that the call may use, in their order."""
    return Choice(tuple(each.name for each in usable), f"rung 1 of {len(usable)}")
