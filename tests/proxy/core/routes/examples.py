"""An organisation with three models at three upstreams, the later ones dearer, and routes over them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tenants.route_snapshots import RouteSnapshot, TargetSnapshot
from tenants.snapshots import ModelSnapshot, OrgSnapshot
from tests.proxy.core.examples import MODEL, ORG, PRICE, UPSTREAM, reprice

ROUTE_ID = "0197e9d4-0000-7000-8000-0000000000aa"


def _model(name: str, times: int) -> ModelSnapshot:
    price = reprice(PRICE, input=150_000 * times, output=600_000 * times, cached_input=75_000 * times)
    return replace(
        MODEL, name=name, upstream_id=f"at {name}", upstream_model=name, prices=(replace(price, id=f"price of {name}"),)
    )


SMALL, MIDDLE, LARGE = _model("small", 1), _model("middle", 4), _model("large", 20)
MODELS = {model.name: model for model in (SMALL, MIDDLE, LARGE)}
WIDE_ORG = replace(
    ORG,
    models=MODELS,
    upstreams={
        model.upstream_id: replace(UPSTREAM, id=model.upstream_id, name=f"at {model.name}") for model in MODELS.values()
    },
)


def make_route(kind: str, targets: Sequence[str | TargetSnapshot] = ("small", "large"), **fields: Any) -> RouteSnapshot:
    """A route that is on, over these models; its baseline is the last one."""
    found = tuple(TargetSnapshot(one, weight=1) if isinstance(one, str) else one for one in targets)
    route = RouteSnapshot(
        id=ROUTE_ID,
        name="smart",
        kind=kind,
        mode="on",
        version=3,
        targets=found,
        baseline=found[-1].model,
    )
    return replace(route, **fields)


def with_routes(*routes: RouteSnapshot, **fields: Any) -> OrgSnapshot:
    """The organisation with these routes."""
    return replace(WIDE_ORG, routes={route.name: route for route in routes}, **fields)
