"""Terms of plans: read strictly, shown as they were read."""

from typing import Any

import pytest

from billing.invoices.core.terms import (
    Coupon,
    Terms,
    Tier,
    parse_coupon,
    parse_share,
    parse_terms,
    show_coupon,
    show_share,
    show_terms,
)
from costhub.lib.errors import InvalidField

FULL: dict[str, Any] = {
    "currency": "EUR",
    "fee": "49.000000000",
    "seat_fee": "12.000000000",
    "included_seats": 3,
    "included": "10.000000000",
    "markup": "12.5",
    "models": {"large": "-5"},
    "tiers": [{"from": "0.000000000", "markup": "10"}, {"from": "1000.000000000", "markup": "5"}],
    "minimum": "60.000000000",
    "trial_days": 14,
    "grace_days": 3,
    "payment_days": 30,
    "pass_through": False,
    "prepaid": False,
    "invoices_credits": False,
}


def test_what_is_shown_is_read_back() -> None:
    terms = parse_terms(FULL)
    assert show_terms(terms) == FULL
    assert terms.fee == 49 * 10**9
    assert terms.tiers == (Tier(0, 1_000), Tier(1_000 * 10**9, 500))
    assert (terms.markup_of("large"), terms.markup_of("small")) == (-500, 1_250)


def test_overrides_change_what_they_name_and_nothing_else() -> None:
    base = parse_terms(FULL)
    assert show_terms(parse_terms({"fee": "0"}, base)) == FULL | {"fee": "0.000000000"}
    assert parse_terms({}) == Terms()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"colour": 1}, "terms.colour"),
        ({"fee": 49}, "terms.fee"),
        ({"fee": "-1"}, "terms.fee"),
        ({"fee": "0.0000000001"}, "terms.fee"),
        ({"fee": "1e99"}, "terms.fee"),
        ({"currency": "usd"}, "terms.currency"),
        ({"markup": "12.345"}, "terms.markup"),
        ({"markup": "-101"}, "terms.markup"),
        ({"markup": True}, "terms.markup"),
        ({"models": []}, "terms.models"),
        ({"models": {"a": "x"}}, "terms.models.a"),
        ({"tiers": [{"from": "1"}]}, "terms.tiers[0]"),
        ({"tiers": [{"from": "1", "markup": "1"}, {"from": "1", "markup": "2"}]}, "terms.tiers"),
        ({"trial_days": 400}, "terms.trial_days"),
        ({"trial_days": True}, "terms.trial_days"),
        ({"prepaid": 1}, "terms.prepaid"),
        ({"invoices_credits": "yes"}, "terms.invoices_credits"),
        ({"included_seats": -1}, "terms.included_seats"),
        ({"included_seats": True}, "terms.included_seats"),
        ({"seat_fee": 5}, "terms.seat_fee"),
        ({"seat_fee": "10000.000000001"}, "terms.seat_fee"),
    ],
)
def test_what_cannot_be_is_refused_by_name(data: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as raised:
        parse_terms(data)
    assert raised.value.field == field


@pytest.mark.parametrize(("text", "share"), [("12.5", 1_250), ("0.05", 5), ("-100", -10_000), ("3", 300), (7, 700)])
def test_shares(text: Any, share: int) -> None:
    assert parse_share("x", text) == share
    assert show_share(share) == str(text)


def test_coupons() -> None:
    half = parse_coupon({"percent_off": "50", "months": 3})
    assert (half, show_coupon(half)) == (Coupon(5_000, 0, 3), {"percent_off": "50", "months": 3})
    five = parse_coupon({"amount_off": "5.00"})
    assert (five.off(7 * 10**9), five.off(3), five.off(-3), half.off(101)) == (5 * 10**9, 3, 0, 50)
    for data in ({}, {"percent_off": "0"}, {"percent_off": "101"}, {"percent_off": "1", "amount_off": "1"}, {"x": 1}):
        with pytest.raises(InvalidField):
            parse_coupon(data)
