"""Make somebody who issues invoices."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.invoices.actions.sellers import create_legal_entity
from costhub.lib.errors import AppError

_REQUIRED = ("name", "street", "postcode", "city", "country", "prefix")
_OPTIONAL = ("tax_id", "email", "bank_account")


class Command(BaseCommand):
    """`manage.py create_legal_entity --name N ... --tax-rate DE=19`: prints its id."""

    help = "Makes a legal entity that issues invoices, with numbers of its own."

    def add_arguments(self, parser: CommandParser) -> None:
        for name in _REQUIRED:
            parser.add_argument(f"--{name}", required=True)
        for name in _OPTIONAL:
            parser.add_argument(f"--{name.replace('_', '-')}", default="")
        parser.add_argument("--tax-rate", action="append", default=[], help="a country's rate in per cent, as DE=19")
        parser.add_argument("--stripe-tax", action="store_true", help="ask Stripe Tax, in place of rates")

    def handle(self, *args: Any, **options: Any) -> None:
        rates = dict(rate.partition("=")[::2] for rate in options["tax_rate"])
        try:
            made = create_legal_entity(
                tax_rates=rates,
                uses_stripe_tax=options["stripe_tax"],
                **{name: options[name] for name in (*_REQUIRED, *_OPTIONAL)},
            )
        except AppError as error:
            raise CommandError(error.message) from error
        self.stdout.write(str(made.pk))
