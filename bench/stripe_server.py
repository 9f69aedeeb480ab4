"""The tests' double of Stripe in a process of its own, for ``bench.outbox``: without Django, which it need not know."""

from multiprocessing.connection import Connection
from typing import Final

from costhub.lib import clock
from tests.stripe_double.server import serve
from tests.stripe_double.state import StripeDouble

METER: Final = "usage"


def serve_stripe(told: Connection, answers_after: float, customers: list[str]) -> None:
    """Say where it is; then, as often as it is asked, what its meter holds and how many events came, until "end"."""
    double = StripeDouble(now=lambda: clock.now().timestamp())
    double.customers |= {name: {"id": name, "object": "customer"} for name in customers}
    double.add_meter(METER)
    with serve(double, answers_after=answers_after) as url:
        told.send(url)
        while told.recv() != "end":
            events = [path for method, path in double.calls if method == "POST" and path.endswith("meter_events")]
            told.send((sum(double.usage.values()), len(events)))
