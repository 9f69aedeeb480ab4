"""The management API's own OpenAPI document, made once a process: it takes seconds, and anybody may ask for it."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

CONTENT_TYPE: Final = "application/vnd.oai.openapi+json"


@cache
def read_document() -> Mapping[str, Any]:
    """The document of this release. Nobody changes what is in it."""
    with GENERATOR_STATS.silence():
        document: Mapping[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return document


@cache
def render_document() -> bytes:
    """As JSON."""
    return json.dumps(read_document(), cls=DjangoJSONEncoder, indent=2).encode()


@require_safe
def show_document(request: HttpRequest) -> HttpResponse:
    """The document, for whoever asks: it says nothing of anybody."""
    answer = HttpResponse(render_document(), content_type=CONTENT_TYPE)
    answer.headers["Content-Disposition"] = 'inline; filename="costhub.json"'
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer
