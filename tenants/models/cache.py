"""What the cache may do for an organisation's calls, and what was given up of it."""

from decimal import Decimal
from typing import Final

from django.db import models

from costhub.lib import clock
from tenants.choices import CacheMode, CacheSharing, PurgeKind
from tenants.models.base import TenantRow

#: no answer is given again later than this
MAX_TTL_SECONDS: Final = 30 * 86_400


class CachePolicy(TenantRow):
    """Of one model, or where ``model`` is empty of every model without a policy of its own. An organisation without one
    has no cache.

    ``max_temperature``: calls that ask for more are not cached. ``max_error_rate``: the share of requests that may get
    a wrong answer from the semantic level. ``marks_prompts``: whether prompts get the mark behind which a provider that
    wants one keeps them in a cache of its own. ``replay_ms``: the pause between the events of a kept stream.
    ``holdout_percent``: of the calls, asked all the same to compare with.
    """

    model = models.CharField(max_length=200, blank=True)
    mode = models.CharField(max_length=8, choices=[(mode.value, mode.value) for mode in CacheMode])
    semantic = models.CharField(
        max_length=8, choices=[(mode.value, mode.value) for mode in CacheMode], default=CacheMode.OFF.value
    )
    ttl_seconds = models.PositiveIntegerField(default=3_600)
    max_temperature = models.DecimalField(max_digits=4, decimal_places=2, default=Decimal("0.7"))
    max_error_rate = models.DecimalField(max_digits=4, decimal_places=3, default=Decimal("0.01"))
    sharing = models.CharField(
        max_length=12,
        choices=[(sharing.value, sharing.value) for sharing in CacheSharing],
        default=CacheSharing.KEY.value,
    )
    marks_prompts = models.BooleanField(default=False)
    replay_ms = models.PositiveSmallIntegerField(default=0)
    # Policies that were made before there was one have none.
    holdout_percent = models.PositiveSmallIntegerField(default=2, db_default=0)

    class Meta:
        verbose_name = "cache policy"
        verbose_name_plural = "cache policies"
        constraints = [models.UniqueConstraint(fields=["org", "model"], name="one_cache_policy_a_model")]

    def __str__(self) -> str:
        return f"{self.model or 'every model'}: {self.mode}, semantic {self.semantic}"


class CachePurge(TenantRow):
    """Answers kept before a moment are not given any more: all, or those of a model, tag, scope, or one by its id."""

    kind = models.CharField(max_length=8, choices=[(kind.value, kind.value) for kind in PurgeKind])
    subject = models.CharField(max_length=200, blank=True)
    before = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = "cache purge"
        indexes = [models.Index(fields=["org", "before"], name="cache_purges_in_force")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} before {self.before:%Y-%m-%d %H:%M}"
