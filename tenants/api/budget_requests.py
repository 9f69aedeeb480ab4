"""/budget-requests: somebody asks for more, somebody else says yes, less, or no."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.access import access_row
from tenants.actions.budget_requests import ask_for_more, deny_request, grant_request, withdraw_request
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Moment, Nothing, Text, Usd
from tenants.api.paging import PARAMETERS
from tenants.choices import BudgetRequestState, Permission
from tenants.models import Budget, BudgetRequest
from tenants.selectors import list_budget_requests


class BudgetRequestAnswer(Answer):
    """A request, and what became of it. ``granted`` may be less than ``amount``; ``increase`` is what came of it."""

    budget = serializers.UUIDField(source="budget_id")
    amount = Usd(source="amount_nanos")
    granted = Usd(source="granted_nanos", allow_null=True)
    increase = serializers.UUIDField(source="increase_id", allow_null=True)

    class Meta:
        model = BudgetRequest
        fields: ClassVar = [
            "id",
            "budget",
            "amount",
            "until",
            "reason",
            "asked_by",
            "state",
            "granted",
            "increase",
            "answer",
            "decided_by",
            "decided_at",
            "created_at",
        ]


class NewBudgetRequest(Body):
    """How much more in which budget, until when, and what for."""

    budget = Text(help_text="a budget's id")
    amount = Usd()
    until = Moment()
    reason = Text()


class Grant(Body):
    """Less than was asked for, unless all of it; and a word for who asked."""

    amount = Usd(required=False)
    answer = Text(required=False, allow_blank=True)


class Denial(Body):
    """A word for who asked."""

    answer = Text(required=False, allow_blank=True)


class BudgetRequestFilters(Body):
    """Which requests."""

    state = Choice(BudgetRequestState, required=False)


class BudgetRequestViewSet(TenantViewSet):
    """Requests for more, decided ones included."""

    queryset = BudgetRequest.objects.all()
    serializer_class = BudgetRequestAnswer
    read_permission = Permission.READ_MONEY
    known_parameters = PARAMETERS | {"state"}

    def rows(self) -> QuerySet[BudgetRequest]:
        """Those of the open organisation."""
        return list_budget_requests(self.actor)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those in one state, if asked."""
        state = self.read_query(BudgetRequestFilters).get("state")
        return rows if state is None else rows.filter(state=state.value)

    @extend_schema(parameters=[BudgetRequestFilters])
    def list(self, request: Request) -> Response:
        """A page of requests, newest first."""
        return super().list(request)

    @extend_schema(request=NewBudgetRequest, responses={201: BudgetRequestAnswer})
    def create(self, request: Request) -> Response:
        """Ask for more. Whoever may decide is told by mail."""
        body = self.read(NewBudgetRequest)
        self.actor.check(Permission.ASK_MONEY)
        budget, amount = access_row(Budget.objects.all(), self.actor, body.pop("budget")), body.pop("amount")
        told = self.describe(budget, amount)
        return self.show(ask_for_more(actor=self.actor, budget=budget, amount_nanos=amount, told=told, **body), 201)

    def describe(self, budget: Budget, amount_nanos: int) -> str:
        """What it does, for the mail: spend is another app's, which says it in its own view."""
        return ""

    @extend_schema(request=Grant, responses=BudgetRequestAnswer)
    @action(detail=True, methods=["post"])
    def grant(self, request: Request, pk: str) -> Response:
        """Say yes: the budget is increased, by less where an amount is given."""
        found, body = self.access(pk), self.read(Grant)
        return self.show(
            grant_request(
                actor=self.actor,
                request=found,
                amount_nanos=body.get("amount"),
                answer=body.get("answer", ""),
            )
        )

    @extend_schema(request=Denial, responses=BudgetRequestAnswer)
    @action(detail=True, methods=["post"])
    def deny(self, request: Request, pk: str) -> Response:
        """Say no."""
        found = self.access(pk)
        return self.show(deny_request(actor=self.actor, request=found, **self.read(Denial)))

    @extend_schema(request=Nothing, responses=BudgetRequestAnswer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """Take one's own request back."""
        found = self.access(pk)
        self.read(Nothing)
        return self.show(withdraw_request(actor=self.actor, request=found))
