"""Makes organisations and keys in a running stack, through the same actions as the console and the API.

Runs as a program of its own in the stack's environment, after `django.setup()`: an `Order` as JSON on standard input,
the secrets of each organisation's keys as JSON on standard output.
"""

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from bench.peers.costhub import Order
from costhub.lib.money import Nanos
from tenants.access import Actor, org_scope
from tenants.actions.budgets import create_budget
from tenants.actions.cache import create_cache_policy
from tenants.actions.compression import create_compression_policy
from tenants.actions.keys import create_key
from tenants.actions.limits import create_rate_limit
from tenants.actions.models import create_model
from tenants.actions.orgs import create_organization
from tenants.actions.pricing import create_price
from tenants.actions.routes import create_route
from tenants.actions.upstreams import create_upstream
from tenants.choices import (
    BudgetAction,
    BudgetPeriod,
    BudgetScope,
    CacheMode,
    LimitUnit,
    Mode,
    Role,
    RouteKind,
    Tokenizer,
    UpstreamKind,
)

#: so much that no budget refuses a call of the bench
LIMIT: Final = Nanos(1_000_000 * 10**9)
MOST_CALLS: Final = 10_000_000
MOST_TOKENS: Final = 10**12
#: short enough that what leaves the windows is in the figure too
WINDOW_SECONDS: Final = 2
SCOPES: Final = (BudgetScope.ORGANIZATION, BudgetScope.PROJECT, BudgetScope.KEY, BudgetScope.END_USER)


def main() -> None:
    """Read the order, carry it out, print the secrets."""
    print(json.dumps(populate(Order(**json.load(sys.stdin)))))


def populate(order: Order) -> list[list[str]]:
    """Make the organisations; gives the secrets of each one's keys."""
    secrets = []
    for number in range(order.organizations):
        made = create_organization(name=f"Bench {number}", acting_name="bench")
        with org_scope(made.org.pk):
            secrets.append(_furnish(Actor(made.org, Role.OWNER, "bench"), order))
    return secrets


def _limit(actor: Actor) -> None:
    """Requests, tokens, dollars and calls under way, of the organisation and of each key; and a ladder."""
    for scope in (BudgetScope.ORGANIZATION, BudgetScope.KEY):
        for unit, amount in (
            (LimitUnit.REQUESTS, MOST_CALLS),
            (LimitUnit.TOKENS, MOST_TOKENS),
            (LimitUnit.USD, LIMIT),
        ):
            create_rate_limit(actor=actor, scope=scope, unit=unit, amount=amount, window_seconds=WINDOW_SECONDS)
    create_rate_limit(actor=actor, scope=BudgetScope.KEY, unit=LimitUnit.CONCURRENT, amount=MOST_CALLS)
    create_budget(
        actor=actor,
        scope=BudgetScope.PROJECT,
        period=BudgetPeriod.DAY,
        limit_nanos=LIMIT,
        action=BudgetAction.DEGRADE,
        ladder=[{"at": 90, "rung": "shorter_output", "max_tokens": 10}],
    )


def _route(actor: Actor, name: str, models: Sequence[str]) -> None:
    """A router that begins with how hard a prompt looks, and prompts without needless white space."""
    targets = [{"model": model} for model in models]
    create_route(actor=actor, name=name, kind=RouteKind.ROUTER, mode=Mode.ON, targets=targets)
    create_compression_policy(actor=actor, mode=Mode.ON, model=name)


def _furnish(actor: Actor, order: Order) -> list[str]:
    """A model for each upstream, a hard budget for each scope, and the keys, each of an end user of its own."""
    for kind, base_url in order.base_urls.items():
        upstream = create_upstream(actor=actor, name=kind, kind=UpstreamKind.OPENAI_COMPATIBLE, base_url=base_url)
        names = (f"cheap-{kind}", f"dear-{kind}") if order.has_routes else (f"bench-{kind}",)
        for times, name in enumerate(names, 1):
            model = create_model(
                actor=actor, name=name, upstream=upstream, upstream_model="bench", tokenizer=Tokenizer.O200K
            )
            prices: dict[str, Any] = {
                "input_per_million": Decimal("0.15") * times,
                "output_per_million": Decimal("0.60") * times,
            }
            create_price(actor=actor, model=model, **prices)
        if order.has_routes:
            _route(actor, f"bench-{kind}", names)
    for scope in SCOPES:
        create_budget(actor=actor, scope=scope, period=BudgetPeriod.MONTH, limit_nanos=LIMIT)
    if order.has_limits:
        _limit(actor)
    if order.has_cache:
        create_cache_policy(actor=actor, mode=CacheMode.ON)
    keys = (create_key(actor=actor, name=f"bench {number}", end_user=f"user-{number}") for number in range(order.keys))
    return [key.secret for key in keys]
