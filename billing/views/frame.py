"""What the console's pages share: what stands around them, and how their addresses are read and written."""

import json
import shlex
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode

from billing.core.ranges import Range, read_range
from billing.filters import LedgerFilters, parse_filters
from tenants.access import Actor, list_memberships
from tenants.models import User
from tenants.selectors import list_models


def frame(request: HttpRequest, actor: Actor, section: str) -> dict[str, Any]:
    """What every page of an organisation shows around itself. What only some of its templates show is read when they
    do."""
    return {
        "actor": actor,
        "org": actor.org,
        "section": section,
        "memberships": partial(list_memberships, cast(User, request.user)),
        "curl": partial(_make_curl, request, actor),
    }


def render_page(
    request: HttpRequest, page: str, fragment: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """The page for a browser, its fragment for htmx."""
    is_fragment = bool(getattr(request, "htmx", False))
    response = render(
        request, fragment if is_fragment else page, {**context, "is_fragment": is_fragment}, status=status
    )
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


def make_link(request: HttpRequest, params: Mapping[str, str], **changes: str) -> str:
    """This page under other parameters; an empty one is left out."""
    merged = {name: value for name, value in {**params, **changes}.items() if value}
    return f"{request.path}?{urlencode(merged)}" if merged else request.path


def read_params(params: Mapping[str, str], now: datetime, actor: Actor) -> tuple[Range, LedgerFilters]:
    """The stretch of time and the filters of an address. Raises InvalidField naming the parameter that cannot be
    read."""
    span = read_range(params, now, actor.org.time_zone)
    return span, parse_filters(params, start=span.start, end=span.end)


def _make_curl(request: HttpRequest, actor: Actor) -> str:
    model = list_models(actor).filter(is_active=True).order_by("name").values_list("name", flat=True).first()
    body = json.dumps({"model": model or "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]})
    return "\n".join(
        [
            f"curl {request.build_absolute_uri('/v1/chat/completions')} \\",
            "  -H 'Authorization: Bearer YOUR_API_KEY' \\",
            "  -H 'Content-Type: application/json' \\",
            f"  -d {shlex.quote(body)}",
        ]
    )
