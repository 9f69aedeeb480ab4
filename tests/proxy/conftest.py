"""The proxy's tests: loopback is on the operator's list of networks, because the bank lives there. For
those who want it, a shard of Valkey, and an organisation that lives on it, for one test alone."""

from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.conf import settings as configured
from pytest_django.fixtures import Settings

from proxy.edges import catalog, counting
from proxy.edges.reserve_batch import RESERVE
from proxy.edges.settle_batch import SETTLE
from proxy.edges.valkey import Valkey
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.edges.entries import move_to
from tests.proxy.edges.till import Till, next_shard
from tests.world import Tenant, World


@pytest.fixture(autouse=True)
def _reach_loopback(settings: Settings) -> None:
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)


@pytest.fixture(autouse=True)
def _be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL answers and texts are counted, however slow the machine is; who has them hang sets a time of their
    own."""
    monkeypatch.setattr(catalog, "DATABASE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(counting, "DEADLINE_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    """An upstream of this test alone."""
    bank = Bank.start(tmp_path)
    yield bank
    bank.stop()


@pytest.fixture
def till() -> Iterator[Till]:
    """An open shard of this test alone, empty."""
    till = Till(next_shard())
    till.open()
    yield till
    till.lose_everything()


@pytest.fixture
def acme(committed_world: World, till: Till) -> Tenant:
    """Acme, committed, alone on the test's shard."""
    acme = committed_world.acme
    move_to(acme, till.shard)
    return acme


@pytest.fixture
async def valkey() -> AsyncIterator[Valkey]:
    """The hot path's connection, with the scripts that a tick gathers for."""
    valkey = Valkey(configured.REDIS_URL, [RESERVE, SETTLE], 2_000)
    await valkey.open()
    yield valkey
    await valkey.close()
