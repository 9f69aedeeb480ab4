"""Routes over three models of Acme's."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import numpy as np

from costhub.lib import clock
from proxy.core.routes.packing import LearnedRouter, pack_router
from proxy.core.routes.router import Router
from proxy.core.routes.text_features import FEATURES
from proxy.routing.model import Feedback, LearnedRoute, RouteLabel
from tenants.access import org_scope
from tenants.actions.compression import create_compression_policy
from tenants.actions.routes import create_route
from tenants.actions.system_prompts import propose_system_prompt
from tenants.choices import Mode, RouteKind
from tenants.models import LanguageModel, Route
from tests.world import Tenant, make_catalog

#: dollars a million tokens, in and out
PRICES = {"small": ("0.15", "0.60"), "middle": ("1.00", "4.00"), "large": ("3.00", "12.00")}


def make_models(tenant: Tenant, **catalog: Any) -> None:
    """The three, each at an upstream of its own."""
    for name, (into, out) in PRICES.items():
        make_catalog(tenant, model=name, input_per_million=into, output_per_million=out, **catalog)


def targets_of(*names: str) -> list[dict[str, Any]]:
    """Targets as the API takes them."""
    return [{"model": name} for name in names]


def make_route(
    tenant: Tenant,
    kind: RouteKind = RouteKind.ROUTER,
    names: Sequence[str] = ("small", "large"),
    *,
    name: str = "smart",
    mode: Mode = Mode.ON,
    holdout_percent: int = 0,
    **policy: Any,
) -> Route:
    """A route over models that are there, without a hold-out."""
    policy = {"targets": targets_of(*names), "holdout_percent": holdout_percent} | policy
    with org_scope(tenant.org.pk):
        return create_route(actor=tenant.owner, name=name, kind=kind, mode=mode, **policy)


def keep_learned(tenant: Tenant, route: Route, ago: int, *, kind: str = "router", **report: Any) -> LearnedRoute:
    """What a route has learned so many hours ago: that the strong model gains a little. With an ``old`` report the
    numbers are of another form. Inside an open organisation."""
    none = np.zeros(0)
    router = Router({"": 0.1}, np.zeros(FEATURES), np.ones(FEATURES), np.zeros(FEATURES), none, none)
    return LearnedRoute.objects.create(
        id=uuid4(),
        org_id=tenant.org.pk,
        route_id=route.pk,
        made_at=clock.now() - timedelta(hours=ago),
        kind=kind,
        labels=120,
        packed=b"of another form" if "old" in report else pack_router(LearnedRouter(router, 0.0)),
        report=report,
    )


def fill_routes(tenant: Tenant) -> dict[str, list[str]]:
    """A row of every table, over a model that is there; gives ids by the API's resources."""
    with org_scope(tenant.org.pk):
        name = LanguageModel.objects.filter(org=tenant.org).values_list("name", flat=True)[0]
        route = create_route(
            actor=tenant.owner, name="smart", kind=RouteKind.FIXED, mode=Mode.ON, targets=targets_of(name)
        )
        policy = create_compression_policy(actor=tenant.owner, mode=Mode.ON)
        prompt = propose_system_prompt(actor=tenant.owner, original="Be brief, please.", shorter="Be brief.")
        of_route: dict[str, Any] = {"id": uuid4(), "org_id": tenant.org.pk, "route_id": route.pk}
        RouteLabel.objects.create(**of_route, request_id=uuid4(), model=name)
        LearnedRoute.objects.create(**of_route, kind="router", labels=1, packed=b"{}")
        Feedback.objects.create(org=tenant.org, request_id=uuid4(), is_right=True)
    return {
        "routes": [str(route.pk)],
        "compression-policies": [str(policy.pk)],
        "system-prompts": [str(prompt.pk)],
    }
