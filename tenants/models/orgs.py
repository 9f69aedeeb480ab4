"""Organisations, their projects, members and end users."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
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
    # What unpaid invoices have come to: nothing can be changed any more, or no call is taken either. Nor is one where
    # a customer's plan has ended.
    is_read_only = models.BooleanField(default=False)
    is_suspended = models.BooleanField(default=False)
    # Whether owners, admins and finance are let in with a second factor only.
    requires_second_factor = models.BooleanField(default=False)
    # Until when operators of the installation may look into it.
    visits_allowed_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Since when it is closed for ever and waits to be erased, because an owner asked for it.
    erasure_asked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # For how long answers are kept that callers want to ask for again (``store``); 0: they are not.
    answers_kept_hours = models.PositiveIntegerField(default=0)
    # Whether callers of all its keys are told no amounts of money, whatever the key says.
    hides_amounts = models.BooleanField(default=False, db_default=False)
    # The id of its public page of upstreams; null: there is none.
    status_page = models.UUIDField(null=True, blank=True, editable=False)
    # Made up, to look at: nothing of it was ever called or billed.
    is_demo = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return self.name


class Membership(TenantRow):
    """A person's role in an organisation."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    # Empty: the whole organisation.
    projects = ArrayField(models.UUIDField(), default=list, blank=True)
    # By the organisation's directory (SCIM): single sign-on does not undo it.
    suspended_at = models.DateTimeField(null=True, blank=True)

    # A visit of an operator of the installation, and its end: no membership, whatever the role says.
    visit_until = models.DateTimeField(null=True, blank=True, editable=False)

    # Mails of what a week and a month did cost, for roles that get mails about money.
    wants_summaries = models.BooleanField(default=True)

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
