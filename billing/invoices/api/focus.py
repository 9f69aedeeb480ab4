"""/spend/focus: the costs of up to a month as FOCUS 1.4."""

import csv
import io

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from billing.invoices.selectors.focus import list_focus
from billing.spend.api.query import LedgerView, read_filters, read_range
from billing.spend.api.requests import CsvRenderer
from billing.spend.core.focus import COLUMNS
from costhub.lib import clock


class FocusView(LedgerView):
    """The export."""

    renderer_classes = [CsvRenderer, JSONRenderer]
    known_parameters = frozenset({"from", "to"})

    @extend_schema(
        parameters=[OpenApiParameter("from"), OpenApiParameter("to")],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> Response:
        """The current month so far, or ``from`` to ``to``, as one CSV."""
        start, end = read_range(read_filters(self.actor, request), clock.now(), self.actor.org.time_zone)
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(list_focus(self.actor, start, end))
        return Response(out.getvalue(), content_type="text/csv; charset=utf-8")
