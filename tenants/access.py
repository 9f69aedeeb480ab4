"""The only doors to tenant rows.

A door opens one organisation for the current transaction: PostgreSQL's row-level security then shows the app role that
organisation's rows and no others. What does not exist and what belongs to somebody else are the same ``NotFound``.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from allauth.mfa.utils import is_mfa_enabled
from django.db import connection, models, transaction
from django.db.models import Q

from costhub.lib import clock
from costhub.lib.database import run_together
from costhub.lib.errors import Forbidden, NotFound
from tenants.choices import PERMISSIONS, SECOND_FACTOR_ROLES, Permission, Role
from tenants.models import Membership, Organization, User
from tenants.rights import Rights

Row = TypeVar("Row", bound=models.Model)

#: what an operator of the installation may do who visits: look
VISITOR: Final = Rights(frozenset({Permission.READ, Permission.READ_MONEY}))
#: methods of HTTP that change nothing
_LOOKING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class SecondFactorMissing(Forbidden):
    """The organisation lets this role in with a second factor only, and the person has none."""

    code = "second_factor_required"


class StaleSession(Forbidden):
    """The person signed in a while ago, and what they want is asked for again before it is done."""

    code = "reauthentication_required"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is acting in an organisation: a member, or a program with an admin token. ``name`` goes into the audit
    log.

    ``narrowed`` are the rights of a token with scopes, or of a member of some projects; without them the role's hold
    everywhere. ``is_fresh``: a program, or a person who gave a password or the like a moment ago.
    """

    org: Organization
    role: Role
    name: str
    user_id: int | None = None
    narrowed: Rights | None = None
    is_fresh: bool = True

    @property
    def rights(self) -> Rights:
        """All that the actor may do."""
        return self.narrowed or Rights.of_role(self.role)

    def may(self, permission: Permission, project: UUID | None = None) -> bool:
        """Whether the actor holds ``permission``: in the whole organisation, or in one ``project``."""
        return self.rights.allow(permission, project)

    def may_anywhere(self, permission: Permission) -> bool:
        """Whether the actor holds ``permission`` in the whole organisation, or in some project of it."""
        return self.may(permission, next(iter(self.rights.projects or ()), None))

    def check(self, permission: Permission, project: UUID | None = None) -> None:
        """Raise Forbidden unless the actor holds ``permission``: in the whole organisation, or in one ``project``."""
        if self.may(permission, project):
            return
        if self.rights.projects is not None and permission in PERMISSIONS[self.role]:
            raise Forbidden(
                f"You are a {self.role} of some projects only: ask an owner or admin of {self.org.name} to do this."
            )
        if self.narrowed is VISITOR:
            raise Forbidden(f"You look into {self.org.name} as an operator: you change nothing there.")
        if permission in PERMISSIONS[self.role]:
            raise Forbidden(f"This token's scopes do not include {permission}: use one that has it.")
        raise Forbidden(f"A {self.role} may not do this: ask an owner or admin of {self.org.name}.")

    def check_anywhere(self, permission: Permission) -> frozenset[UUID] | None:
        """The projects in which the actor holds ``permission``, None for all. Raises Forbidden where in none."""
        if not self.may_anywhere(permission):
            self.check(permission)
        return self.rights.projects

    def check_method(self, method: str | None) -> None:
        """Raise Forbidden for a visitor's request that is more than looking: no action has to think of visits."""
        if self.narrowed is VISITOR and method not in _LOOKING:
            raise Forbidden(f"You look into {self.org.name} as an operator: you change nothing there.")

    def check_fresh(self) -> None:
        """Raise StaleSession unless the person has just shown that it is them."""
        if not self.is_fresh:
            raise StaleSession(
                "It is a while since you signed in: confirm that it is you at /account/reauthenticate/, then do this"
                " again."
            )


@contextmanager
def org_scope(*org_ids: UUID | str) -> Iterator[None]:
    """Open these organisations' rows until the block ends, inside a transaction of its own or the current one."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        before = "" if is_outermost else _setting("costhub.orgs")
        _set("costhub.orgs", _list_ids(org_ids))
        yield
        # Not in a finally: after an error the (sub)transaction is rolled back, and the setting with it. With the
        # outermost one it ends anyway.
        if not is_outermost:
            _set("costhub.orgs", before)


def run_in_org(org_id: UUID | str, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that one statement gives in an organisation's door. For what is done thousands of times: one round trip,
    where ``org_scope`` takes four, and planned once."""
    if connection.in_atomic_block:
        with org_scope(org_id), connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
    return run_together(("SELECT set_config('costhub.orgs', %s, true)", [_list_ids([org_id])]), (statement, parameters))


@contextmanager
def job_scope(org_id: UUID | str) -> Iterator[Actor]:
    """``org_scope`` for a job of ours, which acts where nobody does: the organisation's owner called «costhub»."""
    with org_scope(org_id):
        yield Actor(Organization.objects.get(pk=org_id), Role.OWNER, "costhub")


def enter_org(org_id: UUID | str) -> None:
    """Open one organisation for the rest of the current transaction (a web request is one)."""
    _set("costhub.orgs", _list_ids([org_id]))


