"""The product's Celery app, but for one thing: whoever took a message and died is given up sooner, because a test
waits."""

from datetime import timedelta
from unittest.mock import patch

import django

from costhub.celery import app

django.setup()

from billing.alerts.actions import deliveries  # noqa: E402 - wants Django's apps to be loaded

__all__ = ["app"]

#: longer than a sender's turn
LEASE = timedelta(seconds=12)

patch.object(deliveries, "LEASE", LEASE).start()
