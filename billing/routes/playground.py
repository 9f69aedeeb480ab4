"""Where a pasted request would go: planned as a call is, and never sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from costhub.lib import clock
from costhub.lib.errors import NotFound
from costhub.lib.moments import to_ms
from proxy.core.bounds import loose_bound
from proxy.core.compression.apply import shorten, shorten_and_count
from proxy.core.compression.saved import show_saved
from proxy.core.controls import aim, parse_controls
from proxy.core.plan import make_plan
from proxy.core.plan_detail import describe_plan
from proxy.core.routes.packing import LearnedPairs, LearnedRouter, Unreadable, unpack_either
from proxy.core.routes.scoring import score
from proxy.core.tokens import count_text
from proxy.dialects import read_unsent
from proxy.routing.model import LearnedRoute
from proxy.values.request import Controls, Request
from proxy.values.routing import NO_SCORES, Scores
from tenants.access import Actor, access_row, find_uuid
from tenants.choices import Permission, RouteKind, Tokenizer
from tenants.models import ApiKey, CompressionPolicy
from tenants.selectors import load_org_snapshot, show_compression, show_key
from tenants.snapshots import KeySnapshot, OrgSnapshot

#: of whom nothing is known but that all models may be used
_ANYBODY: Final = "00000000-0000-0000-0000-000000000000"


def plan_request(
    actor: Actor, raw: bytes, headers: Mapping[str, str], key_id: str = "", endpoint: str = ""
) -> dict[str, Any]:
    """The plan of a request's body, sent with ``headers`` of ours and by a key of the organisation, or by one that may
    use every model: as if nothing were spent yet, and by what is known of the route now. Without an ``endpoint``, such
    as "responses", the body is that of the one that it looks like.

    Raises what a call raises that is refused before it is sent, and NotFound for a key that is not there.
    """
    actor.check(Permission.READ_MONEY)
    org = load_org_snapshot(str(actor.org.pk))
    if org is None:
        raise NotFound("There is no such organisation.")
    key = _find_key(actor, key_id)
    request, controls = aim(read_unsent(raw, endpoint), headers, org), parse_controls(headers)
    policy = None if controls.is_uncompressed else org.find_compression(request.model)
    shorter = shorten_and_count(request, policy, org) if policy is not None else request
    at_ms = to_ms(clock.now())
    plan = make_plan(
        shorter, controls, key, org, at_ms, count=loose_bound, call_id=f"{at_ms}", scores=_score(org, request, controls)
    )
    return {**describe_plan(plan), "compression": show_saved(shorter)}


@dataclass(frozen=True, slots=True)
class Shortened:
    """A text as a policy would have it sent, and both texts' tokens in the vocabulary of OpenAI's newer models."""

    text: str
    tokens_before: int
    tokens_after: int


def shorten_text(policy: CompressionPolicy, text: str) -> Shortened:
    """A user's message as a policy would have it sent, whether that is on or not, by what needs nobody to be asked."""
    body = {"model": policy.model or "any", "messages": [{"role": "user", "content": text}]}
    sent = shorten(read_unsent(orjson.dumps(body)), show_compression(policy)).body["messages"][0]["content"]
    return Shortened(sent, count_text(text, Tokenizer.O200K), count_text(sent, Tokenizer.O200K))


def _find_key(actor: Actor, key_id: str) -> KeySnapshot:
    if not key_id:
        return KeySnapshot(_ANYBODY, str(actor.org.pk), _ANYBODY, actor.org.version, None, None, None, is_revoked=False)
    row = access_row(ApiKey.objects.filter(org=actor.org), actor, key_id)
    return show_key(row, actor.org)


def _score(org: OrgSnapshot, request: Request, controls: Controls) -> Scores:
    route = org.routes.get(request.model)
    if route is None or not route.learned or route.kind != RouteKind.ROUTER:
        return NO_SCORES
    return score(route, _learned(org.id, find_uuid(route.learned)), request, controls)


def _learned(org_id: str, learned: UUID | None) -> LearnedRouter | LearnedPairs | None:
    row = LearnedRoute.objects.filter(org_id=org_id, pk=learned).first() if learned else None
    try:
        return unpack_either(bytes(row.packed)) if row is not None else None
    except Unreadable:
        return None
