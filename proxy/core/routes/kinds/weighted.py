"""Each target by its parts of the calls."""

from proxy.core.routes.draw import draw
from proxy.core.routes.values import Choice, Facts, Usable, first_and_rest
from proxy.values.routing import Scores
from tenants.route_snapshots import RouteSnapshot


def choose(route: RouteSnapshot, usable: tuple[Usable, ...], facts: Facts, scores: Scores) -> Choice:
    """One of those that the call may use, by their parts among themselves; the others stand in for it."""
    total = sum(each.target.weight for each in usable)
    drawn, place = draw(route.id, "weight", facts.stick, total), 0
    while drawn >= usable[place].target.weight:
        drawn -= usable[place].target.weight
        place += 1
    weight = usable[place].target.weight
    return Choice(first_and_rest(usable, place), f"{weight} parts of {total}", permille=weight * 1000 // total)
