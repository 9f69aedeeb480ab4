"""Where calls go, and the models that are there."""

from django.db import models

from tenants.choices import Tokenizer, UpstreamKind
from tenants.models.base import TenantRow


class Upstream(TenantRow):
    """An OpenAI account, or a tenant's own endpoint. The credential is write-only and bound to ``origin``."""

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=32, choices=[(kind.value, kind.value) for kind in UpstreamKind])
    base_url = models.CharField(max_length=500)
    origin = models.CharField(max_length=300)
    credential = models.BinaryField(null=True, editable=False)
    credential_hint = models.CharField(max_length=8, blank=True)
    drain_on_disconnect = models.BooleanField(default=False)
    # Path below base_url that answers what one call was billed, for upstreams that can say so; see docs/upstreams.md.
    bill_path = models.CharField(max_length=200, blank=True)
    connect_timeout_ms = models.PositiveIntegerField(default=5_000)
    timeout_ms = models.PositiveIntegerField(default=600_000)
    max_retries = models.PositiveSmallIntegerField(default=2)
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="upstream_names_are_unique")]

    def __str__(self) -> str:
        return self.name


class LanguageModel(TenantRow):
    """A model under the name that the tenant's applications use."""

    name = models.CharField(max_length=200)
    upstream = models.ForeignKey("tenants.Upstream", on_delete=models.PROTECT, related_name="+", db_constraint=False)
    upstream_model = models.CharField(max_length=200)
    context_window = models.PositiveIntegerField(default=128_000)
    max_output_tokens = models.PositiveIntegerField(default=16_384)
    tokenizer = models.CharField(
        max_length=32, default=Tokenizer.BYTES.value, choices=[(kind.value, kind.value) for kind in Tokenizer]
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="model_names_are_unique")]

    def __str__(self) -> str:
        return self.name
