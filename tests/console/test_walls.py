"""Every address that Django answers, walked from the URLconf: it is somebody's, or a test here says that nobody said
whose.

``/v1`` is no Django view; its walls are in ``tests/proxy``. What a token may do in the API is in
``tests/tenants/api/test_tenancy.py``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver

from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit
from tests.tenants.api.rows import make_rows
from tests.world import World, make_catalog

#: anybody's, signed in or not
PUBLIC = re.compile(
    r"|healthz|readyz|metrics|login.*|logout|api/schema|organizations/new|invitations/.*|unsubscribe/.*|status/.*"
    r"|account/(login|signup|logout|inactive|confirm-email|password/reset|sso).*"
)
#: a signed-in person's own
PERSONAL = re.compile(r"account/.*|requests/[^/]*")
#: the members of the organisation that the address names
TENANTS = re.compile(r"o/[^/]*/.*")
#: programs, each by a token or a signature; unknown addresses below them
MACHINES = re.compile(r"\^?api/.*|scim/v2/.*")
#: those that only point to where something is
SIGNPOSTS = re.compile(r"(?:\^\(\?:).*")
#: those of who operates the installation
OPERATORS = re.compile(r"staff/.*")
CLASSES = {
    "public": PUBLIC,
    "person": PERSONAL,
    "tenant": TENANTS,
    "machine": MACHINES,
    "signpost": SIGNPOSTS,
    "operator": OPERATORS,
}

#: what a part of an address is the id of, by the API's resources
RESOURCES = {
    "delivery_id": "deliveries",
    "alert_id": "alerts",
    "channel_id": "channels",
    "rule_id": "alert-rules",
    "batch_id": "batches",
    "budget_id": "budgets",
    "limit_id": "rate-limits",
    "key_id": "keys",
    "project_id": "projects",
    "end_user_id": "end-users",
    "model_id": "models",
    "upstream_id": "upstreams",
    "gpu_id": "gpu-endpoints",
    "endpoint_id": "upstream-endpoints",
    "rerating_id": "reratings",
    "policy_id": "compression-policies",
    "dataset_id": "datasets",
    "version_id": "dataset-versions",
    "prompt_id": "system-prompts",
    "route_id": "routes",
    "invoice_id": "invoices",
    "pack_id": "finance-packs",
    "member_id": "members",
    "request_id": "requests",
    "view_id": "saved-views",
    "job_id": "training-jobs",
    "replay_id": "paid-replays",
    "student_id": "students",
    "run_id": "teacher-runs",
    "tuning_id": "provider-tunings",
    "tuned_id": "tuned-models",
    "consent_id": "capture-policies",
    "token_id": "admin-tokens",
    "account_id": "service-accounts",
    "invitation_id": "invitations",
    "domain_id": "domains",
    "sign_on_id": "sign-ons",
}
#: parts that are words, not ids
WORDS = {"form": "pdf", "kind": "oidc", "part": "input", "position": "1"}


@dataclass(frozen=True)
class Address:
    """A pattern of the URLconf: its whole text, with ``<converter:name>`` where a part may vary, and its name."""

    pattern: str
    name: str

    def __str__(self) -> str:
        return self.name or self.pattern

    @property
    def kind(self) -> str:
        """Whose it is: the first class that it is in, or nobody's."""
        named = re.sub(r"<[^>]*>", "-", self.pattern)
        return next((kind for kind, pattern in CLASSES.items() if pattern.fullmatch(named)), "")

    @property
    def parts(self) -> list[str]:
        """The names of the ids in it, but for the organisation's own name."""
        named = re.findall(r"<(?:\w+:)?(\w+)>", self.pattern)
        return [name for name in named if name != "slug" and name not in WORDS]

    def resource_of(self, part: str) -> str:
        """What a part is the id of."""
        by_name = {
            "budget-request": "budget-requests",
            "cache-policy": "cache-policies",
            "remove-cache-policy": "cache-policies",
        }
        return by_name.get(self.name) or RESOURCES[part]

    def fill(self, slug: str, parts: dict[str, str]) -> str:
        """An address of that pattern."""
        values = {"slug": slug, **WORDS, **parts}
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: values[found[1]], self.pattern)


