"""Which VAT an invoice has: fixed rates per country, by where seller and buyer are.

The rules are those of services to businesses and consumers in the EU (Directive 2006/112/EC, Articles 44, 58 and 196):
at home the seller's rate; abroad in the EU a business with a VAT id owes the tax itself, anybody else pays the rate of
their own country; outside the EU there is none. A seller without a VAT id adds what its own table says of the buyer's
country, or nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from billing.invoices.choices import TaxCategory
from costhub.lib.errors import InvalidField

EU: Final = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())


@dataclass(frozen=True, slots=True)
class Party:
    """As much of a seller or buyer as tax depends on. ``country`` is ISO 3166-1 alpha-2."""

    country: str
    tax_id: str


@dataclass(frozen=True, slots=True)
class Tax:
    """``rate`` in basis points; ``reason`` says why there is none."""

    category: TaxCategory
    rate: int
    reason: str = ""
    #: where somebody else has worked it out, for one sum alone
    fixed: int | None = None

    def of(self, cents: int) -> int:
        """The tax on a sum of cents, rounded half away from zero, as EN 16931 rounds it."""
        if self.fixed is not None:
            return self.fixed
        exact = Decimal(cents) * self.rate / 10_000
        return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def choose_tax(seller: Party, buyer: Party, rates: Mapping[str, int]) -> Tax:
    """The tax of an invoice; ``rates`` are basis points by country. Raises InvalidField where a rate is missing."""
    if seller.country in EU and seller.tax_id:
        if buyer.country == seller.country:
            return _rated(rates, seller)
        if buyer.country not in EU:
            return Tax(TaxCategory.EXPORT, 0, "Supply outside the EU")
        if buyer.tax_id:
            return Tax(TaxCategory.REVERSE_CHARGE, 0, "Reverse charge")
        return _rated(rates, buyer)
    if rates.get(buyer.country) or (seller.tax_id and buyer.country in rates):
        return _rated(rates, buyer)
    return Tax(TaxCategory.OUTSIDE, 0, "Not subject to VAT")


#: what a quote depends on beside the sum and the currency
QUOTED_FIELDS: Final = ("street", "postcode", "city", "country", "tax_id")
NO_TAX: Final = Tax(TaxCategory.OUTSIDE, 0, "Not subject to VAT")


def make_quote(cents: int, currency: str, buyer: Mapping[str, str], tax: Tax, quote_id: str) -> dict[str, Any]:
    """A tax that somebody else has worked out, as an invoice keeps it until it is issued."""
    return {
        "id": quote_id,
        "net_cents": cents,
        "currency": currency,
        "buyer": {name: buyer[name] for name in QUOTED_FIELDS},
        "category": tax.category.value,
        "rate": tax.rate,
        "reason": tax.reason,
        "cents": tax.of(cents),
    }


def read_quote(quote: Mapping[str, Any], cents: int, currency: str, buyer: Mapping[str, str]) -> Tax | None:
    """The tax of a quote, or None where it is not of this sum, currency and buyer."""
    if not quote or (quote["net_cents"], quote["currency"]) != (cents, currency):
        return None
    if quote["buyer"] != {name: buyer[name] for name in QUOTED_FIELDS}:
        return None
    return Tax(TaxCategory(quote["category"]), quote["rate"], quote["reason"], quote["cents"])


def _rated(rates: Mapping[str, int], party: Party) -> Tax:
    """At the rate of a party's country; a rate of nothing is a category of its own, zero-rated."""
    if party.country not in rates:
        raise InvalidField(f"There is no tax rate for {party.country}: add it to the legal entity.", field="tax_rates")
    rate = rates[party.country]
    return Tax(TaxCategory.STANDARD if rate else TaxCategory.ZERO, rate)
