"""The named world: Ada owns Acme, Ben is a developer in it, Mallory owns Mallcorp and wants to see Acme's.

Made with the product's own actions, so that what tests stand on is what users stand on: once in a process, and copied
from then on (tests/pattern.py).
"""

import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.client import ClientHandler

from costhub.lib.money import parse_usd
from tenants.access import Actor, org_scope
from tenants.actions.budgets import create_budget
from tenants.actions.limits import create_rate_limit
from tenants.actions.models import create_model
from tenants.actions.orgs import add_member, create_organization, find_or_create_user
from tenants.actions.pricing import create_price
from tenants.actions.upstreams import create_upstream
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope, LimitUnit, Role, UpstreamKind
from tenants.models import (
    AdminToken,
    ApiKey,
    Budget,
    LanguageModel,
    Organization,
    Price,
    Project,
    RateLimit,
    Upstream,
    User,
)
from tests.pattern import MARK, learned

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer


@dataclass(frozen=True)
class Tenant:
    """An organisation and its first rows. ``api_key`` and ``admin_token`` are secrets in clear, ``key`` is the row."""

    org: Organization
    owner: Actor
    project: Project
    key: ApiKey
    api_key: str
    admin_token: str

    @property
    def org_id(self) -> str:
        """The organisation's id, as snapshots and Valkey spell it."""
        return str(self.org.pk)


@dataclass(frozen=True)
class World:
    """Everybody, and the two organisations."""

    acme: Tenant
    mallcorp: Tenant
    ada: User
    ben: User
    mallory: User
    ben_actor: Actor


def make_world(*, unique: bool = False) -> World:
    """Create the world in the current transaction, or committed when there is none; ``unique`` names are nobody
    else's."""
    mark = f"-{token_hex(4)}" if unique else ""
    try:
        with transaction.atomic():
            return _copy_world(mark)
    except IntegrityError:
        # Somebody has such a name already, which the actions know how to live with.
        return _make_world(mark)


def learn_world() -> None:
    """Have the actions make the world that is copied. Before any test moves the clock: rows are told apart by it."""
    learned(_make_pattern)


def _make_pattern() -> tuple[list[User], list[Organization]]:
    world = _make_world(MARK)
    return [world.ada, world.ben, world.mallory], [world.acme.org, world.mallcorp.org]


def _make_world(mark: str) -> World:
    ada, ben, mallory = (
        find_or_create_user(f"{name}{mark}@{place}.example")
        for name, place in (("ada", "acme"), ("ben", "acme"), ("mallory", "mallcorp"))
    )
    acme, mallcorp = make_tenant(f"Acme{mark}", ada), make_tenant(f"Mallcorp{mark}", mallory)
    with org_scope(acme.org.pk):
        add_member(actor=acme.owner, email=ben.email, role=Role.DEVELOPER)
    return _as_world(acme, mallcorp, ada, ben, mallory)


def _copy_world(mark: str) -> World:
    copies = learned(_make_pattern).copy(mark)
    ada, ben, mallory = copies.users

    def tenant(org: Organization, owner: User) -> Tenant:
        (project,), (key,), (token,) = (
            [row for row in copies.rows[model] if row.org_id == org.pk] for model in (Project, ApiKey, AdminToken)
        )
        project.org = org
        actor = Actor(org, Role.OWNER, owner.email, owner.pk)
        return Tenant(org, actor, project, key, copies.secrets[key.digest], copies.secrets[token.digest])

    acme, mallcorp = copies.rows[Organization]
    return _as_world(tenant(acme, ada), tenant(mallcorp, mallory), ada, ben, mallory)


def _as_world(acme: Tenant, mallcorp: Tenant, ada: User, ben: User, mallory: User) -> World:
    return World(acme, mallcorp, ada, ben, mallory, Actor(acme.org, Role.DEVELOPER, ben.email, ben.pk))


def make_tenant(name: str, owner: User) -> Tenant:
    """An organisation with its first project, key and token."""
    made = create_organization(name=name, owner=owner, acting_name="operator@costhub.example")
    with org_scope(made.org.pk):
        key = ApiKey.objects.get(org=made.org)
    actor = Actor(made.org, Role.OWNER, owner.email, owner.pk)
    return Tenant(made.org, actor, made.project, key, made.api_key, made.admin_token)


@dataclass(frozen=True)
class Catalog:
    """One upstream and one model, priced unless asked otherwise."""

    upstream: Upstream
    model: LanguageModel
    price: Price | None


