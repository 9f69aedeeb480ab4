"""kill -9 of a worker at every await of a call, by name: whatever had happened by then, the ledger is the bank's
bill."""

import asyncio
from pathlib import Path

import pytest

from costhub.lib import failpoints
from tests.bank import Bank
from tests.proxy.books import assert_balanced
from tests.proxy.deployment import deploy
from tests.proxy.failpoints import CALLS, CLIENTS, IN_BILLING, IN_RETENTION, IN_THE_JOBS, IN_THE_PROXY, acme
from tests.proxy.load import call_all, make_bodies
from tests.world import Tenant

__all__ = ["acme"]


def test_every_place_has_its_turn() -> None:
    assert {*IN_THE_PROXY, *IN_THE_JOBS, *IN_BILLING, *IN_RETENTION} == set(failpoints.NAMES)


@pytest.mark.parametrize("place", IN_THE_PROXY)
def test_a_worker_dies(place: str, acme: Tenant, bank: Bank, tmp_path: Path) -> None:
    with deploy(tmp_path, COSTHUB_FAILPOINT=f"{place}:5") as proxy:
        outcomes = asyncio.run(call_all(proxy.base_url, acme.api_key, make_bodies(CALLS, "small"), clients=CLIENTS))
        assert any(not outcome.is_whole for outcome in outcomes), "nobody noticed a death"
    assert_balanced(acme, bank)
