"""The tables of files and batches: made and guarded by a migration's SQL, like every tenant row."""

from typing import ClassVar

from django.db import models

from costhub.lib import clock


class StoredFile(models.Model):
    """A file of a project, or of the end user that its key is bound to. Its bytes are in the store, by its id."""

    id = models.UUIDField(primary_key=True)
    org_id = models.UUIDField()
    project_id = models.UUIDField()
    end_user = models.TextField()
    filename = models.TextField()
    purpose = models.TextField()
    bytes = models.BigIntegerField()
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_storedfile"

    def __str__(self) -> str:
        return self.filename


class Batch(models.Model):
    """Calls of one model that were handed in together. ``row`` is the ledger row of the call that did so, ``held`` what
    was set aside for all lines, in nano-USD; ``spent`` what was known then of budgets with ladders, by counter;
    ``remote`` what an upstream that runs it itself knows it by, and what is noted of its end."""

    id = models.UUIDField(primary_key=True)
    org_id = models.UUIDField()
    project_id = models.UUIDField()
    key_id = models.UUIDField()
    end_user = models.TextField()
    tags = models.JSONField(default=dict)
    session = models.TextField()
    endpoint = models.TextField()
    model = models.TextField()
    upstream_id = models.UUIDField(null=True)
    input_file_id = models.UUIDField()
    output_file_id = models.UUIDField(null=True)
    error_file_id = models.UUIDField(null=True)
    status = models.TextField()
    is_remote = models.BooleanField(default=False)
    # Calls with deadlines, each of which holds its own money; the earliest of those that have no answer.
    is_pool = models.BooleanField(default=False)
    first_deadline = models.DateTimeField(null=True)
    remote = models.JSONField(default=dict)
    metadata = models.JSONField(null=True)
    errors = models.JSONField(null=True)
    total = models.IntegerField(default=0)
    completed = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    held = models.BigIntegerField(default=0)
    spent = models.JSONField(default=dict)
    row = models.JSONField(default=dict)
    created_ms = models.BigIntegerField()
    expires_at = models.DateTimeField()
    in_progress_at = models.DateTimeField(null=True)
    finalizing_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True)
    cancelling_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_batch"

    def __str__(self) -> str:
        return f"batch {self.id}"

    @property
    def has_own_lines(self) -> bool:
        """Whether its lines came with it, and their file is nobody else's."""
        return self.input_file_id == self.id


class BatchLine(models.Model):
    """One call of a batch: where it stands in the file, what it may cost (``amount``, nano-USD, for ``max_output``
    tokens a choice), how far it is, and the line that the output or error file gets."""

    pk = models.CompositePrimaryKey("batch_id", "number")
    batch_id = models.UUIDField()
    number = models.IntegerField()
    org_id = models.UUIDField()
    custom_id = models.TextField()
    starts = models.BigIntegerField()
    length = models.IntegerField()
    amount = models.BigIntegerField()
    max_output = models.IntegerField()
    state = models.TextField()
    tries = models.IntegerField(default=0)
    again_at = models.DateTimeField(null=True)
    request_id = models.UUIDField(null=True)
    answer = models.BinaryField(null=True)
    cost = models.BigIntegerField(default=0)
    # What the ledger is told of the call that it was asked as last.
    event = models.BinaryField(null=True)
    # Of a call with a deadline, whose ``custom_id`` is the id that its caller knows.
    body = models.BinaryField(null=True)
    deadline_at = models.DateTimeField(null=True)
    # When its answer, or its error, was noted.
    ended_at = models.DateTimeField(null=True)
    # When webhooks were given the news that it is out.
    told_at = models.DateTimeField(null=True)
    # A response that runs in the background, and when its caller did not want it any more.
    is_background = models.BooleanField(default=False)
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_batchline"

    def __str__(self) -> str:
        return f"line {self.number} of batch {self.batch_id}"

    @property
    def is_late(self) -> bool:
        """Whether it was out behind its deadline. Of those that were out before this was noted nobody knows."""
        return self.ended_at is not None and self.deadline_at is not None and self.ended_at > self.deadline_at
