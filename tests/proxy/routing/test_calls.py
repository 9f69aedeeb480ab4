"""Calls of routes through the whole application: what callers see, what the ledger says, what models' budgets hold."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from proxy.app import App
from tenants.access import org_scope
from tenants.actions.keys import create_key
from tenants.actions.routes import update_route
from tenants.choices import BudgetScope, Mode, RouteKind
from tenants.models import Route
from tests.bank import Bank
from tests.proxy.cache.calls import call, make_policy, told, written
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, chat, converse, events_of, serve
from tests.tenants.route_examples import make_models, make_route
from tests.world import Tenant, World, make_budget

HARD = "Explain why the sky is blue and compare it with the sky of Mars."


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    make_models(committed_world.acme, base_url=bank.base_url)
    make_route(committed_world.acme, RouteKind.ROUTER)
    return committed_world.acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


def ask(text: str, **fields: Any) -> dict[str, Any]:
    return chat(model="smart", messages=[{"role": "user", "content": text}], **fields)


async def answered(app: App, tenant: Tenant, body: dict[str, Any], **headers: str) -> Conversation:
    answer = await call(app, tenant, body, **headers)
    assert answer.status == 200, answer.body
    await written(app)
    return answer


async def test_a_router_sends_each_prompt_where_its_looks_say(app: App, acme: Tenant) -> None:
    easy, hard = [await answered(app, acme, ask(text)) for text in ("Hi there", HARD)]
    assert [one.headers["x-costhub-model"] for one in (easy, hard)] == ["small", "large"]
    assert easy.headers["x-costhub-route"] == "route smart v1 router: small, it looks simple"
    rows = {row["id"]: row for row in events_of(acme)}
    cheap, dear = rows[easy.headers["x-request-id"]], rows[hard.headers["x-request-id"]]
    assert (cheap["request_model"], cheap["attempts"][0]["model"]) == ("smart", "small")
    # twenty times the price of the small one is what it would have been
    assert cheap["list_cost"] == cheap["effective_cost"] * 20
    assert cheap["savings"] == {"routing": cheap["list_cost"] - cheap["effective_cost"]}
    assert (dear["savings"], dear["list_cost"]) == ({}, dear["effective_cost"])


async def test_routes_are_listed_beside_models(app: App, acme: Tenant) -> None:
    listed = await serve(app, converse(acme.api_key, path="/v1/models", method="GET"))
    assert [model["id"] for model in orjson.loads(listed.body)["data"]] == ["large", "middle", "small", "smart"]
    one = await serve(app, converse(acme.api_key, path="/v1/models/smart", method="GET"))
    assert orjson.loads(one.body)["object"] == "model"
    estimate = await call(app, acme, ask("Hi"), path="/v1/costhub/estimate")
    plan = orjson.loads(estimate.body)["plan"]
    assert (plan["route"]["kind"], [one["model"] for one in plan["candidates"]]) == ("router", ["small", "large"])


async def test_a_header_names_the_route_in_place_of_the_model(app: App, acme: Tenant) -> None:
    """As if it stood in the body: price, budgets and row are those of the route's call."""
    asked = {"model": "large", "messages": [{"role": "user", "content": "Hi there"}]}
    answer = await answered(app, acme, asked, x_costhub_route="smart")
    assert answer.headers["x-costhub-model"] == "small"
    assert answer.headers["x-costhub-route"] == "route smart v1 router: small, it looks simple"
    (row,) = events_of(acme)
    assert (row["request_model"], row["list_cost"]) == ("smart", row["effective_cost"] * 20)
    messages = {"model": "nowhere", "max_tokens": 20, "messages": [{"role": "user", "content": HARD}]}
    answer = await call(app, acme, messages, path="/v1/messages", x_costhub_route="smart")
    assert (answer.status, answer.headers["x-costhub-model"]) == (200, "large")
    for name in ("nowhere", "large", ""):
        refused = await call(app, acme, asked, x_costhub_route=name)
        assert (refused.status, orjson.loads(refused.body)["error"]["param"]) == (400, "x-costhub-route")
    estimate = await call(app, acme, asked, path="/v1/costhub/estimate", x_costhub_route="smart")
    assert orjson.loads(estimate.body)["model"] == "small"


