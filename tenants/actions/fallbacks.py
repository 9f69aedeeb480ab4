"""Which other models answer when one does not."""

from collections.abc import Sequence
from typing import Final

from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.moments import to_ms
from tenants.access import Actor
from tenants.selectors import load_org_snapshot

MOST_FALLBACKS: Final = 5


def check_fallbacks(actor: Actor, model: str, names: Sequence[str]) -> list[str]:
    """The fallbacks of a model, in the order in which they are asked, as they are stored.

    Raises InvalidField, saying which cannot be and why: itself, one that stands there twice, one that the organisation
    does not have or that has no price, and one that has this model as its own fallback.
    """
    if not names:
        return []
    if len(names) > MOST_FALLBACKS:
        raise _refusal(f"Give {MOST_FALLBACKS} models at most.")
    if len(set(names)) < len(names):
        raise _refusal("Name each model once.")
    org = load_org_snapshot(str(actor.org.pk))
    models = org.models if org is not None else {}
    now_ms = to_ms(clock.now())
    for name in names:
        if name == model:
            raise _refusal("A model cannot be its own fallback.")
        if name not in models:
            raise _refusal(f"There is no active model {name}.")
        if models[name].find_price(now_ms) is None:
            raise _refusal(f"The model {name} has no price: set one first, under Models & prices.")
        if model in models[name].fallbacks:
            raise _refusal(f"The model {name} falls back to {model} itself: the two would be a circle.")
    return list(names)


def _refusal(message: str) -> InvalidField:
    return InvalidField(message, field="fallbacks")
