"""The table of kept answers."""

from typing import ClassVar

from django.db import models

from costhub.lib import clock


class StoredAnswer(models.Model):
    """One answer: ``kind`` is ``response`` or ``completion``, ``packed`` what it was and was asked, compressed JSON,
    sealed.

    ``answer_id`` is the id that its caller knows it by.
    """

    id = models.BigAutoField(primary_key=True)
    org_id = models.UUIDField()
    project_id = models.UUIDField()
    end_user = models.TextField()
    kind = models.TextField()
    answer_id = models.TextField()
    model = models.TextField()
    metadata = models.JSONField(default=dict)
    packed = models.BinaryField()
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_storedanswer"

    def __str__(self) -> str:
        return self.answer_id
