"""Pages of rows, newest first. A cursor names the last row that was seen, so rows that come meanwhile shift nothing."""

import base64
import binascii
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from costhub.lib.errors import InvalidField

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
#: the query parameters of every list
PARAMETERS: Final = frozenset({"limit", "cursor"})


class NewestFirst(BasePagination):
    """``{"data": [...], "next": cursor | null}``."""

    _next: str | None = None

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        """One page. Raises InvalidField for a limit or cursor that cannot be."""
        limit = parse_limit(request.query_params.get("limit"))
        rows: QuerySet[Any] = queryset.order_by("-created_at", "-id")
        if cursor := request.query_params.get("cursor"):
            created_at, row_id = read_cursor(cursor)
            rows = rows.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=row_id))
        page: list[Any] = list(rows[: limit + 1])
        if len(page) > limit:
            page.pop()
            self._next = make_cursor(page[-1].created_at, page[-1].pk)
        return page

    def get_paginated_response(self, data: Any) -> Response:
        """The page and where the next one starts."""
        return Response({"data": data, "next": self._next})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """For OpenAPI."""
        return {
            "type": "object",
            "required": ["data", "next"],
            "properties": {"data": schema, "next": {"type": ["string", "null"]}},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """For OpenAPI."""
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        return [
            {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"}},
            {"name": "limit", "in": "query", "required": False, "schema": limit},
        ]


def parse_limit(text: str | None) -> int:
    """How many rows a page may have. Raises InvalidField."""
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT):
        raise InvalidField(f"Give a whole number from 1 to {MAX_LIMIT}.", field="limit")
    return int(text)


def make_cursor(moment: datetime, row_id: UUID) -> str:
    """A row's place in the order."""
    return base64.urlsafe_b64encode(f"{moment.isoformat()} {row_id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Read back what ``make_cursor`` made. Raises InvalidField for anything else."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        moment, row_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").split(" ")
        parsed = datetime.fromisoformat(moment)
        if parsed.utcoffset() is None:
            raise ValueError("a moment without an offset")
        return parsed, UUID(row_id)
    except (ValueError, binascii.Error) as error:
        raise InvalidField("Give the 'next' of the page before, as it was.", field="cursor") from error
