"""Endpoints that cost by the hour."""

from django.db import models

from billing.gpu.choices import Basis
from tenants.models.base import TenantRow


class GpuEndpoint(TenantRow):
    """So many GPUs behind an upstream from one moment until another, at nano-USD a GPU and hour; with ``server`` behind
    that one of its endpoints, and gone with it.

    Its terms never change: other ones are another row. ``project`` bears what no call used. Hours before
    ``charged_until`` are in the ledger.
    """

    name = models.CharField(max_length=120)
    upstream = models.UUIDField()
    server = models.UUIDField(null=True, blank=True)
    project = models.UUIDField()
    gpus = models.DecimalField(max_digits=8, decimal_places=3)
    hour_nanos = models.BigIntegerField()
    basis = models.CharField(max_length=10, choices=[(each.value, each.value) for each in Basis])
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    charged_until = models.DateTimeField()

    class Meta:
        verbose_name = "GPU endpoint"
        constraints = [
            models.UniqueConstraint(
                fields=["org", "upstream", "server"],
                condition=models.Q(ends_at__isnull=True),
                nulls_distinct=False,
                name="one_open_gpu_endpoint",
            )
        ]

    def __str__(self) -> str:
        return self.name
