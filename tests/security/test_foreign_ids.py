"""Whoever asks for what is another organisation's, in whichever role: the answer is the one for what was never there,
and nothing has happened. The owner's turn is in ``tests/tenants/api/test_tenancy.py``."""

import re
from typing import Final
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection, transaction

from tenants.access import org_scope
from tenants.actions.end_users import create_end_user
from tenants.actions.orgs import create_admin_token
from tenants.choices import Role
from tests.billing.alerts.examples import make_alerts
from tests.proxy.learning.rows import fill_learning
from tests.sampling import part
from tests.tenants.accounts.rows import make_account_rows
from tests.tenants.api.endpoints import Endpoint, endpoints
from tests.tenants.api.test_tenancy import BY_ID, all_rows
from tests.tenants.route_examples import fill_routes
from tests.world import Api, Tenant, World, make_budget, make_catalog

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


#: how a description says that a field names a row
_NAMES_A_ROW: Final = re.compile(
    r"\bby id\b|, by (?:name|the organisation's name)|^names of the models|^the models? (?:that|whose|or route)"
    r"|^a model or route|^the service account"
)
_AN_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def references(endpoint: Endpoint) -> dict[str, bool]:
    """The fields of a body that name rows, by the API's own document, and whether each is a list of them."""
    found = {}
    for name, schema in endpoint.fields.items():
        kinds = {schema["type"]} if isinstance(schema.get("type"), str) else set(schema.get("type", ()))
        if kinds & {"string", "array"} and _NAMES_A_ROW.search(schema.get("description", "")):
            found[name] = "array" in kinds
    return found


WITH_REFERENCES: list[Endpoint] = [endpoint for endpoint in endpoints() if references(endpoint)]


@pytest.fixture(scope="module")
def mallcorps(standing_world: World, all_rows: dict[str, list[str]]) -> list[str]:
    """Ids, and names that nobody else has, of rows of Mallcorp's of many kinds."""
    tenant = standing_world.mallcorp
    catalog, budget = make_catalog(tenant, model="mallcorps-own"), make_budget(tenant, "10.00")
    with org_scope(tenant.org.pk):
        user = create_end_user(actor=tenant.owner, external_id="mallcorps-una")
    rows = (tenant.project, tenant.key, catalog.upstream, catalog.model, budget, user)
    others = {**make_alerts(tenant), **make_account_rows(tenant), **fill_learning(tenant), **fill_routes(tenant)}
    shared = {value for values in all_rows.values() for value in values}
    ids = [str(row.pk) for row in rows] + ["mallcorps-own"] + [value for values in others.values() for value in values]
    return [value for value in ids if value not in shared]


def test_the_document_tells_which_fields_name_rows() -> None:
    found = {name for endpoint in WITH_REFERENCES for name in references(endpoint)}
    assert found >= {"project", "projects", "upstream", "model", "models", "fallbacks", "budget", "channels", "version"}
    assert found >= {"subject", "key", "dataset", "route", "service_account", "invoice", "baseline", "teacher"}
    assert not found & {"name", "amount", "limit", "reason", "base_url"}


@pytest.mark.sampled
@pytest.mark.parametrize("endpoint", WITH_REFERENCES, ids=str)
def test_a_body_that_names_a_foreign_row_names_an_unknown_one(
    world: World, all_rows: dict[str, list[str]], mallcorps: list[str], endpoint: Endpoint
) -> None:
    """Whatever else is in it: the document's own examples."""
    ada, turn = Api(token=world.acme.admin_token), WITH_REFERENCES.index(endpoint)
    path = endpoint.path_of(all_rows[endpoint.resource][0]) if endpoint.takes_id else endpoint.path
    examples = {name: schema["examples"][0] for name, schema in endpoint.fields.items() if "examples" in schema}

    def ask(field: str, value: str, *, is_list: bool) -> tuple[int, bytes]:
        with transaction.atomic():
            answer = ada.send(endpoint.method, path, examples | {field: [value] if is_list else value})
            transaction.set_rollback(True)
        return answer.status_code, answer.content.replace(value.encode(), b"?")

    for field, is_list in references(endpoint).items():
        for foreign in part(mallcorps, turn):
            unknown = str(uuid4()) if _AN_ID.fullmatch(foreign) else "nobodys-own"
            theirs, nobodys = (ask(field, value, is_list=is_list) for value in (foreign, unknown))
            assert theirs[0] == nobodys[0], (field, foreign, theirs, nobodys)
            # Where it is no reference but a text, such as a tag's value, both are taken.
            assert theirs[0] < 400 or theirs == nobodys, (field, foreign)


def test_a_digest_tells(world: World, all_rows: dict[str, list[str]]) -> None:
    before = digest_of(world.acme)
    assert Api(token=world.acme.admin_token).post("/projects", {"name": "new"}).status_code == 201
    changed = {name for name, digest in digest_of(world.acme).items() if digest != before[name]}
    assert {"tenants_project", "tenants_auditentry"} <= changed
