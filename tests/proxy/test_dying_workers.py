"""kill -9 of a worker at every await of a call, by name: whatever had happened by then, the ledger is the bank's
bill."""

import asyncio
from collections.abc import Iterator

import pytest

from costhub.lib import failpoints
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import assert_balanced
from tests.proxy.deployment import Deployment
from tests.proxy.failpoints import (
    CALLS,
    CLIENTS,
    IN_BATCHES,
    IN_BILLING,
    IN_RETENTION,
    IN_THE_JOBS,
    IN_THE_PROXY,
    WHERE_BATCHES_COME,
    WHERE_BATCHES_GO,
    Mortal,
    acme,
    deploy_mortal,
)
from tests.proxy.load import Outcome, call_all, make_bodies
from tests.world import Tenant

__all__ = ["acme"]

#: calls that are never answered, so that they are in flight whenever a worker dies
HELD = 2
#: At which visit it dies. The calls that are held make the first two connections, so whoever comes next makes the
#: third, and so many settles of one turn of the loop go together at most that there are three.
VISIT = 3


def test_every_place_has_its_turn() -> None:
    in_batches = {*WHERE_BATCHES_COME, *WHERE_BATCHES_GO, *IN_BATCHES}
    assert {*IN_THE_PROXY, *IN_THE_JOBS, *in_batches, *IN_BILLING, *IN_RETENTION} == set(failpoints.NAMES)
    assert CALLS > (VISIT - 1) * CLIENTS


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Mortal]:
    """One for all places: whoever died is followed by another."""
    with deploy_mortal(tmp_path_factory.mktemp("dying")) as mortal:
        yield mortal


@pytest.mark.parametrize("place", IN_THE_PROXY)
def test_a_worker_dies(place: str, acme: Tenant, bank: Bank, mortal: Mortal) -> None:
    mortal.dies_at(place, VISIT)
    outcomes = asyncio.run(call_with_some_held(mortal.proxy, acme, bank))
    assert not any(outcome.is_whole for outcome in outcomes), "nobody noticed a death"
    assert_balanced(acme, bank)


async def call_with_some_held(proxy: Deployment, acme: Tenant, bank: Bank) -> list[Outcome]:
    """All the calls, and before them those that are held. Gives how these ended."""
    bodies = make_bodies(HELD, "small", seed=2, bank={"fault": "slow_headers"})
    held = asyncio.create_task(call_all(proxy.base_url, acme.api_key, bodies, clients=HELD))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(await asyncio.to_thread(bank.calls_received)) < HELD:
            await asyncio.sleep(0.01)
    await call_all(proxy.base_url, acme.api_key, make_bodies(CALLS, "small"), clients=CLIENTS)
    return await held
