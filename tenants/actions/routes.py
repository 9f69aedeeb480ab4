"""Routes: made, changed version by version, and brought back to an earlier one."""

from collections.abc import Mapping
from typing import Any, Final

from django.db import IntegrityError, transaction

from costhub.lib.errors import Conflict, NotFound
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import publish
from tenants.actions.route_policies import SETTINGS, check_policy
from tenants.actions.values import check_identifier
from tenants.choices import Mode, Permission, RouteKind
from tenants.models import LanguageModel, Route, RouteVersion
from tenants.selectors import load_org_snapshot

#: every proxy keeps them all in mind
MOST_ROUTES: Final = 100


def create_route(*, actor: Actor, name: str, kind: RouteKind, mode: Mode, **policy: Any) -> Route:
    """Make a route; ``policy`` is what its kind has (``route_policies``).

    Raises InvalidField for what cannot be, Conflict where a model or route has the name, or there are too many.
    """
    actor.check(Permission.WRITE_SETTINGS)
    name = check_identifier(name, "name")
    if LanguageModel.objects.filter(org=actor.org, name=name).exists():
        raise Conflict("There is a model of this name: a route needs one of its own.", field="name")
    if Route.objects.filter(org=actor.org).count() >= MOST_ROUTES:
        raise Conflict(f"There are {MOST_ROUTES} routes already: delete one first.")
    checked = check_policy(load_org_snapshot(str(actor.org.pk)), name, kind, policy)
    route = Route(org=actor.org, name=name, kind=kind.value, mode=mode.value, policy=checked)
    try:
        with transaction.atomic():
            route.save(force_insert=True)
            _keep_version(actor, route)
            record(actor, "created", route, name=name, kind=kind, mode=mode)
            publish(actor.org)
    except IntegrityError as error:
        raise Conflict("There is a route of this name already.", field="name") from error
    return route


def update_route(
    *, actor: Actor, route: Route, kind: RouteKind | None = None, mode: Mode | None = None, **changes: Any
) -> Route:
    """Change a route; its name stays. What is not given of the policy stays too, as far as the kind has it. A change
    of anything is a new version. Raises InvalidField for what cannot be."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        route = _lock(route)
        kind = kind or RouteKind(route.kind)
        known = {"targets", "baseline", "holdout_percent", *SETTINGS[kind]}
        before: Mapping[str, Any] = {field: value for field, value in route.policy.items() if field in known}
        if "targets" in changes and "baseline" not in changes:
            # It was perhaps only assumed, of other targets.
            before = {field: value for field, value in before.items() if field != "baseline"}
        if len(changes.get("targets", ())) > 2:
            # Which of two is asked from where on says nothing of three.
            before = {field: value for field, value in before.items() if field != "hard_from"}
        policy = check_policy(load_org_snapshot(str(actor.org.pk)), route.name, kind, {**before, **changes})
        return _change(actor, route, kind.value, (mode or Mode(route.mode)).value, policy)


def roll_back(*, actor: Actor, route: Route, number: int) -> Route:
    """Make the route what it was at version ``number``, as a new version, if that can still be. Raises NotFound for a
    number that never was, InvalidField for what cannot be any more."""
    actor.check(Permission.WRITE_SETTINGS)
    before = RouteVersion.objects.filter(org=actor.org, route_id=route.pk, number=number).first()
    if before is None:
        raise NotFound("There is no such version.", field="number")
    kind = RouteKind(before.kind)
    with transaction.atomic():
        route = _lock(route)
        policy = check_policy(load_org_snapshot(str(actor.org.pk)), route.name, kind, before.policy)
        return _change(actor, route, kind.value, before.mode, policy)


def delete_route(*, actor: Actor, route: Route) -> None:
    """Nobody can ask for it any more. Its versions are deleted with it."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        record(actor, "deleted", route, name=route.name)
        RouteVersion.objects.filter(org=actor.org, route_id=route.pk).delete()
        route.delete()
        publish(actor.org)


def use_learned(*, actor: Actor, route: Route, learned: str) -> None:
    """Have the route decide by what was learned under this id, or by nothing learned where it is empty."""
    if route.learned == learned:
        return
    with transaction.atomic():
        record(actor, "updated", route, learned=(route.learned, learned))
        route.learned = learned
        route.save(update_fields=["learned"])
        publish(actor.org)


def _change(actor: Actor, route: Route, kind: str, mode: str, policy: dict[str, Any]) -> Route:
    new = {"kind": kind, "mode": mode, "policy": policy}
    told = {field: (getattr(route, field), value) for field, value in new.items() if getattr(route, field) != value}
    if not told:
        return route
    route.kind, route.mode, route.policy, route.version = kind, mode, policy, route.version + 1
    route.save(update_fields=["kind", "mode", "policy", "version"])
    _keep_version(actor, route)
    record(actor, "updated", route, version=route.version, **told)
    publish(actor.org)
    return route


def _lock(route: Route) -> Route:
    """The route as it is now, until the transaction ends: two changes at once are two versions."""
    return Route.objects.select_for_update().get(pk=route.pk)


def _keep_version(actor: Actor, route: Route) -> None:
    RouteVersion(
        org=actor.org,
        route_id=route.pk,
        number=route.version,
        kind=route.kind,
        mode=route.mode,
        policy=route.policy,
        made_by=actor.name,
    ).save(force_insert=True)
