"""Who may hand which rights to whom: the rule of ``tenants.rights``, in sentences."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from costhub.lib.errors import Forbidden, InvalidField, NotFound
from tenants.access import Actor
from tenants.choices import PROJECT_ROLES, Permission, Role
from tenants.models import Project
from tenants.rights import Rights

MAX_PROJECTS: Final = 100


def check_may_give(
    actor: Actor, role: Role, *, projects: Iterable[UUID] = (), scopes: Iterable[Permission] | None = None
) -> None:
    """Raise Forbidden unless the actor holds all that these rights allow. Taking rights away asks for the same."""
    wanted = Rights.of_role(role, scopes=scopes, projects=tuple(projects) or None)
    if actor.rights.cover(wanted):
        return
    if wanted.is_owner:
        raise Forbidden("Only an owner may make or change an owner.")
    raise Forbidden(f"You may give and take only rights that you hold yourself, and a {role} has more than that.")


def check_projects(actor: Actor, role: Role, names: Sequence[str]) -> list[UUID]:
    """The ids of the projects that a role is to hold in, by name or id; none for the whole organisation.

    Raises InvalidField for a role that only holds everywhere, NotFound for an unknown project.
    """
    if not names:
        return []
    if role not in PROJECT_ROLES:
        raise InvalidField(f"A {role} acts in the whole organisation: leave the projects out.", field="projects")
    if len(names) > MAX_PROJECTS:
        raise InvalidField(f"Name at most {MAX_PROJECTS} projects.", field="projects")
    known = Project.objects.filter(org=actor.org).values_list("pk", "name")
    ids = {str(pk): pk for pk, _ in known} | {name: pk for pk, name in known}
    if any(name not in ids for name in names):
        raise NotFound("There is no such project.", field="projects")
    return sorted({ids[name] for name in names})


def read_scopes(names: Iterable[str]) -> list[Permission] | None:
    """A token's stored scopes; None for all that its role may. A scope that is not known any more allows nothing."""
    stored = list(names)
    return [Permission(name) for name in stored if name in set(Permission)] if stored else None
