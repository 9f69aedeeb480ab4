"""What a key may ask about itself: its models, what a body would cost, what is left of its budgets, one call's story."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import hiredis
import orjson
from django.db import Error as AnyDatabaseError
from django.db import connection

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
from proxy.errors import GovernanceUnavailable, ModelNotFound, NotFound
from proxy.models import LedgerEntry
from proxy.types import NO_LIMIT, Endpoint, Rate, Scope
from proxy.wiring import Edges
from tenants.access import org_scope
from tenants.choices import LimitUnit
from tenants.snapshots import KeySnapshot, ModelSnapshot, OrgSnapshot

Json = dict[str, Any]

_UNREAD_EVENTS_SEARCHED = 5_000
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
    """What is left for this key, and for an end user of it: every budget on the path, with its reset, and every limit."""
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


async def show_request(call: Call, edges: Edges, request_id: str) -> Json:
    """One call's whole cost story. Calls of other projects are as unknown as those that never were."""
    key, org = await edges.auth.authenticate(call.bearer())
    try:
        wanted = UUID(request_id)
        # The id of a call carries the millisecond under which its row is filed.
        moment = from_ms(wanted.int >> 80)
    except ValueError as error:
        raise _no_such_request() from error
    if wanted.version != 7:
        raise _no_such_request()
    try:
        rows = await asyncio.to_thread(_read_rows, org.id, key.project_id, wanted, moment)
    except AnyDatabaseError as error:
        raise GovernanceUnavailable("The ledger cannot be read at the moment. Try again.") from error
    if not rows:
        rows = await _find_unread(edges, org, key, str(wanted))
    if not rows:
        raise _no_such_request()
    return _story(rows)


def _read_rows(org_id: str, project_id: str, request_id: UUID, moment: datetime) -> list[Json]:
    try:
        with org_scope(org_id):
            found = LedgerEntry.objects.filter(org_id=org_id, project_id=project_id, started_at=moment)
            rows = [*found.filter(id=request_id), *found.filter(corrects=request_id)]
            return [_public(row) for row in rows]
    finally:
        connection.close_if_unusable_or_obsolete()


async def _find_unread(edges: Edges, org: OrgSnapshot, key: KeySnapshot, request_id: str) -> list[Json]:
    """The row is settled, and not drained yet."""
    since = UUID(request_id).int >> 80
    try:
        events = await edges.valkey.send(
            b"XRANGE", keyspace.ledger_key(org.shard), since, b"+", b"COUNT", _UNREAD_EVENTS_SEARCHED
        )
    except (ValkeyUnavailable, hiredis.ReplyError):
        return []
    for _, fields in events:
        row = orjson.loads(fields[1])
        if row["id"] == request_id and row["org_id"] == org.id and row["project_id"] == key.project_id:
            row["started_at"] = from_ms(row["started_at_ms"])
            return [_public_columns(row)]
    return []


_PUBLIC = (
    "id",
    "started_at",
    "kind",
    "endpoint",
    "request_model",
    "response_model",
    "end_user",
    "tags",
    "session",
    "attempts",
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "is_estimated",
    "is_overrun",
    "cache_status",
    "route_reason",
    "would_refuse",
    "status",
    "error_code",
    "finish_reason",
    "duration_us",
    "first_byte_us",
    "overhead_us",
)
_MONEY = ("list_cost", "effective_cost", "held")


def _public(row: LedgerEntry) -> Json:
    return _public_columns({name: getattr(row, name) for name in (*_PUBLIC, *_MONEY, "savings")})


def _public_columns(row: Json) -> Json:
    return {
        **{name: row[name] for name in _PUBLIC},
        "id": str(row["id"]),
        "started_at": row["started_at"].isoformat(),
        **{name: format_usd(row[name]) for name in _MONEY},
        "nanos": {name: row[name] for name in _MONEY},
        "savings": {name: format_usd(amount) for name, amount in row["savings"].items()},
    }


def _story(rows: list[Json]) -> Json:
    first, *corrections = rows
    net = {name: sum(row["nanos"][name] for row in rows) for name in ("list_cost", "effective_cost")}
    for row in rows:
        del row["nanos"]
    return {
        "object": "costhub.request",
        **first,
        "corrections": corrections,
        "net_list_cost": format_usd(net["list_cost"]),
        "net_effective_cost": format_usd(net["effective_cost"]),
    }


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


def _no_such_request() -> NotFound:
    return NotFound("There is no such request.", code="request_not_found")
