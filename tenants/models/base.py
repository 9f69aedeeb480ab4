"""What every tenant row has in common."""

import uuid

from django.db import models

from costhub.lib import clock


class TenantRow(models.Model):
    """A row of one organisation, under row-level security.

    References between tenant rows have no constraint of Django's: the migration adds one that leads with ``org_id``,
    because a plain foreign key accepts a row of another tenant.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    org = models.ForeignKey("tenants.Organization", on_delete=models.CASCADE, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        abstract = True
