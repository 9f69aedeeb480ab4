"""Answers that callers asked to have kept, where that cannot be done: they are given all the same."""

from collections.abc import AsyncIterator

import pytest

from proxy.app import App
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tests.bank import Bank
from tests.proxy.cache.calls import call, written
from tests.proxy.edges.test_capture import lose_data_key
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import chat, events_of
from tests.world import Tenant, World, make_catalog


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, which keeps answers, and whose data key has just gone."""
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url, credential=None)
    with org_scope(acme.org_id):
        update_organization(actor=acme.owner, answers_kept_hours=24)
    return acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_one_that_cannot_be_sealed_is_given(app: App, acme: Tenant, *, stream: bool) -> None:
    await in_thread(lambda: lose_data_key(acme))
    answer = await call(app, acme, chat(store=True, stream=stream))
    await written(app)
    assert answer.status == 200
    assert (b"[DONE]" if stream else b"the river runs") in answer.body
    assert b"internal_error" not in answer.body
    (row,) = events_of(acme)
    assert (row["status"], row["error_code"]) == (200, "")
