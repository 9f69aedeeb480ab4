"""/alerts: what happened, newest first, and who takes care of it."""

from enum import StrEnum
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.alerts.actions.alerts import acknowledge
from billing.alerts.core.texts import AlertText, describe
from billing.alerts.models import Alert
from billing.alerts.selectors import list_alerts, list_gravest
from billing.choices import AlertEvent, AlertKind, Severity
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Nothing
from tenants.api.paging import PARAMETERS


class AlertAnswer(Answer):
    """An alert in words and in figures. Money in ``facts`` is nano-USD."""

    title = serializers.SerializerMethodField()
    advice = serializers.SerializerMethodField()
    figures = serializers.SerializerMethodField()

    class Meta:
        model = Alert
        fields: ClassVar = [
            "id",
            "kind",
            "severity",
            "title",
            "advice",
            "figures",
            "rule",
            "subject",
            "threshold",
            "window_start",
            "facts",
            "created_at",
            "ended_at",
            "acknowledged_at",
            "acknowledged_by",
        ]

    def get_title(self, alert: Alert) -> str:
        """One sentence."""
        return self._text(alert).title

    def get_advice(self, alert: Alert) -> str:
        """What follows, or what to do."""
        return self._text(alert).advice

    def get_figures(self, alert: Alert) -> dict[str, str]:
        """By name."""
        return dict(self._text(alert).figures)

    def _text(self, alert: Alert) -> AlertText:
        zone = ZoneInfo(self.context["view"].actor.org.time_zone)
        return describe(AlertKind(alert.kind), alert.facts, AlertEvent.OPENED, zone)


class AlertState(StrEnum):
    """Whether an alert stands. Of the thresholds of a rule that a subject has crossed, the gravest is what is open."""

    OPEN = "open"
    OVER = "over"


class AlertFilters(Body):
    """Which alerts."""

    kind = Choice(AlertKind, required=False)
    severity = Choice(Severity, required=False)
    state = Choice(AlertState, required=False)


class AlertViewSet(TenantViewSet):
    """Alerts, those that are over included."""

    queryset = Alert.objects.all()
    serializer_class = AlertAnswer
    known_parameters = PARAMETERS | {"kind", "severity", "state"}

    def rows(self) -> QuerySet[Alert]:
        """Those that the actor may see."""
        return list_alerts(self.actor)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those of one kind or severity, or those that still stand."""
        wanted = self.read_query(AlertFilters)
        state = wanted.pop("state", None)
        if state is AlertState.OPEN:
            rows = list_gravest(self.actor)
        elif state is AlertState.OVER:
            rows = rows.exclude(ended_at=None)
        return rows.filter(**wanted)

    @extend_schema(parameters=[AlertFilters])
    def list(self, request: Request) -> Response:
        """A page of alerts, newest first."""
        return super().list(request)

    @extend_schema(request=Nothing, responses=AlertAnswer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Say that you take care of it."""
        alert = self.access(pk)
        self.read(Nothing)
        return self.show(acknowledge(actor=self.actor, alert=alert))
