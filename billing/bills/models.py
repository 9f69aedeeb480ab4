"""Where an upstream's bill is fetched, and what it says by the day."""

from django.db import models

from tenants.models.base import TenantRow


class BillSource(TenantRow):
    """An upstream whose provider is asked what it bills. ``credential`` is an admin key of the provider's, sealed for
    the upstream's origin alone; ``provider_project`` narrows the bill to one project there. ``problem`` is why the last
    fetch failed."""

    upstream = models.UUIDField()
    credential = models.BinaryField(editable=False)
    credential_hint = models.CharField(max_length=8, blank=True)
    provider_project = models.CharField(max_length=64, blank=True)
    fetched_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = "bill source"
        constraints = [models.UniqueConstraint(fields=["org", "upstream"], name="one_bill_an_upstream")]

    def __str__(self) -> str:
        return str(self.upstream)


class BilledDay(TenantRow):
    """What a day (UTC's) of a model is billed, nano-USD, and how much of each class there was; null is what the
    provider does not say."""

    source = models.ForeignKey(BillSource, on_delete=models.CASCADE, related_name="days", db_constraint=False)
    day = models.DateField()
    model = models.CharField(max_length=200)
    cost_nanos = models.BigIntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    images = models.BigIntegerField(null=True)
    seconds = models.BigIntegerField(null=True)
    characters = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = "billed day"
        constraints = [models.UniqueConstraint(fields=["org", "source", "day", "model"], name="one_row_a_billed_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.model}"
