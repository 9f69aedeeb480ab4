"""Small values that the core's tests decide about: an organisation, a key, a model with a price, a request."""

from collections.abc import Mapping, Set
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import orjson

from proxy.dialects.openai_chat import parse_request
from proxy.upstreams import openai
from proxy.values.request import Controls, Endpoint, Request
from tenants.choices import Habit
from tenants.price_snapshots import PriceSnapshot, make_rates
from tenants.snapshots import (
    BudgetSnapshot,
    KeySnapshot,
    ModelSnapshot,
    OrgSnapshot,
    UpstreamSnapshot,
)

#: 2026-03-02T12:00:00Z, a Monday
NOON_MS = 1_772_452_800_000
NO_CONTROLS = Controls()

PRICE = PriceSnapshot(
    id="0197e9d4-0000-7000-8000-000000000001",
    effective_from_ms=0,
    rates=make_rates({"input": 150_000, "output": 600_000, "cached_input": 75_000}),
    source="typed by a member",
)
UPSTREAM = UpstreamSnapshot(
    id="0197e9d4-0000-7000-8000-000000000002",
    name="the bank",
    kind="openai_compatible",
    base_url="https://llm.acme.example/v1",
    origin="https://llm.acme.example",
    credential=None,
    drain_on_disconnect=False,
    bill_path="",
    connect_timeout_ms=1000,
    timeout_ms=60_000,
    max_retries=2,
)
MODEL = ModelSnapshot(
    name="small",
    upstream_id=UPSTREAM.id,
    upstream_model="small-2026",
    context_window=128_000,
    max_output_tokens=4_096,
    tokenizer="o200k_base",
    created_ms=0,
    prices=(PRICE,),
)
ORG = OrgSnapshot(
    id="0197e9d4-0000-7000-8000-000000000003",
    slug="acme",
    version=1,
    shard=7,
    time_zone="UTC",
    is_active=True,
    data_key=b"",
    models={MODEL.name: MODEL},
    upstreams={UPSTREAM.id: UPSTREAM},
    budgets=(),
)
KEY = KeySnapshot(
    id="0197e9d4-0000-7000-8000-000000000004",
    org_id=ORG.id,
    project_id="0197e9d4-0000-7000-8000-000000000005",
    version=1,
    end_user=None,
    models=None,
    expires_at_ms=None,
    is_revoked=False,
)


def make_budget(scope: str = "organization", **changes: Any) -> BudgetSnapshot:
    """A hard budget of ten dollars a day, older than everything."""
    budget = BudgetSnapshot(
        id=f"of the {scope}",
        scope=scope,
        subject="",
        period="day",
        limit_nanos=10_000_000_000,
        action="block",
        name="",
        created_ms=0,
    )
    return replace(budget, **changes)


def make_chat(**fields: Any) -> Request:
    """A chat of one short message; ``fields`` go over it."""
    return make_request(
        Endpoint.CHAT, {"model": "small", "messages": [{"role": "user", "content": "Hi there"}], **fields}
    )


def make_request(endpoint: Endpoint, body: dict[str, Any]) -> Request:
    """The request that this body is, parsed as the product parses it."""
    return parse_request(endpoint, orjson.dumps(body))


def reprice(price: PriceSnapshot, per_request: int | None = None, **classes: int) -> PriceSnapshot:
    """The price with other pico-USD in some classes."""
    fee = price.per_request if per_request is None else per_request
    return replace(price, rates=price.rates._replace(**classes), per_request=fee)


def encode(
    request: Request,
    *,
    model: str = "small",
    kind: str = "openai",
    base_url: str = "https://llm.acme.example/v1",
    habits: Mapping[str, Any] = MappingProxyType({}),
    learned: Set[Habit] = frozenset(),
    max_output: int | None = None,
) -> bytes:
    """The body that an upstream gets."""
    upstream = replace(UPSTREAM, kind=kind, base_url=base_url, habits=habits)
    found = openai.find_habits(upstream, model, learned)
    return openai.encode_request(request, model, habits=found, max_output=max_output)
