"""The management API's own OpenAPI document, made once a process: it takes seconds, and anybody may ask for it."""

import json
from collections.abc import Mapping
from functools import cache
from threading import RLock
from typing import Any, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

CONTENT_TYPE: Final = "application/vnd.oai.openapi+json"


#: drf-spectacular looks for its extensions as it goes, and two threads that make it at once trip over each other
_making: Final = RLock()


def read_document() -> Mapping[str, Any]:
    """The document of this release. Nobody changes what is in it."""
    with _making:
        return _make_document()


def render_document() -> bytes:
    """As JSON."""
    with _making:
        return _write_document()


@cache
def _make_document() -> Mapping[str, Any]:
    with GENERATOR_STATS.silence():
        document: Mapping[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return document


@cache
def _write_document() -> bytes:
    return json.dumps(read_document(), cls=DjangoJSONEncoder, indent=2).encode()


@require_safe
def show_document(request: HttpRequest) -> HttpResponse:
    """The document, for whoever asks: it says nothing of anybody."""
    answer = HttpResponse(render_document(), content_type=CONTENT_TYPE)
    answer.headers["Content-Disposition"] = 'inline; filename="costhub.json"'
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer
