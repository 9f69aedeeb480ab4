"""/stop and /resume below an organisation, a project or a key."""

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.stops import set_stopped
from tenants.api.base import TenantViewSet
from tenants.api.fields import Nothing


class StoppableViewSet(TenantViewSet):
    """Rows whose calls somebody can stop."""

    @extend_schema(request=Nothing)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Refuse its calls, from now on, until somebody resumes them."""
        return self._set_stopped(pk, is_stopped=True)

    @extend_schema(request=Nothing)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Take its calls again."""
        return self._set_stopped(pk, is_stopped=False)

    def _set_stopped(self, pk: str, *, is_stopped: bool) -> Response:
        target = self.access(pk)
        self.read(Nothing)
        set_stopped(actor=self.actor, target=target, is_stopped=is_stopped)
        return self.show(target)
