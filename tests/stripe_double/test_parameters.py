"""The double takes what Stripe takes, and refuses the rest in Stripe's words before anything is done."""

from typing import Any

import pytest
import stripe

from costhub.lib import clock
from tests.stripe_double import StripeDouble
from tests.stripe_double.in_process import make_stripe
from tests.stripe_double.parameters import find_fault


@pytest.mark.parametrize(
    ("address", "given", "code", "param"),
    [
        ("POST customers", {"metadata": {"org": "x"}, "nmae": "Acme"}, "parameter_unknown", "nmae"),
        ("POST customers", {"address": {"town": "Berlin"}}, "parameter_unknown", "address[town]"),
        ("POST customers", {"metadata": {"org": "x" * 501}}, "parameter_invalid", "metadata"),
        ("POST payment_intents", {"amount": "5"}, "parameter_missing", "currency"),
        ("POST payment_intents", {"amount": "5.5", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        (
            "POST payment_intents/pi_1/confirm",
            {"off_session": "maybe"},
            "parameter_invalid_boolean",
            "off_session",
        ),
        ("POST checkout/sessions", {"mode": "pay"}, "parameter_invalid", "mode"),
        (
            "POST checkout/sessions",
            {"mode": "payment", "line_items": {"0": {"quantity": "1", "amount": "500"}}},
            "parameter_unknown",
            "line_items[0][amount]",
        ),
        ("GET invoices", {"customer": "cus_1", "subscripton": "sub_1"}, "parameter_unknown", "subscripton"),
        ("GET plans", {}, "", ""),
    ],
)
def test_what_stripe_does_not_take(address: str, given: dict[str, Any], code: str, param: str) -> None:
    method, _, path = address.partition(" ")
    fault = find_fault(method, path.split("/"), given)
    assert fault is not None
    assert (fault.code, fault.param) == (code, param)


@pytest.mark.parametrize(
    ("address", "given"),
    [
        ("GET customers/search", {"query": "metadata['org']:'x'"}),
        ("GET customers/cus_1", {}),
        ("POST customers/cus_1", {"name": "Acme", "metadata": ""}),
        ("POST prices", {"currency": "usd", "unit_amount_decimal": "0.00000011", "recurring": {"interval": "month"}}),
        ("GET prices", {"lookup_keys": {"0": "fee"}, "limit": "1"}),
        ("POST subscriptions/sub_1", {"items": {"0": {"id": "si_1", "deleted": "true"}}}),
    ],
)
def test_what_it_takes(address: str, given: dict[str, Any]) -> None:
    method, _, path = address.partition(" ")
    assert find_fault(method, path.split("/"), given) is None


def test_nothing_is_done_or_kept_under_the_key_of_what_is_refused() -> None:
    double = StripeDouble(now=lambda: clock.now().timestamp())
    client = make_stripe(double).client
    wrong: Any = {"nmae": "Acme"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.create(wrong, {"idempotency_key": "one"})
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, "parameter_unknown", "nmae")
    assert double.customers == {}
    made = client.v1.customers.create({"name": "Acme"}, {"idempotency_key": "one"})
    assert double.customers.keys() == {made.id}
