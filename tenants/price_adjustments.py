"""Discounts and mark-ups on list prices, as a history of price versions of their own."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

from tenants.price_snapshots import LongContext, PriceSnapshot, Rates, ServiceTier

#: per cent have so many decimal places
PERCENT_DECIMAL_PLACES: Final = 4
_WHOLE: Final = 100 * 10**PERCENT_DECIMAL_PLACES


class Adjustment(NamedTuple):
    """So many per cent more, or below zero less, from a moment on; its own ``id``."""

    id: str
    effective_from_ms: int
    percent: Decimal


def adjust_versions(
    listed: Sequence[PriceSnapshot], of_model: Sequence[Adjustment], of_upstream: Sequence[Adjustment]
) -> list[PriceSnapshot]:
    """A history of list prices, newest first, as a tenant pays them.

    A model's own adjustments stand in for its upstream's from the first of them on. Every moment at which a list price
    or an adjustment begins begins a version.
    """
    first_own = min((one.effective_from_ms for one in of_model), default=None)
    adjustments = [
        *of_model,
        *(one for one in of_upstream if first_own is None or one.effective_from_ms < first_own),
    ]
    moments = {version.effective_from_ms for version in listed}
    moments |= {one.effective_from_ms for one in adjustments}
    adjusted = []
    for moment in sorted(moments, reverse=True):
        begun = [version for version in listed if version.effective_from_ms <= moment]
        if not begun:
            continue
        version = replace(max(begun, key=lambda one: one.effective_from_ms), effective_from_ms=moment)
        in_force = [one for one in adjustments if one.effective_from_ms <= moment]
        if in_force:
            version = adjust(version, max(in_force, key=lambda one: one.effective_from_ms))
        adjusted.append(version)
    return adjusted


def adjust(price: PriceSnapshot, adjustment: Adjustment) -> PriceSnapshot:
    """The price with so many per cent on every amount, each rounded up to a whole pico."""
    percent = adjustment.percent
    if not percent:
        return price
    factor = _WHOLE + int(percent.scaleb(PERCENT_DECIMAL_PLACES))
    word = "more" if percent > 0 else "less"
    return replace(
        price,
        rates=_scale(price.rates, factor),
        per_request=_part(price.per_request, factor),
        source=f"{price.source}, {abs(percent).normalize():f} % {word}",
        long_context=_scale_rows(price.long_context, factor),
        service_tiers=tuple(
            ServiceTier(tier.name, _scale(tier.rates, factor), _scale_rows(tier.long_context, factor))
            for tier in price.service_tiers
        ),
        adjustment_id=adjustment.id,
    )


def _scale_rows(rows: Sequence[LongContext], factor: int) -> tuple[LongContext, ...]:
    return tuple(row._replace(rates=_scale(row.rates, factor)) for row in rows)


def _scale(rates: Rates, factor: int) -> Rates:
    return Rates(*(_part(picos, factor) for picos in rates))


def _part(picos: int, factor: int) -> int:
    return -(-picos * factor // _WHOLE)
