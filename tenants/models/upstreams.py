"""Where calls go, and the models that are there."""

from datetime import UTC, datetime
from typing import Final

from django.db import models

from tenants.choices import Tokenizer, UpstreamKind
from tenants.models.base import TenantRow

#: hours of which nobody has said an end
FOREVER: Final = datetime(9999, 12, 31, tzinfo=UTC)


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
    # Lines of batches that run at a time, and the hours in which they begin, as 22:00-06:00 in the organisation's time
    # zone; empty: at any.
    batch_concurrency = models.PositiveSmallIntegerField(default=8)
    batch_hours = models.CharField(max_length=11, blank=True)
    # What the tenant has set of ``choices.Habit``, by name; the others are as is usual.
    habits = models.JSONField(default=dict)
    # Until then hours of GPUs pay for its calls; null: they do not, and never did.
    hourly_until = models.DateTimeField(null=True, editable=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="upstream_names_are_unique")]

    def __str__(self) -> str:
        return self.name


class UpstreamEndpoint(TenantRow):
    """One of several servers of an upstream, with a credential of its own. One with a lease, such as a worker on a spot
    machine, is gone when it does not renew it; one that is draining gets no new calls."""

    upstream = models.ForeignKey("tenants.Upstream", on_delete=models.CASCADE, related_name="+", db_constraint=False)
    name = models.CharField(max_length=120, blank=True)
    base_url = models.CharField(max_length=500)
    origin = models.CharField(max_length=300)
    credential = models.BinaryField(null=True, editable=False)
    #: its share of the calls, beside the others' weights
    weight = models.PositiveSmallIntegerField(default=1)
    is_draining = models.BooleanField(default=False)
    lease_until = models.DateTimeField(null=True)
    #: it takes no calls any more; a job ends the hours of its GPUs, and deletes the row
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "upstream endpoint"
        constraints = [
            models.UniqueConstraint(
                fields=["upstream", "base_url"],
                condition=models.Q(ended_at=None),
                name="endpoints_of_an_upstream_are_unique",
            )
        ]

    def __str__(self) -> str:
        return self.base_url


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
    # The most paid calls of a provider's own tools that one request may lead to, where it sets no limit itself.
    max_tool_calls = models.PositiveIntegerField(null=True, blank=True)
    # The day on which its provider ends it, as 2027-01-31; empty where nobody knows of one.
    ends_on = models.CharField(max_length=10, blank=True, default="")
    # Names of models that are asked in its place, in this order, when its upstream does not answer.
    fallbacks = models.JSONField(default=list, blank=True)
    # The model that it was trained to stand in for; empty: none. What it saves is distillation's.
    student_of = models.CharField(max_length=200, blank=True, default="")
    # Embeddings calls that come within so many ms are asked as one; 0: each alone.
    merge_window_ms = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="model_names_are_unique")]

    def __str__(self) -> str:
        return self.name
