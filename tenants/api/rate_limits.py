"""/rate-limits."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.errors import InvalidField
from costhub.lib.money import format_usd, parse_usd
from tenants.actions.limits import create_rate_limit, update_rate_limit
from tenants.api.base import TenantViewSet
from tenants.api.fields import Amount, Answer, Body, Choice, Flag, ShownWithin, Text, Whole, Within
from tenants.api.paging import PARAMETERS
from tenants.choices import BudgetScope, LimitUnit, Permission
from tenants.models import RateLimit
from tenants.selectors import list_rate_limits


class Quantity(Amount):
    """A whole number, or an amount of USD where that is the unit."""

    def to_internal_value(self, data: Any) -> Any:
        """The exact number. Raises ValidationError."""
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(
                'Give a whole number, or an amount of USD such as "0.50" where that is the unit.'
            ) from error


class RateLimitAnswer(Answer):
    """A rate limit: ``limit`` is a number of calls or tokens, or an amount of USD."""

    limit = serializers.SerializerMethodField()
    within = ShownWithin()

    class Meta:
        model = RateLimit
        fields: ClassVar = [
            "id",
            "scope",
            "subject",
            "within",
            "unit",
            "limit",
            "window_seconds",
            "is_shadow",
            "is_active",
            "created_at",
        ]

    def get_limit(self, row: RateLimit) -> str:
        """Nine decimal places of USD, or a whole number."""
        return format_usd(row.amount) if row.unit == LimitUnit.USD else str(row.amount)


class NewRateLimit(Body):
    """What a rate limit is made of; ``limit`` is a whole number, or USD where that is the unit."""

    scope = Choice(BudgetScope)
    subject = Text(required=False, allow_blank=True, allow_null=True)
    within = Within(required=False, allow_null=True)
    unit = Choice(LimitUnit)
    limit = Quantity()
    window_seconds = Whole(required=False)
    is_shadow = Flag(required=False)


class RateLimitChanges(Body):
    """What may change."""

    limit = Quantity(required=False)
    is_shadow = Flag(required=False)
    is_active = Flag(required=False)


class RateLimitFilters(Body):
    """Which rate limits."""

    scope = Choice(BudgetScope, required=False)


class RateLimitViewSet(TenantViewSet):
    """Rate limits, inactive ones included."""

    queryset = RateLimit.objects.all()
    serializer_class = RateLimitAnswer
    read_permission = Permission.READ_MONEY
    known_parameters = PARAMETERS | {"scope"}

    def rows(self) -> QuerySet[RateLimit]:
        """Those of the open organisation."""
        return list_rate_limits(self.actor)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those of one scope, if asked."""
        return rows.filter(**self.read_query(RateLimitFilters))

    @extend_schema(parameters=[RateLimitFilters])
    def list(self, request: Request) -> Response:
        """A page of rate limits, newest first."""
        return super().list(request)

    @extend_schema(request=NewRateLimit, responses={201: RateLimitAnswer})
    def create(self, request: Request) -> Response:
        """Create a rate limit."""
        body = self.read(NewRateLimit)
        body["subject"] = body.get("subject") or ""
        body["amount"] = _amount_of(body["unit"], body.pop("limit"))
        return self.show(create_rate_limit(actor=self.actor, **body), 201)

    @extend_schema(request=RateLimitChanges, responses=RateLimitAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a rate limit's amount, or what it does."""
        limit = self.access(pk)
        body = self.read(RateLimitChanges)
        if "limit" in body:
            body["amount"] = _amount_of(LimitUnit(limit.unit), body.pop("limit"))
        return self.show(update_rate_limit(actor=self.actor, limit=limit, **body))

    def destroy(self, request: Request, pk: str) -> Response:
        """Switch a rate limit off. Its row stays, because the ledger speaks of it."""
        update_rate_limit(actor=self.actor, limit=self.access(pk), is_active=False)
        return Response(status=204)


def _amount_of(unit: LimitUnit, given: Any) -> int:
    """Calls, tokens or nano-USD. Raises InvalidField."""
    if unit is LimitUnit.USD:
        try:
            return parse_usd(given)
        except ValueError as error:
            raise InvalidField(
                'Give an amount of USD with at most 9 decimal places, such as "0.50".', field="limit"
            ) from error
    if given != int(given):
        raise InvalidField(f"A number of {unit} is a whole number.", field="limit")
    return int(given)
