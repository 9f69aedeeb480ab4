"""Add an exchange rate of a day."""

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.invoices.actions.sellers import set_exchange_rate
from costhub.lib.errors import AppError


class Command(BaseCommand):
    """`manage.py set_exchange_rate --currency EUR --day 2026-10-30 --rate 0.92 --source ECB`: prints what holds. With
    `--replace` it holds in place of one that was typed wrongly and that nothing was issued at."""

    help = "Adds a rate, in units of the currency for one USD. The first one of a day stays, unless it is replaced."

    def add_arguments(self, parser: CommandParser) -> None:
        for name in ("currency", "day", "rate", "source"):
            parser.add_argument(f"--{name}", required=True)
        parser.add_argument("--replace", action="store_true", help="in place of one that nothing was issued at")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = set_exchange_rate(
                currency=options["currency"],
                day=date.fromisoformat(options["day"]),
                rate=Decimal(options["rate"]),
                source=options["source"],
                is_replacing=options["replace"],
            )
        except (ValueError, InvalidOperation) as error:
            raise CommandError("Give a day such as 2026-10-30 and a decimal rate.") from error
        except AppError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{made.currency} {made.day} {made.rate} {made.source}")
