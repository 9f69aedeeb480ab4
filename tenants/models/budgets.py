"""Budgets: how much may be spent, by whom, in which window."""

from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models

from costhub.lib.money import MAX_LIMIT_NANOS
from tenants.choices import NARROWING, BudgetAction, BudgetPeriod, BudgetScope
from tenants.models.base import TenantRow

#: what ``within_scope`` may be
WITHIN: Final = [(scope.value, scope.value) for scope in NARROWING]


def default_thresholds() -> list[int]:
    """The per cent of a budget at which people want to hear of it."""
    return [50, 80, 100]


class Budget(TenantRow):
    """A limit on spend. An empty ``subject`` makes it the default of every subject of its scope.

    ``subject`` is a project's or key's id, an end user's external id, a model's name, or a tag as ``key=value``.
    ``within`` is the id of the one project or key whose calls it counts; ``within_scope`` says which it is.
    """

    name = models.CharField(max_length=120, blank=True)
    scope = models.CharField(max_length=16, choices=[(scope.value, scope.value) for scope in BudgetScope])
    subject = models.CharField(max_length=200, blank=True)
    within_scope = models.CharField(max_length=16, blank=True, choices=WITHIN)
    within = models.CharField(max_length=36, blank=True)
    period = models.CharField(max_length=8, choices=[(period.value, period.value) for period in BudgetPeriod])
    limit_nanos = models.BigIntegerField()
    action = models.CharField(
        max_length=8,
        default=BudgetAction.BLOCK.value,
        choices=[(action.value, action.value) for action in BudgetAction],
    )
    # Of a budget that degrades: [{"at": 80, "rung": "cheaper_model", "model": "small"}, ...], rising.
    ladder = models.JSONField(default=list, blank=True)
    # Reports what it would have refused, and refuses nothing.
    is_shadow = models.BooleanField(default=False)
    # What was left of the period before is added to this one's limit.
    rollover = models.BooleanField(default=False)
    thresholds = ArrayField(models.PositiveSmallIntegerField(), default=default_thresholds)
    is_active = models.BooleanField(default=True)
    # It follows prepaid credits: nobody changes it by hand.
    is_managed = models.BooleanField(default=False, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(limit_nanos__gte=0, limit_nanos__lte=MAX_LIMIT_NANOS), name="limit_is_exact_in_lua"
            )
        ]
        indexes = [models.Index(fields=["org", "scope", "subject"], name="budgets_of_a_scope")]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject or 'each'} {self.period}"
