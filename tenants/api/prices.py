"""/prices: an organisation's own price versions; /list-prices: what the providers ask of everybody."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.errors import NotFound
from tenants.access import access_named, find_uuid
from tenants.actions.pricing import create_price
from tenants.api.base import TenantViewSet
from tenants.api.fields import Amount, Answer, Body, Moment, Text
from tenants.api.paging import PARAMETERS
from tenants.choices import Permission
from tenants.models import LanguageModel, ListPrice, Price
from tenants.selectors import list_list_prices, list_prices

PRICE_FIELDS = [
    "input_per_million",
    "output_per_million",
    "cached_input_per_million",
    "cache_write_per_million",
    "audio_input_per_million",
    "audio_output_per_million",
    "per_request",
    "effective_from",
    "source",
]


class _Amounts(Answer):
    """The amounts of a version, in USD. Null: this class of tokens costs what input or output does."""

    input_per_million = Amount()
    output_per_million = Amount()
    cached_input_per_million = Amount(allow_null=True)
    cache_write_per_million = Amount(allow_null=True)
    audio_input_per_million = Amount(allow_null=True)
    audio_output_per_million = Amount(allow_null=True)
    per_request = Amount()


class PriceAnswer(_Amounts):
    """A price version. A null ``model`` is the fallback of all models that have no price."""

    model = serializers.CharField(source="model.name", allow_null=True, default=None)
    model_id = serializers.UUIDField(allow_null=True)

    class Meta:
        model = Price
        fields: ClassVar = ["id", "model", "model_id", *PRICE_FIELDS, "created_by", "created_at"]


class ListPriceAnswer(_Amounts):
    """A provider's public price; ``source`` says where we have it from."""

    class Meta:
        model = ListPrice
        fields: ClassVar = ["id", "provider", "model", *PRICE_FIELDS, "context_window", "created_at"]


class NewPrice(Body):
    """What a price version is made of; ``model`` by name or id, null for the fallback."""

    model = Text(allow_null=True)
    input_per_million = Amount()
    output_per_million = Amount()
    cached_input_per_million = Amount(required=False, allow_null=True)
    cache_write_per_million = Amount(required=False, allow_null=True)
    audio_input_per_million = Amount(required=False, allow_null=True)
    audio_output_per_million = Amount(required=False, allow_null=True)
    per_request = Amount(required=False)
    effective_from = Moment(required=False, allow_null=True)


class PriceFilters(Body):
    """Which prices."""

    model = Text(required=False, help_text="a model's name or id")


class ListPriceFilters(Body):
    """Which list prices."""

    provider = Text(required=False)
    model = Text(required=False)


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


class ListPriceViewSet(TenantViewSet):
    """The providers' public prices, every version."""

    queryset = ListPrice.objects.all()
    serializer_class = ListPriceAnswer
    known_parameters = PARAMETERS | {"provider", "model"}

    @extend_schema(parameters=[ListPriceFilters])
    def list(self, request: Request) -> Response:
        """A page of list prices, newest first."""
        self.actor.check(Permission.READ)
        page = self.paginate_queryset(list_list_prices().filter(**self.read_query(ListPriceFilters)))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One list price."""
        self.actor.check(Permission.READ)
        wanted = find_uuid(pk)
        found = list_list_prices().filter(pk=wanted).first() if wanted else None
        if found is None:
            raise NotFound("There is no such list price.")
        return self.show(found)
