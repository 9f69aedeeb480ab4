"""Prices: never edited, only followed by a version that holds from a later moment."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import IntegrityError, transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import FEE_DECIMAL_PLACES
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import publish
from tenants.actions.paid_by_hour import check_not_hourly, costs
from tenants.actions.values import check_moment
from tenants.choices import Permission
from tenants.models import LanguageModel, Price
from tenants.price_histories import compile_version
from tenants.price_terms import TOKEN_FIELDS, check_amount, check_fees, check_long_context, check_service_tiers

_REQUIRED: Final = ("input_per_million", "output_per_million")


def create_price(
    *,
    actor: Actor,
    model: LanguageModel | None,
    per_request: Decimal = Decimal(0),
    effective_from: datetime | None = None,
    fees: Mapping[str, Decimal] | None = None,
    long_context: Sequence[Mapping[str, Any]] | None = None,
    service_tiers: Mapping[str, Mapping[str, Any]] | None = None,
    **amounts: Decimal | None,
) -> Price:
    """Add a price version, from now unless another moment is given; without a model, the fallback of all that have
    none.

    ``amounts`` are USD per million tokens by ``TOKEN_FIELDS``, input and output at least; a class that is left out
    costs what the one nearest to it does. Fees, rows and tiers are described in ``tenants.price_terms``.

    Raises InvalidField for an amount that cannot be counted and a row that cannot be, Conflict if a version holds from
    the same moment, or if hours of GPUs pay for the model's calls then.
    """
    actor.check(Permission.WRITE_MONEY)
    given = {field: amount for field, amount in amounts.items() if amount is not None}
    if unknown := given.keys() - TOKEN_FIELDS.keys():
        raise InvalidField("There is no such class of tokens.", field=min(unknown))
    for field in _REQUIRED:
        if field not in given:
            raise InvalidField("Give this price: the others depend on it.", field=field)
    for field, amount in given.items():
        check_amount(amount, field)
    check_amount(per_request, "per_request", FEE_DECIMAL_PLACES)
    window = model.context_window if model else None
    terms: dict[str, Any] = {
        "fees": check_fees(fees or {}),
        "long_context": check_long_context(long_context or (), given, context_window=window),
        "service_tiers": check_service_tiers(service_tiers or {}, given, context_window=window),
    }
    price = Price(
        org=actor.org,
        model=model,
        effective_from=check_moment(effective_from, "effective_from") if effective_from else clock.now(),
        source="typed by a member",
        created_by=actor.name,
        per_request=per_request,
        **given,
        **terms,
    )
    try:
        with transaction.atomic():
            if model is not None and costs(compile_version(price, price.pk)):
                check_not_hourly(actor, model, price.effective_from)
            price.save(force_insert=True)
            record(
                actor,
                "created",
                price,
                model=model.name if model else None,
                effective_from=price.effective_from,
                per_request=per_request,
                **given,
                **{name: term for name, term in terms.items() if term},
            )
            publish(actor.org)
    except IntegrityError as error:
        raise Conflict(
            "There is a price from this very moment already: prices are never edited, choose another moment.",
            field="effective_from",
        ) from error
    return price
