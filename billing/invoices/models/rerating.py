"""Past calls that are rated again."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from billing.invoices.choices import ReratingState
from tenants.models.base import TenantRow


class Rerating(TenantRow):
    """Calls of a model in ``[start, end)`` at the prices that are known now.

    ``before_nanos`` and ``after_nanos`` are of the calls that change, as they were previewed; ``posted_nanos`` is what
    has gone into the ledger by now.

    ``place_at`` and ``place_id`` are the last call that was dealt with. ``checked`` and ``checked_nanos`` are what
    would change when all calls were looked at once more, before the first of them did. ``left_out`` counts calls that
    keep their cost, by why. ``notes`` are those that invoiced months have had of it.
    """

    model = models.CharField(max_length=200)
    start = models.DateTimeField()
    end = models.DateTimeField()
    reason = models.CharField(max_length=300)
    #: whether months that were invoiced have a note now; else the next invoice has it
    makes_notes = models.BooleanField(default=True)
    state = models.CharField(
        max_length=9,
        default=ReratingState.PREVIEWED.value,
        choices=[(each.value, each.value) for each in ReratingState],
    )
    calls = models.BigIntegerField(default=0)
    changed = models.BigIntegerField(default=0)
    before_nanos = models.BigIntegerField(default=0)
    after_nanos = models.BigIntegerField(default=0)
    left_out = models.JSONField(default=dict)
    checked = models.BigIntegerField(default=0, db_default=0)
    checked_nanos = models.BigIntegerField(default=0, db_default=0)
    posted = models.BigIntegerField(default=0)
    posted_nanos = models.BigIntegerField(default=0)
    place_at = models.DateTimeField(null=True, blank=True)
    place_id = models.UUIDField(null=True, blank=True)
    notes = ArrayField(models.UUIDField(), default=list, blank=True)
    problem = models.CharField(max_length=300, blank=True)
    created_by = models.CharField(max_length=254, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "re-rating"
        indexes = [models.Index(fields=["org", "-created_at", "-id"], name="reratings_newest_first")]

    def __str__(self) -> str:
        return f"{self.model} from {self.start:%Y-%m-%d}"

    @property
    def change_nanos(self) -> int:
        """What calls cost more, as it was previewed; below zero where they cost less."""
        return self.after_nanos - self.before_nanos
