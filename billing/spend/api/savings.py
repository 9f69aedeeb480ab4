"""/savings: what each mechanism has saved."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.spend.api.query import FILTER_PARAMETERS, FILTERS, LedgerView, read_filters, read_range
from billing.spend.selectors import find_spend
from costhub.lib import clock
from tenants.api.fields import Usd


class MechanismAnswer(serializers.Serializer[Any]):
    """One mechanism; below zero where it has cost more than it saved."""

    mechanism = serializers.CharField(help_text="what saved it: cache, coalescing, compression, routing and the like")
    saved = Usd(help_text="what it saved, decimal USD")


class SavingsAnswer(serializers.Serializer[Any]):
    """What was saved over [from, to), what saved most first: the parts add up to ``saved``, which is ``list_cost`` less
    ``effective_cost``."""

    saved = Usd(help_text="the sum of all mechanisms, decimal USD")
    list_cost = Usd()
    effective_cost = Usd()
    as_of = serializers.DateTimeField(allow_null=True)
    to = serializers.DateTimeField()

    def get_fields(self) -> dict[str, Any]:
        """``data`` is a word of DRF's, ``from`` one of Python's."""
        return {"data": MechanismAnswer(many=True)} | super().get_fields() | {"from": serializers.DateTimeField()}


class SavingsView(LedgerView):
    """The sums by mechanism."""

    known_parameters = FILTERS

    @extend_schema(parameters=FILTER_PARAMETERS, responses=SavingsAnswer)
    def get(self, request: Request) -> Response:
        """What was saved in the current month, or from ``from`` to ``to``."""
        filters = read_filters(self.actor, request)
        start, end = read_range(filters, clock.now(), self.actor.org.time_zone)
        spend = find_spend(self.actor, start=start, end=end, filters=filters)
        total = spend.total
        parts = sorted(total.savings.items(), key=lambda part: (-part[1], part[0]))
        body = {
            "data": [{"mechanism": name, "saved": nanos} for name, nanos in parts],
            "saved": total.list_cost - total.effective_cost,
            "list_cost": total.list_cost,
            "effective_cost": total.effective_cost,
            "as_of": spend.as_of,
            "from": start,
            "to": end,
        }
        return Response(SavingsAnswer(body).data)
