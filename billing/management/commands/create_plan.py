"""Add a version of a plan."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.invoices.actions.sellers import create_plan
from costhub.lib.errors import AppError


class Command(BaseCommand):
    """`manage.py create_plan --name Pro --terms '{"fee": "49.00", "markup": "10"}' --public`: prints the version."""

    help = "Adds the next version of a plan. Terms are JSON: decimal USD and per cents."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--terms", required=True)
        parser.add_argument("--public", action="store_true", help="any organisation may choose it for itself")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            terms = json.loads(options["terms"])
            if not isinstance(terms, dict):
                raise CommandError("Give the terms as a JSON object.")
            plan = create_plan(name=options["name"], terms=terms, is_public=options["public"])
        except ValueError as error:
            raise CommandError("The terms are not JSON.") from error
        except AppError as error:
            raise CommandError(f"{error.field}: {error.message}") from error
        self.stdout.write(f"{plan.name} {plan.version}")
