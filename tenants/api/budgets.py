"""/budgets."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.budgets import create_budget, update_budget
from tenants.actions.ladders import MAX_RUNGS
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Flag, ShownWithin, Text, Usd, Whole, Within
from tenants.api.paging import PARAMETERS
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope, Permission, RungKind
from tenants.models import Budget
from tenants.selectors import list_budgets


class BudgetAnswer(Answer):
    """A budget. An empty ``subject`` makes it the default of each subject of its scope."""

    limit = Usd(source="limit_nanos")
    within = ShownWithin()

    class Meta:
        model = Budget
        fields: ClassVar = [
            "id",
            "name",
            "scope",
            "subject",
            "within",
            "period",
            "limit",
            "action",
            "ladder",
            "thresholds",
            "is_shadow",
            "is_active",
            "created_at",
        ]


@extend_schema_field(
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["at", "rung"],
            "properties": {
                "at": {"type": "integer", "description": "per cent of the budget from which on the rung is in force"},
                "rung": {"type": "string", "enum": list(RungKind)},
                "model": {"type": "string", "description": "of cheaper_model"},
                "max_tokens": {"type": "integer", "description": "of shorter_output"},
                "delay_ms": {"type": "integer", "description": "of slower_lane"},
            },
        },
    }
)
class Ladder(serializers.ListField):
    """The rungs of a budget that degrades, rising; the action checks each."""

    child = serializers.DictField()

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_RUNGS, **options)


class NewBudget(Body):
    """What a budget is made of; ``subject`` is a name or id, an end user's id of yours, or a tag as key=value."""

    scope = Choice(BudgetScope)
    subject = Text(required=False, allow_blank=True, allow_null=True)
    within = Within(required=False, allow_null=True)
    period = Choice(BudgetPeriod)
    limit = Usd()
    action = Choice(BudgetAction, required=False)
    ladder = Ladder(required=False)
    thresholds = serializers.ListField(child=Whole(), required=False, max_length=100)
    is_shadow = Flag(required=False)
    name = Text(required=False, allow_blank=True)


class BudgetChanges(Body):
    """What may change."""

    limit = Usd(required=False)
    action = Choice(BudgetAction, required=False)
    ladder = Ladder(required=False)
    thresholds = serializers.ListField(child=Whole(), required=False, max_length=100)
    is_shadow = Flag(required=False)
    name = Text(required=False, allow_blank=True)
    is_active = Flag(required=False)


class BudgetFilters(Body):
    """Which budgets."""

    scope = Choice(BudgetScope, required=False)


class BudgetViewSet(TenantViewSet):
    """Budgets, inactive ones included."""

    queryset = Budget.objects.all()
    serializer_class = BudgetAnswer
    read_permission = Permission.READ_MONEY
    known_parameters = PARAMETERS | {"scope"}

    def rows(self) -> QuerySet[Budget]:
        """Those of the open organisation."""
        return list_budgets(self.actor)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those of one scope, if asked."""
        return rows.filter(**self.read_query(BudgetFilters))

    @extend_schema(parameters=[BudgetFilters])
    def list(self, request: Request) -> Response:
        """A page of budgets, newest first."""
        return super().list(request)

    @extend_schema(request=NewBudget, responses={201: BudgetAnswer})
    def create(self, request: Request) -> Response:
        """Create a budget."""
        body = self.read(NewBudget)
        body["subject"] = body.get("subject") or ""
        body["limit_nanos"] = body.pop("limit")
        return self.show(create_budget(actor=self.actor, **body), 201)

    @extend_schema(request=BudgetChanges, responses=BudgetAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a budget's limit, action, thresholds or name."""
        budget = self.access(pk)
        body = self.read(BudgetChanges)
        if "limit" in body:
            body["limit_nanos"] = body.pop("limit")
        return self.show(update_budget(actor=self.actor, budget=budget, **body))

    def destroy(self, request: Request, pk: str) -> Response:
        """Switch a budget off. Its row stays, because the ledger speaks of it."""
        update_budget(actor=self.actor, budget=self.access(pk), is_active=False)
        return Response(status=204)
