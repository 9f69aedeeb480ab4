"""The hot path and its ledger."""

from django.apps import AppConfig


class ProxyConfig(AppConfig):
    """The hot path and its ledger."""

    name = "proxy"
    default_auto_field = "django.db.models.BigAutoField"
