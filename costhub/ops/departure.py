"""/export and /erase of the management API: an organisation's owner takes all of it along, and has it erased."""

import weakref
from collections.abc import AsyncIterator
from typing import BinaryIO

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from billing.invoices.api.invoices import DocumentRenderer
from costhub.lib import clock
from costhub.ops.erasure import ask_for_erasure
from costhub.ops.export import export_own
from tenants.access import Actor
from tenants.api.base import ManagementView
from tenants.api.fields import Body, Text

_PART_BYTES = 1024 * 1024


class ExportView(ManagementView):
    """The archive."""

    renderer_classes = [JSONRenderer, DocumentRenderer]

    @extend_schema(operation_id="export", responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request) -> HttpResponseBase:
        """All of the organisation in one ZIP archive: each table as lines of JSON, its files, its people, a manifest of
        digests. What was kept of calls is in it in clear; secrets are not. For an owner who has just signed in."""
        return send_archive(self.actor)


class Erasure(Body):
    """The organisation's short name, so that nobody erases another one than they think."""

    confirm = Text(max_length=60, help_text="the organisation's short name, its `slug`")


class EraseView(ManagementView):
    """The end."""

    @extend_schema(operation_id="erase", request=Erasure, responses={204: None})
    def post(self, request: Request) -> Response:
        """Erase the organisation, for ever: it is closed at once, what is sealed can never be opened again, and within
        minutes a job has erased rows, files and people who belong to no other one. For an owner who has just signed
        in."""
        ask_for_erasure(actor=self.actor, **self.read(Erasure))
        return Response(status=204)


def send_archive(actor: Actor) -> HttpResponseBase:
    """An export as a file to be kept. Raises what ``export_own`` does."""
    file = export_own(actor=actor)
    answer = StreamingHttpResponse(_send(file), content_type="application/zip")
    # Whoever has left before the first byte has read none of it.
    weakref.finalize(answer, file.close)
    name = f"{actor.org.slug}-{clock.now():%Y-%m-%d}.zip"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


async def _send(file: BinaryIO) -> AsyncIterator[bytes]:
    """Part by part, read in a thread: an archive may have gigabytes."""
    with file:
        while part := await sync_to_async(file.read)(_PART_BYTES):
            yield part
