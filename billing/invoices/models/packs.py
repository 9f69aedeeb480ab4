"""A month's papers in one piece."""

from django.db import models

from tenants.models.base import TenantRow


class FinancePack(TenantRow):
    """That a month's pack is to go out by itself, and whether it did. ``files`` has SHA-256 and size by name,
    ``digest`` is the archive's own, both empty until it is made. ``problem`` is why it was not delivered."""

    month = models.DateField()
    digest = models.CharField(max_length=64)
    files = models.JSONField(default=dict)
    delivered_to = models.CharField(max_length=300, blank=True)
    #: when the last try to deliver it failed, and why
    tried_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True, default="", db_default="")
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "finance pack"
        constraints = [models.UniqueConstraint(fields=["org", "month"], name="one_pack_a_month")]

    def __str__(self) -> str:
        return f"pack of {self.month:%Y-%m}"
