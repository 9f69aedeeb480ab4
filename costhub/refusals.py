"""What is refused outside ``/v1`` before Django is asked, in the words of whoever would have answered: below ``/api`` a
problem, elsewhere a page."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from django.template.loader import render_to_string

from costhub.lib.csp import POLICY
from proxy.edges.shortcuts import Send
from tenants.api.problems import CONTENT_TYPE, make_problem

#: when whoever was refused for others' sake may come again
_AGAIN: Final[Mapping[int, str]] = {503: "1"}


async def refuse(path: str, status: int, code: str, sentence: str, send: Send) -> None:
    """Answer a request that nobody reads any further."""
    if path.startswith("/api/"):
        content_type = CONTENT_TYPE
        body = orjson.dumps(make_problem(status, code, sentence))
    else:
        content_type = "text/html; charset=utf-8"
        title = HTTPStatus(status).phrase
        body = render_to_string("request_refused.html", {"title": title, "sentence": sentence}).encode()
    headers = {
        "content-type": content_type,
        "content-length": str(len(body)),
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
    }
    if status in _AGAIN:
        headers["retry-after"] = _AGAIN[status]
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
