"""Effective-dated prices: USD per million tokens, never edited, only followed by a newer one."""

import uuid
from decimal import Decimal

from django.db import models

from costhub.lib import clock
from tenants.models.base import TenantRow


class PriceColumns(models.Model):
    """The classes of tokens that have a price. Null: the provider has no price of its own for that class."""

    input_per_million = models.DecimalField(max_digits=20, decimal_places=12)
    output_per_million = models.DecimalField(max_digits=20, decimal_places=12)
    cached_input_per_million = models.DecimalField(max_digits=20, decimal_places=12, null=True, blank=True)
    cache_write_per_million = models.DecimalField(max_digits=20, decimal_places=12, null=True, blank=True)
    audio_input_per_million = models.DecimalField(max_digits=20, decimal_places=12, null=True, blank=True)
    audio_output_per_million = models.DecimalField(max_digits=20, decimal_places=12, null=True, blank=True)
    per_request = models.DecimalField(max_digits=20, decimal_places=12, default=Decimal(0))
    effective_from = models.DateTimeField(default=clock.now)
    source = models.CharField(max_length=200, blank=True)

    class Meta:
        abstract = True


class ListPrice(PriceColumns):
    """A provider's public price, from a packaged table: the same for every tenant. ``source`` names the table."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.CharField(max_length=60)
    model = models.CharField(max_length=200)
    context_window = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "model", "effective_from"], name="one_list_price_a_moment")
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model} from {self.effective_from:%Y-%m-%d}"


class Price(PriceColumns, TenantRow):
    """A tenant's own price of a model; without a model, the fallback for models that have none."""

    model = models.ForeignKey(
        "tenants.LanguageModel", on_delete=models.CASCADE, null=True, related_name="+", db_constraint=False
    )
    created_by = models.CharField(max_length=254, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org", "model", "effective_from"], name="one_price_a_moment", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.model_id} from {self.effective_from:%Y-%m-%d}"
