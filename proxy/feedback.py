"""What an application says of an answer that it got: right, or wrong."""

import asyncio
from uuid import UUID

import orjson
from django.db import Error as AnyDatabaseError
from django.db import connection

from costhub.lib.errors import Conflict
from proxy.cache.actions import take_feedback
from proxy.call import Call
from proxy.errors import GovernanceUnavailable, InvalidRequest, NotAllowed
from proxy.request_detail import Json, find_rows
from proxy.routing.model import Feedback, RouteLabel
from proxy.wiring import Edges
from tenants.access import Actor, org_scope
from tenants.choices import Role
from tenants.models import Organization
from tenants.snapshots import KeySnapshot

_CACHED = "cached: "


async def give_feedback(call: Call, edges: Edges, request_id: str) -> Json:
    """``{"verdict": "wrong"}`` or ``"right"`` about one call of the key's project: a wrong answer is not given again,
    and the cache learns from both. A call of others is as unknown as one that never was.

    Raises NotFound, InvalidRequest, and GovernanceUnavailable while nobody can write it down.
    """
    key, org = await edges.auth.admit(call)
    verdict = _read_verdict(await call.body())
    if verdict not in ("right", "wrong"):
        raise InvalidRequest("verdict must be right or wrong.", param="verdict")
    row = (await find_rows(edges, org, key, request_id))[0]
    wanted, status = UUID(row["id"]), row["cache_status"]
    entry_id = _entry_of(row["route_reason"]) or wanted
    try:
        await asyncio.to_thread(_take, key, wanted, entry_id, _served(row), verdict == "right")
    except Conflict as error:
        raise NotAllowed(error.message, code="too_many_purges") from error
    except AnyDatabaseError as error:
        raise GovernanceUnavailable("Feedback cannot be taken at the moment. Try again.") from error
    return {"object": "costhub.feedback", "request": str(wanted), "verdict": verdict, "cache_status": status}


def _read_verdict(raw: bytes) -> object:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.", code="invalid_json") from error
    return body.get("verdict") if isinstance(body, dict) else None


def _served(row: Json) -> str:
    """The model whose answer the caller got: the last one that answered, or that a cascade came back to."""
    answered = [attempt for attempt in row["attempts"] if attempt["status"] == 200 and not attempt["error"]]
    of_row = [one for one in answered if one["list_cost"]]
    return str((of_row or answered or [{"model": ""}])[-1]["model"])


def _take(key: KeySnapshot, request_id: UUID, entry_id: UUID, model: str, is_right: bool) -> None:
    try:
        with org_scope(key.org_id):
            actor = Actor(Organization.objects.get(pk=key.org_id), Role.ADMIN, f"key {key.id}")
            take_feedback(actor=actor, request_id=request_id, entry_id=entry_id, is_right=is_right)
            Feedback.objects.update_or_create(org=actor.org, request_id=request_id, defaults={"is_right": is_right})
            # What a route learns from.
            RouteLabel.objects.filter(org_id=key.org_id, request_id=request_id, model=model).update(right=is_right)
    finally:
        connection.close_if_unusable_or_obsolete()


def _entry_of(route_reason: str) -> UUID | None:
    """The entry that a call was answered from."""
    if not route_reason.startswith(_CACHED):
        return None
    return UUID(route_reason.removeprefix(_CACHED).partition(",")[0])
