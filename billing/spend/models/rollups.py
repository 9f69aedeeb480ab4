"""Sums of the ledger, by the quarter of an hour and by the local day, and the rows that they are made of.

The tables, the view and the functions that fill them are in the migration: the app role may only read them.
"""

from typing import ClassVar

from django.db import models


class Measures(models.Model):
    """What is added up. Money is nano-USD; ``entries`` counts rows of the ledger, ``requests`` calls.

    What is nearly always nothing is NULL then. ``estimated`` counts calls that wait for their correction.
    """

    entries = models.BigIntegerField()
    requests = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    list_cost = models.BigIntegerField()
    effective_cost = models.BigIntegerField()
    saved_by_cache = models.BigIntegerField(null=True)
    saved_by_coalescing = models.BigIntegerField(null=True)
    saved_by_compression = models.BigIntegerField(null=True)
    saved_by_routing = models.BigIntegerField(null=True)
    saved_by_cascade = models.BigIntegerField(null=True)
    saved_by_batch = models.BigIntegerField(null=True)
    saved_by_distillation = models.BigIntegerField(null=True)
    failed = models.BigIntegerField(null=True)
    refused = models.BigIntegerField(null=True)
    unpriced = models.BigIntegerField(null=True)
    unattributed = models.BigIntegerField(null=True)
    estimated = models.BigIntegerField(null=True)
    #: of the providers' own prompt caches
    cache_read_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    #: the newest
    recorded_at = models.DateTimeField()

    class Meta:
        abstract = True


class LedgerLine(Measures):
    """A row of the ledger as it is added up: a view, so that sums of rows and rollups cannot differ in what they
    mean."""

    pk = models.CompositePrimaryKey("started_at", "id")
    id = models.UUIDField()
    started_at = models.DateTimeField()
    org_id = models.UUIDField()
    kind = models.TextField()
    corrects = models.UUIDField(null=True)
    project_id = models.UUIDField()
    key_id = models.UUIDField()
    request_model = models.TextField()
    upstream_id = models.UUIDField(null=True)
    status = models.IntegerField()
    end_user = models.TextField()
    tags = models.JSONField()
    cache_state = models.TextField()
    price_id = models.UUIDField(null=True)
    attempts = models.JSONField()

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "billing_ledgerline"

    def __str__(self) -> str:
        return str(self.id)


class Rollup(Measures):
    """The sums of a bucket of time. What its ``cube`` does not split by is NULL. ``name`` is a tag's, ``subject`` that
    tag's value, or an end user; ``cache_state`` is empty for calls that were not looked up. A ``cube`` with a length
    (``end_users/16d``) is that of a block of buckets, which begins with this one."""

    id = models.BigAutoField(primary_key=True)
    org_id = models.UUIDField()
    cube = models.TextField()
    project_id = models.UUIDField(null=True)
    key_id = models.UUIDField(null=True)
    request_model = models.TextField(null=True)
    upstream_id = models.UUIDField(null=True)
    status = models.IntegerField(null=True)
    name = models.TextField(null=True)
    subject = models.TextField(null=True)
    cache_state = models.TextField(null=True)
    price_id = models.UUIDField(null=True)

    class Meta:
        abstract = True


class QuarterRollup(Rollup):
    """The sums of a quarter of an hour, which begins at ``quarter``."""

    quarter = models.DateTimeField()

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "billing_quarterrollup"

    def __str__(self) -> str:
        return f"{self.cube} {self.quarter}"


class DayRollup(Rollup):
    """The sums of a local day."""

    day = models.DateField()

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "billing_dayrollup"

    def __str__(self) -> str:
        return f"{self.cube} {self.day}"
