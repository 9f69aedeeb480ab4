"""Who owes which VAT."""

import pytest

from billing.invoices.choices import TaxCategory
from billing.invoices.core.tax import Party, Tax, choose_tax
from costhub.lib.errors import InvalidField

BERLIN = Party("DE", "DE123456789")
RATES = {"DE": 1_900, "FR": 2_000, "IE": 0, "US": 0}


@pytest.mark.parametrize(
    ("buyer", "category", "rate"),
    [
        (Party("DE", ""), TaxCategory.STANDARD, 1_900),
        (Party("DE", "DE999999999"), TaxCategory.STANDARD, 1_900),
        (Party("NL", "NL123456782B01"), TaxCategory.REVERSE_CHARGE, 0),
        (Party("FR", ""), TaxCategory.STANDARD, 2_000),
        (Party("IE", ""), TaxCategory.ZERO, 0),
        (Party("US", ""), TaxCategory.EXPORT, 0),
        (Party("GB", "GB123456789"), TaxCategory.EXPORT, 0),
    ],
)
def test_a_seller_in_the_eu(buyer: Party, category: TaxCategory, rate: int) -> None:
    tax = choose_tax(BERLIN, buyer, RATES)
    is_explained = category in {TaxCategory.REVERSE_CHARGE, TaxCategory.EXPORT}
    assert (tax.category, tax.rate, bool(tax.reason)) == (category, rate, is_explained)


def test_a_rate_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidField, match="There is no tax rate for IT"):
        choose_tax(BERLIN, Party("IT", ""), RATES)


def test_a_seller_without_a_vat_id() -> None:
    seller = Party("US", "")
    assert choose_tax(seller, Party("DE", ""), RATES).rate == 1_900
    assert choose_tax(seller, Party("JP", ""), RATES).category is TaxCategory.OUTSIDE
    # Zero-rated is only what somebody who is registered sells.
    assert choose_tax(seller, Party("US", ""), RATES).category is TaxCategory.OUTSIDE
    assert choose_tax(Party("CH", "CHE-123.456.788"), Party("US", ""), RATES).category is TaxCategory.ZERO


@pytest.mark.parametrize(("cents", "tax"), [(100, 19), (3, 1), (50, 10), (-50, -10), (0, 0), (10**12, 19 * 10**10)])
def test_tax_is_rounded_half_away_from_zero(cents: int, tax: int) -> None:
    assert Tax(TaxCategory.STANDARD, 1_900).of(cents) == tax
