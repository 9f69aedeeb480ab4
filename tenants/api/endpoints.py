"""/upstream-endpoints: the servers that share an upstream's calls."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.access import access_named
from tenants.actions.endpoints import end_endpoint, register_endpoint, update_endpoint
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Flag, Text, Whole
from tenants.api.paging import PARAMETERS
from tenants.models import UpstreamEndpoint
from tenants.selectors import list_endpoints, list_upstreams


class UpstreamEndpointAnswer(Answer):
    """One server of an upstream. ``lease_until`` null: it stays until it is removed."""

    upstream = serializers.UUIDField(source="upstream_id")
    has_credential = serializers.SerializerMethodField()

    class Meta:
        model = UpstreamEndpoint
        fields: ClassVar = [
            "id",
            "upstream",
            "name",
            "base_url",
            "has_credential",
            "weight",
            "is_draining",
            "lease_until",
            "created_at",
        ]

    def get_has_credential(self, endpoint: UpstreamEndpoint) -> bool:
        """Whether a credential is stored."""
        return endpoint.credential is not None


class UpstreamEndpointChanges(Body):
    """What may change. ``lease_seconds`` renews the lease from now; ``credential`` null: it is asked without one."""

    name = Text(required=False, allow_blank=True)
    credential = Text(required=False, allow_null=True)
    weight = Whole(required=False)
    is_draining = Flag(required=False)
    lease_seconds = Whole(required=False)


class NewUpstreamEndpoint(Body):
    """What an endpoint is made of; ``upstream`` by name or id. What its hours cost is told to ``/gpu-endpoints``."""

    upstream = Text()
    base_url = Text()
    name = Text(required=False, allow_blank=True)
    credential = Text(required=False, allow_null=True)
    weight = Whole(required=False)
    lease_seconds = Whole(required=False, allow_null=True)


class UpstreamEndpointFilters(Body):
    """Which endpoints."""

    upstream = Text(required=False, help_text="an upstream's name or id")


class UpstreamEndpointViewSet(TenantViewSet):
    """Servers of upstreams, but for those that are gone."""

    queryset = UpstreamEndpoint.objects.all()
    serializer_class = UpstreamEndpointAnswer
    known_parameters = PARAMETERS | {"upstream"}

    def rows(self) -> QuerySet[UpstreamEndpoint]:
        """Those of the open organisation."""
        return list_endpoints(self.actor)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those of one upstream, if asked. Raises NotFound."""
        wanted = self.request.query_params.get("upstream")
        if wanted is None:
            return rows
        return rows.filter(upstream=access_named(list_upstreams(self.actor), self.actor, wanted, field="upstream"))

    @extend_schema(parameters=[UpstreamEndpointFilters])
    def list(self, request: Request) -> Response:
        """All of them, or one upstream's."""
        return super().list(request)

    @extend_schema(request=NewUpstreamEndpoint, responses={201: UpstreamEndpointAnswer})
    def create(self, request: Request) -> Response:
        """Register a server: it takes calls from now on. One that is there already takes them again."""
        body = self.read(NewUpstreamEndpoint)
        body["upstream"] = access_named(list_upstreams(self.actor), self.actor, body["upstream"], field="upstream")
        return self.show(register_endpoint(actor=self.actor, **body), 201)

    @extend_schema(request=UpstreamEndpointChanges, responses=UpstreamEndpointAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change its share, name or credential, have it drain, or renew its lease."""
        endpoint = self.access(pk)
        return self.show(update_endpoint(actor=self.actor, endpoint=endpoint, **self.read(UpstreamEndpointChanges)))

    def destroy(self, request: Request, pk: str) -> Response:
        """It takes no calls any more; those that it has go on."""
        end_endpoint(actor=self.actor, endpoint=self.access(pk))
        return Response(status=204)
