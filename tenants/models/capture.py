"""Whose calls may be kept to learn from."""

from typing import Final

from django.db import models

from tenants.models.base import TenantRow

#: what is kept longest, and at first
MAX_KEPT_DAYS: Final = 365
KEPT_DAYS: Final = 30


class CapturePolicy(TenantRow):
    """The consent to keep what is said in calls of one model, or where ``model`` is empty of every model without a
    policy of its own: so many of a thousand calls, sealed, for so many days. An organisation without one keeps nothing.

    It covers calls made since it was given, and deleting it takes it back: what was kept under it goes, out of datasets
    too. ``per_mille`` 0 keeps nothing more, and lets stay what is there.
    """

    model = models.CharField(max_length=200, blank=True)
    per_mille = models.PositiveSmallIntegerField()
    kept_days = models.PositiveSmallIntegerField(default=KEPT_DAYS)

    class Meta:
        verbose_name = "capture policy"
        verbose_name_plural = "capture policies"
        constraints = [models.UniqueConstraint(fields=["org", "model"], name="one_capture_policy_a_model")]

    def __str__(self) -> str:
        return f"{self.model or 'every model'}: {self.per_mille} of a thousand for {self.kept_days} days"
