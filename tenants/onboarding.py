"""What a new organisation still needs before its first call is accounted for."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from costhub.lib import clock
from costhub.lib.moments import to_ms
from tenants.access import Actor
from tenants.choices import Permission
from tenants.models import ApiKey, Budget, LanguageModel, Upstream
from tenants.selectors import load_org_snapshot

#: models without a price that a hint names
_NAMED: Final = 3


class StepName(StrEnum):
    """What a first call needs, and what should bound it."""

    UPSTREAM = "upstream"
    MODEL = "model"
    PRICE = "price"
    KEY = "key"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, who may, the ``path`` of the API to POST to, and whether it is done."""

    name: StepName
    title: str
    hint: str
    path: str
    permission: Permission
    is_done: bool


def list_steps(actor: Actor) -> list[Step]:
    """The way to the first call, in order. Only what the actor may see is looked at: a member of some projects sees
    the key."""
    org = actor.org
    mine = actor.check_anywhere(Permission.READ)
    keys = ApiKey.objects.filter(org=org, revoked_at=None)
    steps = [
        Step(
            StepName.KEY,
            "An API key",
            "Your application sends it as its bearer.",
            "/api/v1/keys",
            Permission.WRITE_KEYS,
            (keys if mine is None else keys.filter(project__in=mine)).exists(),
        )
    ]
    if mine is not None:
        return steps
    offered = _list_offered(actor)
    return [
        Step(
            StepName.UPSTREAM,
            "An upstream",
            "Where calls go: a vendor's address and your credential there.",
            "/api/v1/upstreams",
            Permission.WRITE_SETTINGS,
            Upstream.objects.filter(org=org, is_active=True).exists(),
        ),
        Step(
            StepName.MODEL,
            "A model",
            "A name that your application calls, on an upstream.",
            "/api/v1/models",
            Permission.WRITE_SETTINGS,
            LanguageModel.objects.filter(org=org, is_active=True).exists(),
        ),
        Step(
            StepName.PRICE,
            "A price",
            _hint_at_prices(offered),
            "/api/v1/prices",
            Permission.WRITE_MONEY,
            any(offered.values()),
        ),
        *steps,
        Step(
            StepName.BUDGET,
            "A budget",
            "The most that may be spent, for everybody or for each end user.",
            "/api/v1/budgets",
            Permission.WRITE_MONEY,
            Budget.objects.filter(org=org, is_active=True).exists(),
        ),
    ]


def find_callable_model(actor: Actor, allowed: Collection[str] = ()) -> str | None:
    """The first model, by name, whose calls are taken: it and its upstream are on, and it has a price. ``allowed``
    narrows the choice, unless it is empty."""
    offered = _list_offered(actor).items()
    return next((name for name, is_priced in offered if is_priced and (not allowed or name in allowed)), None)


def find_unpriced_model(actor: Actor) -> str | None:
    """The first model, by name, whose calls are refused until it has a price."""
    return next((name for name, is_priced in _list_offered(actor).items() if not is_priced), None)


def _list_offered(actor: Actor) -> dict[str, bool]:
    """The models that are on, on an upstream that is, by name; and whether each has a price."""
    org = load_org_snapshot(str(actor.org.pk))
    models = org.models if org else {}
    now_ms = to_ms(clock.now())
    return {name: models[name].find_price(now_ms) is not None for name in sorted(models)}


def _hint_at_prices(offered: dict[str, bool]) -> str:
    missing = [name for name, is_priced in offered.items() if not is_priced]
    if not missing:
        return "Well-known models come with one; a call without a price is refused."
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return f"Calls to {', '.join(missing[:_NAMED])}{more} are refused until there is one."
