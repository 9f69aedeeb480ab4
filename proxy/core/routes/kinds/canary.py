"""A small share of the calls for a new model, the rest for the one that is known."""

from proxy.core.routes.draw import draw_permille
from proxy.core.routes.values import Choice, Facts, Usable, first_and_rest
from proxy.values.routing import Scores
from tenants.route_snapshots import RouteSnapshot


def choose(route: RouteSnapshot, usable: tuple[Usable, ...], facts: Facts, scores: Scores) -> Choice:
    """The second target for the share, else the first; each stands in for the other."""
    if len(usable) == 1:
        return Choice((usable[0].name,), "the only one that the call may use")
    share = route.share_permille
    if draw_permille(route.id, "canary", facts.stick) < share:
        return Choice(first_and_rest(usable, 1), f"one of the {share / 10:g} % for the canary", permille=share)
    return Choice(first_and_rest(usable, 0), "beside the canary", permille=1000 - share)
