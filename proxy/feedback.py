"""What an application says of an answer that it got: right, or wrong."""

from functools import partial
from typing import Final
from uuid import UUID

import orjson
from django.db import Error as AnyDatabaseError
from django.db import connection

from costhub.lib import clock
from costhub.lib.errors import Conflict
from proxy.cache.actions import give_up, take_feedback
from proxy.call import Call
from proxy.edges.database_threads import DATABASE_THREADS
from proxy.errors import GovernanceUnavailable, InvalidRequest, NotAllowed
from proxy.request_detail import Json, find_rows
from proxy.routing.model import Feedback, RouteLabel
from proxy.wiring import Edges
from tenants.access import Actor, org_scope
from tenants.choices import Role
from tenants.models import Organization
from tenants.models.cache import MAX_TTL_SECONDS
from tenants.snapshots import KeySnapshot, OrgSnapshot

_CACHED = "cached: "
#: what rows say of calls that the cache had nothing to do with, and of an answer that was given again as it was
_NEVER_KEPT: Final = frozenset({"bypass", "replayed"})
#: an answer is kept when it is whole: a call takes no longer
LONGEST_CALL_MS: Final = 3_600_000


async def give_feedback(call: Call, edges: Edges, request_id: str) -> Json:
    """``{"verdict": "wrong"}`` or ``"right"`` about one call of the key's project: a wrong answer is not given again,
    and cache and routes learn from both. A call of others is as unknown as one that never was.

    Raises NotFound, InvalidRequest, NotAllowed where what was said is written down and the answer cannot be given up,
    and GovernanceUnavailable while nobody can write it down.
    """
    key, org = await edges.auth.admit(call)
    verdict = _read_verdict(await call.body())
    if verdict not in ("right", "wrong"):
        raise InvalidRequest("verdict must be right or wrong.", param="verdict")
    row = (await find_rows(edges, org, key, request_id))[0]
    wanted, status = UUID(row["id"]), row["cache_status"]
    entry_id = _entry_of(row["route_reason"]) or wanted
    try:
        is_kept = _may_be_kept(row, entry_id, org)
        is_right = verdict == "right"
        take = partial(_take, key, wanted, entry_id, _served(row), is_right, is_kept=is_kept)
        await DATABASE_THREADS.run(take)
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


def _may_be_kept(row: Json, entry_id: UUID, org: OrgSnapshot) -> bool:
    """Whether a call's answer may be given again: the cache was asked for it, and it is no older than cached answers
    may be. Every proxy remembers each purge, and has room for so many."""
    if row["cache_status"] in _NEVER_KEPT:
        return False
    policy = org.find_cache_policy(row["request_model"])
    seconds = MAX_TTL_SECONDS if policy is None else policy.ttl_seconds
    # The id of a call carries the millisecond in which it came, and its answer came later.
    return clock.now_ms() - (entry_id.int >> 80) <= seconds * 1000 + LONGEST_CALL_MS


def _take(key: KeySnapshot, request_id: UUID, entry_id: UUID, model: str, is_right: bool, *, is_kept: bool) -> None:
    try:
        with org_scope(key.org_id):
            actor = _actor_of(key)
            take_feedback(actor=actor, request_id=request_id, entry_id=entry_id, is_right=is_right)
            Feedback.objects.update_or_create(org=actor.org, request_id=request_id, defaults={"is_right": is_right})
            # What a route learns from.
            RouteLabel.objects.filter(org_id=key.org_id, request_id=request_id, model=model).update(right=is_right)
        if is_kept and not is_right:
            # By itself: where there is no room for one more purge, what was said is said all the same.
            with org_scope(key.org_id):
                give_up(actor=_actor_of(key), entry_id=entry_id)
    finally:
        connection.close_if_unusable_or_obsolete()


def _actor_of(key: KeySnapshot) -> Actor:
    return Actor(Organization.objects.get(pk=key.org_id), Role.ADMIN, f"key {key.id}")


def _entry_of(route_reason: str) -> UUID | None:
    """The cache entry that a call was answered from."""
    if not route_reason.startswith(_CACHED):
        return None
    return UUID(route_reason.removeprefix(_CACHED).partition(",")[0])
