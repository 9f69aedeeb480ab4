"""Whoever asks for what is another organisation's, in whichever role: the answer is the one for what was never there,
and nothing has happened. The owner's turn is in ``tests/tenants/api/test_tenancy.py``."""

from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection

from tenants.access import org_scope
from tenants.actions.orgs import create_admin_token
from tenants.choices import Role
from tests.sampling import part
from tests.tenants.api.test_tenancy import BY_ID, all_rows
from tests.world import Api, Tenant, World

__all__ = ["all_rows"]

ROLES: list[Role] = [role for role in Role if role is not Role.OWNER]


@pytest.fixture
def world(standing_world: World, db: None) -> World:
    return standing_world


def digest_of(tenant: Tenant) -> dict[str, str]:
    """A digest of the organisation's rows of every table."""
    found = {}
    names = {
        model._meta.db_table
        for model in apps.get_models()
        if any(field.column == "org_id" for field in model._meta.concrete_fields)
    }
    with org_scope(tenant.org.pk), connection.cursor() as cursor:
        for name in names:
            cursor.execute(
                f"SELECT md5(coalesce(string_agg(mine::text, chr(10) ORDER BY mine::text), '')) FROM \"{name}\" mine"
                " WHERE org_id = %s",
                [tenant.org.pk],
            )
            found[name] = str(cursor.fetchone()[0])
    return found


@pytest.mark.sampled
@pytest.mark.parametrize("role", ROLES)
def test_no_role_learns_of_another_organisations_row_or_touches_it(
    world: World, all_rows: dict[str, list[str]], role: Role
) -> None:
    with org_scope(world.mallcorp.org.pk):
        token = create_admin_token(actor=world.mallcorp.owner, name=f"a {role}'s", role=role)
    mallory, before = Api(token=token), digest_of(world.acme)
    asked = 0
    for endpoint in part(BY_ID, ROLES.index(role)):
        unknown = mallory.send(endpoint.method, endpoint.path_of(str(uuid4())), {})
        assert unknown.status_code in {403, 404}, (endpoint, unknown.status_code)
        for row_id in all_rows[endpoint.resource]:
            foreign = mallory.send(endpoint.method, endpoint.path_of(row_id), {})
            assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content), endpoint
            assert dict(foreign.headers) == dict(unknown.headers), endpoint
            asked += 1
    assert asked >= 20
    assert digest_of(world.acme) == before


def test_a_digest_tells(world: World, all_rows: dict[str, list[str]]) -> None:
    before = digest_of(world.acme)
    assert Api(token=world.acme.admin_token).post("/projects", {"name": "new"}).status_code == 201
    changed = {name for name, digest in digest_of(world.acme).items() if digest != before[name]}
    assert {"tenants_project", "tenants_auditentry"} <= changed
