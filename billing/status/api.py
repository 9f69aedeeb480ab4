"""/upstream-states and /status-page: how upstreams do, for the organisation and for everybody."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.status.core import State
from billing.status.public import close_page, find_address, open_page
from billing.status.selectors import list_standings
from costhub.lib import clock
from tenants.api.base import ManagementView
from tenants.api.fields import Nothing


class UpstreamIncidentAnswer(serializers.Serializer[Any]):
    """When an upstream failed, as its alert tells."""

    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class UpstreamStateAnswer(serializers.Serializer[Any]):
    """How an upstream does."""

    name = serializers.CharField()
    state = serializers.ChoiceField(choices=[(each.value, each.value) for each in State])
    incidents = UpstreamIncidentAnswer(many=True)


class UpstreamStatesAnswer(serializers.Serializer[Any]):
    """How the upstreams do, by name."""

    as_of = serializers.DateTimeField()

    def get_fields(self) -> dict[str, Any]:
        """``data`` is a word of DRF's."""
        return {"data": UpstreamStateAnswer(many=True)} | super().get_fields()


class StatusPageAnswer(serializers.Serializer[Any]):
    """The public page."""

    url = serializers.CharField(allow_null=True)


class UpstreamStatesView(ManagementView):
    """How upstreams do."""

    @extend_schema(responses=UpstreamStatesAnswer)
    def get(self, request: Request) -> Response:
        """Each upstream: it works, is slow, is left alone for a moment, or is down; and when it failed last."""
        now: datetime = clock.now()
        return Response(UpstreamStatesAnswer({"as_of": now, "data": list_standings(self.actor, now)}).data)


class StatusPageView(ManagementView):
    """The page on which everybody who has its address sees the same."""

    @extend_schema(responses=StatusPageAnswer)
    def get(self, request: Request) -> Response:
        """Its address, or null while there is none."""
        return Response(self._body(request, find_address(self.actor)))

    @extend_schema(request=Nothing, responses={201: StatusPageAnswer})
    def post(self, request: Request) -> Response:
        """Publish it, at a new address: one before it leads nowhere any more."""
        self.read(Nothing)
        return Response(self._body(request, open_page(actor=self.actor)), status=201)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Withdraw it."""
        close_page(actor=self.actor)
        return Response(status=204)

    def _body(self, request: Request, address: str) -> dict[str, Any]:
        url = request.build_absolute_uri(f"/status/{address}") if address else None
        return dict(StatusPageAnswer({"url": url}).data)
