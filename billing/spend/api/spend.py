"""/spend: sums of the ledger by any grouping."""

from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.spend.api.query import FILTER_PARAMETERS, FILTERS, LedgerView, read_filters, read_range
from billing.spend.selectors import GROUPS, Totals, find_spend
from costhub.lib import clock
from costhub.lib.money import format_usd
from tenants.api.fields import Usd
from tenants.api.parsing import check_text


class TotalsAnswer(serializers.Serializer[Any]):
    """Sums. Money is decimal USD; ``savings`` by mechanism add up to ``list_cost - effective_cost``."""

    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    list_cost = Usd()
    effective_cost = Usd()
    savings = serializers.DictField(child=serializers.CharField())


class GroupAnswer(TotalsAnswer):
    """One group; ``labels`` are the names that its ids have today."""

    group = serializers.DictField(child=serializers.CharField())
    labels = serializers.DictField(child=serializers.CharField())


class SpendAnswer(serializers.Serializer[Any]):
    """Groups, dearest first (in order of time where time is the first group), over [from, to)."""

    total = TotalsAnswer()
    as_of = serializers.DateTimeField(allow_null=True)
    to = serializers.DateTimeField()

    def get_fields(self) -> dict[str, Any]:
        """``data`` is a word of DRF's, ``from`` one of Python's."""
        return {"data": GroupAnswer(many=True)} | super().get_fields() | {"from": serializers.DateTimeField()}


class SpendView(LedgerView):
    """The sums."""

    known_parameters = FILTERS | {"group_by"}

    @extend_schema(
        parameters=[
            OpenApiParameter("group_by", description=f"some of {', '.join(GROUPS)} or tag:<name>, with commas between"),
            *FILTER_PARAMETERS,
        ],
        responses=SpendAnswer,
    )
    def get(self, request: Request) -> Response:
        """What was spent in the current month, or from ``from`` to ``to``."""
        filters = read_filters(self.actor, request)
        start, end = read_range(filters, clock.now(), self.actor.org.time_zone)
        groups = _read_groups(request.query_params)
        spend = find_spend(self.actor, start=start, end=end, group_by=groups, filters=filters)
        body = {
            "data": [{"group": row.group, "labels": row.labels, **_show_totals(row.totals)} for row in spend.rows],
            "total": _show_totals(spend.total),
            "as_of": spend.as_of,
            "from": start,
            "to": end,
        }
        return Response(SpendAnswer(body).data)


def _read_groups(params: QueryDict) -> list[str]:
    given = [str(value) for value in params.getlist("group_by")]
    for value in given:
        check_text(value, "group_by")
    return [name.strip() for value in given for name in value.split(",") if name.strip()]


def _show_totals(totals: Totals) -> dict[str, Any]:
    return {
        "requests": totals.requests,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "list_cost": totals.list_cost,
        "effective_cost": totals.effective_cost,
        "savings": {name: format_usd(nanos) for name, nanos in totals.savings.items()},
    }
