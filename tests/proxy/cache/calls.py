"""Calls through the whole application, in this process, of an organisation with a cache policy."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final
from unittest.mock import patch

from costhub.lib import keyspace
from costhub.lib.redis import client
from proxy.app import App
from proxy.cache.coalesce import Flights
from tenants.access import org_scope
from tenants.actions.cache import create_cache_policy, purge_cache
from tenants.choices import CacheMode, CacheSharing, PurgeKind
from tenants.models import CachePolicy, CachePurge
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, until
from tests.proxy.in_process import Conversation, converse, serve
from tests.world import Tenant

Body = dict[str, Any]
#: what the bank is told: an answer waits so long before its first byte, unless it may go sooner
HELD: Final = {"first_ms": 250_000}


def make_policy(tenant: Tenant, mode: CacheMode = CacheMode.ON, **fields: Any) -> CachePolicy:
    """A policy of every model, whose answers all of the organisation may get."""
    with org_scope(tenant.org.pk):
        given: dict[str, Any] = {"sharing": CacheSharing.ORGANIZATION, "holdout_percent": 0} | fields
        return create_cache_policy(actor=tenant.owner, mode=mode, **given)


def purge(tenant: Tenant, kind: PurgeKind = PurgeKind.ALL, **fields: Any) -> CachePurge:
    """Give up what the organisation's cache has."""
    with org_scope(tenant.org.pk):
        return purge_cache(actor=tenant.owner, kind=kind, **fields)


async def call(app: App, tenant: Tenant, body: Body, **headers: str) -> Conversation:
    """One call, from its key to its last byte."""
    return await serve(app, converse(tenant.api_key, body, **headers))


async def call_together(
    apps: Sequence[App], count: int, make: Callable[[App], Coroutine[Any, Any, Conversation]], bank: Bank
) -> list[Conversation]:
    """So many equal calls of each application at once. The bank, which was told to hold its answer, lets it go when all
    of them wait for it."""
    joined: list[bytes] = []
    for app in apps:
        assert app._edges is not None
        _note_joins(app._edges.cache.flights, joined)
    calls = [asyncio.create_task(make(app)) for app in apps for _ in range(count)]

    def all_wait() -> bool:
        are_in = len(joined) == len(calls)
        # Another worker waits by way of Valkey.
        return are_in and (len(apps) == 1 or client().hget(keyspace.flight_key(joined[0]), "w") == b"1")

    await until(all_wait)
    await asyncio.to_thread(bank.let_go)
    return await asyncio.gather(*calls)


def _note_joins(flights: Flights, joined: list[bytes]) -> None:
    usual = flights.join

    async def join(digest: bytes, *given: Any, **more: Any) -> Any:
        joined.append(digest)
        return await usual(digest, *given, **more)

    patch.object(flights, "join", join).start()


async def written(app: App) -> None:
    """Return when every call that has ended is settled."""
    assert app._edges is not None
    await asyncio.wait_for(app._edges.ledger._quiet.wait(), PATIENCE_SECONDS)


async def told(app: App, tenant: Tenant) -> None:
    """Return when the application knows that the organisation is at its newest version."""
    edges = app._edges
    assert edges is not None
    await until(lambda: edges.catalog._versions.get(tenant.org_id, 0) >= tenant.owner.org.version)