def walk(resolver: URLResolver, before: str = "") -> Iterator[Address]:
    for entry in resolver.url_patterns:
        text = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry, text)
        else:
            assert isinstance(entry, URLPattern)
            yield Address(text, entry.name or "")


ADDRESSES = tuple(walk(get_resolver()))
OF_TENANTS = [address for address in ADDRESSES if address.kind == "tenant"]
OF_OPERATORS = [address for address in ADDRESSES if address.kind == "operator"]
PERSONS = [address for address in ADDRESSES if address.kind == "person"]


@pytest.fixture
def rows(world: World) -> dict[str, str]:
    """The id of one of Acme's rows of each resource."""
    return {**make_rows(world), "requests": str(record_call(world.acme, NOW).id)}


def shape(response: HttpResponse) -> tuple[int, str, bytes]:
    """What may not differ between what is another's and what is not there."""
    return response.status_code, response.headers.get("Location", ""), response.content


def test_every_address_is_somebodys() -> None:
    assert len(OF_TENANTS) >= 60
    assert [address for address in ADDRESSES if not address.kind] == []


@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_gets_in_who_has_not_signed_in(world: World, method: str) -> None:
    anonymous = Visit(None)
    ids = {part: str(uuid4()) for address in ADDRESSES for part in address.parts}
    for address in [*OF_TENANTS, *PERSONS, *OF_OPERATORS]:
        path = address.fill("acme", ids)
        answer = getattr(anonymous, method)(path)
        led_to_sign_in = answer.status_code == 302 and answer.headers["Location"].startswith(
            ("/login", "/account/login")
        )
        assert led_to_sign_in or answer.status_code in {403, 404, 405}, (method, path, answer.status_code)


@pytest.mark.parametrize("method", ["get", "post"])
def test_to_a_stranger_an_organisation_is_not_there(world: World, rows: dict[str, str], method: str) -> None:
    mallory = Visit(world.mallory)
    for address in OF_TENANTS:
        parts = {part: rows[address.resource_of(part)] for part in address.parts}
        strange = getattr(mallory, method)(address.fill("acme", parts))
        unknown = getattr(mallory, method)(address.fill("nowhere", parts))
        assert strange.status_code in {404, 405}, (method, address, strange.status_code)
        assert shape(strange) == shape(unknown), (method, address)


@pytest.mark.parametrize("method", ["get", "post"])
def test_what_is_another_organisations_is_not_there(world: World, rows: dict[str, str], method: str) -> None:
    """Mallory at home, with an id of Acme's in the address: as with one that was never given."""
    make_catalog(world.mallcorp)
    mallory = Visit(world.mallory)
    for address in OF_TENANTS:
        named = address.parts
        if not named:
            continue
        foreign = getattr(mallory, method)(
            address.fill("mallcorp", {part: rows[address.resource_of(part)] for part in named})
        )
        unknown = getattr(mallory, method)(address.fill("mallcorp", {part: str(uuid4()) for part in named}))
        assert foreign.status_code in {404, 405}, (method, address, foreign.status_code)
        assert shape(foreign) == shape(unknown), (method, address)


@pytest.mark.parametrize("method", ["get", "post"])
def test_what_operators_have_is_not_there_for_an_owner(world: World, method: str) -> None:
    ada = Visit(world.ada)
    assert len(OF_OPERATORS) >= 4
    ids = {"org_id": world.mallcorp.org_id, "event_id": "evt_1"}
    for address in OF_OPERATORS:
        answer = getattr(ada, method)(address.fill("acme", ids))
        assert answer.status_code in {404, 405}, (method, address, answer.status_code)
