"""Organisations, their projects, members and end users."""

import uuid

from django.conf import settings
from django.db import models

from costhub.lib import clock
from tenants.choices import Role
from tenants.models.base import TenantRow


class Organization(models.Model):
    """A tenant. ``version`` moves with every change that the hot path must know of."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    # An organisation never moves to another shard: its counters, holds and ledger stream live together there.
    shard = models.PositiveSmallIntegerField(editable=False)
    data_key = models.BinaryField(editable=False)
    version = models.BigIntegerField(default=1, editable=False)
    is_active = models.BooleanField(default=True)
    # The emergency stop: no call is taken until somebody resumes.
    is_stopped = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return self.name


class Membership(TenantRow):
    """A person's role in an organisation."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "user"], name="one_membership_a_person")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.role}"


class Project(TenantRow):
    """A piece of work whose spend is counted together."""

    name = models.CharField(max_length=120)
    is_archived = models.BooleanField(default=False)
    is_stopped = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="project_names_are_unique")]

    def __str__(self) -> str:
        return self.name


class EndUser(TenantRow):
    """Somebody on whose behalf an application calls. ``external_id`` is the application's name for them."""

    external_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    is_blocked = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "external_id"], name="end_users_are_unique")]

    def __str__(self) -> str:
        return self.external_id
