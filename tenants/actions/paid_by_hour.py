"""Upstreams that are paid for by the hours of their GPUs: their models have no price by the token meanwhile.

Whoever sets a price and whoever begins hours lock the upstream's row first, so that neither passes the other unseen.
"""

from datetime import datetime
from uuid import UUID

from costhub.lib import clock
from costhub.lib.errors import Conflict
from tenants.access import Actor
from tenants.actions.changes import apply_changes
from tenants.models import LanguageModel, Price, Upstream
from tenants.models.upstreams import FOREVER
from tenants.price_histories import compile_version
from tenants.price_snapshots import PriceSnapshot


def lock_upstream(actor: Actor, upstream_id: UUID) -> Upstream:
    """The upstream, with its row locked until the transaction ends."""
    return Upstream.objects.select_for_update().get(org=actor.org, pk=upstream_id)


def lock_model(actor: Actor, model: LanguageModel) -> LanguageModel:
    """The model as it is now, with its row locked until the transaction ends."""
    return LanguageModel.objects.select_for_update().get(org=actor.org, pk=model.pk)


def pay_by_hour(actor: Actor, upstream: Upstream, until: datetime | None) -> None:
    """From now on its calls are paid for by the hour, until a moment or ``FOREVER``; None: they never were."""
    apply_changes(actor, upstream, {"hourly_until": until})


def check_not_hourly(actor: Actor, model: LanguageModel, begins: datetime) -> None:
    """The model costs something by the token from ``begins`` on. Raises Conflict where hours of GPUs pay for its calls
    then. Locks the model and its upstream."""
    until = lock_upstream(actor, lock_model(actor, model).upstream_id).hourly_until
    if until is None or until <= begins:
        return
    end = "end those first" if until == FOREVER else f"let the price begin at {until:%Y-%m-%d %H:%M} UTC"
    raise Conflict(
        f"Calls of this upstream are paid for by the hours of its GPUs: {end}, or they are paid twice.",
        field="effective_from",
    )


def check_unpriced(actor: Actor, models: list[LanguageModel], begins: datetime, *, field: str | None = None) -> None:
    """Models whose calls hours of GPUs pay for from ``begins`` on. Raises Conflict, which names the first that has a
    price by the token then or later. Prices of lists and fallbacks do not count: they are not taken meanwhile."""
    own = Price.objects.filter(org=actor.org, model__in=models).order_by("-effective_from")
    for model in models:
        for row in own.filter(model=model):
            if costs(compile_version(row, row.pk)):
                raise Conflict(
                    f"{model.name} costs by the token too: give it a price of zero first, or it is paid twice.",
                    field=field,
                )
            if row.effective_from <= begins:
                break


def check_move(actor: Actor, model: LanguageModel, upstream_id: UUID) -> None:
    """The model is another upstream's from now on. Raises Conflict where it would be paid for twice. Locks the model
    and that upstream."""
    lock_model(actor, model)
    until, now = lock_upstream(actor, upstream_id).hourly_until, clock.now()
    if until is not None and until > now:
        check_unpriced(actor, [model], now, field="upstream")


def costs(price: PriceSnapshot) -> bool:
    """Whether any call could cost something at it."""
    tables = [price.rates, *(row.rates for row in price.long_context)]
    tables += [
        rates for tier in price.service_tiers for rates in (tier.rates, *(row.rates for row in tier.long_context))
    ]
    return price.per_request > 0 or any(any(table) for table in tables)
