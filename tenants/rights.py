"""What somebody may do, as a value, and the one rule of handing rights on.

Rights are a role's permissions, narrowed by the scopes of a token and by the projects of a membership. Whoever gives
rights away, or takes them, must hold all of them: so no sequence of calls raises anybody's rights above those of the
people who took part in it. Only an owner makes or changes an owner, because an owner cannot be removed by others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from tenants.choices import PERMISSIONS, PROJECT_PERMISSIONS, Permission, Role


@dataclass(frozen=True, slots=True)
class Rights:
    """Permissions, and where they hold: ``projects`` None is the whole organisation."""

    permissions: frozenset[Permission]
    projects: frozenset[UUID] | None = None
    is_owner: bool = False
    #: those of ``permissions`` that hold, when there are projects: what touches more than a project is never one's
    _held: frozenset[Permission] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        inside = self.permissions if self.projects is None else self.permissions & PROJECT_PERMISSIONS
        object.__setattr__(self, "_held", inside)

    @classmethod
    def of_role(
        cls, role: Role, *, scopes: Iterable[Permission] | None = None, projects: Iterable[UUID] | None = None
    ) -> Self:
        """The rights of a role. Without ``scopes`` all that the role may; without ``projects`` everywhere."""
        narrowed = PERMISSIONS[role] if scopes is None else PERMISSIONS[role] & frozenset(scopes)
        where = None if projects is None else frozenset(projects)
        is_owner = role is Role.OWNER and scopes is None and where is None
        return cls(narrowed, where, is_owner)

    def allow(self, permission: Permission, project: UUID | None = None) -> bool:
        """Whether ``permission`` is held: for the whole organisation, or for one ``project`` of it."""
        if permission not in self._held:
            return False
        return self.projects is None or (project is not None and project in self.projects)

    def cover(self, others: "Rights") -> bool:
        """Whether everything that ``others`` allows is allowed here too."""
        if others.is_owner and not self.is_owner:
            return False
        if not others._held <= self._held:
            return False
        if self.projects is None:
            return True
        return others.projects is not None and others.projects <= self.projects
