"""What a key may ask about itself: its models, and what is left of its budgets."""

from collections.abc import Sequence
from typing import Any

import hiredis

from costhub.lib import clock, keyspace
from costhub.lib.moments import from_ms
from costhub.lib.money import format_usd
from proxy.call import Call
from proxy.core.budgets import find_scopes, limit_with, rolled_over, show_parts, show_within
from proxy.core.controls import parse_controls
from proxy.core.rate_limits import UNITS, find_rates, read_total, sum_window
from proxy.edges.valkey import ValkeyUnavailable
from proxy.errors import GovernanceUnavailable, ModelNotFound
from proxy.values.windows import NO_LIMIT, Rate, Scope
from proxy.wiring import Edges
from tenants.choices import LimitUnit
from tenants.price_snapshots import INPUT_CLASSES, OUTPUT_CLASSES, UNIT_CLASSES, PriceSnapshot
from tenants.route_snapshots import RouteSnapshot
from tenants.snapshots import KeySnapshot, ModelSnapshot, OrgSnapshot

Json = dict[str, Any]

#: as lua/rates.lua has it
_FORGOTTEN_A_CALL = 1_000
_MILLION = 1_000_000
_PICOS = 10**12


async def list_models(call: Call, edges: Edges) -> Json:
    """The models that this key may use, and the routes that have one of those, as OpenAI's and Anthropic's clients
    both read them."""
    key, org = await edges.auth.admit(call)
    models = [_model(model, call.started_ms, key) for model in _models(key, org).values()]
    models += [_route(route, org) for route in _routes(key, org).values()]
    first, last = (models[0]["id"], models[-1]["id"]) if models else (None, None)
    return {"object": "list", "data": models, "has_more": False, "first_id": first, "last_id": last}


async def get_model(call: Call, edges: Edges, name: str) -> Json:
    """One model or route. Raises ModelNotFound."""
    key, org = await edges.auth.admit(call)
    model = _models(key, org).get(name)
    if model is None and (route := _routes(key, org).get(name)) is not None:
        return _route(route, org)
    if model is None:
        raise ModelNotFound(f"The model `{name}` does not exist or you do not have access to it.", param="model")
    return _model(model, call.started_ms, key)


async def show_budget(call: Call, edges: Edges, end_user: str) -> Json:
    """What is left for this key, and for an end user of it: every budget on the path, with its reset, and every
    limit."""
    key, org = await edges.auth.admit(call)
    controls = parse_controls(call.headers, call.repeated)
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
        spent, in_flight, rolled = await read_spent(edges, scope)
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
                **(
                    _show_shares(limit, spent, in_flight)
                    if key.hides_amounts
                    else {
                        "limit": format_usd(limit),
                        "limit_parts": show_parts(scope, rolled),
                        "spent": format_usd(spent),
                        "held": format_usd(in_flight),
                        "remaining": format_usd(limit - spent - in_flight),
                    }
                ),
                "resets_at": None if scope.period == "total" else from_ms(scope.ends_ms).isoformat(),
            }
        )
    rates = find_rates(org, key, end_user=user, model="", tags=controls.tags, session=controls.session)
    return {"object": "costhub.budget", "budgets": budgets, "rate_limits": await _show_rates(edges, rates, key)}


