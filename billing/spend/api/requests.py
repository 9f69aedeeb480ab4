"""/requests: the ledger, a row a call, as JSON pages or one CSV."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from billing.spend.api.query import FILTER_PARAMETERS, FILTERS, LedgerView, read_filters
from billing.spend.filters import LedgerFilters
from billing.spend.selectors import MOST_RANKED, ORDERS, Call, get_request_detail, list_requests
from costhub.lib.errors import InvalidField
from costhub.lib.money import format_usd
from tenants.access import Actor
from tenants.api.fields import Usd
from tenants.api.paging import DEFAULT_LIMIT, MAX_LIMIT, parse_limit

#: one CSV holds so many calls at most; where more follow, the answer's Link says where to go on
MAX_CSV_ROWS: Final = 20_000
TOKEN_FIELDS: Final = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
)
_SPREADSHEET_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class CallAnswer(serializers.Serializer[Any]):
    """One call. Tokens and money are net of its corrections; money is decimal USD."""

    id = serializers.UUIDField()
    started_at = serializers.DateTimeField()
    project = serializers.UUIDField()
    key = serializers.UUIDField()
    end_user = serializers.CharField()
    tags = serializers.DictField(child=serializers.CharField())
    endpoint = serializers.CharField()
    request_model = serializers.CharField()
    response_model = serializers.CharField()
    upstream = serializers.UUIDField(allow_null=True)
    provider = serializers.CharField()
    status = serializers.IntegerField()
    error_code = serializers.CharField()
    refused_by = serializers.DictField(
        help_text="the budget or rate limit that refused the call, its amounts and when it resets; empty where none did"
    )
    finish_reason = serializers.CharField()
    is_stream = serializers.BooleanField()
    input_tokens = serializers.IntegerField()
    cache_read_input_tokens = serializers.IntegerField()
    cache_write_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    audio_input_tokens = serializers.IntegerField()
    audio_output_tokens = serializers.IntegerField()
    list_cost = Usd()
    effective_cost = Usd()
    savings = serializers.DictField(child=serializers.CharField())
    price = serializers.UUIDField(allow_null=True)
    is_estimated = serializers.BooleanField()
    is_overrun = serializers.BooleanField()
    cache_status = serializers.CharField()
    route_reason = serializers.CharField()
    duration_us = serializers.IntegerField()
    first_byte_us = serializers.IntegerField(allow_null=True)
    overhead_us = serializers.IntegerField(allow_null=True)
    recorded_at = serializers.DateTimeField()
    corrections = serializers.IntegerField()


# Its name is one of the API's document, and of clients that are generated from it.
class StoryAnswer(CallAnswer):
    """One call with its attempts, and the names that its ids have today."""

    project_name = serializers.CharField()
    key_name = serializers.CharField()
    upstream_name = serializers.CharField()
    attempts = serializers.ListField(child=serializers.DictField())


class CallPage(serializers.Serializer[Any]):
    """Calls, newest first."""

    next = serializers.CharField(allow_null=True)
    as_of = serializers.DateTimeField(allow_null=True)
    since = serializers.DateTimeField(
        allow_null=True,
        help_text=f"by cost or duration, where more than {MOST_RANKED:,} calls may match: the moment of the oldest that"
        " was put in order; null where all were, and by time",
    )

    def get_fields(self) -> dict[str, Any]:
        """``data`` is a word of DRF's."""
        return {"data": CallAnswer(many=True)} | super().get_fields()


