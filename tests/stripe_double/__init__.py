"""A stateful Stripe for tests: as much of its documented wire as CostHub speaks, with idempotency keys, and with the
troubles that a network and a payment provider have. Nothing here knows CostHub's code."""

from tests.stripe_double.state import ACCOUNT_KEY, WEBHOOK_SECRET, StripeDouble, sign

__all__ = ["ACCOUNT_KEY", "WEBHOOK_SECRET", "StripeDouble", "sign"]
