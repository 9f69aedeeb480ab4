"""/invoices and /credit-notes: what was billed, its documents, and the calls behind each line."""

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
    inline_serializer,
)
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from billing.invoices.actions.closing import preview_invoice, preview_next
from billing.invoices.actions.documents import FORMS, get_document
from billing.invoices.choices import CORRECTED, NOTES, InvoiceKind, InvoiceState, LineKind
from billing.invoices.core.terms import show_share
from billing.invoices.documents.content import show_cents, show_unit_price
from billing.invoices.models import Invoice, InvoiceLine
from billing.invoices.selectors.invoices import get_line, list_invoices, list_line_calls, list_lines
from costhub.lib import clock
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Usd
from tenants.api.paging import parse_limit
from tenants.choices import Permission

#: what an invoice has once it is there
_STORED: Final = frozenset(
    {"id", "kind", "state", "number", "corrects", "reason", "issued_at", "due_at", "paid_at", "created_at"}
)


@extend_schema_field({"type": "string", "format": "decimal", "example": "57.00"})
class Cents(serializers.Field[int, Any, str, Any]):
    """An amount of the invoice's currency, two decimal places."""

    def to_representation(self, value: int) -> str:
        """``1234.50``."""
        return show_cents(value).replace(",", "")


class InvoiceAnswer(Answer):
    """An invoice or note. ``usage`` and ``net_exact`` are exact USD, what is in ``groups`` too beside its rounded
    amount."""

    usage = Usd(source="usage_nanos")
    net_exact = Usd(source="net_nanos")
    net = Cents(source="net_cents")
    tax = Cents(source="tax_cents")
    total = Cents(source="total_cents")
    carried = Cents(source="carried_cents")
    due = Cents(source="due_cents")
    tax_rate = serializers.SerializerMethodField()
    groups = serializers.SerializerMethodField()

    class Meta:
        model = Invoice
        fields: ClassVar = [
            "id",
            "kind",
            "state",
            "number",
            "period_start",
            "period_end",
            "time_zone",
            "currency",
            "rate",
            "rate_day",
            "rate_source",
            "usage",
            "net_exact",
            "net",
            "tax_category",
            "tax_rate",
            "tax_reason",
            "tax",
            "total",
            "carried",
            "due",
            "groups",
            "seller",
            "buyer",
            "po_number",
            "corrects",
            "reason",
            "problem",
            "grace_until",
            "computed_at",
            "issued_at",
            "due_at",
            "paid_at",
            "created_at",
        ]

    def get_tax_rate(self, row: Invoice) -> str:
        """Per cents."""
        return show_share(row.tax_rate)

    def get_groups(self, row: Invoice) -> list[dict[str, str]]:
        """Amounts as they stand on the document, each the rounded sum of its lines."""
        return [
            {
                "title": group["title"],
                "exact": Usd().to_representation(group["nanos"]),
                "amount": Cents().to_representation(group["cents"]),
            }
            for group in row.groups
        ]


class LineAnswer(serializers.ModelSerializer[InvoiceLine]):
    """A line, exact in USD. ``saved`` is told of and not billed."""

    amount = Usd(source="nanos")
    saved = Usd()
    usd_per_million = serializers.SerializerMethodField()
    markup = serializers.SerializerMethodField()

    class Meta:
        model = InvoiceLine
        fields: ClassVar = [
            "position",
            "kind",
            "text",
            "start",
            "end",
            "project",
            "project_name",
            "model",
            "price",
            "token_class",
            "quantity",
            "usd_per_million",
            "markup",
            "amount",
            "saved",
        ]

    def get_usd_per_million(self, row: InvoiceLine) -> str:
        """Of tokens."""
        return show_unit_price(row.unit_price) if row.quantity else ""

    def get_markup(self, row: InvoiceLine) -> str:
        """Per cents, of markups."""
        return show_share(row.share) if row.kind == LineKind.MARKUP else ""


class NextInvoiceAnswer(InvoiceAnswer):
    """An invoice that is not stored: what it would be if nothing came any more, with its lines."""

    lines = serializers.SerializerMethodField()

    class Meta(InvoiceAnswer.Meta):
        fields: ClassVar = [
            *(name for name in InvoiceAnswer.Meta.fields if name not in _STORED),
            "lines",
        ]

    @extend_schema_field(LineAnswer(many=True))
    def get_lines(self, row: Invoice) -> Any:
        """In order."""
        return LineAnswer(self.context["lines"], many=True).data


class LineCallAnswer(serializers.Serializer[Any]):
    """A row of the ledger behind a line: a call, or a correction."""

    id = serializers.UUIDField()
    started_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    tokens = serializers.IntegerField()
    cost = Usd()


