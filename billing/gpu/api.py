"""/gpu-endpoints: upstreams on GPUs that are paid for by the hour, and what that comes to."""

from decimal import Decimal
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.gpu.actions import create_endpoint, end_endpoint
from billing.gpu.choices import Basis
from billing.gpu.models import GpuEndpoint
from billing.gpu.selectors import find_endpoint_cost
from billing.spend.api.query import RANGE_PARAMETERS
from billing.spend.core.ranges import read_range
from costhub.lib import clock
from costhub.lib.errors import NotFound
from tenants.access import access_named, find_row
from tenants.api.base import TenantViewSet
from tenants.api.fields import Amount, Answer, Body, Choice, Moment, Text, Usd
from tenants.choices import Permission
from tenants.models import Project, Upstream, UpstreamEndpoint


class EndpointAnswer(Answer):
    """An endpoint. ``per_hour`` is USD a GPU; hours before ``charged_until`` are in the ledger."""

    per_hour = Usd(source="hour_nanos")

    class Meta:
        model = GpuEndpoint
        fields: ClassVar = [
            "id",
            "name",
            "upstream",
            "server",
            "project",
            "gpus",
            "per_hour",
            "basis",
            "starts_at",
            "ends_at",
            "charged_until",
            "created_at",
        ]


class NewEndpoint(Body):
    """So many GPUs (thousandths of one, too) behind an upstream, at USD a GPU and hour. ``project`` bears idle time.
    ``server``: the id of one of the upstream's endpoints, whose GPUs these are and with which their hours end."""

    name = Text(max_length=120)
    upstream = Text()
    project = Text()
    gpus = Amount()
    per_hour = Usd()
    basis = Choice(Basis)
    starts_at = Moment(required=False)
    server = Text(required=False, allow_null=True)


class EndpointEnd(Body):
    """When the GPUs are given back; now unless given."""

    at = Moment(required=False)


class EndpointCostAnswer(serializers.Serializer[Any]):
    """What the hours of a period have come to by now, on both bases, in USD; and what a million tokens came to."""

    allocated_hours = serializers.CharField()
    busy_hours = serializers.CharField()
    idle_per_mille = serializers.IntegerField()
    by_allocation = Usd()
    by_usage = Usd()
    projects = serializers.DictField(child=serializers.CharField())
    calls = serializers.IntegerField()
    tokens = serializers.IntegerField()
    per_million_tokens_by_allocation = Usd(allow_null=True)
    per_million_tokens_by_usage = Usd(allow_null=True)


class GpuEndpointViewSet(TenantViewSet):
    """Upstreams that are charged by the hours of their GPUs."""

    queryset = GpuEndpoint.objects.all()
    serializer_class = EndpointAnswer
    read_permission = Permission.READ_MONEY
    known_parameters = frozenset({"from", "to", "range"})

    def rows(self) -> QuerySet[GpuEndpoint]:
        """Those of the open organisation."""
        return GpuEndpoint.objects.filter(org=self.actor.org)

    @extend_schema(request=NewEndpoint, responses={201: EndpointAnswer})
    def create(self, request: Request) -> Response:
        """Charge an upstream, or one server of it, by the hour from now on."""
        body: dict[str, Any] = self.read(NewEndpoint)
        body["upstream"] = access_named(Upstream.objects.all(), self.actor, body["upstream"], field="upstream")
        body["project"] = access_named(Project.objects.all(), self.actor, body["project"], field="project")
        body["hour_nanos"] = body.pop("per_hour")
        if (server := body.get("server")) is not None:
            body["server"] = find_row(UpstreamEndpoint.objects.all(), self.actor, server)
            if body["server"] is None:
                raise NotFound("There is no such upstream endpoint.", field="server")
        return Response(EndpointAnswer(create_endpoint(actor=self.actor, **body)).data, status=201)

    @extend_schema(request=EndpointEnd, responses=EndpointAnswer)
    @action(detail=True, methods=["post"], filter_backends=[], pagination_class=None)
    def end(self, request: Request, pk: str) -> Response:
        """Give the GPUs back."""
        endpoint = self.access(pk)
        body = self.read(EndpointEnd)
        return Response(EndpointAnswer(end_endpoint(actor=self.actor, endpoint=endpoint, **body)).data)

    @extend_schema(
        parameters=RANGE_PARAMETERS,
        responses=EndpointCostAnswer,
    )
    @action(detail=True, methods=["get"], filter_backends=[], pagination_class=None)
    def cost(self, request: Request, pk: str) -> Response:
        """What the hours of a period have come to, by allocation and by usage."""
        self.actor.check(self.read_permission)
        endpoint = self.access(pk)
        span = read_range(request.query_params, clock.now(), self.actor.org.time_zone)
        found = find_endpoint_cost(self.actor, endpoint, span.start, span.end)
        body = {
            "allocated_hours": _hours(found.allocated),
            "busy_hours": _hours(found.busy),
            "idle_per_mille": found.idle_per_mille,
            "by_allocation": found.by_allocation,
            "by_usage": found.by_usage,
            "projects": {name: Usd().to_representation(nanos) for name, nanos in sorted(found.by_project.items())},
            "calls": found.calls,
            "tokens": found.tokens,
            "per_million_tokens_by_allocation": found.per_million_tokens(found.by_allocation),
            "per_million_tokens_by_usage": found.per_million_tokens(found.by_usage),
        }
        return Response(EndpointCostAnswer(body).data)


def _hours(microseconds: int) -> str:
    return f"{Decimal(microseconds) / 3_600_000_000:.6f}"
