"""Who changed what: appended in the transaction of the change itself, never edited."""

from django.db import models

from tenants.models.base import TenantRow


class AuditEntry(TenantRow):
    """One change, by whom, to what. ``changes`` holds no secret."""

    actor = models.CharField(max_length=254)
    action = models.CharField(max_length=64)
    target_kind = models.CharField(max_length=32)
    target_id = models.CharField(max_length=200)
    changes = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["org", "-created_at", "-id"], name="audit_newest_first")]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target_id}"
