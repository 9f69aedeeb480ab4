"""Who changed what: appended in the transaction of the change itself, never edited."""

from django.db import models

from tenants.models.base import TenantRow


class AuditEntry(TenantRow):
    """One change, by whom, to what. ``changes`` holds no secret.

    The database numbers an organisation's entries without a gap and chains them, at the commit that appends them: each
    ``hash`` is the SHA-256 of the one before it and of this entry, so that an entry cannot be changed, taken out or put
    in between without every later hash telling. Nobody else writes ``number`` and ``hash``.
    """

    actor = models.CharField(max_length=254)
    action = models.CharField(max_length=64)
    target_kind = models.CharField(max_length=32)
    target_id = models.CharField(max_length=200)
    changes = models.JSONField(default=dict)
    number = models.BigIntegerField(null=True, editable=False)
    hash = models.BinaryField(null=True, editable=False, max_length=32)

    class Meta:
        indexes = [models.Index(fields=["org", "-created_at", "-id"], name="audit_newest_first")]
        constraints = [models.UniqueConstraint(fields=["org", "number"], name="audit_numbers_are_unique")]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target_id}"
