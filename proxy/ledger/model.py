"""The ledger: one append-only row a call, partitioned by the moment that the call was admitted."""

from typing import ClassVar

from django.db import models


class LedgerEntry(models.Model):
    """What one call was, cost and saved. Money is nano-USD.

    ``kind`` is ``call``, or ``correction`` for a row that points at the row it corrects (``corrects``) and carries the
    differences in tokens and money, under the same ``started_at``, so that a period's sum is right without a join.
    """

    pk = models.CompositePrimaryKey("started_at", "id")
    id = models.UUIDField()
    started_at = models.DateTimeField()
    org_id = models.UUIDField()
    project_id = models.UUIDField()
    key_id = models.UUIDField()
    end_user = models.TextField(default="")
    tags = models.JSONField(default=dict)
    session = models.TextField(default="")
    kind = models.TextField(default="call")
    corrects = models.UUIDField(null=True)

    endpoint = models.TextField(default="")
    request_model = models.TextField(default="")
    response_model = models.TextField(default="")
    upstream_id = models.UUIDField(null=True)
    provider = models.TextField(default="")
    attempts = models.JSONField(default=list)
    is_stream = models.BooleanField(default=False)

    input_tokens = models.BigIntegerField(default=0)
    cache_read_input_tokens = models.BigIntegerField(default=0)
    cache_write_input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    audio_input_tokens = models.BigIntegerField(default=0)
    audio_output_tokens = models.BigIntegerField(default=0)
    # The classes of usage that have no column, by their names in ``Usage``.
    usage = models.JSONField(default=dict)

    list_cost = models.BigIntegerField(default=0)
    effective_cost = models.BigIntegerField(default=0)
    savings = models.JSONField(default=dict)
    price_id = models.UUIDField(null=True)
    # The discount or mark-up that was on the list price.
    adjustment_id = models.UUIDField(null=True)
    # The service tier that answered, where it was another than the default one.
    service_tier = models.TextField(default="")
    is_estimated = models.BooleanField(default=False)
    is_overrun = models.BooleanField(default=False)
    # The bound that was held, for a row whose truth is still to be asked for.
    held = models.BigIntegerField(default=0)

    cache_status = models.TextField(default="")
    route_reason = models.TextField(default="")
    # Ids of budgets and rate limits that only report and would have refused the call.
    would_refuse = models.JSONField(default=list)
    # The budget or rate limit that refused the call, with its amounts: see ``proxy.core.refusals.tell_refusal``.
    refused_by = models.JSONField(default=dict)
    status = models.IntegerField(default=0)
    error_code = models.TextField(default="")
    finish_reason = models.TextField(default="")
    duration_us = models.BigIntegerField(default=0)
    first_byte_us = models.BigIntegerField(null=True)
    overhead_us = models.BigIntegerField(null=True)
    recorded_at = models.DateTimeField()

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_ledgerentry"

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
