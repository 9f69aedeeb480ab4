"""What it cost, who pays, who hears."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """What it cost, who pays, who hears."""

    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"
