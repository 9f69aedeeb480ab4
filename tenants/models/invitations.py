"""Invitations: a person's way into an organisation, by mail."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenants.choices import Role
from tenants.models.base import TenantRow


class Invitation(TenantRow):
    """A role that waits for whoever reads the mail. Only an HMAC of the link's secret is stored."""

    email = models.EmailField()
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    # Empty: the whole organisation.
    projects = ArrayField(models.UUIDField(), default=list, blank=True)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    invited_by = models.CharField(max_length=254, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org", "email"],
                condition=models.Q(accepted_at=None, withdrawn_at=None),
                name="one_open_invitation_a_person",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email}: {self.role}"
