"""Make the demo's second organisation, with a history."""

from typing import Any

from django.core.management.base import BaseCommand

from billing.demo.seed import seed_history
from tenants.actions.orgs import find_or_create_user
from tenants.actions.platform import DEMO_EMAIL


class Command(BaseCommand):
    """`manage.py seed_history`: nothing of what it shows was ever called or billed, and it goes by one click."""

    help = "Makes an organisation with 90 days of made-up calls, for the demo's admin."

    def handle(self, *args: Any, **options: Any) -> None:
        org = seed_history(owner=find_or_create_user(DEMO_EMAIL))
        self.stdout.write(org.slug if org else "It is there already.")
