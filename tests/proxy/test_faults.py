"""Whatever the upstream does wrong, the ledger is the bank's bill: to the nano, call by call, one row each.

Where CostHub cannot know how far a call got, it asks the bank. test_deaths.py has what happens when parts of CostHub
die or hang.
"""

import asyncio
import random
from collections.abc import Iterator

import pytest

from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tests.bank import Bank
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.faults import EVERY_FAULT
from tests.proxy.load import call_all, make_bodies
from tests.proxy.scene import BILL_PATH, CALLS, Scene, acme
from tests.sampling import IS_WHOLE
from tests.world import Tenant, make_catalog

__all__ = ["acme"]

#: calls of each fault, whole ones and streams
EACH = 60 if IS_WHOLE else 24


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    """Two workers for all: each organisation has upstreams, habits and cool-downs of its own."""
    with deploy(tmp_path_factory.mktemp("faults"), workers=2) as proxy:
        yield proxy


@pytest.fixture
def scene(acme: Tenant, bank: Bank, proxy: Deployment) -> Scene:
    return Scene(acme, bank, proxy)


def test_nothing_breaks(scene: Scene) -> None:
    outcomes = scene.run()
    assert {outcome.status for outcome in outcomes} == {200}
    books = scene.balance(CALLS)
    assert len(books.rows) == CALLS
    assert not any(row.is_estimated for row in books.rows)


@pytest.mark.sampled
@EVERY_FAULT
def test_the_upstream_misbehaves_every_third_time(scene: Scene, fault: dict[str, object]) -> None:
    bodies = list(make_bodies(EACH, "small"))
    for body in bodies[::3]:
        body["bank"] |= fault
    asyncio.run(call_all(scene.proxy.base_url, scene.acme.api_key, iter(bodies), clients=16))
    books = scene.balance(EACH)
    assert len(books.rows) - books.corrections == EACH


def test_the_upstream_stalls(scene: Scene) -> None:
    impatient = make_catalog(scene.acme, base_url=scene.bank.base_url, model="impatient").upstream
    with org_scope(scene.acme.org_id):
        update_upstream(actor=scene.acme.owner, upstream=impatient, bill_path=BILL_PATH, timeout_ms=6_000)
    bodies = list(make_bodies(30, "small"))
    for body in bodies[::3]:
        body["bank"] |= {"fault": "stall", "at": 2}
        body |= {"model": "impatient", "stream": True}
    outcomes = asyncio.run(call_all(scene.proxy.base_url, scene.acme.api_key, iter(bodies), clients=30))
    assert sum(outcome.error_code == "upstream_timeout" for outcome in outcomes) == 10
    scene.balance(30)


def test_callers_leave_at_a_random_byte(scene: Scene) -> None:
    chance = random.Random(7)
    leaving = {number: chance.randint(1, 4_000) for number in range(0, CALLS, 2)}
    scene.run(leave_after=leaving.get)
    scene.balance(0)
