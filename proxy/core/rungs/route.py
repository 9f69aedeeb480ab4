"""A route chooses the model, whichever was asked for."""

from proxy.values.plan import Draft
from tenants.choices import Mode
from tenants.snapshots import KeySnapshot, OrgSnapshot, RungSnapshot


def apply(draft: Draft, rung: RungSnapshot, org: OrgSnapshot, key: KeySnapshot, at_ms: int) -> Draft:
    """The draft with the rung's route, if that is on: what it chooses stands only where it is no dearer."""
    route = org.routes.get(rung.route)
    return draft if route is None or route.mode != Mode.ON else draft._replace(route=route.name)
