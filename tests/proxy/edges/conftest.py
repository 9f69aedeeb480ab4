"""A shard of Valkey, and an organisation that lives on it, for one test alone."""

from collections.abc import AsyncIterator, Iterator

import pytest
from django.conf import settings

from proxy.edges.reserves import RESERVE
from proxy.edges.settles import SETTLE
from proxy.edges.valkey import Valkey
from tests.proxy.edges.entries import move_to
from tests.proxy.edges.till import Till, next_shard
from tests.world import Tenant, World


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
    valkey = Valkey(settings.REDIS_URL, [RESERVE, SETTLE], 2_000)
    await valkey.open()
    yield valkey
    await valkey.close()
