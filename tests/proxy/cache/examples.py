"""Small values that the cache's tests are about."""

from functools import cache
from typing import Any

from costhub.lib import clock
from proxy.cache.entries import Kept
from proxy.cache.key import CacheKey, make_key
from proxy.core.plan import make_plan
from proxy.values.attempt import Usage
from proxy.values.plan import Plan
from proxy.values.request import Controls, Endpoint
from tenants.snapshots import CachePolicySnapshot, KeySnapshot, OrgSnapshot
from tests.proxy.core.examples import KEY, NO_CONTROLS, NOON_MS, ORG, make_chat, make_request

POLICY = CachePolicySnapshot(
    model="",
    mode="on",
    semantic="off",
    ttl_seconds=3_600,
    max_temperature_percent=70,
    errors_per_mille=10,
    sharing="key",
)


@cache
def plan_of(model: str, org: OrgSnapshot) -> Plan:
    """The plan of a call to a model."""
    return make_plan(make_chat(model=model), NO_CONTROLS, KEY, org, NOON_MS)


def key_of(
    body: dict[str, Any],
    *,
    policy: CachePolicySnapshot = POLICY,
    key: KeySnapshot = KEY,
    org: OrgSnapshot = ORG,
    controls: Controls = NO_CONTROLS,
    endpoint: Endpoint = Endpoint.CHAT,
) -> CacheKey:
    """The key of a call with this body."""
    request = make_request(endpoint, {"model": "small", **body})
    # What else is decided has no part in it, and takes its time.
    plan = plan_of(request.model, org)._replace(request=request, controls=controls)
    made = make_key(plan, key, policy)
    assert made is not None
    return made


def make_kept(body: bytes = b'{"choices":[]}', *, stored_ms: int | None = None, **fields: Any) -> Kept:
    """An answer that was kept just now."""
    known: dict[str, Any] = {
        "id": "0197e9d4-0000-7000-8000-0000000000aa",
        "stored_ms": clock.now_ms() if stored_ms is None else stored_ms,
        "model": "small",
        "scope": "",
        "tags": (),
        "content_type": "application/json",
        "response_model": "small-2026",
        "finish_reason": "stop",
        "service_tier": "",
        "certainty": "exact",
        "usage": Usage(input=10, output=5),
        "body": body,
    }
    return Kept(**known | fields)
