"""What goes to Stripe and what came from it."""

from django.db import models

from billing.invoices.choices import OutboxState
from costhub.lib import clock
from tenants.models.base import TenantRow


class MeterDelta(TenantRow):
    """So much more usage of an hour, on its way to a meter of Stripe's, in nano-USD. ``identifier`` is made from
    the rest, so that the same delta can never be another event."""

    customer = models.CharField(max_length=64)
    meter = models.CharField(max_length=100)
    hour = models.DateTimeField()
    sequence = models.PositiveIntegerField()
    value = models.BigIntegerField()
    identifier = models.CharField(max_length=100, unique=True)
    state = models.CharField(
        max_length=8, default=OutboxState.PENDING.value, choices=[(each.value, each.value) for each in OutboxState]
    )
    tries = models.PositiveIntegerField(default=0)
    first_tried_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = "meter delta"
        constraints = [
            models.UniqueConstraint(fields=["org", "meter", "hour", "sequence"], name="one_delta_a_sequence")
        ]
        indexes = [
            models.Index(
                fields=["customer", "meter", "hour"],
                condition=models.Q(state=OutboxState.PENDING.value),
                name="deltas_pending",
            )
        ]

    def __str__(self) -> str:
        return self.identifier


class StripeEvent(models.Model):
    """A webhook of Stripe's as it came, stored before anything is done about it. No tenant's row: whose it is says only
    what it tells of."""

    id = models.CharField(max_length=255, primary_key=True)
    kind = models.CharField(max_length=100)
    body = models.BinaryField()
    received_at = models.DateTimeField(default=clock.now, editable=False)
    applied_at = models.DateTimeField(null=True, blank=True)
    #: tries that failed for a reason of the event's own
    tries = models.PositiveIntegerField(default=0)
    #: not tried again before; null was never tried
    waits_until = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)
    #: when it was given up the last time, and Stripe's customer whom it is about, as far as that was found out then
    given_up_at = models.DateTimeField(null=True, blank=True)
    customer = models.CharField(max_length=64, blank=True, db_default="", default="")

    class Meta:
        verbose_name = "stripe event"
        indexes = [
            models.Index(fields=["received_at"], condition=models.Q(applied_at__isnull=True), name="events_waiting")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
