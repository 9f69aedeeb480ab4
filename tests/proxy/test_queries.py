"""What a key may ask about itself."""

import asyncio

import orjson

from tenants.access import org_scope
from tenants.actions.models import update_model
from tenants.choices import RouteKind
from tests.proxy.in_process import converse, make_known, running, serve
from tests.tenants.route_examples import make_route
from tests.world import World, make_catalog


def test_a_models_last_day_is_told_where_it_is_known(committed_world: World) -> None:
    acme = committed_world.acme
    ending = make_catalog(acme)
    make_catalog(acme, model="lasting")
    with org_scope(acme.org_id):
        update_model(actor=acme.owner, model=ending.model, ends_on="2027-01-31")
    make_route(acme, RouteKind.FIXED, ("small",))
    make_known(acme)

    async def ask(path: str) -> dict[str, object]:
        async with running() as app:
            answer = await serve(app, converse(acme.api_key, path=path, method="GET"))
            assert answer.status == 200, answer.body
            found: dict[str, object] = orjson.loads(answer.body)
            return found

    listed = asyncio.run(ask("/v1/models"))["data"]
    assert isinstance(listed, list)
    assert {one["id"]: one["ends_on"] for one in listed} == {
        "small": "2027-01-31",
        "lasting": None,
        # Who ends is the model, and a route may be given another one.
        "smart": None,
    }
    for name, day in (("small", "2027-01-31"), ("lasting", None)):
        assert asyncio.run(ask(f"/v1/models/{name}"))["ends_on"] == day
