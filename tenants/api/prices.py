"""/prices: an organisation's own price versions."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.access import access_named
from tenants.actions.pricing import create_price
from tenants.api.base import TenantViewSet
from tenants.api.fields import Body, Moment, Text
from tenants.api.paging import PARAMETERS
from tenants.api.price_fields import PRICE_FIELDS, PriceTerms, ShownTerms
from tenants.choices import Permission
from tenants.models import LanguageModel, Price
from tenants.selectors import list_prices


class PriceAnswer(ShownTerms):
    """A price version. A null ``model`` is the fallback of all models that have no price."""

    model = serializers.CharField(source="model.name", allow_null=True, default=None)
    model_id = serializers.UUIDField(allow_null=True)

    class Meta:
        model = Price
        fields: ClassVar = ["id", "model", "model_id", *PRICE_FIELDS, "created_by", "created_at"]


class NewPrice(PriceTerms):
    """A price version; ``model`` by name or id, null for the fallback."""

    model = Text(allow_null=True)
    effective_from = Moment(required=False, allow_null=True)


class PriceFilters(Body):
    """Which prices."""

    model = Text(required=False, help_text="a model's name or id")


class PriceViewSet(TenantViewSet):
    """The organisation's own prices, every version."""

    queryset = Price.objects.all()
    serializer_class = PriceAnswer
    read_permission = Permission.READ_MONEY
    known_parameters = PARAMETERS | {"model"}

    def rows(self) -> QuerySet[Price]:
        """Those of the open organisation."""
        return list_prices(self.actor)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those of one model, if asked. Raises NotFound."""
        name = self.read_query(PriceFilters).get("model")
        return rows if name is None else rows.filter(model=self._model(name))

    @extend_schema(parameters=[PriceFilters])
    def list(self, request: Request) -> Response:
        """A page of price versions, newest first."""
        return super().list(request)

    @extend_schema(request=NewPrice, responses={201: PriceAnswer})
    def create(self, request: Request) -> Response:
        """Add a price version. Prices are never edited."""
        body = self.read(NewPrice)
        if body["model"] is not None:
            body["model"] = self._model(body["model"])
        return self.show(create_price(actor=self.actor, **body), 201)

    def _model(self, name: str) -> LanguageModel:
        return access_named(LanguageModel.objects.all(), self.actor, name, field="model")
