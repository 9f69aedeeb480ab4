"""The answer may have fewer tokens."""

from proxy.values.plan import Draft
from proxy.values.windows import NO_LIMIT
from tenants.snapshots import KeySnapshot, OrgSnapshot, RungSnapshot


def apply(draft: Draft, rung: RungSnapshot, org: OrgSnapshot, key: KeySnapshot, at_ms: int) -> Draft:
    """The draft with the rung's limit, or the one that it has already if that is lower."""
    most = rung.max_tokens if draft.most_output == NO_LIMIT else min(draft.most_output, rung.max_tokens)
    return draft._replace(most_output=most)
