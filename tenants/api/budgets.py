"""/budgets."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.money import format_usd
from tenants.access import access_row
from tenants.actions.budgets import create_budget, update_budget
from tenants.actions.increases import end_increase, increase_budget, list_in_force
from tenants.actions.ladders import MAX_RUNGS
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Flag, Moment, ShownWithin, Text, Usd, Whole, Within
from tenants.api.paging import PARAMETERS
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope, Permission, RungKind
from tenants.models import Budget, BudgetIncrease
from tenants.selectors import list_budgets, list_increases


class BudgetAnswer(Answer):
    """A budget. An empty ``subject`` makes it the default of each subject of its scope."""

    limit = Usd(source="limit_nanos")
    increased_by = serializers.SerializerMethodField(help_text="USD of the increases in force")
    effective_limit = serializers.SerializerMethodField(
        help_text="USD of limit and increases; what rolled over differs by subject: GET /v1/costhub/budget has it"
    )
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
            "rollover",
            "increased_by",
            "effective_limit",
            "action",
            "ladder",
            "thresholds",
            "is_shadow",
            "is_active",
            "created_at",
        ]

    def get_increased_by(self, row: Budget) -> str:
        """Nine decimal places."""
        return format_usd(_increased(row))

    def get_effective_limit(self, row: Budget) -> str:
        """Nine decimal places."""
        return format_usd(row.limit_nanos + _increased(row))


def _increased(row: Budget) -> int:
    return sum(one.amount_nanos for one in list_in_force(row))


class IncreaseAnswer(Answer):
    """An increase of a budget: so much more until ``until``, unless it was ended before."""

    amount = Usd(source="amount_nanos")

    class Meta:
        model = BudgetIncrease
        fields: ClassVar = ["id", "amount", "until", "reason", "created_by", "created_at", "ended_at"]


class NewIncrease(Body):
    """How much more, and until when: a whole minute, to which it is rounded up."""

    amount = Usd()
    until = Moment()
    reason = Text(required=False, allow_blank=True)


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
                "route": {"type": "string", "description": "of route"},
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
    rollover = Flag(required=False)
    action = Choice(BudgetAction, required=False)
    ladder = Ladder(required=False)
    thresholds = serializers.ListField(child=Whole(), required=False, max_length=100)
    is_shadow = Flag(required=False)
    name = Text(required=False, allow_blank=True)


class BudgetChanges(Body):
    """What may change."""

    limit = Usd(required=False)
    rollover = Flag(required=False)
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

    @extend_schema(responses=IncreaseAnswer(many=True))
    @action(detail=True, methods=["get"], filter_backends=[], serializer_class=IncreaseAnswer)
    def increases(self, request: Request, pk: str) -> Response:
        """A page of a budget's increases, newest first, those that have ended included."""
        self.actor.check(self.read_permission)
        page = self.paginate_queryset(list_increases(self.actor, self.access(pk)))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=NewIncrease, responses={201: IncreaseAnswer})
    @increases.mapping.post
    def increase(self, request: Request, pk: str) -> Response:
        """Put so much more into a budget for a time."""
        budget = self.access(pk)
        body = self.read(NewIncrease)
        body["amount_nanos"] = body.pop("amount")
        return self.show(increase_budget(actor=self.actor, budget=budget, **body), 201)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["delete"], url_path="increases/(?P<increase_id>[^/]+)")
    def end(self, request: Request, pk: str, increase_id: str) -> Response:
        """End an increase now. Its row stays."""
        rows = list_increases(self.actor, self.access(pk))
        end_increase(actor=self.actor, increase=access_row(rows, self.actor, increase_id))
        return Response(status=204)

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
