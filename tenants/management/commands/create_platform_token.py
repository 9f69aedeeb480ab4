"""Make a token that may create organisations."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email

from tenants.actions.platform import create_platform_token


class Command(BaseCommand):
    """`manage.py create_platform_token --email E`: prints the token, this once."""

    help = "Makes a person a platform operator and prints a token of the management API, this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            validate_email(options["email"])
        except ValidationError as error:
            raise CommandError(f"{options['email']!r} is not an e-mail address") from error
        self.stdout.write(create_platform_token(email=options["email"]))
