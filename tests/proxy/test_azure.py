"""Azure's older addresses: a path a deployment, the version of the API in the query, the key in a header of its own."""

import orjson
import pytest

from tenants.access import org_scope
from tenants.actions.upstreams import prepare_probe, update_upstream
from tenants.upstream_headers import locate
from tests.bank import Bank, answer_text
from tests.proxy.in_process import chat, converse, make_known, running, serve
from tests.world import Tenant, World, make_catalog

OLD = "https://acme.openai.azure.com/openai/deployments?api-version=2024-10-21"
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """With the model small at a deployment of its own name."""
    acme = committed_world.acme
    base_url = bank.base_url.replace("/v1", "/openai/deployments?api-version=2024-10-21")
    catalog = make_catalog(acme, base_url=base_url, credential=KEY, upstream_model="gpt-4o/mini")
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path="/bill")
        probe = prepare_probe(actor=acme.owner, upstream=catalog.upstream)
    assert (probe.url, probe.headers) == (
        bank.base_url.replace("/v1", "/openai/models?api-version=2024-10-21"),
        {"accept": "application/json", "api-key": KEY},
    )
    make_known(acme)
    return acme


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_call_goes_to_the_deployment_of_its_model(acme: Tenant, bank: Bank, is_stream: bool) -> None:
    async with running() as app:
        answer = await serve(app, converse(acme.api_key, chat(stream=is_stream)))
    assert answer.status == 200
    if not is_stream:
        assert orjson.loads(answer.body)["choices"][0]["message"]["content"] == answer_text()
    (arrived,) = [request for request in bank.requests() if request.method == "POST"]
    assert arrived.target == "/openai/deployments/gpt-4o%2Fmini/chat/completions?api-version=2024-10-21"
    assert (arrived.header("api-key"), arrived.header("authorization")) == (KEY, None)


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        (OLD, "gpt-4o/embeddings"),
        ("https://acme.openai.azure.com/openai/deployments/other?api-version=2024-10-21", "embeddings"),
        ("https://acme.openai.azure.com/openai/v1?api-version=preview", "embeddings"),
        ("https://api.example/deployments", "embeddings"),
    ],
)
def test_only_below_deployments_each_model_has_a_path(base_url: str, path: str) -> None:
    assert locate(base_url, "gpt-4o", "embeddings") == path
