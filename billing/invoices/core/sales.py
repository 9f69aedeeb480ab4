"""Prepaid credits that are sold with their tax: what was asked for, as the payment remembers it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from billing.invoices.choices import TaxCategory
from billing.invoices.core.tax import Tax


@dataclass(frozen=True, slots=True)
class Sale:
    """``cents`` of credits, and the tax that is paid on top of them: as it was when the payment was asked for, whatever
    the customer's address is when it comes."""

    cents: int
    tax: Tax

    @property
    def tax_cents(self) -> int:
        """The tax alone."""
        return self.tax.of(self.cents)

    @property
    def total_cents(self) -> int:
        """What is paid."""
        return self.cents + self.tax_cents

    def share_of(self, paid_cents: int) -> int:
        """Nano-USD of credits that a part of what was paid is for, rounded down; all of it is for all of them."""
        return self.cents * 10_000_000 * paid_cents // self.total_cents


#: the names of what a payment remembers
REMEMBERED: Final = ("credits", "tax_category", "tax_rate", "tax_reason")


def show_sale(sale: Sale | None) -> dict[str, str]:
    """What a payment is given to remember of it."""
    if sale is None:
        return {}
    tax = {"tax_category": sale.tax.category.value, "tax_rate": str(sale.tax.rate), "tax_reason": sale.tax.reason}
    return {"credits": str(sale.cents)} | {name: value for name, value in tax.items() if value}


def read_sale(remembered: Mapping[str, str]) -> Sale | None:
    """The same; None of a payment that is for credits alone."""
    # What was forgotten again may be there, empty.
    cents, category, rate, reason = (remembered.get(name) or "" for name in REMEMBERED)
    if not cents:
        return None
    return Sale(int(cents), Tax(TaxCategory(category or TaxCategory.OUTSIDE), int(rate or "0"), reason))
