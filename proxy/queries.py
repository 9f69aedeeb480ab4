"""What a key may ask about itself: its models, what a body would cost, what is left of its budgets."""

from collections.abc import Sequence
from typing import Any

import hiredis
import orjson

from costhub.lib import clock, keyspace
from costhub.lib.moments import from_ms
from costhub.lib.money import format_usd
from proxy.call import Call
from proxy.core.controls import parse_controls
from proxy.core.limits import find_scopes, limit_with, rolled_over, show_parts, show_within
from proxy.core.plan import exact_bound, make_plan
from proxy.core.pricing import bound_cost
from proxy.core.rates import UNITS, find_rates, read_total, sum_window
from proxy.core.wire import parse_request
from proxy.edges.valkey import ValkeyUnavailable
from proxy.errors import GovernanceUnavailable, ModelNotFound
from proxy.types import NO_LIMIT, Endpoint, Rate, Scope
from proxy.wiring import Edges
from tenants.choices import LimitUnit
from tenants.snapshots import KeySnapshot, ModelSnapshot, OrgSnapshot

Json = dict[str, Any]

#: as lua/rates.lua has it
_FORGOTTEN_A_CALL = 1_000


async def list_models(call: Call, edges: Edges) -> Json:
    """OpenAI's list of the models that this key may use."""
    key, org = await edges.auth.authenticate(call.bearer())
    return {"object": "list", "data": [_model(model) for model in _models(key, org).values()]}


async def get_model(call: Call, edges: Edges, name: str) -> Json:
    """One model. Raises ModelNotFound."""
    key, org = await edges.auth.authenticate(call.bearer())
    model = _models(key, org).get(name)
    if model is None:
        raise ModelNotFound(f"The model `{name}` does not exist or you do not have access to it.", param="model")
    return _model(model)


async def estimate(call: Call, edges: Edges) -> Json:
    """What a body would cost, without sending it: its input counted exactly, its output at least none and at most all.

    The body is that of whichever endpoint it looks like: one with messages is a chat, one with an input an embedding.
    """
    key, org = await edges.auth.authenticate(call.bearer())
    raw = await call.body()
    request = parse_request(_endpoint_of(raw), raw)
    plan = make_plan(request, parse_controls(call.headers), key, org, call.started_ms)
    bound = exact_bound(plan)
    return {
        "object": "costhub.estimate",
        "model": plan.model.name,
        "input_tokens": bound.input_tokens,
        "input_tokens_are_exact": plan.model.tokenizer != "bytes",
        "max_output_tokens": bound.max_output * bound.choices,
        "min_cost": format_usd(bound_cost(bound, 0)),
        "max_cost": format_usd(bound_cost(bound, bound.max_output)),
        "price": {"id": plan.price.id, "source": plan.price.source},
    }


async def show_budget(call: Call, edges: Edges, end_user: str) -> Json:
    """What is left for this key, and for an end user of it: every budget on the path, with its reset, and every
    limit."""
    key, org = await edges.auth.authenticate(call.bearer())
    controls = parse_controls(call.headers)
    user = key.end_user or end_user or controls.end_user
    scopes = find_scopes(
        org,
        key,
        end_user=user,
        model="",
        tags=controls.tags,
        session=controls.session,
        at_ms=call.started_ms,
    )
    known = {budget.id: budget for budget in org.budgets}
    budgets = []
    for scope in scopes:
        if scope.is_lifted:
            continue  # the subject has one of its own
        try:
            settled, held = await edges.valkey.send(b"HMGET", scope.counter, b"s", b"h")
        except (ValkeyUnavailable, hiredis.ReplyError) as error:
            raise GovernanceUnavailable("Budgets cannot be read at the moment. Try again.") from error
        spent, in_flight = int(settled or 0), int(held or 0)
        rolled = await _read_rolled(edges, scope)
        limit = limit_with(scope, rolled)
        budgets.append(
            {
                "id": scope.budget_id,
                "scope": scope.kind,
                "subject": scope.subject,
                "within": show_within(scope),
                "period": scope.period,
                "action": known[scope.budget_id].action,
                "is_shadow": known[scope.budget_id].is_shadow,
                "limit": format_usd(limit),
                "limit_parts": show_parts(scope, rolled),
                "spent": format_usd(spent),
                "held": format_usd(in_flight),
                "remaining": format_usd(limit - spent - in_flight),
                "resets_at": None if scope.period == "total" else from_ms(scope.ends_ms).isoformat(),
            }
        )
    rates = find_rates(org, key, end_user=user, model="", tags=controls.tags, session=controls.session)
    return {"object": "costhub.budget", "budgets": budgets, "rate_limits": await _show_rates(edges, rates)}


async def _read_rolled(edges: Edges, scope: Scope) -> int:
    """What is added to a scope's limit of the period before, in nano-USD; 0 while that is not known."""
    if scope.before is None:
        return 0
    try:
        settled, held = await edges.valkey.send(b"HMGET", scope.before.counter, b"s", b"h")
        if settled is None and not await edges.valkey.send(b"EXISTS", keyspace.mark_key(scope.before.counter)):
            return 0
    except (ValkeyUnavailable, hiredis.ReplyError) as error:
        raise GovernanceUnavailable("Budgets cannot be read at the moment. Try again.") from error
    return rolled_over(scope, int(settled or 0), int(held or 0), clock.now_ms())


async def _show_rates(edges: Edges, rates: Sequence[Rate]) -> list[Json]:
    now, shown = clock.now_ms(), []
    for rate in rates:
        try:
            if rate.window_ms:
                total = read_total(await edges.valkey.send(b"GET", rate.total))
                # What has left the window and is still in its total: no more than a call would forget.
                old = await edges.valkey.send(
                    b"ZRANGE", rate.log, b"-inf", now - rate.window_ms, b"BYSCORE", b"LIMIT", 0, _FORGOTTEN_A_CALL
                )
                used = [amount - gone for amount, gone in zip(total, sum_window(old), strict=True)]
            else:
                used = [await edges.valkey.send(b"SCARD", rate.log), 0, 0]
        except (ValkeyUnavailable, hiredis.ReplyError) as error:
            raise GovernanceUnavailable("Rate limits cannot be read at the moment. Try again.") from error
        shown += [
            {
                "id": limit_id,
                "scope": rate.kind,
                "subject": rate.subject,
                "within": show_within(rate),
                "unit": unit if rate.window_ms else LimitUnit.CONCURRENT,
                "window_seconds": rate.window_ms // 1000,
                "is_shadow": rate.is_shadow,
                **{
                    name: format_usd(amount) if unit is LimitUnit.USD else str(amount)
                    for name, amount in (("limit", limit), ("used", spent), ("remaining", max(limit - spent, 0)))
                },
            }
            for unit, limit_id, limit, spent in zip(
                UNITS, rate.limit_ids, (rate.requests, rate.tokens, rate.nanos), used, strict=True
            )
            if limit != NO_LIMIT
        ]
    return shown


def _models(key: KeySnapshot, org: OrgSnapshot) -> dict[str, ModelSnapshot]:
    return {name: model for name, model in org.models.items() if key.models is None or name in key.models}


def _model(model: ModelSnapshot) -> Json:
    return {"id": model.name, "object": "model", "created": model.created_ms // 1000, "owned_by": "costhub"}


def _endpoint_of(raw: bytes) -> Endpoint:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Endpoint.CHAT
    if not isinstance(body, dict) or "messages" in body:
        return Endpoint.CHAT
    return Endpoint.EMBEDDINGS if "input" in body else Endpoint.COMPLETIONS
