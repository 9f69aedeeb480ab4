"""Who may do what at which price."""

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    """Organisations, members, keys, upstreams, models, prices, budgets, the audit log."""

    name = "tenants"
    default_auto_field = "django.db.models.BigAutoField"
