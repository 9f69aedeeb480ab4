"""Organisations and members."""

import pytest
from django.conf import settings

from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.lib.keyspace import SHARDS, shard_of
from costhub.lib.secrets import ADMIN_TOKEN, API_KEY, digest_of, is_well_formed, seal, unseal
from tenants.access import Actor, access_org, enter_org, find_owner_of_digest, org_scope
from tenants.actions.orgs import (
    add_member,
    create_admin_token,
    create_organization,
    find_or_create_user,
    remove_member,
    set_role,
    update_organization,
)
from tenants.choices import Role
from tenants.models import AdminToken, ApiKey, AuditEntry, Budget, Membership, Organization, Project, User
from tests.audit import read_audit
from tests.world import World, make_budget


def members(org: Organization) -> dict[str, str]:
    return dict(Membership.objects.filter(org=org).values_list("user__email", "role"))


def membership_of(user: User, org: Organization) -> Membership:
    return Membership.objects.get(user=user, org=org)


class TestCreate:
    def test_everything_that_a_first_call_needs_is_there(self, world: World) -> None:
        made = create_organization(name=" Globex ", acting_name="operator", owner=world.ada, time_zone="Europe/Berlin")
        org = made.org
        assert (org.name, org.slug, org.time_zone, org.is_active) == ("Globex", "globex", "Europe/Berlin", True)
        assert org.shard == shard_of(str(org.pk)) < SHARDS
        assert is_well_formed(made.admin_token, ADMIN_TOKEN)
        assert is_well_formed(made.api_key, API_KEY)
        with org_scope(org.pk):
            assert members(org) == {"ada@acme.example": "owner"}
            assert [project.name for project in Project.objects.filter(org=org)] == ["default"]
            key, token = ApiKey.objects.get(org=org), AdminToken.objects.get(org=org)
        assert [entry.action for entry in read_audit(org)] == [
            "organization.created",
            "membership.added",
            "admin_token.created",
            "project.created",
            "api_key.created",
        ]
        assert bytes(key.digest) == digest_of(made.api_key, settings.KEY_PEPPER)
        assert (bytes(token.digest), token.role) == (digest_of(made.admin_token, settings.KEY_PEPPER), "owner")

    def test_its_data_key_is_its_own(self, world: World) -> None:
        acme, mallcorp = world.acme.org, world.mallcorp.org
        sealed = seal(settings.MASTER_KEYS, bytes(acme.data_key), org_id=str(acme.pk), origin="o", text="secret")
        opened = unseal(settings.MASTER_KEYS, bytes(acme.data_key), org_id=str(acme.pk), origin="o", sealed=sealed)
        assert opened == "secret"
        assert bytes(acme.data_key) != bytes(mallcorp.data_key)

    def test_names_may_repeat_and_slugs_do_not(self, world: World) -> None:
        again = create_organization(name="Acme", acting_name="operator").org
        assert again.slug.startswith("acme-")
        assert len(again.slug) == len("acme-") + 6

    @pytest.mark.parametrize(("name", "slug"), [("東京", "org"), ("A" * 120, "a" * 50)])
    def test_any_name_gets_a_slug(self, world: World, name: str, slug: str) -> None:
        assert create_organization(name=name, acting_name="operator").org.slug.startswith(slug)

    @pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 121])
    def test_a_name_that_is_none_is_refused(self, world: World, name: str) -> None:
        with pytest.raises(InvalidField) as caught:
            create_organization(name=name, acting_name="operator")
        assert caught.value.field == "name"

    @pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "europe/berlin"])
    def test_a_time_zone_that_is_none_is_refused(self, world: World, zone: str) -> None:
        with pytest.raises(InvalidField) as caught:
            create_organization(name="x", acting_name="operator", time_zone=zone)
        assert caught.value.field == "time_zone"


