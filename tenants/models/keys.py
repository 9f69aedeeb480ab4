"""Secrets that programs authenticate with. Only an HMAC of each is stored; the secret is shown once."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from costhub.lib import clock
from tenants.choices import Role
from tenants.models.base import TenantRow


class ApiKey(TenantRow):
    """A key of the LLM API."""

    project = models.ForeignKey("tenants.Project", on_delete=models.PROTECT, related_name="+", db_constraint=False)
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=16)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    end_user = models.CharField(max_length=200, blank=True)
    # Empty: every model of the organisation.
    allowed_models = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    is_stopped = models.BooleanField(default=False)
    rotated_to = models.UUIDField(null=True, blank=True, editable=False)
    created_by = models.CharField(max_length=254, blank=True)

    class Meta:
        indexes = [models.Index(fields=["org", "-created_at"], name="keys_of_an_org")]

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"

    @property
    def is_expired(self) -> bool:
        """Whether it is refused because its time is over: a grace after a rotation ends like this too."""
        return self.expires_at is not None and self.expires_at <= clock.now()


class AdminToken(TenantRow):
    """A token of the management API, with the rights of a role."""

    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=16)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"


class PlatformToken(models.Model):
    """A token of whoever operates the installation: it may create organisations, and read none."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=16)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"
