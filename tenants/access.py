"""The only doors to tenant rows.

A door opens one organisation for the current transaction: PostgreSQL's row-level security then shows the app role that
organisation's rows and no others. What does not exist and what belongs to somebody else are the same ``NotFound``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db import connection, models, transaction

from costhub.lib.errors import Forbidden, NotFound
from tenants.choices import PERMISSIONS, Permission, Role
from tenants.models import Membership, Organization, User

Row = TypeVar("Row", bound=models.Model)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is acting in an organisation: a member, or a program with an admin token. ``name`` goes into the audit
    log."""

    org: Organization
    role: Role
    name: str
    user_id: int | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the actor's role includes ``permission``."""
        return permission in PERMISSIONS[self.role]

    def check(self, permission: Permission) -> None:
        """Raise Forbidden unless the actor's role includes ``permission``."""
        if not self.may(permission):
            raise Forbidden(f"A {self.role} may not do this: ask an owner or admin of {self.org.name}.")


@contextmanager
def org_scope(*org_ids: UUID | str) -> Iterator[None]:
    """Open these organisations' rows until the block ends, inside a transaction of its own or the current one."""
    with transaction.atomic():
        before = _setting("costhub.orgs")
        _set("costhub.orgs", "{" + ",".join(str(UUID(str(org_id))) for org_id in org_ids) + "}")
        yield
        # Not in a finally: after an error the (sub)transaction is rolled back, and the setting with it.
        _set("costhub.orgs", before)


@contextmanager
def job_scope(org_id: UUID | str) -> Iterator[Actor]:
    """``org_scope`` for a job of ours, which acts where nobody does: the organisation's owner called «costhub»."""
    with org_scope(org_id):
        yield Actor(Organization.objects.get(pk=org_id), Role.OWNER, "costhub")


def enter_org(org_id: UUID | str) -> None:
    """Open one organisation for the rest of the current transaction (a web request is one)."""
    _set("costhub.orgs", "{" + str(UUID(str(org_id))) + "}")


def access_org(user: User, slug: str) -> Actor:
    """Open the organisation ``slug`` for a person who is a member of it.

    Raises NotFound if there is no such organisation, it is inactive, or the person is no member.
    """
    _set("costhub.user", str(user.pk))
    membership = Membership.objects.select_related("org").filter(user=user, org__slug=slug, org__is_active=True).first()
    if membership is None:
        raise NotFound("There is no such organisation.")
    enter_org(membership.org_id)
    return Actor(membership.org, Role(membership.role), user.email, user.pk)


def list_memberships(user: User) -> list[Membership]:
    """The active organisations that a person belongs to, by name. Opens none of them."""
    _set("costhub.user", str(user.pk))
    return list(Membership.objects.select_related("org").filter(user=user, org__is_active=True).order_by("org__name"))


def access_row(rows: models.QuerySet[Row], actor: Actor, row_id: str | UUID) -> Row:
    """One row of the actor's organisation by id, or NotFound: for a malformed, unknown or foreign id alike."""
    found = find_row(rows, actor, row_id)
    if found is None:
        raise NotFound(f"There is no such {rows.model._meta.verbose_name}.")
    return found


def access_named(rows: models.QuerySet[Row], actor: Actor, name_or_id: str, *, field: str) -> Row:
    """One row of the actor's organisation by name or id, or NotFound naming the ``field`` that the caller filled in."""
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


def _setting(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true)", [name])
        row = cursor.fetchone()
    return (row[0] if row else None) or ""


def _set(name: str, value: str) -> None:
    # is_local: the setting ends with the transaction, so a pooled connection never carries it to the next request.
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
