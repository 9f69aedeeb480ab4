"""What Mallory gets for Acme's ids is what anybody gets for an id that was never given: the same bytes.

The table is the API's own OpenAPI document, so an endpoint that is added tomorrow is covered, or fails here until
``rows_of`` says what it is about.
"""

from decimal import Decimal
from uuid import uuid4

import pytest
import time_machine

from tenants.access import org_scope
from tenants.actions.end_users import create_end_user
from tenants.actions.endpoints import register_endpoint
from tenants.actions.price_adjustments import AdjustmentKind, adjust_list_price
from tenants.models import Membership
from tests.audit import read_audit
from tests.billing.alerts.examples import make_alerts
from tests.billing.invoices.examples import furnish_billing
from tests.billing.ledger import NOW, record_call
from tests.billing.outlook import store_anomaly
from tests.proxy.batches.rows import fill_batches
from tests.proxy.cache.rows import fill_cache
from tests.proxy.learning.rows import fill_learning
from tests.sampling import part
from tests.tenants.accounts.rows import make_account_rows
from tests.tenants.api.endpoints import Endpoint, endpoints, read_whole
from tests.tenants.route_examples import fill_routes
from tests.world import Api, World, make_budget, make_catalog, make_rate_limit

#: the ids of these are no tenant's
SHARED = {"list-prices"}
#: one of each organisation's own, which Mallcorp has not made; by resource or by path
NOT_YET = {"billing-account", "subscription", "/invoices/next"}
#: what there is for the installation's operator alone
OPERATORS = {"customers", "stripe-events"}
NO_IDS = ("x", "0", "%00", "a.b", "%ED%A0%80", "1" * 300, "00000000-0000-0000-0000-00000000000")
BY_ID = [endpoint for endpoint in endpoints() if endpoint.takes_id and endpoint.resource not in SHARED]
LISTS = [endpoint for endpoint in endpoints() if endpoint.method == "GET" and not endpoint.takes_id]


@pytest.fixture
def world(standing_world: World, db: None) -> World:
    return standing_world


@pytest.fixture
def rows(all_rows: dict[str, list[str]], db: None) -> dict[str, list[str]]:
    return all_rows


@pytest.fixture(scope="module")
def all_rows(standing_world: World) -> dict[str, list[str]]:
    """Ids and names of Acme's, by resource."""
    world = standing_world
    catalog, budget = make_catalog(world.acme), make_budget(world.acme, "10.00")
    assert catalog.price is not None
    with org_scope(world.acme.org.pk):
        end_user = create_end_user(actor=world.acme.owner, external_id="una")
        server = register_endpoint(
            actor=world.acme.owner, upstream=catalog.upstream, base_url="https://one.acme.example/v1"
        )
        change = adjust_list_price(
            actor=world.acme.owner, kind=AdjustmentKind.MARKUP, percent=Decimal(1), model=catalog.model
        )
        member, entry = Membership.objects.get(user=world.ben), read_audit(world.acme.org)[-1]
    return {
        "organizations": [world.acme.org_id],
        "members": [str(member.pk)],
        "projects": [str(world.acme.project.pk)],
        "keys": [str(world.acme.key.pk)],
        "end-users": [str(end_user.pk)],
        "upstreams": [str(catalog.upstream.pk), catalog.upstream.name],
        "upstream-endpoints": [str(server.pk)],
        "models": [str(catalog.model.pk), catalog.model.name],
        "prices": [str(catalog.price.pk)],
        "price-adjustments": [str(change.pk)],
        "budgets": [str(budget.pk)],
        "rate-limits": [str(make_rate_limit(world.acme, 10).pk)],
        "audit-log": [str(entry.pk)],
        "anomalies": [str(store_anomaly(world.acme).pk)],
        "requests": [str(record_call(world.acme, NOW).id)],
        "batches": [str(fill_batches(world.acme))],
        **furnish_billing(world.acme),
        **make_alerts(world.acme),
        **fill_cache(world.acme),
        **make_account_rows(world.acme),
        **fill_learning(world.acme),
        **fill_routes(world.acme),
    }


def test_the_table_is_not_empty() -> None:
    assert len(BY_ID) >= 20
    assert len(LISTS) >= 11


@pytest.mark.parametrize("endpoint", BY_ID, ids=str)
def test_a_foreign_id_is_an_unknown_id(world: World, rows: dict[str, list[str]], endpoint: Endpoint) -> None:
    mallory = Api(token=world.mallcorp.admin_token)
    unknown = mallory.send(endpoint.method, endpoint.path_of(str(uuid4())), {})
    assert (unknown.status_code, unknown["Content-Type"]) == (404, "application/problem+json")
    for row_id in rows[endpoint.resource]:
        foreign = mallory.send(endpoint.method, endpoint.path_of(row_id), {})
        assert (foreign.status_code, foreign.content) == (404, unknown.content)
        assert dict(foreign.headers) == dict(unknown.headers)


