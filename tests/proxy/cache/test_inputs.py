"""Embeddings, kept input by input."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.app import App
from tenants.access import org_scope
from tenants.actions.cache import update_cache_policy
from tenants.models import CachePolicy
from tests.bank import Bank
from tests.proxy.cache.calls import make_policy, told, written
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, converse, events_of, serve
from tests.world import Tenant, World, make_catalog

PATH = "/v1/embeddings"


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, whose embeddings cost a dollar a million tokens."""
    make_catalog(committed_world.acme, base_url=bank.base_url, model="vectors", input_per_million="1")
    make_policy(committed_world.acme)
    return committed_world.acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


async def embed(app: App, tenant: Tenant, inputs: Any, **fields: Any) -> Conversation:
    return await serve(app, converse(tenant.api_key, {"model": "vectors", "input": inputs, **fields}, path=PATH))


def data_of(answer: Conversation) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    data: list[dict[str, Any]] = json.loads(answer.body)["data"]
    return data


async def test_of_a_hundred_texts_with_ninety_known_ten_are_sent(app: App, acme: Tenant, bank: Bank) -> None:
    texts = [f"text number {number}" for number in range(100)]
    whole = await embed(app, acme, texts)
    fresh = [*texts[:45], *(f"new {number}" for number in range(10)), *texts[45:90]]
    sent_before = await in_thread(lambda: len(bank.calls_received()))
    partial = await embed(app, acme, fresh)
    again = await embed(app, acme, fresh)
    sent = (await in_thread(bank.calls_received))[sent_before:]
    assert [each.json["input"] for each in sent] == [[f"new {number}" for number in range(10)]]
    assert [each.headers["x-costhub-cache"] for each in (whole, partial, again)] == ["miss", "partial", "hit-l1"]
    vectors = [item["embedding"] for item in data_of(whole)]
    assert [item["index"] for item in data_of(partial)] == list(range(100))
    merged = [item["embedding"] for item in data_of(partial)]
    assert merged[:45] + merged[55:] == vectors[:90]
    assert data_of(again) == data_of(partial)
    assert json.loads(again.body)["usage"] == json.loads(partial.body)["usage"]
    await written(app)
    rows = {row["id"]: row for row in events_of(acme)}
    first, second, third = (rows[each.headers["x-request-id"]] for each in (whole, partial, again))
    assert first["savings"] == {}
    # 90 of the 100 known texts were three words each; the new ones have two
    tokens = json.loads(partial.body)["usage"]["prompt_tokens"]
    assert second["list_cost"] == tokens * 1_000 == second["effective_cost"] + second["savings"]["cache"]
    assert second["effective_cost"] == second["input_tokens"] * 1_000
    assert (third["list_cost"], third["effective_cost"]) == (tokens * 1_000, 0)
    assert third["savings"] == {"cache": tokens * 1_000}


async def test_spellings_of_one_input(app: App, acme: Tenant) -> None:
    statuses = [
        (await embed(app, acme, inputs, **fields)).headers["x-costhub-cache"]
        for inputs, fields in (
            ("one", {}),
            (["one"], {}),
            (["one", "one"], {"encoding_format": "float"}),
            ("one", {"encoding_format": "base64"}),
            ("one", {"dimensions": 4}),
            ([1, 2], {}),
            ([[1, 2], [3]], {}),
        )
    ]
    assert statuses == ["miss", "hit-l1", "hit-l1", "miss", "miss", "miss", "partial"]


async def test_a_call_that_chance_holds_out_has_all_of_its_inputs_asked(app: App, acme: Tenant, bank: Bank) -> None:
    def hold_out() -> None:
        with org_scope(acme.org_id):
            policy = CachePolicy.objects.get(org=acme.org)
            update_cache_policy(actor=acme.owner, policy=policy, holdout_percent=50)

    await in_thread(hold_out)
    await told(app, acme)
    found = Counter([(await embed(app, acme, ["one", "two"])).headers["x-costhub-cache"] for _ in range(40)])
    assert found.keys() <= {"held-out", "hit-l1", "miss"}
    assert 0 < found["held-out"] < 40
    asked = [request.json["input"] for request in await in_thread(bank.calls_received)]
    assert asked == [["one", "two"]] * (found["held-out"] + found["miss"])


async def test_a_failure_keeps_nothing(app: App, acme: Tenant) -> None:
    body = {"bank": {"fault": "http_error", "status": 400}}
    assert (await embed(app, acme, "one", **body)).status == 400
    assert (await embed(app, acme, "one", **body)).status == 400