class DocumentRenderer(BaseRenderer):
    """For whoever asks for a document by its media type; the view answers with its bytes itself."""

    media_type = "*/*"
    format = "document"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """A problem, as JSON."""
        rendered: bytes = JSONRenderer().render(data)
        return rendered


#: what documents are, as the API's own document names it
KINDS = tuple(kind.partition(";")[0] for kind in FORMS.values())
_FORM = OpenApiParameter("form", enum=sorted(FORMS), location=OpenApiParameter.PATH)


class _DocumentViewSet(TenantViewSet):
    """What invoices and notes have in common."""

    queryset = Invoice.objects.all()
    serializer_class = InvoiceAnswer
    read_permission = Permission.READ_MONEY
    kinds: ClassVar[tuple[InvoiceKind, ...]]

    def rows(self) -> QuerySet[Invoice]:
        """Those of the open organisation."""
        return list_invoices(self.actor, self.kinds)

    @extend_schema(responses=inline_serializer("LinesAnswer", {"data": LineAnswer(many=True)}))
    @action(detail=True, methods=["get"], filter_backends=[], pagination_class=None)
    def lines(self, request: Request, pk: str) -> Response:
        """All lines, in order; of a month in its days of grace as the ledger has them now."""
        self.actor.check(self.read_permission)
        row = self.access(pk)
        is_made = row.state != InvoiceState.GRACE
        rows = list_lines(self.actor, row) if is_made else preview_invoice(self.actor, row, clock.now()).lines
        return Response({"data": LineAnswer(rows, many=True).data})

    @extend_schema(parameters=[_FORM], responses={(200, kind): OpenApiTypes.BINARY for kind in KINDS})
    @action(
        detail=True,
        methods=["get"],
        url_path="(?P<form>pdf|xml|csv)",
        renderer_classes=[JSONRenderer, DocumentRenderer],
        filter_backends=[],
        pagination_class=None,
    )
    def document(self, request: Request, pk: str, form: str) -> HttpResponse:
        """The issued document: the same bytes each time."""
        self.actor.check(self.read_permission)
        invoice = self.access(pk)
        content = get_document(self.actor, invoice, form)
        answer = HttpResponse(content, content_type=FORMS[form])
        answer["Content-Disposition"] = f'attachment; filename="{invoice.number}.{form}"'
        return answer

    @extend_schema(
        responses=inline_serializer(
            "LineCallsAnswer",
            {"data": LineCallAnswer(many=True), "next": serializers.CharField(allow_null=True)},
        ),
        parameters=[
            OpenApiParameter("position", int, location=OpenApiParameter.PATH),
            OpenApiParameter("cursor"),
            OpenApiParameter("limit", int),
        ],
    )
    @action(
        detail=True,
        methods=["get"],
        url_path="lines/(?P<position>[^/]+)/requests",
        filter_backends=[],
        pagination_class=None,
    )
    def requests(self, request: Request, pk: str, position: str) -> Response:
        """The very calls that a line of usage bills, or a note's line re-rates, newest first."""
        invoice = self.access(pk)
        is_made = invoice.state != InvoiceState.GRACE
        preview = None if is_made else preview_invoice(self.actor, invoice, clock.now()).lines
        line = get_line(self.actor, invoice, position, preview)
        limit = parse_limit(request.query_params.get("limit"))
        page = list_line_calls(self.actor, invoice, line, cursor=request.query_params.get("cursor", ""), limit=limit)
        return Response({"data": LineCallAnswer(page.calls, many=True).data, "next": page.next})


@extend_schema_view(document=extend_schema(operation_id="invoices_document"))
class InvoiceViewSet(_DocumentViewSet):
    """Invoices, those that are not issued yet included: these have amounts where they are asked for one by one. Also
    those of prepaid credits."""

    kinds = CORRECTED

    def retrieve(self, request: Request, pk: str) -> Response:
        """One invoice; of a month in its days of grace as the ledger has it now."""
        self.check_may_read()
        row = self.access(pk)
        return self.show(
            preview_invoice(self.actor, row, clock.now()).invoice if row.state == InvoiceState.GRACE else row
        )

    @extend_schema(responses=NextInvoiceAnswer)
    @action(detail=False, methods=["get"], url_path="next", filter_backends=[], pagination_class=None)
    def upcoming(self, request: Request) -> Response:
        """The invoice of the month that runs, as closing it now would make it: fee, seats, included usage and minimum
        of the whole month, usage so far, credits and tax."""
        self.check_may_read()
        found = preview_next(self.actor, clock.now())
        return Response(NextInvoiceAnswer(found.invoice, context={"lines": found.lines}).data)


@extend_schema_view(document=extend_schema(operation_id="credit_notes_document"))
class CreditNoteViewSet(_DocumentViewSet):
    """Credit and debit notes: what corrects an issued invoice."""

    kinds = NOTES
