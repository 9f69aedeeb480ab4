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
    # Networks that it may be used from, and paths of the LLM API that it may call. Empty: all.
    allowed_addresses = ArrayField(models.CharField(max_length=43), default=list, blank=True)
    allowed_endpoints = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    # Whether its calls are told no amounts of money, but per cents: of a key that end users' programs have.
    hides_amounts = models.BooleanField(default=False, db_default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    is_stopped = models.BooleanField(default=False)
    rotated_to = models.UUIDField(null=True, blank=True, editable=False)
    # The first of the keys that this one came from by rotation. Limits know all of them by that one.
    lineage = models.UUIDField(null=True, blank=True, editable=False, db_index=True)
    created_by = models.CharField(max_length=254, blank=True)

    class Meta:
        indexes = [models.Index(fields=["org", "-created_at"], name="keys_of_an_org")]

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"

    @property
    def root(self) -> uuid.UUID:
        """The id by which limits know it and all that it came from."""
        return self.lineage or self.pk

    @property
    def is_expired(self) -> bool:
        """Whether it is refused because its time is over: a grace after a rotation ends like this too."""
        return self.expires_at is not None and self.expires_at <= clock.now()


class ServiceAccount(TenantRow):
    """A program that acts in the organisation, with a role as a person has one. It signs in with its tokens only."""

    name = models.CharField(max_length=120)
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    # Empty: the whole organisation.
    projects = ArrayField(models.UUIDField(), default=list, blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    created_by = models.CharField(max_length=254, blank=True)

    class Meta:
        verbose_name = "service account"
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="service_account_names_are_unique")]

    def __str__(self) -> str:
        return self.name


class AdminToken(TenantRow):
    """A token of the management API, with the rights of a role: those of its service account, if it has one."""

    account = models.ForeignKey(
        "tenants.ServiceAccount", on_delete=models.CASCADE, null=True, related_name="tokens", db_constraint=False
    )
    # Empty: all that the role may.
    scopes = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    created_by = models.CharField(max_length=254, blank=True)
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=16)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "admin token"

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
