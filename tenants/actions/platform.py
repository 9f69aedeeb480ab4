"""What whoever operates the installation does: tokens of theirs, and the demo."""

import secrets
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.db import transaction

from costhub.lib.money import parse_usd
from costhub.lib.secrets import PLATFORM_TOKEN, make_secret
from tenants.access import Actor, list_memberships, org_scope
from tenants.actions.budgets import create_budget
from tenants.actions.models import create_model
from tenants.actions.orgs import create_organization, find_or_create_user
from tenants.actions.pricing import create_price
from tenants.actions.routes import create_route
from tenants.actions.upstreams import create_upstream, update_upstream
from tenants.actions.values import check_name
from tenants.choices import BudgetPeriod, BudgetScope, Mode, Role, RouteKind, Tokenizer, UpstreamKind
from tenants.models import PlatformToken, Upstream

DEMO_EMAIL: Final = "admin@demo.localhost"
DEMO_UPSTREAM: Final = "local"
DEMO_MODEL: Final = "smollm2-135m-instruct"
#: nobody's key for a provider is in the demo: what stands where a large model would is the same small one, under a name
#: that says so, at the price of a large one
DEMO_STAND_IN: Final = "large-stand-in"
DEMO_STAND_IN_UPSTREAM: Final = "stand-in"
DEMO_ROUTE: Final = "smart"
DEMO_CONTEXT_WINDOW: Final = 2048
DEMO_MAX_OUTPUT_TOKENS: Final = 512
_ACTOR_NAME: Final = "seed_demo"


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo's credentials: the only moment at which they exist in clear."""

    admin_email: str
    admin_password: str
    admin_token: str
    api_key: str
    org: str


def create_platform_token(*, email: str) -> str:
    """Make a person a platform operator, and a token for them. Gives the secret, which is not stored."""
    secret = make_secret(PLATFORM_TOKEN, settings.KEY_PEPPER)
    with transaction.atomic():
        user = find_or_create_user(email)
        user.is_platform_operator = True
        user.save(update_fields=["is_platform_operator"])
        PlatformToken.objects.create(name=f"for {user.email}", prefix=secret.prefix, digest=secret.digest, user=user)
    return secret.text


def seed_demo(*, org_name: str, model_url: str | None) -> Demo | None:
    """Make the demo's organisation, person and budgets, and its models and route if ``model_url`` says where one
    answers.

    None if they are there already: their secrets cannot be shown again. The upstream then follows ``model_url``, which
    moves with the port.
    """
    name = check_name(org_name)
    with transaction.atomic():
        user = find_or_create_user(DEMO_EMAIL)
        for membership in list_memberships(user):
            if membership.org.name == name:
                _seed_model(Actor(membership.org, Role.OWNER, _ACTOR_NAME), model_url)
                return None
        made = create_organization(name=name, owner=user, acting_name=_ACTOR_NAME)
        actor = Actor(made.org, Role.OWNER, _ACTOR_NAME)
        with org_scope(made.org.pk):
            for scope in (BudgetScope.ORGANIZATION, BudgetScope.KEY):
                create_budget(actor=actor, scope=scope, period=BudgetPeriod.DAY, limit_nanos=parse_usd("5.00"))
        _seed_model(actor, model_url)
        password = secrets.token_urlsafe(18)
        user.set_password(password)
        user.save(update_fields=["password"])
    return Demo(user.email, password, made.admin_token, made.api_key, made.org.slug)


def _seed_model(actor: Actor, model_url: str | None) -> None:
    if model_url is None:
        return
    with org_scope(actor.org.pk):
        there = list(Upstream.objects.filter(org=actor.org, name__in=(DEMO_UPSTREAM, DEMO_STAND_IN_UPSTREAM)))
        for upstream in there:
            update_upstream(actor=actor, upstream=upstream, base_url=model_url)
        if there:
            return
        for upstream_name, name, price in (
            (DEMO_UPSTREAM, DEMO_MODEL, ("0.10", "0.40")),
            (DEMO_STAND_IN_UPSTREAM, DEMO_STAND_IN, ("2.50", "10.00")),
        ):
            upstream = create_upstream(
                actor=actor, name=upstream_name, kind=UpstreamKind.OPENAI_COMPATIBLE, base_url=model_url
            )
            model = create_model(
                actor=actor,
                name=name,
                upstream=upstream,
                upstream_model=DEMO_MODEL,
                context_window=DEMO_CONTEXT_WINDOW,
                max_output_tokens=DEMO_MAX_OUTPUT_TOKENS,
                tokenizer=Tokenizer.BYTES,
            )
            into, out = map(Decimal, price)
            create_price(actor=actor, model=model, input_per_million=into, output_per_million=out)
        # Nothing is held out: who tries it once is to see it.
        create_route(
            actor=actor,
            name=DEMO_ROUTE,
            kind=RouteKind.CASCADE,
            mode=Mode.ON,
            targets=[{"model": DEMO_MODEL}, {"model": DEMO_STAND_IN}],
            holdout_percent=0,
        )