def access_org(user: User, slug: str, *, is_fresh: bool = True) -> Actor:
    """Open the organisation ``slug`` for a person who is a member of it.

    Raises NotFound if there is no such organisation, it is inactive, or the person is no member, and
    SecondFactorMissing.
    """
    _set("costhub.user", str(user.pk))
    membership = _memberships_of(user).filter(org__slug=slug).first()
    if membership is None:
        raise NotFound("There is no such organisation.")
    role = Role(membership.role)
    if membership.org.requires_second_factor and role in SECOND_FACTOR_ROLES and not is_mfa_enabled(user):
        raise SecondFactorMissing(
            f"{membership.org.name} asks for a second factor of every {role}: set one up at /account/2fa/ first."
        )
    enter_org(membership.org_id)
    if membership.visit_until is not None:
        return Actor(membership.org, role, f"operator {user.email}"[:254], user.pk, VISITOR, is_fresh)
    narrowed = Rights.of_role(role, projects=membership.projects) if membership.projects else None
    return Actor(membership.org, role, user.email, user.pk, narrowed, is_fresh)


def list_memberships(user: User) -> list[Membership]:
    """The active organisations that a person belongs to, by name. Opens none of them."""
    _set("costhub.user", str(user.pk))
    return list(_memberships_of(user).order_by("org__name"))


def _memberships_of(user: User) -> models.QuerySet[Membership]:
    now = clock.now()
    is_current = Q(visit_until=None) | Q(visit_until__gt=now, org__visits_allowed_until__gt=now)
    found = Membership.objects.select_related("org").filter(user=user, org__is_active=True, suspended_at=None)
    return found.filter(is_current)


def access_row(rows: models.QuerySet[Row], actor: Actor, row_id: str | UUID) -> Row:
    """One row of the actor's organisation by id. Raises NotFound for a malformed, unknown or foreign id alike."""
    found = find_row(rows, actor, row_id)
    if found is None:
        raise NotFound(f"There is no such {rows.model._meta.verbose_name}.")
    return found


def access_named(rows: models.QuerySet[Row], actor: Actor, name_or_id: str, *, field: str) -> Row:
    """One row of the actor's organisation by name or id. Raises NotFound, naming the ``field`` that the caller filled
    in."""
    found = find_named(rows, actor, name_or_id)
    if found is None:
        raise NotFound(f"There is no such {rows.model._meta.verbose_name}.", field=field)
    return found


def find_row(rows: models.QuerySet[Row], actor: Actor, row_id: str | UUID) -> Row | None:
    """One row of the actor's organisation by id, if it is there."""
    wanted = find_uuid(str(row_id))
    return rows.filter(org=actor.org, pk=wanted).first() if wanted else None


def find_named(rows: models.QuerySet[Row], actor: Actor, name_or_id: str) -> Row | None:
    """One row of the actor's organisation by its name, which goes first, or by its id."""
    return rows.filter(org=actor.org, name=name_or_id).first() or find_row(rows, actor, name_or_id)


def find_uuid(text: str) -> UUID | None:
    """The id that ``text`` spells, if it is one."""
    try:
        return UUID(text)
    except ValueError:
        return None


def list_orgs() -> list[tuple[UUID, int, int]]:
    """(id, shard, version) of every organisation, for scheduled jobs; their rows stay closed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id, shard, version FROM costhub_all_orgs()")
        return list(cursor.fetchall())


def list_org_ids() -> list[UUID]:
    """The id of every organisation."""
    return [org_id for org_id, _, _ in list_orgs()]


def list_shards() -> list[int]:
    """The shards that have an organisation, rising."""
    return sorted({shard for _, shard, _ in list_orgs()})


def find_owner_of_digest(kind: str, digest: bytes) -> tuple[UUID, UUID] | None:
    """(organisation, row) of a secret's HMAC; ``kind`` is ``api_key`` or ``admin_token``."""
    function = {"api_key": "costhub_find_api_key", "admin_token": "costhub_find_admin_token"}[kind]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT org_id, id FROM {function}(%s)", [digest])  # noqa: S608 - one of two literals
        found: tuple[UUID, UUID] | None = cursor.fetchone()
        return found


def find_sign_on(sign_on_id: UUID) -> UUID | None:
    """The organisation of an identity provider."""
    return _find_org("costhub_find_sign_on", sign_on_id)


def find_domain(name: str) -> UUID | None:
    """The organisation that has verified a domain of e-mail addresses."""
    return _find_org("costhub_find_domain", name.lower())


def find_invitation(digest: bytes) -> UUID | None:
    """The organisation of an invitation, by the HMAC of its secret."""
    return _find_org("costhub_find_invitation", digest)


def find_known_keys(digests: Sequence[bytes]) -> set[bytes]:
    """Those of many HMACs that are an API key's, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT digest FROM unnest(%s::bytea[]) AS asked (digest)"
            " WHERE EXISTS (SELECT FROM costhub_find_api_key(digest))",
            [list(digests)],
        )
        return {bytes(digest) for (digest,) in cursor.fetchall()}


def _find_org(function: str, wanted: UUID | str | bytes) -> UUID | None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [wanted])
        row: tuple[UUID | None] | None = cursor.fetchone()
    return row[0] if row else None


def _setting(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true)", [name])
        row = cursor.fetchone()
    return (row[0] if row else None) or ""


def _list_ids(org_ids: Iterable[UUID | str]) -> str:
    return "{" + ",".join(str(UUID(str(org_id))) for org_id in org_ids) + "}"


def _set(name: str, value: str) -> None:
    # is_local: the setting ends with the transaction, so a pooled connection never carries it to the next request.
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