class CsvRenderer(BaseRenderer):
    """Sends a text as CSV; a problem stays JSON."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """The bytes."""
        return data.encode() if isinstance(data, str) else json.dumps(data).encode()


class RequestsView(LedgerView):
    """The list."""

    renderer_classes = [JSONRenderer, CsvRenderer]
    known_parameters = FILTERS | {"cursor", "limit", "format", "sort"}

    @extend_schema(
        operation_id="v1_requests_list",
        parameters=[
            *FILTER_PARAMETERS,
            OpenApiParameter("cursor", description="the 'next' of the page before"),
            OpenApiParameter(
                "limit", int, description=f"calls on a page: 1 to {MAX_LIMIT}, {DEFAULT_LIMIT} unless given"
            ),
            OpenApiParameter(
                "sort",
                enum=ORDERS,
                description="a minus: the newest, dearest or longest first; by cost or duration one page, of all calls"
                f" that match, or the newest {MOST_RANKED:,} of them: 'since' says how far back these go",
            ),
            OpenApiParameter("format", enum=["json", "csv"], description="csv: all calls in one table"),
        ],
        responses=CallPage,
    )
    def get(self, request: Request) -> Response:
        """Calls, newest first unless another order is asked for; with ``Accept: text/csv`` or ``format=csv`` all of
        them as a table."""
        filters = read_filters(self.actor, request)
        cursor = request.query_params.get("cursor", "")
        limit = parse_limit(request.query_params.get("limit"))
        order = request.query_params.get("sort", "") or ORDERS[0]
        if isinstance(request.accepted_renderer, CsvRenderer):
            if order != ORDERS[0]:
                raise InvalidField("A table has the newest calls first: leave this out.", field="sort")
            return self._answer_csv(filters, cursor)
        page = list_requests(self.actor, filters, cursor=cursor, limit=limit, order=order)
        body = {
            "data": list(map(show_call, page.calls)),
            "next": page.next_cursor or None,
            "as_of": page.as_of,
            "since": page.since,
        }
        return Response(CallPage(body).data)

    def _answer_csv(self, filters: LedgerFilters, cursor: str) -> Response:
        self.actor.check_fresh()
        # Whole, not streamed: the transaction that opens the organisation ends before a stream would be read.
        text, next_cursor = write_csv(self.actor, filters, cursor)
        headers = {"Content-Disposition": 'attachment; filename="requests.csv"'}
        if next_cursor:
            query = self.request.query_params.copy()
            query["cursor"] = next_cursor
            headers["Link"] = f'<{self.request.build_absolute_uri(self.request.path)}?{query.urlencode()}>; rel="next"'
        return Response(text, headers=headers, content_type="text/csv; charset=utf-8")


class RequestView(LedgerView):
    """One call."""

    @extend_schema(responses=StoryAnswer)
    def get(self, request: Request, pk: str) -> Response:
        """A call's whole story."""
        detail = get_request_detail(self.actor, pk)
        shown = show_call(detail.call) | {
            "project_name": detail.project,
            "key_name": detail.key,
            "upstream_name": detail.upstream,
            "attempts": [_show_attempt(attempt) for attempt in detail.call.entry.attempts],
        }
        return Response(StoryAnswer(shown).data)


def show_call(call: Call) -> dict[str, Any]:
    """A call's fields, money in nano-USD and savings as decimal USD by mechanism."""
    entry = call.entry
    return {
        "id": entry.id,
        "started_at": entry.started_at,
        "project": entry.project_id,
        "key": entry.key_id,
        "end_user": entry.end_user,
        "tags": entry.tags,
        "endpoint": entry.endpoint,
        "request_model": entry.request_model,
        "response_model": entry.response_model,
        "upstream": entry.upstream_id,
        "provider": entry.provider,
        "status": entry.status,
        "error_code": entry.error_code,
        "refused_by": entry.refused_by,
        "finish_reason": entry.finish_reason,
        "is_stream": entry.is_stream,
        **{name: call.net(name) for name in TOKEN_FIELDS},
        "list_cost": call.list_cost,
        "effective_cost": call.effective_cost,
        "savings": {name: format_usd(nanos) for name, nanos in call.savings.items()},
        "price": entry.price_id,
        "is_estimated": call.is_estimate,
        "is_overrun": entry.is_overrun,
        "cache_status": entry.cache_status,
        "route_reason": entry.route_reason,
        "duration_us": entry.duration_us,
        "first_byte_us": entry.first_byte_us,
        "overhead_us": entry.overhead_us,
        "recorded_at": entry.recorded_at,
        "corrections": len(call.corrections),
    }


def write_csv(actor: Actor, filters: LedgerFilters, cursor: str) -> tuple[str, str]:
    """The calls as CSV with a line of names, and the cursor of what did not fit, which is empty if all did."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(CallAnswer().fields)
    written = 0
    while written < MAX_CSV_ROWS:
        page = list_requests(actor, filters, cursor=cursor, limit=MAX_LIMIT)
        writer.writerows(_cells(CallAnswer(show_call(call)).data) for call in page.calls)
        written, cursor = written + len(page.calls), page.next_cursor
        if not cursor:
            break
    return text.getvalue(), cursor


def _cells(shown: Mapping[str, Any]) -> Iterator[Any]:
    for name, value in shown.items():
        if isinstance(value, dict):
            yield json.dumps(value, ensure_ascii=False, sort_keys=True) if value else ""
        elif isinstance(value, bool):
            yield "true" if value else "false"
        elif isinstance(value, str) and value.startswith(_SPREADSHEET_FORMULA) and not name.endswith("_cost"):
            # A spreadsheet would run it: end users' ids and error texts are strangers' words.
            yield f"'{value}"
        else:
            yield value


def _show_attempt(attempt: Mapping[str, Any]) -> dict[str, Any]:
    cost = attempt.get("cost")
    return {**attempt, "cost": format_usd(cost)} if isinstance(cost, int) else dict(attempt)
