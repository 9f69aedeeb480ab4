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
    cache_write_1h_per_million = models.DecimalField(max_digits=20, decimal_places=12, null=True, blank=True)
    cached_audio_input_per_million = models.DecimalField(max_digits=20, decimal_places=12, null=True, blank=True)
    image_input_per_million = models.DecimalField(max_digits=20, decimal_places=12, null=True, blank=True)
    cached_image_input_per_million = models.DecimalField(max_digits=20, decimal_places=12, null=True, blank=True)
    image_output_per_million = models.DecimalField(max_digits=20, decimal_places=12, null=True, blank=True)
    # These three in the form that tenants/price_terms.py describes.
    fees = models.JSONField(default=dict, blank=True)
    long_context = models.JSONField(default=list, blank=True)
    service_tiers = models.JSONField(default=dict, blank=True)
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


class PriceAdjustment(TenantRow):
    """A discount or mark-up on the list price of one model, or of all models of an upstream; the model's own goes
    first. Each holds until the next one; 0 per cent is the list price again."""

    upstream = models.ForeignKey(
        "tenants.Upstream", on_delete=models.CASCADE, null=True, related_name="+", db_constraint=False
    )
    model = models.ForeignKey(
        "tenants.LanguageModel", on_delete=models.CASCADE, null=True, related_name="+", db_constraint=False
    )
    # Below zero for a discount.
    percent = models.DecimalField(max_digits=8, decimal_places=4)
    effective_from = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=254, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org", "upstream", "model", "effective_from"],
                name="one_adjustment_a_moment",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=models.Q(upstream=None) ^ models.Q(model=None), name="adjusts_an_upstream_or_a_model"
            ),
            models.CheckConstraint(condition=models.Q(percent__gt=-100), name="never_a_discount_of_all"),
        ]

    def __str__(self) -> str:
        return f"{self.percent} % from {self.effective_from:%Y-%m-%d}"


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
