"""Make the demo organisation."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from costhub.lib.errors import AppError
from tenants.actions.platform import seed_demo


class Command(BaseCommand):
    """`manage.py seed_demo`: prints the demo's credentials the first time, and that it exists from then on."""

    help = "Makes the demo organisation and prints its credentials, this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--model-url", help="base URL of an OpenAI-compatible model server")
        parser.add_argument("--org", default="Demo")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            demo = seed_demo(org_name=options["org"], model_url=options["model_url"])
        except AppError as error:
            raise CommandError(error.message) from error
        shown: dict[str, Any] = asdict(demo) if demo else {"exists": True}
        if options["json"]:
            self.stdout.write(json.dumps(shown))
        else:
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in shown.items()))
