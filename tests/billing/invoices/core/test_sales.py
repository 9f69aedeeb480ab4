"""What a payment remembers of the credits that it is for."""

import pytest

from billing.invoices.choices import TaxCategory
from billing.invoices.core.sales import REMEMBERED, Sale, read_sale, show_sale
from billing.invoices.core.tax import Tax

HOME = Sale(2_000, Tax(TaxCategory.STANDARD, 1_900))
ABROAD = Sale(2_000, Tax(TaxCategory.REVERSE_CHARGE, 0, "Reverse charge"))


@pytest.mark.parametrize("sale", [HOME, ABROAD, Sale(500, Tax(TaxCategory.ZERO, 0))])
def test_it_is_read_as_it_was_shown(sale: Sale) -> None:
    assert read_sale(show_sale(sale)) == sale
    # Stripe keeps what is not named, so that what is to go is sent empty.
    assert read_sale({"purpose": "credits", **dict.fromkeys(REMEMBERED, ""), **show_sale(sale)}) == sale
    assert read_sale({"purpose": "credits", **dict.fromkeys(REMEMBERED, "")}) is None


def test_without_a_sale_nothing_is_remembered() -> None:
    assert (show_sale(None), read_sale({"purpose": "credits"})) == ({}, None)


def test_a_part_of_what_was_paid_is_for_as_much_of_the_credits() -> None:
    assert (HOME.tax_cents, HOME.total_cents) == (380, 2_380)
    assert [HOME.share_of(cents) for cents in (0, 1_190, 2_380)] == [0, 10 * 10**9, 20 * 10**9]
    # Of three parts each is rounded down; all of it is for all of them.
    assert HOME.share_of(793) == 6_663_865_546
