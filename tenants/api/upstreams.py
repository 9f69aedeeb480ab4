"""/upstreams: where calls go. A credential goes in and is never shown again, only whether there is one."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from django.utils.decorators import method_decorator
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.access import access_row
from tenants.actions.upstreams import (
    OUTPUT_LIMITS,
    SERVICE_TIER_NAME,
    create_upstream,
    prepare_probe,
    update_upstream,
)
from tenants.api.base import ManagementView, TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Flag, Nothing, Text, Whole
from tenants.api.problems import answer_problem_only
from tenants.choices import UpstreamKind
from tenants.models import Upstream
from tenants.selectors import list_upstreams


class Habits(Body):
    """How requests to an upstream are written, where servers differ. null is what is usual for its kind, host and
    model."""

    output_limit = serializers.ChoiceField(choices=OUTPUT_LIMITS, required=False, allow_null=True)
    stream_options = Flag(required=False, allow_null=True)
    stream_false = Flag(required=False, allow_null=True)
    logprobs = Flag(required=False, allow_null=True)
    tool_limits = Flag(required=False, allow_null=True)
    service_tier = serializers.RegexField(SERVICE_TIER_NAME, required=False, allow_null=True)
    responses = Flag(required=False, allow_null=True)
    drop_unknown = Flag(required=False, allow_null=True)


class UpstreamAnswer(Answer):
    """An upstream without its credential. Of ``habits`` null is what is usual."""

    habits = Habits()
    has_credential = serializers.SerializerMethodField()

    class Meta:
        model = Upstream
        fields: ClassVar = [
            "id",
            "name",
            "kind",
            "base_url",
            "origin",
            "has_credential",
            "credential_hint",
            "drain_on_disconnect",
            "bill_path",
            "connect_timeout_ms",
            "timeout_ms",
            "max_retries",
            "batch_concurrency",
            "batch_hours",
            "habits",
            "is_active",
            "created_at",
        ]

    def get_has_credential(self, upstream: Upstream) -> bool:
        """Whether a credential is stored."""
        return upstream.credential is not None


class UpstreamChanges(Body):
    """What may change. A URL of another origin asks for the credential again; null forgets it."""

    name = Text(required=False)
    base_url = Text(required=False)
    credential = Text(required=False, allow_null=True)
    drain_on_disconnect = Flag(required=False)
    bill_path = Text(required=False, allow_blank=True)
    connect_timeout_ms = Whole(required=False)
    timeout_ms = Whole(required=False)
    max_retries = Whole(required=False)
    batch_concurrency = Whole(required=False)
    batch_hours = Text(required=False, allow_blank=True)
    habits = Habits(required=False)
    is_active = Flag(required=False)


class NewUpstream(Body):
    """What an upstream is made of."""

    name = Text()
    kind = Choice(UpstreamKind)
    base_url = Text()
    credential = Text(required=False, allow_null=True)
    drain_on_disconnect = Flag(required=False)
    bill_path = Text(required=False, allow_blank=True)
    connect_timeout_ms = Whole(required=False)
    timeout_ms = Whole(required=False)
    max_retries = Whole(required=False)
    batch_concurrency = Whole(required=False)
    batch_hours = Text(required=False, allow_blank=True)
    habits = Habits(required=False)


class ProbeAnswer(serializers.Serializer[Any]):
    """How the upstream answered ``GET {base_url}/models``."""

    ok = serializers.BooleanField()
    status = serializers.IntegerField(allow_null=True)
    detail = serializers.CharField()
    latency_ms = serializers.IntegerField()


class UpstreamViewSet(TenantViewSet):
    """Upstreams, inactive ones included."""

    queryset = Upstream.objects.all()
    serializer_class = UpstreamAnswer

    def rows(self) -> QuerySet[Upstream]:
        """Those of the open organisation."""
        return list_upstreams(self.actor)

    @extend_schema(request=NewUpstream, responses={201: UpstreamAnswer})
    def create(self, request: Request) -> Response:
        """Create an upstream."""
        return self.show(create_upstream(actor=self.actor, **self.read(NewUpstream)), 201)

    @extend_schema(request=UpstreamChanges, responses=UpstreamAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change an upstream."""
        upstream = self.access(pk)
        return self.show(update_upstream(actor=self.actor, upstream=upstream, **self.read(UpstreamChanges)))


# The call may take seconds: no transaction, and so no connection's locks, must wait for it.
@method_decorator(transaction.non_atomic_requests, name="dispatch")
class UpstreamTestView(ManagementView):
    """/upstreams/{id}/test."""

    @extend_schema(request=Nothing, responses=ProbeAnswer)
    def post(self, request: Request, pk: str) -> Response:
        """Ask the upstream for its models, as a call would: through the gate, with the stored credential."""
        self.read(Nothing)
        return Response(asdict(self._probe.run()))

    def get_exception_handler(self) -> Callable[..., Response | None]:
        """There is no transaction to undo."""
        return answer_problem_only

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read all that is needed in one short transaction."""
        with transaction.atomic():
            super().initial(request, *args, **kwargs)
            upstream = access_row(list_upstreams(self.actor), self.actor, kwargs["pk"])
            self._probe = prepare_probe(actor=self.actor, upstream=upstream)
