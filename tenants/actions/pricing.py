"""Prices: never edited, only followed by a version that holds from a later moment."""

from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict
from costhub.lib.money import FEE_DECIMAL_PLACES, PRICE_DECIMAL_PLACES
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import publish
from tenants.actions.values import check_moment, check_price
from tenants.choices import Permission
from tenants.models import LanguageModel, Price


def create_price(
    *,
    actor: Actor,
    model: LanguageModel | None,
    input_per_million: Decimal,
    output_per_million: Decimal,
    cached_input_per_million: Decimal | None = None,
    cache_write_per_million: Decimal | None = None,
    audio_input_per_million: Decimal | None = None,
    audio_output_per_million: Decimal | None = None,
    per_request: Decimal = Decimal(0),
    effective_from: datetime | None = None,
) -> Price:
    """Add a price version, from now unless another moment is given; without a model, the fallback of all that have
    none.

    A class of tokens without a price of its own costs what input or output does. Raises InvalidField for an amount
    that cannot be counted, Conflict if a version holds from the same moment.
    """
    actor.check(Permission.WRITE_MONEY)
    required = {
        "input_per_million": input_per_million,
        "output_per_million": output_per_million,
        "per_request": per_request,
    }
    optional = {
        "cached_input_per_million": cached_input_per_million,
        "cache_write_per_million": cache_write_per_million,
        "audio_input_per_million": audio_input_per_million,
        "audio_output_per_million": audio_output_per_million,
    }
    amounts = required | {field: amount for field, amount in optional.items() if amount is not None}
    for field, amount in amounts.items():
        check_price(amount, field, FEE_DECIMAL_PLACES if field == "per_request" else PRICE_DECIMAL_PLACES)
    price = Price(
        org=actor.org,
        model=model,
        effective_from=check_moment(effective_from, "effective_from") if effective_from else clock.now(),
        source="typed by a member",
        created_by=actor.name,
        **amounts,
    )
    try:
        with transaction.atomic():
            price.save(force_insert=True)
            record(
                actor,
                "created",
                price,
                model=model.name if model else None,
                effective_from=price.effective_from,
                **amounts,
            )
            publish(actor.org)
    except IntegrityError as error:
        raise Conflict(
            "There is a price from this very moment already: prices are never edited, choose another moment.",
            field="effective_from",
        ) from error
    return price