class TestUpdate:
    def test_what_changed_is_told(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            update_organization(actor=world.acme.owner, name="Acme Ltd", time_zone="Asia/Tokyo")
            entry = read_audit(world.acme.org)[-1]
        assert (entry.actor, entry.action, entry.changes) == (
            "ada@acme.example",
            "organization.updated",
            {"name": ["Acme", "Acme Ltd"], "time_zone": ["UTC", "Asia/Tokyo"]},
        )

    def test_a_developer_may_not(self, world: World) -> None:
        with org_scope(world.acme.org.pk), pytest.raises(Forbidden):
            update_organization(actor=world.ben_actor, name="Ben's")

    def test_budgets_count_anew_where_the_days_begin_elsewhere(self, world: World) -> None:
        enter_org(world.acme.org.pk)
        budget = make_budget(world.acme, "1")
        first = budget.created_at
        update_organization(actor=world.acme.owner, name="Acme Ltd", time_zone=world.acme.org.time_zone)
        assert Budget.objects.get(pk=budget.pk).created_at == first
        update_organization(actor=world.acme.owner, time_zone="Asia/Tokyo")
        assert Budget.objects.get(pk=budget.pk).created_at > first


class TestMembers:
    def test_somebody_new_gets_an_account_without_a_password(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            added = add_member(actor=world.acme.owner, email="Carol@Acme.example", role=Role.FINANCE)
        assert (added.user.email, added.role, added.user.has_usable_password()) == (
            "carol@acme.example",
            "finance",
            False,
        )

    def test_somebody_who_is_there_already_is_a_conflict(self, world: World) -> None:
        with org_scope(world.acme.org.pk), pytest.raises(Conflict) as caught:
            add_member(actor=world.acme.owner, email=world.ben.email, role=Role.VIEWER)
        assert caught.value.field == "email"

    def test_a_persons_other_organisations_do_not_matter(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            add_member(actor=world.acme.owner, email=world.mallory.email, role=Role.VIEWER)
        assert access_org(world.mallory, "acme").role == Role.VIEWER
        assert access_org(world.mallory, "mallcorp").role == Role.OWNER

    def test_a_role_changes_from_one_request_to_the_next(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            set_role(actor=world.acme.owner, membership=membership_of(world.ben, world.acme.org), role=Role.FINANCE)
        assert access_org(world.ben, "acme").role == Role.FINANCE

    def test_who_was_removed_is_out(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            remove_member(actor=world.acme.owner, membership=membership_of(world.ben, world.acme.org))
            assert members(world.acme.org) == {"ada@acme.example": "owner"}

    def test_anybody_may_leave(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            remove_member(actor=world.ben_actor, membership=membership_of(world.ben, world.acme.org))
            assert members(world.acme.org) == {"ada@acme.example": "owner"}

    def test_a_developer_removes_nobody_else(self, world: World) -> None:
        with org_scope(world.acme.org.pk), pytest.raises(Forbidden):
            remove_member(actor=world.ben_actor, membership=membership_of(world.ada, world.acme.org))

    def test_the_last_owner_stays(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            last = membership_of(world.ada, world.acme.org)
            with pytest.raises(Conflict, match="last owner"):
                remove_member(actor=world.acme.owner, membership=last)
            with pytest.raises(Conflict, match="last owner"):
                set_role(actor=world.acme.owner, membership=last, role=Role.ADMIN)
            set_role(actor=world.acme.owner, membership=membership_of(world.ben, world.acme.org), role=Role.OWNER)
            remove_member(actor=world.acme.owner, membership=last)
            assert members(world.acme.org) == {"ben@acme.example": "owner"}

    def test_an_admin_makes_and_unmakes_no_owner(self, world: World) -> None:
        admin = Actor(world.acme.org, Role.ADMIN, "admin@acme.example")
        with org_scope(world.acme.org.pk):
            ada, ben = (membership_of(person, world.acme.org) for person in (world.ada, world.ben))
            for forbidden in (
                lambda: add_member(actor=admin, email="x@acme.example", role=Role.OWNER),
                lambda: set_role(actor=admin, membership=ben, role=Role.OWNER),
                lambda: set_role(actor=admin, membership=ada, role=Role.VIEWER),
                lambda: remove_member(actor=admin, membership=ada),
                lambda: create_admin_token(actor=admin, name="t", role=Role.OWNER),
            ):
                with pytest.raises(Forbidden, match="Only an owner"):
                    forbidden()
            set_role(actor=admin, membership=ben, role=Role.ADMIN)
            assert members(world.acme.org)["ben@acme.example"] == "admin"

    def test_one_address_is_one_person(self, world: World) -> None:
        assert find_or_create_user(" ADA@acme.example ") == world.ada


def test_a_token_is_found_and_its_secret_is_nowhere(world: World) -> None:
    with org_scope(world.acme.org.pk):
        token = create_admin_token(actor=world.acme.owner, name="ci", role=Role.VIEWER)
        row = AdminToken.objects.get(name="ci")
        told = list(AuditEntry.objects.values_list("changes", flat=True))
    assert find_owner_of_digest("admin_token", digest_of(token, settings.KEY_PEPPER)) == (world.acme.org.pk, row.pk)
    assert row.prefix == token[:12]
    assert token not in str(told)
    assert token not in str(vars(row))
