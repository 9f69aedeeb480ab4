"""A cascade from the demo's own small model, really loaded, to a dear one: what it is sure of it answers, what it is
not goes up, by the probabilities that it gives."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
from django.db import connections
from django.test import Client

from costhub.console.templatetags.amounts import exact_usd
from costhub.stack.model_server import MODEL, ModelServer
from proxy import tasks
from proxy.app import App
from tenants.access import org_scope
from tenants.actions.routes import create_route
from tenants.choices import Mode, RouteKind
from tenants.models import User
from tests.bank import Bank
from tests.proxy.cache.calls import call, written
from tests.proxy.in_process import chat, events_of
from tests.stack_fixtures import make_data_dir
from tests.world import Tenant, World, make_catalog

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    folder = make_data_dir()
    server = ModelServer(folder)
    try:
        server.start()
        server.wait_ready()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def acme(committed_world: World, bank: Bank, server: ModelServer) -> Tenant:
    acme = committed_world.acme
    make_catalog(acme, base_url=server.url, model="smol", upstream_model=MODEL, credential=None)
    make_catalog(acme, base_url=bank.base_url, model="dear", input_per_million="3", output_per_million="12")
    with org_scope(acme.org_id):
        create_route(
            actor=acme.owner,
            name="cheap-first",
            kind=RouteKind.CASCADE,
            mode=Mode.ON,
            targets=[{"model": "smol"}, {"model": "dear"}],
            holdout_percent=0,
        )
    return acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


def show(person: User, tenant: Tenant, ids: list[str]) -> list[str]:
    """The console's pages of calls, once the ledger has them."""
    try:
        tasks.drain_ledger()
        browser = Client()
        browser.force_login(person)
        found = [browser.get(f"/o/{tenant.org.slug}/requests/{id_}") for id_ in ids]
        assert {page.status_code for page in found} == {200}
        return [page.content.decode() for page in found]
    finally:
        connections.close_all()


async def test_what_it_is_sure_of_it_answers_and_the_rest_goes_up(
    app: App, acme: Tenant, bank: Bank, committed_world: World
) -> None:
    ada = committed_world.ada
    questions = ("What is the capital of France?", "Write one line of a poem about integrals and whales.")
    answers = []
    for question in questions:
        body = chat(model="cheap-first", messages=[{"role": "user", "content": question}], temperature=0, max_tokens=24)
        answers.append(await call(app, acme, body))
    await written(app)
    easy, hard = answers
    assert (easy.headers["x-costhub-model"], hard.headers["x-costhub-model"]) == ("smol", "dear")
    assert b"The capital of France is Paris." in easy.body
    assert float(easy.headers["x-costhub-confidence"]) > 0.8
    rows = {row["id"]: row for row in events_of(acme)}
    first, second = (rows[answer.headers["x-request-id"]] for answer in answers)
    assert first["savings"]["cascade"] > 0
    assert [attempt["model"] for attempt in second["attempts"]] == ["smol", "dear"]
    assert second["savings"] == {"cascade": -second["attempts"][0]["cost"]}
    assert len(bank.bill()) == 1
    assert first["attempts"][0]["confidence"] == easy.headers["x-costhub-confidence"]
    pages = await asyncio.to_thread(show, ada, acme, [first["id"], second["id"]])
    for row, page in zip((first, second), pages, strict=True):
        # Each rung with its model, what was thought of its answer, its cost and what it saved, and why.
        for attempt in row["attempts"]:
            assert f"<td>{attempt['model']}</td>" in page
            assert exact_usd(attempt["cost"]) in page
            assert exact_usd(sum(attempt["savings"].values())) in page
        assert row["attempts"][0]["judged"] in page
        assert "<li>route cheap-first v1 cascade: smol, rung 1 of 2</li>" in page
        assert page.count("Savings by mechanism") == 1
