"""/remove-demo: the end of a demo organisation."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.demo.seed import remove_demo
from tenants.api.base import ManagementView
from tenants.api.fields import Body, Text


class DemoRemoval(Body):
    """The demo organisation's short name, so that nobody removes another one than they think."""

    confirm = Text(max_length=60, help_text="the organisation's short name, its `slug`")


class RemoveDemoView(ManagementView):
    """The demo's end."""

    @extend_schema(operation_id="remove_demo", request=DemoRemoval, responses={204: None})
    def post(self, request: Request) -> Response:
        """Remove the demo organisation with its made-up history, its audit log too, for good and at once. For whoever
        may change members, and has just signed in. 409: this organisation is no demo."""
        remove_demo(actor=self.actor, **self.read(DemoRemoval))
        return Response(status=204)
