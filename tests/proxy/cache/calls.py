"""Calls through the whole application, in this process, of an organisation with a cache policy."""

import asyncio
from collections.abc import Callable
from typing import Any

from proxy.app import App
from tenants.access import org_scope
from tenants.actions.cache import create_cache_policy, purge_cache
from tenants.choices import CacheMode, CacheSharing, PurgeKind
from tenants.models import CachePolicy, CachePurge
from tests.proxy.in_process import Conversation, converse, serve
from tests.world import Tenant

Body = dict[str, Any]


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


async def written(app: App) -> None:
    """Return when every call that has ended is settled."""
    assert app._edges is not None
    await asyncio.wait_for(app._edges.ledger._quiet.wait(), 5)


async def told(app: App, tenant: Tenant) -> None:
    """Return when the application knows that the organisation is at its newest version."""
    edges = app._edges
    assert edges is not None
    await until(lambda: edges.catalog._versions.get(tenant.org_id, 0) >= tenant.owner.org.version)


async def until(is_true: Callable[[], bool], seconds: float = 2) -> None:
    """Return as soon as the condition holds. Raises TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while not is_true():
            await asyncio.sleep(0.005)
