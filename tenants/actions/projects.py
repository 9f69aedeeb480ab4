"""Projects: pieces of work whose spend is counted together."""

from django.db import IntegrityError, transaction
from django.db.models import Q

from costhub.lib import clock
from costhub.lib.errors import Conflict
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes
from tenants.actions.values import check_name
from tenants.choices import Permission
from tenants.models import ApiKey, Project


def create_project(*, actor: Actor, name: str) -> Project:
    """Create a project. Raises Conflict if its name is taken."""
    actor.check(Permission.WRITE_SETTINGS)
    project = Project(org=actor.org, name=check_name(name))
    try:
        with transaction.atomic():
            project.save(force_insert=True)
            record(actor, "created", project, name=project.name)
    except IntegrityError as error:
        raise _taken() from error
    return project


def update_project(
    *, actor: Actor, project: Project, name: str | None = None, is_archived: bool | None = None
) -> Project:
    """Rename a project or put it away. Raises Conflict if the name is taken or live keys still belong to it."""
    actor.check(Permission.WRITE_SETTINGS)
    new: dict[str, object] = {}
    if name is not None:
        new["name"] = check_name(name)
    if is_archived is not None:
        new["is_archived"] = is_archived
    if is_archived and not project.is_archived:
        _check_no_live_keys(project)
    try:
        apply_changes(actor, project, new, forget_keys=_list_digests(project) if "name" in new else ())
    except IntegrityError as error:
        raise _taken() from error
    return project


def _list_digests(project: Project) -> list[bytes]:
    """Of the keys whose callers are told the project's name."""
    keys = ApiKey.objects.filter(org=project.org_id, project=project, revoked_at__isnull=True)
    return [bytes(digest) for digest in keys.values_list("digest", flat=True)]


def _taken() -> Conflict:
    return Conflict("There is a project of this name already.", field="name")


def _check_no_live_keys(project: Project) -> None:
    live = Q(expires_at__isnull=True) | Q(expires_at__gt=clock.now())
    if ApiKey.objects.filter(live, org=project.org_id, project=project, revoked_at__isnull=True).exists():
        raise Conflict("Keys of this project are still in use: revoke them first.", field="is_archived")
