"""/capture-policies: whose calls may be kept to learn from."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.capture import create_capture_policy, delete_capture_policy, update_capture_policy
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Text, Whole
from tenants.models import CapturePolicy
from tenants.selectors import list_capture_policies


class CapturePolicyAnswer(Answer):
    """The consent to keep calls of a model, or with an empty ``model`` of all that have no policy of their own."""

    class Meta:
        model = CapturePolicy
        fields: ClassVar = ["id", "model", "per_mille", "kept_days", "created_at"]


class CapturePolicyChanges(Body):
    """What may change."""

    per_mille = Whole(required=False)
    kept_days = Whole(required=False)


class NewCapturePolicy(CapturePolicyChanges):
    """What a policy is made of; without a ``model`` it is every model's."""

    model = Text(required=False, allow_blank=True)
    per_mille = Whole()


class CapturePolicyViewSet(TenantViewSet):
    """What may be kept, by model."""

    queryset = CapturePolicy.objects.all()
    serializer_class = CapturePolicyAnswer

    def rows(self) -> QuerySet[CapturePolicy]:
        """Those of the open organisation."""
        return list_capture_policies(self.actor)

    @extend_schema(request=NewCapturePolicy, responses={201: CapturePolicyAnswer})
    def create(self, request: Request) -> Response:
        """Consent to keep calls of a model, or of all."""
        return self.show(create_capture_policy(actor=self.actor, **self.read(NewCapturePolicy)), 201)

    @extend_schema(request=CapturePolicyChanges, responses=CapturePolicyAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Keep more or fewer, longer or shorter."""
        policy = self.access(pk)
        return self.show(update_capture_policy(actor=self.actor, policy=policy, **self.read(CapturePolicyChanges)))

    def destroy(self, request: Request, pk: str) -> Response:
        """Take the consent back: what was kept under it goes, out of datasets too."""
        delete_capture_policy(actor=self.actor, policy=self.access(pk))
        return Response(status=204)
