"""The kinds of routes, each a small module with one function: from the targets that a call may use to the models that
serve it, in the order in which they are asked, and why."""

from collections.abc import Callable, Mapping
from typing import Final

from proxy.core.routes.kinds import canary, cascade, fallbacks, fixed, router, weighted
from proxy.core.routes.values import Choice, Facts, Usable
from proxy.values.routing import Scores
from tenants.choices import RouteKind
from tenants.route_snapshots import RouteSnapshot

Choose = Callable[[RouteSnapshot, tuple[Usable, ...], Facts, Scores], Choice]

KINDS: Final[Mapping[str, Choose]] = {
    RouteKind.FIXED: fixed.choose,
    RouteKind.FALLBACKS: fallbacks.choose,
    RouteKind.WEIGHTED: weighted.choose,
    RouteKind.CANARY: canary.choose,
    RouteKind.ROUTER: router.choose,
    RouteKind.CASCADE: cascade.choose,
}
