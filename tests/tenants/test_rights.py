"""Rights as a lattice: whoever covers may give; and no sequence of calls raises anybody's rights."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costhub.lib.errors import AppError
from tenants.access import Actor, org_scope
from tenants.actions.grants import read_scopes
from tenants.actions.invitations import accept_invitation, invite
from tenants.actions.orgs import add_member, find_or_create_user, remove_member, set_role, suspend_member
from tenants.actions.tokens import create_service_account, create_token, update_service_account
from tenants.choices import MEANINGS, PERMISSIONS, PROJECT_PERMISSIONS, Permission, Role
from tenants.models import AdminToken, Membership, ServiceAccount
from tenants.rights import Rights
from tests.world import Tenant, World, make_world

HERE, THERE = uuid4(), uuid4()
PLACES: list[tuple[UUID, ...] | None] = [None, (HERE,), (THERE,), (HERE, THERE)]
SCOPES: list[tuple[Permission, ...] | None] = [None, (Permission.READ,), (Permission.READ, Permission.WRITE_KEYS)]
ALL = [Rights.of_role(role, scopes=scopes, projects=places) for role, scopes, places in product(Role, SCOPES, PLACES)]


def what(rights: Rights) -> set[tuple[Permission, UUID | None]]:
    """Everything that rights allow, spelled out: in the whole organisation, and in two projects of it."""
    return {
        (permission, where)
        for permission, where in product(Permission, (None, HERE, THERE))
        if rights.allow(permission, where)
    }


def test_covering_is_allowing_all_that_the_other_allows() -> None:
    for one, other in product(ALL, ALL):
        covers = what(other) <= what(one) and (one.is_owner or not other.is_owner)
        # Rights in a project that allow nothing at all are covered by anybody.
        assert one.cover(other) is covers or not what(other), (one, other)


def test_covering_is_an_order() -> None:
    for one in ALL:
        assert one.cover(one)
    for one, two, three in product(ALL[::3], ALL[::2], ALL[::5]):
        if one.cover(two) and two.cover(three):
            assert one.cover(three)


def test_what_is_not_in_the_table_is_denied() -> None:
    assert what(Rights(frozenset())) == set()
    for role, places in product(Role, PLACES[1:]):
        rights = Rights.of_role(role, projects=places)
        assert {permission for permission, _ in what(rights)} <= PROJECT_PERMISSIONS
        assert not any(rights.allow(permission) for permission in Permission)


def test_the_documents_table_is_the_codes_table() -> None:
    text = (Path(django_settings.BASE_DIR) / "docs" / "roles.md").read_text()
    rows = [
        f"| `{permission}` | {MEANINGS[permission]} | "
        + " | ".join(
            (
                "yes, by project"
                if permission in PROJECT_PERMISSIONS and role in {Role.DEVELOPER, Role.VIEWER}
                else "yes"
            )
            if permission in PERMISSIONS[role]
            else "—"
            for role in Role
        )
        + " |"
        for permission in Permission
    ]
    assert "\n".join(rows) in text


# --- no sequence of calls raises anybody's rights


class Coalition:
    """People of Acme who want more than they have, and everybody whom they let in. Ada, the owner, does nothing."""

    def __init__(self, acme: Tenant, roles: list[tuple[Role, bool]]) -> None:
        self.acme = acme
        self.names: list[str] = []
        for number, (role, is_narrow) in enumerate(roles):
            name = f"evil{number}@acme.example"
            where = [str(acme.project.pk)] if is_narrow and role in {Role.DEVELOPER, Role.VIEWER} else []
            add_member(actor=acme.owner, email=name, role=role, projects=where)
            self.names.append(name)
        self.first = self.held()

    def actors(self) -> list[Actor]:
        """Everybody who can act for them at this moment, programs included."""
        found = []
        for member in Membership.objects.filter(user__email__in=self.names, suspended_at=None).order_by("created_at"):
            role = Role(member.role)
            narrowed = Rights.of_role(role, projects=member.projects or None)
            found.append(Actor(self.acme.org, role, member.user.email, member.user_id, narrowed))
        for token in AdminToken.objects.filter(created_by__in=self.names).select_related("account"):
            role = Role(token.account.role if token.account else token.role)
            places = token.account.projects if token.account else []
            narrowed = Rights.of_role(role, scopes=read_scopes(token.scopes), projects=places or None)
            self.names.append(f"token {token.prefix}")
            found.append(Actor(self.acme.org, role, f"token {token.prefix}", narrowed=narrowed))
        return found

    def held(self) -> set[tuple[Permission, UUID | None]]:
        """All that any of them may do; and whether one is an owner."""
        places = (None, self.acme.project.pk)
        held: set[Any] = {
            (permission, where)
            for actor in self.actors()
            for permission, where in product(Permission, places)
            if actor.may(permission, where)
        }
        owners: set[Any] = {("owner", None) for actor in self.actors() if actor.rights.is_owner}
        return held | owners

    def moves(self) -> list[Callable[[Actor, Role, bool, tuple[Permission, ...]], Any]]:
        """What each of them may try, on each other, on Ada and on strangers."""
        return [
            self._add,
            self._invite,
            self._set_role,
            self._promote_ada_down,
            self._make_token,
            self._make_account,
            self._raise_account,
            self._suspend_ada,
        ]

    def _where(self, is_narrow: bool) -> list[str]:
        return [str(self.acme.project.pk)] if is_narrow else []

    def _add(self, actor: Actor, role: Role, is_narrow: bool, scopes: tuple[Permission, ...]) -> None:
        name = f"friend{len(self.names)}@acme.example"
        self.names.append(name)
        add_member(actor=actor, email=name, role=role, projects=self._where(is_narrow))

    def _invite(self, actor: Actor, role: Role, is_narrow: bool, scopes: tuple[Permission, ...]) -> None:
        name = f"guest{len(self.names)}@acme.example"
        self.names.append(name)
        made = invite(actor=actor, email=name, role=role, projects=self._where(is_narrow))
        accept_invitation(secret=made.path.rpartition("/")[2], user=find_or_create_user(name))

    def _set_role(self, actor: Actor, role: Role, is_narrow: bool, scopes: tuple[Permission, ...]) -> None:
        for member in Membership.objects.filter(user__email__in=self.names):
            set_role(actor=actor, membership=member, role=role, projects=self._where(is_narrow))

    def _promote_ada_down(self, actor: Actor, role: Role, is_narrow: bool, scopes: tuple[Permission, ...]) -> None:
        ada = Membership.objects.get(user__email=self.acme.owner.name)
        set_role(actor=actor, membership=ada, role=role)
        remove_member(actor=actor, membership=ada)

    def _suspend_ada(self, actor: Actor, role: Role, is_narrow: bool, scopes: tuple[Permission, ...]) -> None:
        ada = Membership.objects.get(user__email=self.acme.owner.name)
        suspend_member(actor=actor, membership=ada, is_suspended=True)

    def _make_token(self, actor: Actor, role: Role, is_narrow: bool, scopes: tuple[Permission, ...]) -> None:
        create_token(actor=actor, name="t", role=role, scopes=scopes)

    def _make_account(self, actor: Actor, role: Role, is_narrow: bool, scopes: tuple[Permission, ...]) -> None:
        name = f"robot{ServiceAccount.objects.count()}"
        account = create_service_account(actor=actor, name=name, role=role, projects=self._where(is_narrow))
        create_token(actor=actor, name="t", account=account, scopes=scopes)

    def _raise_account(self, actor: Actor, role: Role, is_narrow: bool, scopes: tuple[Permission, ...]) -> None:
        for account in ServiceAccount.objects.filter(created_by__in=self.names):
            update_service_account(actor=actor, account=account, role=role, projects=self._where(is_narrow))


STEPS = st.lists(
    st.tuples(
        st.integers(0, 99),
        st.integers(0, 99),
        st.sampled_from(Role),
        st.booleans(),
        st.sampled_from([(), (Permission.READ,), (Permission.WRITE_MEMBERS, Permission.READ)]),
    ),
    min_size=1,
    max_size=12,
)
EVIL = st.lists(
    st.tuples(st.sampled_from([role for role in Role if role is not Role.OWNER]), st.booleans()), min_size=1, max_size=3
)


@pytest.mark.django_db
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(roles=EVIL, steps=STEPS)
def test_no_sequence_of_calls_raises_anybodys_rights(
    roles: list[tuple[Role, bool]], steps: list[tuple[int, int, Role, bool, tuple[Permission, ...]]]
) -> None:
    world: World = make_world(unique=True)
    with org_scope(world.acme.org.pk):
        coalition = Coalition(world.acme, roles)
        moves = coalition.moves()
        for which, who, role, is_narrow, scopes in steps:
            actors = coalition.actors()
            if not actors:
                break
            try:
                moves[which % len(moves)](actors[who % len(actors)], role, is_narrow, scopes)
            except AppError:
                continue
            assert coalition.held() <= coalition.first
        ada = Membership.objects.get(user=world.ada)
        assert (ada.role, ada.suspended_at) == ("owner", None)