def _show_shares(limit: int, spent: int, held: int) -> Json:
    """Spent and held in per cent of a budget's limit; a budget of nothing is fully spent."""
    shares = [100 * amount // limit if limit > 0 else 100 for amount in (spent, held)]
    return {"spent_percent": shares[0], "held_percent": shares[1], "remaining_percent": max(0, 100 - sum(shares))}


async def read_spent(edges: Edges, scope: Scope) -> tuple[int, int, int]:
    """What of a budget is settled, what calls in flight hold, and what rolled over from the period before, in nano-USD.
    Raises GovernanceUnavailable."""
    try:
        settled, held = await edges.valkey.send(b"HMGET", scope.counter, b"s", b"h")
    except (ValkeyUnavailable, hiredis.ReplyError) as error:
        raise GovernanceUnavailable("Budgets cannot be read at the moment. Try again.") from error
    return int(settled or 0), int(held or 0), await _read_rolled(edges, scope)


async def read_used(edges: Edges, rate: Rate, now_ms: int) -> list[int]:
    """The requests, tokens and nano-USD in a window now; for calls under way their number. Raises
    GovernanceUnavailable."""
    try:
        if not rate.window_ms:
            return [await edges.valkey.send(b"SCARD", rate.log), 0, 0]
        total = read_total(await edges.valkey.send(b"GET", rate.total))
        # What has left the window and is still in its total: no more than a call would forget.
        old = await edges.valkey.send(
            b"ZRANGE", rate.log, b"-inf", now_ms - rate.window_ms, b"BYSCORE", b"LIMIT", 0, _FORGOTTEN_A_CALL
        )
    except (ValkeyUnavailable, hiredis.ReplyError) as error:
        raise GovernanceUnavailable("Rate limits cannot be read at the moment. Try again.") from error
    return [amount - gone for amount, gone in zip(total, sum_window(old), strict=True)]


async def _read_rolled(edges: Edges, scope: Scope) -> int:
    """What rolls over into a scope's limit from the period before, in nano-USD; 0 while that is not known."""
    if scope.before is None:
        return 0
    try:
        settled, held = await edges.valkey.send(b"HMGET", scope.before.counter, b"s", b"h")
        if settled is None and not await edges.valkey.send(b"EXISTS", keyspace.mark_key(scope.before.counter)):
            return 0
    except (ValkeyUnavailable, hiredis.ReplyError) as error:
        raise GovernanceUnavailable("Budgets cannot be read at the moment. Try again.") from error
    return rolled_over(scope, int(settled or 0), int(held or 0), clock.now_ms())


async def _show_rates(edges: Edges, rates: Sequence[Rate], key: KeySnapshot) -> list[Json]:
    now, shown = clock.now_ms(), []
    for rate in rates:
        used = await read_used(edges, rate, now)
        shown += [
            {
                "id": limit_id,
                "scope": rate.kind,
                "subject": rate.subject,
                "within": show_within(rate),
                "unit": unit if rate.window_ms else LimitUnit.CONCURRENT,
                "window_seconds": rate.window_ms // 1000,
                "is_shadow": rate.is_shadow,
                **(
                    _show_shares(limit, spent, 0)
                    if unit is LimitUnit.USD and key.hides_amounts
                    else {
                        name: format_usd(amount) if unit is LimitUnit.USD else str(amount)
                        for name, amount in (("limit", limit), ("used", spent), ("remaining", max(limit - spent, 0)))
                    }
                ),
            }
            for unit, limit_id, limit, spent in zip(
                UNITS, rate.limit_ids, (rate.requests, rate.tokens, rate.nanos), used, strict=True
            )
            if limit != NO_LIMIT
        ]
    return shown


def _models(key: KeySnapshot, org: OrgSnapshot) -> dict[str, ModelSnapshot]:
    return {name: model for name, model in org.models.items() if key.models is None or name in key.models}


def _routes(key: KeySnapshot, org: OrgSnapshot) -> dict[str, RouteSnapshot]:
    usable = _models(key, org)
    return {
        name: route for name, route in org.routes.items() if any(target.model in usable for target in route.targets)
    }


def _route(route: RouteSnapshot, org: OrgSnapshot) -> Json:
    """A route is as new as the newest of its models, and takes what all of them take."""
    known = [org.models[target.model] for target in route.targets if target.model in org.models]
    created_ms = max(model.created_ms for model in known)
    return {
        "id": route.name,
        "object": "model",
        "created": created_ms // 1000,
        "owned_by": "costhub",
        "type": "model",
        "display_name": route.name,
        "created_at": from_ms(created_ms).isoformat(),
        "context_window": min(model.context_window for model in known),
        "max_output_tokens": min(model.max_output_tokens for model in known),
        "ends_on": None,
        "pricing": None,
    }


def _model(model: ModelSnapshot, at_ms: int, key: KeySnapshot) -> Json:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created_ms // 1000,
        "owned_by": "costhub",
        # as Anthropic names the same
        "type": "model",
        "display_name": model.name,
        "created_at": from_ms(model.created_ms).isoformat(),
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "ends_on": model.ends_on or None,
        "pricing": None if key.hides_amounts else _pricing(model.find_price(at_ms)),
    }


def _pricing(price: PriceSnapshot | None) -> Json | None:
    """A price in USD: by class for a million tokens, for a request, and for each kind of piece. None without a
    price."""
    if price is None:
        return None
    classes = [name for name in (*INPUT_CLASSES, *OUTPUT_CLASSES) if getattr(price.rates, name)]
    return {
        "currency": "USD",
        **{f"{name}_per_million": _show_picos(getattr(price.rates, name) * _MILLION) for name in classes},
        **({"per_request": _show_picos(price.per_request)} if price.per_request else {}),
        **{f"per_{name}": _show_picos(getattr(price.rates, name)) for name in UNIT_CLASSES if name in price.units},
    }


def _show_picos(picos: int) -> str:
    """Pico-USD as a decimal of dollars, with all digits."""
    whole, rest = divmod(picos, _PICOS)
    return f"{whole}.{rest:012d}".rstrip("0").rstrip(".")
