"""Rows of the cache's tables."""

from uuid import uuid4

import numpy as np

from proxy.cache import semantic_store
from proxy.cache.model import CacheEntry, CacheGate, CacheLookup
from proxy.cache.sealed_questions import open_entries, open_lookups
from tenants.access import org_scope
from tenants.actions.cache import create_cache_policy, purge_cache
from tenants.choices import CacheMode, PurgeKind
from tenants.sealed_rows import find_sealer
from tests.proxy.cache.examples import make_kept
from tests.world import Tenant


def read_lookups(tenant: Tenant) -> list[CacheLookup]:
    """What was looked up, oldest first, with the questions as they were asked."""
    with org_scope(tenant.org.pk):
        rows = list(CacheLookup.objects.filter(org_id=tenant.org.pk).order_by("at"))
        open_lookups(find_sealer(tenant.org_id), rows)
    return rows


def read_entries(tenant: Tenant) -> list[CacheEntry]:
    """What is kept, with the questions as they were asked."""
    with org_scope(tenant.org.pk):
        rows = list(CacheEntry.objects.filter(org_id=tenant.org.pk).order_by("created_at"))
        open_entries(find_sealer(tenant.org_id), rows)
    return rows


def keep_question(tenant: Tenant, question: str, entry_id: str = "") -> str:
    """A question of the semantic level; gives the id of its entry."""
    entry_id = entry_id or str(uuid4())
    with org_scope(tenant.org.pk):
        kept, vector = make_kept(id=entry_id), np.full(384, 0.05, np.float32)
        semantic_store.keep(tenant.org_id, b"scope", question, vector, kept, 3_600, 0)
    return entry_id


def fill_cache(tenant: Tenant) -> dict[str, list[str]]:
    """A row of every table; gives ids by the API's resources."""
    with org_scope(tenant.org.pk):
        policy = create_cache_policy(actor=tenant.owner, mode=CacheMode.ON)
        purge = purge_cache(actor=tenant.owner, kind=PurgeKind.ALL)
        entry_id = keep_question(tenant, "Where?")
        semantic_store.note_lookup(tenant.org_id, str(uuid4()), {"asked": "Where?"})
        CacheGate.objects.create(
            org_id=tenant.org.pk, means=[0], scales=[1], weights=[0], likelihoods=[0], kappa=1, learned_from=0
        )
    return {"cache-policies": [str(policy.pk)], "cache-purges": [str(purge.pk)], "cache": [entry_id]}
