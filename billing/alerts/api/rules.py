"""/alert-rules: when people want to be told."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.alerts.actions.rules import create_rule, ensure_rules, list_known_rules, update_rule
from billing.alerts.core.kinds import KINDS
from billing.alerts.models import AlertRule
from billing.choices import AlertKind
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Flag, Text, Whole
from tenants.choices import Permission


class RuleAnswer(Answer):
    """A rule. Without thresholds those of ``default_thresholds`` hold, of budgets each one's own; ``unit`` is what they
    count."""

    unit = serializers.SerializerMethodField()
    default_thresholds = serializers.SerializerMethodField()

    class Meta:
        model = AlertRule
        fields: ClassVar = [
            "id",
            "name",
            "kind",
            "unit",
            "thresholds",
            "default_thresholds",
            "budget",
            "channels",
            "tells_recovery",
            "is_active",
            "created_at",
        ]

    def get_unit(self, rule: AlertRule) -> str:
        """In words."""
        return KINDS[AlertKind(rule.kind)].unit

    def get_default_thresholds(self, rule: AlertRule) -> list[int]:
        """Those of the kind."""
        return [each for each in KINDS[AlertKind(rule.kind)].thresholds if each]


class RuleChanges(Body):
    """What may change. ``channels`` are ids; none means all that take the kind."""

    name = Text(required=False)
    thresholds = serializers.ListField(child=Whole(), required=False, max_length=100)
    budget = Text(required=False, allow_null=True, allow_blank=True)
    channels = serializers.ListField(child=Text(), required=False, max_length=100)
    tells_recovery = Flag(required=False)
    is_active = Flag(required=False)


class NewRule(Body):
    """What a rule is made of."""

    kind = Choice(AlertKind)
    name = Text()
    thresholds = serializers.ListField(child=Whole(), required=False, max_length=100)
    budget = Text(required=False, allow_null=True, allow_blank=True)
    channels = serializers.ListField(child=Text(), required=False, max_length=100)
    tells_recovery = Flag(required=False)


class AlertRuleViewSet(TenantViewSet):
    """Rules, inactive ones included: there is one of every kind from the beginning."""

    queryset = AlertRule.objects.all()
    serializer_class = RuleAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[AlertRule]:
        """Those of the open organisation."""
        ensure_rules(self.actor.org)
        return list_known_rules(self.actor.org)

    @extend_schema(request=NewRule, responses={201: RuleAnswer})
    def create(self, request: Request) -> Response:
        """Create a rule."""
        return self.show(create_rule(actor=self.actor, **self.read(NewRule)), 201)

    @extend_schema(request=RuleChanges, responses=RuleAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a rule, or switch it on."""
        rule: Any = self.access(pk)
        return self.show(update_rule(actor=self.actor, rule=rule, **self.read(RuleChanges)))

    def destroy(self, request: Request, pk: str) -> Response:
        """Switch a rule off. Its row stays, because alerts speak of it."""
        update_rule(actor=self.actor, rule=self.access(pk), is_active=False)
        return Response(status=204)
