"""The call goes to another model, if that is dearer in no class of tokens and cheaper in some."""

from proxy.values.plan import Draft
from tenants.snapshots import KeySnapshot, OrgSnapshot, RungSnapshot


def apply(draft: Draft, rung: RungSnapshot, org: OrgSnapshot, key: KeySnapshot, at_ms: int) -> Draft:
    """The draft with the rung's model, which this key must be allowed to use."""
    model = org.models.get(rung.model)
    if model is None or (key.models is not None and rung.model not in key.models):
        return draft
    price = model.find_price(at_ms)
    if price is None or not price.is_cheaper_than(draft.price) or model.max_output_tokens < 1:
        return draft
    return draft._replace(model=model, price=price)
