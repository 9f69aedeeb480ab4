"""/forecast and /anomalies: where the month is heading, and what was unusual."""

from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.choices import ForecastMethod
from billing.spend.api.query import read_moment
from billing.spend.models import Anomaly, Forecast
from billing.spend.outlook import list_anomalies, list_exceeding, list_forecasts
from billing.spend.selectors import read_budget_book
from billing.spend.selectors.names import find_names
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import access_named, access_row
from tenants.api.base import ManagementView, TenantViewSet
from tenants.api.fields import Usd
from tenants.api.paging import PARAMETERS
from tenants.choices import BudgetScope, Permission
from tenants.models import ApiKey, Project

_SCOPES = (BudgetScope.ORGANIZATION, BudgetScope.PROJECT, BudgetScope.KEY, BudgetScope.MODEL)


class ForecastAnswer(serializers.Serializer[Any]):
    """One month's end. Money is decimal USD; ``low`` to ``high`` holds it four times in five. ``backtest_error`` and
    ``backtest_coverage`` are per mille: what past forecasts of the same age missed, and how often their band held."""

    scope = serializers.ChoiceField(choices=[scope.value for scope in BudgetScope])
    subject = serializers.CharField()
    name = serializers.CharField()
    month = serializers.DateField()
    spent = Usd()
    expected = Usd(allow_null=True)
    low = Usd(allow_null=True)
    high = Usd(allow_null=True)
    method = serializers.ChoiceField(choices=[method.value for method in ForecastMethod])
    backtest_error = serializers.IntegerField(allow_null=True)
    backtest_coverage = serializers.IntegerField(allow_null=True)
    days_of_history = serializers.IntegerField()
    as_of = serializers.DateTimeField()


class ExceedingAnswer(serializers.Serializer[Any]):
    """A month budget that is forecast to be exceeded, and the local day in which."""

    budget = serializers.UUIDField()
    name = serializers.CharField()
    scope = serializers.CharField()
    subject = serializers.CharField()
    limit = Usd()
    expected = Usd()
    date = serializers.DateField()


class OutlookAnswer(serializers.Serializer[Any]):
    """Forecasts, the organisation's first, and the budgets that they exceed, the soonest first."""

    exceeds = ExceedingAnswer(many=True)

    def get_fields(self) -> dict[str, Any]:
        """``data`` is a word of DRF's."""
        return {"data": ForecastAnswer(many=True)} | super().get_fields()


class ExcessAnswer(serializers.Serializer[Any]):
    """``actual - expected``, by what made it; the parts add up to it."""

    calls = Usd()
    tokens = Usd()
    price = Usd()


class DriverAnswer(serializers.Serializer[Any]):
    """Who inside explains most of it."""

    dimension = serializers.CharField()
    subject = serializers.CharField()
    excess = Usd()


class AnomalyAnswer(serializers.Serializer[Any]):
    """An unusual day or hour. Money is decimal USD; ``low`` to ``high`` would have been usual."""

    id = serializers.UUIDField()
    scope = serializers.CharField()
    subject = serializers.CharField()
    unit = serializers.CharField()
    starts = serializers.DateTimeField()
    severity = serializers.CharField()
    actual = Usd()
    expected = Usd()
    low = Usd()
    high = Usd()
    cause = serializers.CharField()
    excess = ExcessAnswer(source="*")
    driver = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    @extend_schema(responses=DriverAnswer)
    def get_driver(self, row: Anomaly) -> dict[str, Any] | None:
        """None when nobody inside pulls in the direction of the whole."""
        if not row.driver_dimension:
            return None
        shown = {"dimension": row.driver_dimension, "subject": row.driver_subject, "excess": row.driver_excess}
        return dict(DriverAnswer(shown).data)


class ForecastView(ManagementView):
    """The forecasts."""

    known_parameters = frozenset({"project", "key"})

    @extend_schema(
        parameters=[
            OpenApiParameter("project", description="a project's name or id: only its forecast"),
            OpenApiParameter("key", description="a key's id: only its forecast"),
        ],
        responses=OutlookAnswer,
    )
    def get(self, request: Request) -> Response:
        """This month's end: of the organisation, and of the projects and keys that have a month budget."""
        now = clock.now()
        wanted = self._read_subjects(request)
        forecasts, book = list_forecasts(self.actor, now), read_budget_book(self.actor, now)
        rows = [row for row in forecasts if not wanted or (row.scope, row.subject) in wanted]
        exceeds = list_exceeding(self.actor, book, rows)
        row_names = find_names(self.actor.org, (row.subject for row in rows))
        body = {
            "data": [
                _show(row, row_names.get(row.subject, self.actor.org.name if not row.subject else "")) for row in rows
            ],
            "exceeds": [_show_exceeding(each) for each in exceeds],
        }
        return Response(OutlookAnswer(body).data)

    def _read_subjects(self, request: Request) -> set[tuple[str, str]]:
        self.actor.check(Permission.READ_MONEY)
        wanted = set()
        if project := request.query_params.get("project"):
            row = access_named(Project.objects.all(), self.actor, project, field="project")
            wanted.add((BudgetScope.PROJECT.value, str(row.pk)))
        if key := request.query_params.get("key"):
            wanted.add((BudgetScope.KEY.value, str(access_row(ApiKey.objects.all(), self.actor, key).pk)))
        return wanted


class AnomalyViewSet(TenantViewSet):
    """What was unusual."""

    serializer_class = AnomalyAnswer
    queryset = Anomaly.objects.none()
    read_permission = Permission.READ_MONEY
    known_parameters = PARAMETERS | {"from", "to", "scope"}

    def rows(self) -> QuerySet[Any]:
        """The organisation's anomalies."""
        return list_anomalies(self.actor)

    @extend_schema(
        parameters=[
            OpenApiParameter("from", description="a moment, or a local day: those that start then or later"),
            OpenApiParameter("to", description="a moment, outside; or a local day, the whole of it inside"),
            OpenApiParameter("scope", enum=[scope.value for scope in _SCOPES]),
        ]
    )
    def list(self, request: Request) -> Response:
        """A page of anomalies, newest first."""
        return super().list(request)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those of a scope, and of a stretch of time."""
        params = {name: str(value) for name, value in self.request.query_params.items()}
        zone = ZoneInfo(self.actor.org.time_zone)
        if start := read_moment(params, "from", zone):
            rows = rows.filter(starts__gte=start)
        if end := read_moment(params, "to", zone, is_end=True):
            rows = rows.filter(starts__lt=end)
        if scope := params.get("scope"):
            if scope not in _SCOPES:
                raise InvalidField(f"Give one of {', '.join(_SCOPES)}.", field="scope")
            rows = rows.filter(scope=scope)
        return rows


def _show(row: Forecast, name: str) -> dict[str, Any]:
    names = ("scope", "subject", "month", "spent", "expected", "low", "high", "method")
    tested = ("backtest_error", "backtest_coverage", "days_of_history")
    return {field: getattr(row, field) for field in (*names, *tested)} | {"name": name, "as_of": row.made_at}


def _show_exceeding(each: Any) -> dict[str, Any]:
    names = ("name", "scope", "subject", "limit", "expected", "date")
    return {name: getattr(each, name) for name in names} | {"budget": each.budget_id}
