"""/budget-use: where every budget stands, a row a subject."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.spend.selectors.standings import Standing, list_standings
from costhub.lib import clock
from tenants.api.base import ManagementView
from tenants.api.budgets import BudgetFilters
from tenants.api.fields import Usd


class StandingAnswer(serializers.Serializer[Any]):
    """One subject of one budget in its current period, decimal USD. ``left`` is limit less spent and held; ``held`` is
    null while the counters cannot be read. An empty ``subject`` is a default that nobody has spent from yet, or one of
    runs, which are not listed."""

    budget = serializers.UUIDField()
    name = serializers.CharField()
    scope = serializers.CharField()
    subject = serializers.CharField()
    subject_name = serializers.CharField()
    within = serializers.DictField(child=serializers.CharField(), allow_null=True)
    period = serializers.CharField()
    action = serializers.CharField()
    is_shadow = serializers.BooleanField()
    is_default = serializers.BooleanField()
    limit = Usd()
    spent = Usd()
    held = Usd(allow_null=True)
    left = Usd()
    used_percent = serializers.DecimalField(max_digits=20, decimal_places=1)
    resets_at = serializers.DateTimeField(allow_null=True)
    more = serializers.IntegerField(
        help_text="of a default, how many subjects have spent under it and are not listed, because they spent less"
    )
    burn_per_day = Usd(help_text="at the pace of the period so far")
    empty_at = serializers.DateTimeField(allow_null=True, help_text="when nothing is left at that pace")


class StandingsAnswer(serializers.Serializer[Any]):
    """Every active budget, the fullest subject first; of a default the 50 subjects that have spent the most."""

    as_of = serializers.DateTimeField()

    def get_fields(self) -> dict[str, Any]:
        """``data`` is a word of DRF's."""
        return {"data": StandingAnswer(many=True)} | super().get_fields()


class BudgetUseView(ManagementView):
    """The standings."""

    known_parameters = frozenset({"scope"})

    @extend_schema(parameters=[BudgetFilters], responses=StandingsAnswer)
    def get(self, request: Request) -> Response:
        """What is spent, held and left of every budget now, and when it resets."""
        scope = self.read_query(BudgetFilters).get("scope")
        now = clock.now()
        found = list_standings(self.actor, now, scope)
        return Response(StandingsAnswer({"data": [_show(each) for each in found], "as_of": now}).data)


def _show(each: Standing) -> dict[str, Any]:
    budget = each.budget
    return {
        "budget": budget.id,
        "name": budget.name,
        "scope": budget.scope,
        "subject": each.subject,
        "subject_name": each.subject_name,
        "within": {budget.within_scope: budget.within} if budget.within else None,
        "period": budget.period,
        "action": budget.action,
        "is_shadow": budget.is_shadow,
        "is_default": each.is_default,
        "limit": each.limit,
        "spent": each.spent,
        "held": each.held,
        "left": each.left,
        "used_percent": f"{each.per_mille // 10}.{each.per_mille % 10}",
        "resets_at": each.end,
        "more": each.more,
        "burn_per_day": each.burn.per_day,
        "empty_at": each.burn.empty_at,
    }