@pytest.mark.sampled
@pytest.mark.parametrize("endpoint", BY_ID, ids=str)
def test_so_is_an_id_that_is_none(world: World, endpoint: Endpoint) -> None:
    ada = Api(token=world.acme.admin_token)
    unknown = ada.send(endpoint.method, endpoint.path_of(str(uuid4())), {})
    for row_id in part(NO_IDS, BY_ID.index(endpoint)):
        malformed = ada.send(endpoint.method, endpoint.path_of(row_id), {})
        assert (malformed.status_code, malformed.content) == (404, unknown.content), row_id


@pytest.mark.parametrize("endpoint", LISTS, ids=str)
def test_lists_show_nothing_of_others(world: World, rows: dict[str, list[str]], endpoint: Endpoint) -> None:
    shown = Api(token=world.mallcorp.admin_token).get(endpoint.path)
    assert shown.status_code == (404 if {endpoint.resource, endpoint.path} & (NOT_YET | OPERATORS) else 200)
    content = read_whole(shown)
    for value in {value for values in rows.values() for value in values} - {"small"}:
        assert value.encode() not in content
    assert world.acme.org_id.encode() not in content


@pytest.mark.sampled
@pytest.mark.parametrize("endpoint", [endpoint for endpoint in LISTS if endpoint.resource not in SHARED], ids=str)
@time_machine.travel(NOW, tick=False)
def test_a_filter_by_a_foreign_id_is_a_filter_by_an_unknown_one(
    world: World, rows: dict[str, list[str]], endpoint: Endpoint
) -> None:
    mallory = Api(token=world.mallcorp.admin_token)
    foreign_ids = [values[0] for values in rows.values() if values]
    parameters = sorted({*endpoint.parameters} - {"limit", "cursor", "group_by", "format"})
    for turn, parameter in enumerate(parameters, LISTS.index(endpoint)):
        unknown = mallory.get(endpoint.path, **{parameter: str(uuid4())})
        assert unknown.status_code in {200, 400, 404}
        for row_id in part(foreign_ids, turn):
            foreign = mallory.get(endpoint.path, **{parameter: row_id})
            assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content)


@pytest.mark.parametrize(
    ("path", "body", "reference", "resource"),
    [
        ("/keys", {"name": "k"}, "project", "projects"),
        ("/models", {"name": "m"}, "upstream", "upstreams"),
        ("/prices", {"input_per_million": "1", "output_per_million": "1"}, "model", "models"),
        ("/budgets", {"scope": "project", "period": "day", "limit": "1"}, "subject", "projects"),
        ("/budgets", {"scope": "key", "period": "day", "limit": "1"}, "subject", "keys"),
        ("/budgets", {"scope": "model", "period": "day", "limit": "1"}, "subject", "models"),
        ("/rate-limits", {"scope": "key", "unit": "requests", "limit": 1, "window_seconds": 1}, "subject", "keys"),
    ],
)
def test_a_body_that_names_a_foreign_row_names_an_unknown_one(
    world: World, rows: dict[str, list[str]], path: str, body: dict[str, str], reference: str, resource: str
) -> None:
    mallory = Api(token=world.mallcorp.admin_token)
    unknown = mallory.post(path, body | {reference: str(uuid4())})
    assert unknown.status_code == 404
    for value in rows[resource]:
        foreign = mallory.post(path, body | {reference: value})
        assert (foreign.status_code, foreign.content) == (404, unknown.content)


def test_a_key_that_names_foreign_models_names_unknown_ones(world: World, rows: dict[str, list[str]]) -> None:
    mallory = Api(token=world.mallcorp.admin_token)
    unknown = mallory.post("/keys", {"name": "k", "models": [str(uuid4())]})
    assert unknown.status_code == 400
    for value in rows["models"]:
        assert mallory.post("/keys", {"name": "k", "models": [value]}).content == unknown.content


def test_a_signed_in_stranger_cannot_choose_an_organisation(world: World) -> None:
    strange = Api(user=world.mallory, org="acme").get("/keys")
    unknown = Api(user=world.mallory, org="no-such-place").get("/keys")
    assert (strange.status_code, strange.content) == (404, unknown.content)


def test_a_cursor_of_somebody_else_opens_nothing(world: World) -> None:
    ada, mallory = Api(token=world.acme.admin_token), Api(token=world.mallcorp.admin_token)
    cursor = ada.get("/audit-log", limit="1").json()["next"]
    assert world.acme.org_id not in str(mallory.get("/audit-log", cursor=cursor).json())
    actors = {entry["actor"] for entry in mallory.get("/audit-log", cursor=cursor).json()["data"]}
    assert actors <= {"operator@costhub.example"}


def test_one_clients_requests_do_not_open_the_next_ones(world: World) -> None:
    assert Api(token=world.acme.admin_token).get("/keys").status_code == 200
    assert Api().get("/keys").status_code == 401
