"""How a document writes what a token costs."""

import pytest

from billing.invoices.documents.content import show_unit_price


@pytest.mark.parametrize(
    ("picos", "shown"),
    [
        (150_000, "0.15"),
        (2_500_000, "2.50"),
        (600_000, "0.60"),
        (10_000_000, "10.00"),
        (625_000, "0.625"),
        (562_500, "0.5625"),
        (1, "0.000001"),
        (0, "0.00"),
    ],
)
def test_a_price_of_a_million_is_exact_and_has_two_places_or_more(picos: int, shown: str) -> None:
    assert show_unit_price(picos) == shown
