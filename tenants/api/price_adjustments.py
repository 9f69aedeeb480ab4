"""/price-adjustments: discounts and mark-ups on list prices."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.access import access_named
from tenants.actions.price_adjustments import AdjustmentKind, adjust_list_price
from tenants.api.base import TenantViewSet
from tenants.api.fields import Amount, Answer, Body, Choice, Moment, Text
from tenants.choices import Permission
from tenants.models import LanguageModel, PriceAdjustment, Upstream
from tenants.selectors import list_price_adjustments


class PriceAdjustmentAnswer(Answer):
    """A discount or mark-up: of one model's list price, or of those of all models of an upstream."""

    model = serializers.CharField(source="model.name", allow_null=True, default=None)
    upstream = serializers.CharField(source="upstream.name", allow_null=True, default=None)
    kind = serializers.SerializerMethodField()
    percent = serializers.SerializerMethodField()

    class Meta:
        model = PriceAdjustment
        fields: ClassVar = ["id", "model", "upstream", "kind", "percent", "effective_from", "created_by", "created_at"]

    @extend_schema_field({"type": "string", "enum": list(AdjustmentKind)})
    def get_kind(self, row: PriceAdjustment) -> str:
        """Which way it goes; none at all is a discount of 0."""
        return str(AdjustmentKind.MARKUP if row.percent > 0 else AdjustmentKind.DISCOUNT)

    def get_percent(self, row: PriceAdjustment) -> str:
        """Without its sign."""
        return f"{abs(row.percent).normalize():f}"


class NewPriceAdjustment(Body):
    """What one is made of; either ``model`` or ``upstream``, by name or id."""

    model = Text(required=False)
    upstream = Text(required=False)
    kind = Choice(AdjustmentKind)
    percent = Amount()
    effective_from = Moment(required=False, allow_null=True)


class PriceAdjustmentViewSet(TenantViewSet):
    """The organisation's discounts and mark-ups, every one."""

    queryset = PriceAdjustment.objects.all()
    serializer_class = PriceAdjustmentAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[PriceAdjustment]:
        """Those of the open organisation."""
        return list_price_adjustments(self.actor)

    @extend_schema(request=NewPriceAdjustment, responses={201: PriceAdjustmentAnswer})
    def create(self, request: Request) -> Response:
        """Set a discount or mark-up. It holds until the next one; 0 per cent is the list price again."""
        body: dict[str, Any] = self.read(NewPriceAdjustment)
        if "model" in body:
            body["model"] = access_named(LanguageModel.objects.all(), self.actor, body["model"], field="model")
        if "upstream" in body:
            body["upstream"] = access_named(Upstream.objects.all(), self.actor, body["upstream"], field="upstream")
        return self.show(adjust_list_price(actor=self.actor, **body), 201)
