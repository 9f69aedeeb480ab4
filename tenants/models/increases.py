"""Increases of budgets for a time."""

from django.db import models

from costhub.lib.money import MAX_LIMIT_NANOS
from tenants.models.base import TenantRow


class BudgetIncrease(TenantRow):
    """So much more in a budget, for each of its subjects, from ``created_at`` until a whole minute, or until somebody
    ended it earlier. Its row stays."""

    budget = models.ForeignKey(
        "tenants.Budget", on_delete=models.CASCADE, related_name="increases", db_constraint=False
    )
    amount_nanos = models.BigIntegerField()
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    created_by = models.CharField(max_length=254, blank=True)

    class Meta:
        verbose_name = "budget increase"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_nanos__gte=1, amount_nanos__lte=MAX_LIMIT_NANOS),
                name="increase_is_exact_in_lua",
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount_nanos} until {self.until}"
