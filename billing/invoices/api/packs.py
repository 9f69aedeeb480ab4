"""/finance-packs: a month's papers in one archive."""

import re
from datetime import date
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from billing.invoices.actions.packs import make_pack, read_meter_of, send_pack_again, show_public_key
from billing.invoices.api.invoices import DocumentRenderer
from billing.invoices.models import FinancePack
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Nothing
from tenants.choices import Permission
from tenants.periods import period_bounds, previous_bounds

_MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")


def read_month(text: str) -> date:
    """The first day of a month such as 2026-10. Raises InvalidField."""
    if not (found := _MONTH.fullmatch(text)):
        raise InvalidField("Give a month such as 2026-10.", field="month")
    return date(int(found[1]), int(found[2]), 1)


@extend_schema_field({"type": "string", "pattern": _MONTH.pattern, "example": "2026-10"})
class Month(serializers.DateField):
    """A month as year and month."""


class PackAnswer(Answer):
    """A pack that is delivered by itself, with SHA-256 and size of its files once it is made. One without
    ``delivered_at`` is owed: ``problem`` is why the try at ``tried_at`` failed, and it is tried again an hour later,
    after two days daily."""

    month = Month(format="%Y-%m")

    class Meta:
        model = FinancePack
        fields: ClassVar = [
            "id",
            "month",
            "digest",
            "files",
            "delivered_to",
            "delivered_at",
            "problem",
            "tried_at",
            "created_at",
        ]


class PublicKeyAnswer(serializers.Serializer[Any]):
    """The Ed25519 key that verifies manifests."""

    public_key = serializers.CharField()


class FinancePackViewSet(TenantViewSet):
    """A month's papers."""

    queryset = FinancePack.objects.all()
    serializer_class = PackAnswer
    read_permission = Permission.READ_MONEY
    known_parameters = frozenset({"month"})

    def rows(self) -> QuerySet[FinancePack]:
        """Those of the open organisation."""
        return FinancePack.objects.filter(org=self.actor.org)

    @extend_schema(responses=PublicKeyAnswer)
    @action(detail=False, methods=["get"], filter_backends=[], pagination_class=None)
    def key(self, request: Request) -> Response:
        """The key that verifies manifests."""
        self.actor.check(self.read_permission)
        return Response({"public_key": show_public_key()})

    @extend_schema(request=Nothing, responses=PackAnswer)
    @action(detail=True, methods=["post"])
    def send(self, request: Request, pk: str) -> Response:
        """Have one that could not be delivered tried again at once: with the next run of the job, within minutes."""
        pack = self.access(pk)
        self.read(Nothing)
        return self.show(send_pack_again(actor=self.actor, pack=pack))

    @extend_schema(
        parameters=[OpenApiParameter("month", description="such as 2026-10; the last one that is over unless given")],
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    @action(
        detail=False,
        methods=["get"],
        renderer_classes=[JSONRenderer, DocumentRenderer],
        filter_backends=[],
        pagination_class=None,
    )
    def archive(self, request: Request) -> HttpResponse:
        """The papers of a month that is over, made of what there is now."""
        self.actor.check(self.read_permission)
        self.actor.check_fresh()
        now, zone = clock.now(), self.actor.org.time_zone
        last, _ = previous_bounds("month", period_bounds("month", now, zone)[0], zone)
        month = request.query_params.get("month") or f"{last.astimezone(ZoneInfo(zone)):%Y-%m}"
        first = read_month(month)
        content, _ = make_pack(self.actor, first, now, read_meter_of(self.actor, first))
        answer = HttpResponse(content, content_type="application/zip")
        answer["Content-Disposition"] = f'attachment; filename="finance-{month}.zip"'
        return answer