async def test_a_header_that_would_be_lost_on_the_way_is_refused(app: App, acme: Tenant) -> None:
    batch = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    late = {"x_costhub_route": "smart", "x_costhub_deadline": "2h"}
    for answer in (
        await call(app, acme, batch, path="/v1/batches", x_costhub_route="smart"),
        await call(app, acme, chat(model="small"), **late),
    ):
        assert (answer.status, orjson.loads(answer.body)["error"]["param"]) == (400, "x-costhub-route")


async def test_bodies_of_every_format_are_priced_before_they_are_sent(app: App, acme: Tenant) -> None:
    async def estimate(query: str = "", **body: Any) -> dict[str, Any]:
        answer = await call(app, acme, {"model": "small"} | body, path=f"/v1/costhub/estimate{query}")
        found: dict[str, Any] = orjson.loads(answer.body)
        # The most that a try may cost is bounded by the body's bytes, of which no format has as many as another.
        found.pop("plan", None)
        return found

    system = {"role": "system", "content": "Be brief."}
    asked = [{"role": "user", "content": HARD}]
    chat_ = await estimate(messages=[system, *asked], max_tokens=20)
    assert (chat_["max_output_tokens"], chat_["input_tokens"] > 15) == (20, True)
    items = [{"role": "user", "content": [{"type": "input_text", "text": HARD}]}]
    for same in (
        await estimate(messages=asked, system="Be brief.", max_tokens=20),
        await estimate(input=HARD, instructions="Be brief.", max_output_tokens=20),
        await estimate(input=items, instructions="Be brief.", max_output_tokens=20),
    ):
        assert same == chat_
    # A bare input is an embedding's, unless somebody says what it is.
    assert (await estimate(input=HARD))["max_output_tokens"] == 0
    assert (await estimate("?endpoint=responses", input=HARD))["max_output_tokens"] > 0
    refused = await estimate(input=HARD, previous_response_id="resp_1")
    assert refused["error"]["param"] == "previous_response_id"
    assert (await estimate("?endpoint=images/edits", input=HARD))["error"]["param"] == "endpoint"


async def test_a_models_budget_and_a_keys_models_hold_what_a_route_chooses(app: App, acme: Tenant) -> None:
    def narrow() -> str:
        make_budget(acme, "0.000001", scope=BudgetScope.MODEL, subject="small")
        with org_scope(acme.org_id):
            return create_key(actor=acme.owner, name="large only", models=["large"]).secret

    secret = await in_thread(narrow)
    await told(app, acme)
    refused = await call(app, acme, ask("Hi there", max_tokens=100))
    assert (refused.status, b"budget of the model small" in refused.body) == (402, True)
    served = await serve(app, converse(secret, ask("Hi there", max_tokens=100)))
    assert (served.status, served.headers["x-costhub-model"]) == (200, "large")
    await written(app)


async def test_a_change_of_the_route_reaches_the_next_call(app: App, acme: Tenant) -> None:
    def turn_off() -> None:
        with org_scope(acme.org_id):
            update_route(actor=acme.owner, route=Route.objects.get(org=acme.org), mode=Mode.OFF)

    assert (await answered(app, acme, ask("Hi"))).headers["x-costhub-model"] == "small"
    await in_thread(turn_off)
    await told(app, acme)
    answer = await answered(app, acme, ask("Hi"))
    assert answer.headers["x-costhub-route"] == "route smart v2 off: large"


async def test_a_routes_answers_are_cached_by_the_model_that_gave_them(app: App, acme: Tenant) -> None:
    await in_thread(lambda: make_policy(acme))
    await told(app, acme)
    first, second = await answered(app, acme, ask("Hi")), await answered(app, acme, ask("Hi"))
    assert [one.headers["x-costhub-cache"] for one in (first, second)] == ["miss", "hit-l1"]
    row = next(row for row in events_of(acme) if row["id"] == second.headers["x-request-id"])
    assert row["savings"] == {"cache": row["list_cost"]}
    direct = await answered(app, acme, ask("Hi") | {"model": "small"})
    assert direct.headers["x-costhub-cache"] == "miss"
