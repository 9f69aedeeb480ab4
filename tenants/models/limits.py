"""Rate limits: how much may happen within a window of time that slides, and how many calls may be under way at once."""

from django.db import models

from costhub.lib.money import MAX_LIMIT_NANOS
from tenants.choices import BudgetScope, LimitUnit
from tenants.models.base import TenantRow
from tenants.models.budgets import WITHIN


class RateLimit(TenantRow):
    """A rate limit. An empty ``subject`` makes it the default of every subject of its scope, as with budgets;
    ``within`` narrows it as it does them.

    ``amount`` is calls, tokens, or nano-USD. ``window_seconds`` is 0 for ``concurrent``. One that ``is_shadow`` refuses
    nothing: the ledger says what it would have refused.
    """

    scope = models.CharField(max_length=16, choices=[(scope.value, scope.value) for scope in BudgetScope])
    subject = models.CharField(max_length=200, blank=True)
    within_scope = models.CharField(max_length=16, blank=True, choices=WITHIN)
    within = models.CharField(max_length=36, blank=True)
    unit = models.CharField(max_length=10, choices=[(unit.value, unit.value) for unit in LimitUnit])
    amount = models.BigIntegerField()
    window_seconds = models.PositiveIntegerField()
    is_shadow = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        verbose_name = "rate limit"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount__gte=1, amount__lte=MAX_LIMIT_NANOS), name="amount_is_exact_in_lua"
            )
        ]
        indexes = [models.Index(fields=["org", "scope", "subject"], name="rate_limits_of_a_scope")]

    def __str__(self) -> str:
        return f"{self.amount} {self.unit} of {self.scope} {self.subject or 'each'}"
