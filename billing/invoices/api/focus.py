"""/spend/focus: the costs of up to a month as FOCUS 1.4."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from billing.invoices.api.packs import read_month
from billing.invoices.selectors.focus import export_focus
from billing.invoices.selectors.periods import load_periods
from billing.spend.api.query import LedgerView, read_filters, read_range
from billing.spend.api.requests import CsvRenderer
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.choices import Permission


class FocusView(LedgerView):
    """The export."""

    renderer_classes = [CsvRenderer, JSONRenderer]
    known_parameters = frozenset({"from", "to", "month"})

    @extend_schema(
        parameters=[
            OpenApiParameter("from"),
            OpenApiParameter("to"),
            OpenApiParameter(
                "month",
                description="such as 2026-10: from where its invoice begins to where it ends, in place of from and to",
            ),
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> Response:
        """The current month so far, ``from`` to ``to``, or a ``month`` as its invoice has it, as one CSV. Months of
        invoices have neither gap nor overlap, whatever time zones the organisation was in."""
        self.actor.check(Permission.READ_MONEY)
        self.actor.check_fresh()
        filters, month = read_filters(self.actor, request), request.query_params.get("month", "")
        if month and (filters.start or filters.end):
            raise InvalidField("Give a month, or from and to.", field="month")
        if month:
            start, end = load_periods(self.actor).of_month(read_month(month))
        else:
            start, end = read_range(filters, clock.now(), self.actor.org.time_zone)
        text = export_focus(self.actor, start, end)
        return Response(text, content_type="text/csv; charset=utf-8")
