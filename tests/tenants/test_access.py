"""The doors: what does not exist and what is somebody else's look the same, and a door closes with its transaction."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import DataError, connection, transaction

from costhub.lib.errors import AppError, Forbidden, NotFound
from tenants.access import (
    Actor,
    access_named,
    access_org,
    access_row,
    enter_org,
    find_owner_of_digest,
    find_uuid,
    list_memberships,
    list_org_ids,
    list_orgs,
    list_shards,
    org_scope,
    run_in_org,
)
from tenants.choices import PERMISSIONS, Permission, Role
from tenants.models import AdminToken, ApiKey, Organization, Project, User
from tests.world import World, close_scopes


def visible_projects() -> set[UUID]:
    return set(Project.objects.values_list("org_id", flat=True))


class TestScopes:
    def test_nothing_is_visible_without_one(self, world: World) -> None:
        assert (visible_projects(), Organization.objects.count()) == (set(), 0)

    def test_a_scope_opens_one_organisation_until_it_ends(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            assert visible_projects() == {world.acme.org.pk}
        assert visible_projects() == set()

    def test_several_organisations_may_be_open_at_once(self, world: World) -> None:
        both = {world.acme.org.pk, world.mallcorp.org.pk}
        with org_scope(*both):
            assert visible_projects() == both

    def test_an_inner_scope_gives_way_to_the_outer_one(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            with org_scope(world.mallcorp.org.pk):
                assert visible_projects() == {world.mallcorp.org.pk}
            assert visible_projects() == {world.acme.org.pk}

    def test_an_error_closes_it_too(self, world: World) -> None:
        with pytest.raises(ZeroDivisionError), org_scope(world.acme.org.pk):
            raise ZeroDivisionError
        assert visible_projects() == set()

    def test_one_statement_sees_one_organisation(self, world: World) -> None:
        rows = run_in_org(world.acme.org.pk, "SELECT DISTINCT org_id FROM tenants_project WHERE name <> %s", ["%s"])
        assert rows == [(world.acme.org.pk,)]
        assert visible_projects() == set()
        with org_scope(world.mallcorp.org.pk):
            assert run_in_org(world.acme.org.pk, "SELECT DISTINCT org_id FROM tenants_project", []) == rows
            assert visible_projects() == {world.mallcorp.org.pk}

    def test_one_statement_is_a_transaction_of_its_own(self, committed_world: World) -> None:
        org = committed_world.acme.org
        assert run_in_org(org.pk, "SELECT DISTINCT org_id FROM tenants_project", []) == [(org.pk,)]
        assert visible_projects() == set()
        renamed = "UPDATE tenants_organization SET name = %s WHERE id = %s"
        assert run_in_org(str(org.pk), renamed, ["Acme", org.pk]) == []
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            run_in_org(org.pk, renamed, ["Elsewhere", org.pk])
            raise ZeroDivisionError
        with pytest.raises(DataError):
            run_in_org(org.pk, f"{renamed} AND 1 / (length(name) - length(name)) = 1", ["Nowhere", org.pk])
        assert run_in_org(org.pk, "SELECT name FROM tenants_organization", []) == [("Acme",)]

    def test_an_id_that_is_none_opens_nothing(self, world: World) -> None:
        with pytest.raises(ValueError, match="badly formed"), org_scope("x'} --"):
            pass
        assert visible_projects() == set()

    def test_the_setting_does_not_survive_the_transaction(self, committed_world: World) -> None:
        with transaction.atomic():
            enter_org(committed_world.acme.org.pk)
            assert visible_projects() == {committed_world.acme.org.pk}
        # The same connection, as the next request would find it in a pool.
        assert visible_projects() == set()
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('costhub.orgs', true), current_setting('costhub.user', true)")
            assert all(value in {None, ""} for value in cursor.fetchone())


class TestOrganisations:
    def test_a_member_comes_in_with_their_role(self, world: World) -> None:
        actor = access_org(world.ben, "acme")
        assert (actor.org, actor.role, actor.name, actor.user_id) == (
            world.acme.org,
            Role.DEVELOPER,
            "ben@acme.example",
            world.ben.pk,
        )
        assert visible_projects() == {world.acme.org.pk}

    def test_strangers_and_inventions_get_the_same_answer(self, world: World) -> None:
        messages = set()
        for slug in ("acme", "no-such-place"):
            with pytest.raises(NotFound) as caught:
                access_org(world.mallory, slug)
            messages.add(caught.value.message)
        assert messages == {"There is no such organisation."}
        assert visible_projects() == set()

    def test_an_inactive_organisation_is_closed(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            Organization.objects.filter(pk=world.acme.org.pk).update(is_active=False)
        with pytest.raises(NotFound):
            access_org(world.ada, "acme")
        assert list_memberships(world.ada) == []

    def test_memberships_are_listed_and_open_nothing(self, world: World) -> None:
        assert [membership.org for membership in list_memberships(world.ben)] == [world.acme.org]
        assert visible_projects() == set()
        close_scopes()


class TestRows:
    @pytest.mark.parametrize(
        "row_id", ["0198f7a2-5b1c-7d3e-8f40-1a2b3c4d5e6f", "", "x", "1" * 400, "a\x00b", "../keys"]
    )
    def test_unknown_and_malformed_ids_are_not_found(self, world: World, row_id: str) -> None:
        with org_scope(world.acme.org.pk), pytest.raises(NotFound, match=r"There is no such project\."):
            access_row(Project.objects.all(), world.acme.owner, row_id)

    def test_a_foreign_row_is_not_found_even_when_it_is_visible(self, world: World) -> None:
        with org_scope(world.acme.org.pk, world.mallcorp.org.pk), pytest.raises(NotFound):
            access_row(Project.objects.all(), world.mallcorp.owner, world.acme.project.pk)

    def test_an_own_row_is_found_by_id_or_name(self, world: World) -> None:
        rows, actor, project = Project.objects.all(), world.acme.owner, world.acme.project
        with org_scope(world.acme.org.pk):
            assert access_row(rows, actor, str(project.pk).upper()) == project
            assert access_named(rows, actor, "default", field="project") == project
            assert access_named(rows, actor, str(project.pk), field="project") == project
            with pytest.raises(NotFound) as caught:
                access_named(rows, actor, "other", field="project")
        assert caught.value.field == "project"

    def test_ids_are_read_leniently_and_never_raise(self) -> None:
        wanted = UUID("5b0d7c1e-0000-4000-8000-000000000001")
        assert find_uuid(str(wanted)) == wanted
        assert find_uuid("five") is None


class TestDoorsOfPrograms:
    def test_a_digest_leads_to_its_owner_and_no_further(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            token = AdminToken.objects.get()
        assert find_owner_of_digest("api_key", bytes(world.acme.key.digest)) == (world.acme.org.pk, world.acme.key.pk)
        assert find_owner_of_digest("admin_token", bytes(token.digest)) == (world.acme.org.pk, token.pk)
        assert find_owner_of_digest("admin_token", bytes(world.acme.key.digest)) is None
        assert ApiKey.objects.count() == 0

    def test_jobs_see_ids_and_versions_only(self, world: World) -> None:
        listed = {org_id: (shard, version) for org_id, shard, version in list_orgs()}
        assert listed[world.acme.org.pk] == (world.acme.org.shard, 2)
        assert listed[world.mallcorp.org.pk] == (world.mallcorp.org.shard, 2)
        assert list_org_ids() == list(listed)
        assert list_shards() == sorted({shard for shard, _ in listed.values()})
        assert visible_projects() == set()


R, RM, AM, WK, WM, WS, WP = (
    Permission.READ,
    Permission.READ_MONEY,
    Permission.ASK_MONEY,
    Permission.WRITE_KEYS,
    Permission.WRITE_MONEY,
    Permission.WRITE_SETTINGS,
    Permission.WRITE_MEMBERS,
)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.OWNER, {R, RM, AM, WK, WM, WS, WP}),
        (Role.ADMIN, {R, RM, AM, WK, WM, WS, WP}),
        (Role.FINANCE, {R, RM, AM, WM}),
        (Role.DEVELOPER, {R, RM, AM, WK}),
        (Role.VIEWER, {R}),
    ],
)
def test_what_each_role_may_do(role: Role, may: set[Permission]) -> None:
    assert PERMISSIONS[role] == may
    actor = Actor(Organization(name="Acme", created_at=datetime(2026, 1, 1, tzinfo=UTC)), role, "somebody")
    for permission in Permission:
        if permission in may:
            actor.check(permission)
        else:
            with pytest.raises(Forbidden) as caught:
                actor.check(permission)
            assert caught.value.message == f"A {role} may not do this: ask an owner or admin of Acme."


def test_every_role_has_its_line() -> None:
    assert set(PERMISSIONS) == set(Role)


def test_errors_carry_a_sentence_a_code_and_a_status() -> None:
    error: AppError = NotFound("There is no such key.", field="key")
    assert (error.code, error.http_status, error.message, error.field) == (
        "not_found",
        404,
        "There is no such key.",
        "key",
    )


def test_people_are_known_by_their_address_in_lower_case(world: World) -> None:
    assert User.objects.create_user("Carol@ACME.example").email == "carol@acme.example"
