"""Discounts and mark-ups on list prices: never edited, only followed by one that holds from a later moment."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from django.db import IntegrityError, transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import coarsen
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import publish
from tenants.actions.values import check_moment
from tenants.choices import Permission
from tenants.models import LanguageModel, PriceAdjustment, Upstream
from tenants.price_adjustments import PERCENT_DECIMAL_PLACES

MAX_MARKUP_PERCENT: Final = 1_000


class AdjustmentKind(StrEnum):
    """Which way a list price is changed."""

    DISCOUNT = "discount"
    MARKUP = "markup"


def adjust_list_price(
    *,
    actor: Actor,
    kind: AdjustmentKind,
    percent: Decimal,
    model: LanguageModel | None = None,
    upstream: Upstream | None = None,
    effective_from: datetime | None = None,
) -> PriceAdjustment:
    """Set what a tenant pays of the list price of one model, or of all models of an upstream, from now unless another
    moment is given. 0 per cent is the list price itself.

    Raises InvalidField for per cent that cannot be and for anything but one of model and upstream, Conflict if one
    holds from the same moment.
    """
    actor.check(Permission.WRITE_MONEY)
    if (model is None) == (upstream is None):
        raise InvalidField("Give either a model or an upstream.", field="model")
    signed = _check_percent(kind, percent)
    adjustment = PriceAdjustment(
        org=actor.org,
        model=model,
        upstream=upstream,
        percent=signed,
        effective_from=check_moment(effective_from, "effective_from") if effective_from else clock.now(),
        created_by=actor.name,
    )
    try:
        with transaction.atomic():
            adjustment.save(force_insert=True)
            record(
                actor,
                "created",
                adjustment,
                model=model.name if model else None,
                upstream=upstream.name if upstream else None,
                percent=signed,
                effective_from=adjustment.effective_from,
            )
            publish(actor.org)
    except IntegrityError as error:
        raise Conflict(
            "There is a discount or mark-up from this very moment already: choose another moment.",
            field="effective_from",
        ) from error
    return adjustment


def _check_percent(kind: AdjustmentKind, percent: Decimal) -> Decimal:
    """Per cent with their sign. Raises InvalidField."""
    other = AdjustmentKind.MARKUP if kind is AdjustmentKind.DISCOUNT else AdjustmentKind.DISCOUNT
    if not percent.is_finite() or percent < 0:
        raise InvalidField(f"Give per cent from 0 on; a {kind} below zero is a {other}.", field="percent")
    if kind is AdjustmentKind.DISCOUNT and percent >= 100:
        raise InvalidField(
            "Give less than 100 per cent: what is free needs a price of 0 that somebody typed.", field="percent"
        )
    if percent > MAX_MARKUP_PERCENT:
        raise InvalidField(f"Give at most {MAX_MARKUP_PERCENT} per cent.", field="percent")
    if coarsen(percent, PERCENT_DECIMAL_PLACES) != percent:
        raise InvalidField(f"Give at most {PERCENT_DECIMAL_PLACES} decimal places.", field="percent")
    return -percent if kind is AdjustmentKind.DISCOUNT else percent
