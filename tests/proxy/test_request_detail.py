"""Who may ask what became of a call."""

import orjson

from tenants.access import org_scope
from tenants.actions.keys import create_key
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import chat, converse, make_known, running, serve
from tests.world import Tenant, World, make_catalog


def bind(tenant: Tenant, end_user: str) -> str:
    with org_scope(tenant.org_id):
        return create_key(actor=tenant.owner, name=f"of {end_user}", project=tenant.project, end_user=end_user).secret


async def test_a_key_of_an_end_user_is_told_of_that_ones_calls_alone(committed_world: World) -> None:
    acme = committed_world.acme

    def prepare() -> tuple[str, str]:
        make_catalog(acme, base_url="http://127.0.0.1:9/v1", input_per_million=None)
        return bind(acme, "una"), bind(acme, "bob")

    una, bob = await in_thread(prepare)
    await in_thread(lambda: make_known(acme))
    async with running() as app:
        asked = await serve(app, converse(una, chat()))
        request_id = asked.headers["x-request-id"]
        path = f"/v1/costhub/requests/{request_id}"
        found = [await serve(app, converse(key, path=path, method="GET")) for key in (una, acme.api_key, bob)]
        told = {"verdict": "right"}
        verdict = await serve(app, converse(bob, told, path=f"{path}/feedback"))
    assert asked.status == 402
    assert [one.status for one in found] == [200, 200, 404]
    assert (verdict.status, orjson.loads(verdict.body)["error"]["code"]) == (404, "request_not_found")
