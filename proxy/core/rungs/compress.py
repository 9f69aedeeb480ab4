"""The prompt is shortened before it is sent, by what loses nothing and by the phrases that carry nothing."""

from proxy.values.plan import Draft
from tenants.snapshots import KeySnapshot, OrgSnapshot, RungSnapshot


def apply(draft: Draft, rung: RungSnapshot, org: OrgSnapshot, key: KeySnapshot, at_ms: int) -> Draft:
    """The draft of a call whose prompt is shortened."""
    return draft._replace(is_compressed=True)