def make_catalog(
    tenant: Tenant,
    *,
    base_url: str = "https://llm.acme.example/v1",
    credential: str | None = "sk-acme-0123456789abcdefgh",
    kind: UpstreamKind = UpstreamKind.OPENAI_COMPATIBLE,
    model: str = "small",
    input_per_million: str | None = "0.15",
    output_per_million: str = "0.60",
    effective_from: datetime | None = None,
    **model_fields: Any,
) -> Catalog:
    """Give a tenant an upstream, a model on it, and a price unless ``input_per_million`` is None.

    A base URL on loopback must be on the operator's list, COSTHUB_ALLOWED_NETWORKS.
    """
    with org_scope(tenant.org.pk):
        upstream = create_upstream(
            actor=tenant.owner, name=f"for {model}", kind=kind, base_url=base_url, credential=credential
        )
        row = create_model(actor=tenant.owner, name=model, upstream=upstream, **model_fields)
        price = None
        if input_per_million is not None:
            price = create_price(
                actor=tenant.owner,
                model=row,
                input_per_million=Decimal(input_per_million),
                output_per_million=Decimal(output_per_million),
                effective_from=effective_from,
            )
    return Catalog(upstream, row, price)


def make_budget(
    tenant: Tenant,
    limit: str,
    *,
    scope: BudgetScope = BudgetScope.ORGANIZATION,
    subject: str = "",
    period: BudgetPeriod = BudgetPeriod.DAY,
    action: BudgetAction = BudgetAction.BLOCK,
    **more: Any,
) -> Budget:
    """A budget of ``limit`` USD."""
    with org_scope(tenant.org.pk):
        return create_budget(
            actor=tenant.owner,
            scope=scope,
            subject=subject,
            period=period,
            limit_nanos=parse_usd(limit),
            action=action,
            **more,
        )


def make_rate_limit(
    tenant: Tenant,
    amount: int,
    unit: LimitUnit = LimitUnit.REQUESTS,
    *,
    scope: BudgetScope = BudgetScope.KEY,
    subject: str = "",
    window_seconds: int = 60,
    is_shadow: bool = False,
    within: dict[str, str] | None = None,
) -> RateLimit:
    """A rate limit of so many calls, tokens or nano-USD a minute."""
    with org_scope(tenant.org.pk):
        return create_rate_limit(
            actor=tenant.owner,
            scope=scope,
            subject=subject,
            unit=unit,
            amount=amount,
            window_seconds=0 if unit is LimitUnit.CONCURRENT else window_seconds,
            is_shadow=is_shadow,
            within=within,
        )


@cache
def _handler() -> ClientHandler:
    """One for all, as a process has one: each would look through the static files anew."""
    return ClientHandler(enforce_csrf_checks=False)


def make_client() -> Client:
    """A browser, or a program, that is not signed in."""
    client = Client()
    client.handler = _handler()
    return client


@dataclass
class Api:
    """A caller of the management API: a program with a bearer token, or a signed-in person.

    In a test's one long transaction an organisation that a request opened would stay open for the next, so each
    request starts and ends with none open.
    """

    token: str | None = None
    user: User | None = None
    org: str | None = None
    client: Client = field(default_factory=make_client)

    def __post_init__(self) -> None:
        if self.user is not None:
            sign_in_now(self.client, self.user)

    def get(self, path: str, **query: str) -> "Answer":
        """GET below /api/v1."""
        return self.send("GET", path, query=query)

    def post(self, path: str, body: Any = None, **headers: str) -> "Answer":
        """POST a JSON body below /api/v1; ``Idempotency_Key="k"`` becomes a header."""
        return self.send("POST", path, body if body is not None else {}, headers=headers)

    def patch(self, path: str, body: Any) -> "Answer":
        """PATCH with a JSON body below /api/v1."""
        return self.send("PATCH", path, body)

    def delete(self, path: str) -> "Answer":
        """DELETE below /api/v1."""
        return self.send("DELETE", path)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> "Answer":
        """Any request; a body of bytes goes as it is."""
        sent = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if self.org is not None:
            sent["X-CostHub-Organization"] = self.org
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        close_scopes()
        try:
            answer = self.client.generic(
                method,
                f"/api/v1{path}",
                content,
                content_type=content_type,
                headers=sent,
                query_params=query,
            )
        finally:
            close_scopes()
        return answer


def sign_in_now(client: Client, user: User) -> None:
    """Sign somebody in without the pages, as one who has given a password a moment ago."""
    client.force_login(user)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time(), "reauthenticated": True}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


def close_scopes() -> None:
    """Close every organisation that the current transaction has open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('costhub.orgs', '', true), set_config('costhub.user', '', true)")
