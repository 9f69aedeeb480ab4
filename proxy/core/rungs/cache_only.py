"""The call is answered from the cache, or not at all."""

from proxy.values.plan import Draft
from tenants.snapshots import KeySnapshot, OrgSnapshot, RungSnapshot


def apply(draft: Draft, rung: RungSnapshot, org: OrgSnapshot, key: KeySnapshot, at_ms: int) -> Draft:
    """The draft of a call that no upstream is asked for."""
    return draft._replace(is_cache_only=True)
