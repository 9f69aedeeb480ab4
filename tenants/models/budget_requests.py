"""Requests for more: somebody asks for an increase of a budget, somebody else decides."""

from django.conf import settings
from django.db import models

from costhub.lib.money import MAX_LIMIT_NANOS
from tenants.choices import BudgetRequestState
from tenants.models.base import TenantRow


class BudgetRequest(TenantRow):
    """So much more in a budget until a moment, asked for with a reason. What is granted may be less."""

    budget = models.ForeignKey("tenants.Budget", on_delete=models.CASCADE, related_name="requests", db_constraint=False)
    amount_nanos = models.BigIntegerField()
    until = models.DateTimeField()
    reason = models.CharField(max_length=500)
    asked_by = models.CharField(max_length=254)
    asked_by_user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    state = models.CharField(
        max_length=16,
        choices=[(state.value, state.value) for state in BudgetRequestState],
        default=BudgetRequestState.OPEN.value,
    )
    granted_nanos = models.BigIntegerField(null=True, blank=True)
    increase = models.ForeignKey(
        "tenants.BudgetIncrease", on_delete=models.SET_NULL, null=True, related_name="+", db_constraint=False
    )
    answer = models.CharField(max_length=500, blank=True)
    decided_by = models.CharField(max_length=254, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "budget request"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_nanos__gte=1, amount_nanos__lte=MAX_LIMIT_NANOS),
                name="asked_amount_is_exact_in_lua",
            )
        ]
        indexes = [models.Index(fields=["org", "-created_at"], name="budget_requests_newest_first")]

    def __str__(self) -> str:
        return f"{self.asked_by}: {self.amount_nanos} ({self.state})"
