"""Fill the list prices from the packaged table."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.actions.list_prices import add_list_prices
from tenants.price_table import read_price_table


class Command(BaseCommand):
    """`manage.py seed_prices`: adds the versions that are new; safe to run at every start."""

    help = "Adds new versions of the providers' public prices from the packaged table."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--provider", action="append", help="a provider of the table; openai unless given")

    def handle(self, *args: Any, **options: Any) -> None:
        for provider in options["provider"] or ["openai"]:
            try:
                listed = read_price_table(provider)
            except ValueError as error:
                raise CommandError(str(error)) from error
            added = add_list_prices(listed)
            self.stdout.write(f"{provider}: {added} of {len(listed)} price versions were new.")
