"""A Stripe of one's own, and CostHub's client of it; a mail server."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from pytest_django import Settings

from billing.invoices.stripe_client import GateTransport, Stripe
from costhub.lib import clock
from costhub.lib.net import Gate
from tests.mail import MailSink, run_mail_sink
from tests.stripe_double import ACCOUNT_KEY, StripeDouble
from tests.stripe_double.in_process import make_stripe
from tests.stripe_double.server import serve


@pytest.fixture
def double() -> StripeDouble:
    """An account with a meter."""
    made = StripeDouble(now=lambda: clock.now().timestamp())
    made.add_meter("usage")
    return made


@pytest.fixture
def gateway(double: StripeDouble) -> Iterator[Stripe]:
    """The real library over the real gate."""
    with serve(double) as url:
        gate = Gate(allowed=[(ip_network("127.0.0.1/32"), None)])
        yield Stripe(api_key=ACCOUNT_KEY, url=url, transport=GateTransport(gate))


@pytest.fixture
def quick(double: StripeDouble) -> Stripe:
    """The real library, without a wire."""
    return make_stripe(double)


@pytest.fixture
def sink(settings: Settings) -> Iterator[MailSink]:
    """The mail server of the settings."""
    with run_mail_sink() as sink:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        yield sink
