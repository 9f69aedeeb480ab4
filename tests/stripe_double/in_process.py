"""CostHub's client of the double without a wire, for tests of thousands of calls."""

import json
from collections.abc import Mapping
from typing import Any

import stripe

from billing.invoices.stripe_client import Stripe
from tests.stripe_double.state import ACCOUNT_KEY, Lost, StripeDouble, headers_of


class InProcess(stripe.HTTPClient):
    """The library's transport, straight into the double."""

    name = "in process"

    def __init__(self, double: StripeDouble) -> None:
        super().__init__()
        self._double = double

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """One call."""
        try:
            status, answer = self._double.call(method, url, dict(headers or {}), post_data or "")
        except Lost as error:
            raise stripe.APIConnectionError("lost", should_retry=False) from error  # type: ignore[no-untyped-call]
        return json.dumps(answer), status, headers_of(answer)

    def close(self) -> None:
        """Nothing is open."""


def make_stripe(double: StripeDouble) -> Stripe:
    """The real library on that transport."""
    return Stripe(api_key=ACCOUNT_KEY, url="https://stripe.example", transport=InProcess(double))
