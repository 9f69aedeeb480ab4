"""Fill the list prices from the packaged table."""

import json
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.actions.list_prices import add_list_prices, preview_list_prices
from tenants.price_histories import LIST_PRICES_OF
from tenants.price_table import ListedPrice, read_price_table


class Command(BaseCommand):
    """`manage.py seed_prices`: adds the versions that are new; safe to run at every start."""

    help = "Adds new versions of the providers' public prices from the packaged table."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--provider",
            action="append",
            help="a provider of the table; those that upstreams are billed by unless given",
        )
        parser.add_argument("--preview", action="store_true", help="only say what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        for provider in options["provider"] or LIST_PRICES_OF.values():
            try:
                listed = read_price_table(provider)
            except ValueError as error:
                raise CommandError(str(error)) from error
            if options["preview"]:
                self._preview(provider, listed)
                continue
            added = add_list_prices(listed)
            self.stdout.write(f"{provider}: {added} of {len(listed)} price versions were new.")

    def _preview(self, provider: str, listed: list[ListedPrice]) -> None:
        changes = preview_list_prices(listed)
        self.stdout.write(f"{provider}: {len(changes)} of {len(listed)} price versions would be new.")
        for price, changed in changes:
            self.stdout.write(f"  {price.model} from {price.effective_from:%Y-%m-%d}")
            for name, (before, after) in changed.items():
                self.stdout.write(f"    {name}: {_show(before)} -> {_show(after)}")


def _show(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return "none" if value is None else json.dumps(value) if isinstance(value, dict | list) else str(value)
