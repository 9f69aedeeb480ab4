"""Make what Stripe has to have of this installation."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.invoices.actions.stripe_setup import set_up
from billing.invoices.stripe_client import stripe_from_settings
from costhub.lib.errors import AppError


class Command(BaseCommand):
    """`manage.py stripe_setup`: prints what there is, a line each: what for, and Stripe's id."""

    help = "Makes the meter of this installation and the prices of its plans at Stripe, where they are not there yet."

    def handle(self, *args: Any, **options: Any) -> None:
        gateway = stripe_from_settings()
        if gateway is None:
            raise CommandError("Set STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET first.")
        try:
            found = set_up(gateway)
        except AppError as error:
            raise CommandError(error.message) from error
        for name, made in found:
            self.stdout.write(f"{name} {made}")
