"""The call waits before it is sent, so that whoever calls in a loop calls more rarely."""

from proxy.values.plan import Draft
from tenants.snapshots import KeySnapshot, OrgSnapshot, RungSnapshot


def apply(draft: Draft, rung: RungSnapshot, org: OrgSnapshot, key: KeySnapshot, at_ms: int) -> Draft:
    """The draft with the longest wait that any rung asks for."""
    return draft._replace(delay_ms=max(draft.delay_ms, rung.delay_ms))
