"""The tables of the semantic level. Vectors and what is searched by them are columns that only SQL speaks of."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from costhub.lib import clock

#: cosines and likelihoods
_Number = models.FloatField  # noqa: TID251 - none of them is money


class CacheAnswer(models.Model):
    """What several entries say alike. ``rights`` and ``wrongs``: how often that was found right and wrong for a
    request."""

    id = models.BigAutoField(primary_key=True)
    org_id = models.UUIDField()
    scope = models.BinaryField()
    entries = models.IntegerField(default=1)
    rights = models.IntegerField(default=0)
    wrongs = models.IntegerField(default=0)

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_cacheanswer"

    def __str__(self) -> str:
        return f"answer {self.id}"


class CacheEntry(models.Model):
    """A question, its vector (``embedding``, in SQL only) and its answer as ``entries.pack`` writes it."""

    id = models.UUIDField(primary_key=True)
    org_id = models.UUIDField()
    scope = models.BinaryField()
    answer_id = models.BigIntegerField()
    model = models.TextField()
    tags = ArrayField(models.TextField())
    question = models.TextField()
    packed = models.BinaryField()
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_cacheentry"

    def __str__(self) -> str:
        return f"entry {self.id}"


class CacheLookup(models.Model):
    """One look-up by meaning: what was asked, what was nearest, how the gate rated it, and what became known of it.

    ``was_served``: the caller got the entry's answer, or in the shadow would have. ``right`` is null while nobody
    knows. ``share``: of look-ups like this one, those whose truth becomes known.
    """

    request_id = models.UUIDField(primary_key=True)
    org_id = models.UUIDField()
    at = models.DateTimeField(default=clock.now)
    asked = models.TextField()
    entry_id = models.UUIDField(null=True)
    answer_id = models.BigIntegerField(null=True)
    kept_question = models.TextField(default="")
    similarity = _Number(default=0)
    features = ArrayField(_Number(), null=True)
    is_guarded = models.BooleanField(default=False)
    veto = models.TextField(default="")
    likelihood = _Number(null=True)
    threshold = _Number(null=True)
    was_served = models.BooleanField(default=False)
    is_shadow = models.BooleanField(default=False)
    is_recheck = models.BooleanField(default=False)
    share = _Number(default=1)
    right = models.BooleanField(null=True)

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_cachelookup"

    def __str__(self) -> str:
        return f"look-up of {self.request_id}"


class CacheGate(models.Model):
    """What an organisation's gate has learned: its numbers, and how likely the candidates of recent look-ups were
    right, from which a threshold follows for any bound of errors."""

    org_id = models.UUIDField(primary_key=True)
    means = ArrayField(_Number())
    scales = ArrayField(_Number())
    weights = ArrayField(_Number())
    likelihoods = ArrayField(_Number())
    kappa = _Number()
    learned_from = models.IntegerField()
    fitted_at = models.DateTimeField(default=clock.now)

    class Meta:
        managed: ClassVar[bool] = False
        db_table = "proxy_cachegate"

    def __str__(self) -> str:
        return f"gate of {self.org_id}"
