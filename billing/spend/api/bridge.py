"""/spend/bridge: why one period cost more than another."""

from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.spend.api.query import FILTER_PARAMETERS, LedgerView, read_filters, read_moment, read_range
from billing.spend.core.bridge import Cause
from billing.spend.core.bridge_texts import TITLES, describe_change, describe_part
from billing.spend.selectors.bridge import Span, find_bridge
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.api.fields import Usd
from tenants.periods import period_bounds, previous_bounds

_KNOWN: Final = frozenset({"from", "to", "model", "project", "key", "end_user", "upstream", "tag"})
_BEFORE: Final = ("before_from", "before_to")


class SpanAnswer(serializers.Serializer[Any]):
    """A stretch of time, [from, to), and what it cost in decimal USD."""

    to = serializers.DateTimeField()
    effective_cost = Usd()

    def get_fields(self) -> dict[str, Any]:
        """``from`` is a word of Python's."""
        return {"from": serializers.DateTimeField()} | super().get_fields()


class PartAnswer(serializers.Serializer[Any]):
    """What one cause made of the change, in decimal USD; ``model`` is the one at which most of it was."""

    cause = serializers.ChoiceField(choices=[cause.value for cause in Cause])
    title = serializers.CharField()
    amount = Usd()
    model = serializers.CharField()
    text = serializers.CharField()


class BridgeAnswer(serializers.Serializer[Any]):
    """From one bill to the other: the amounts of the parts sum to ``change`` exactly."""

    before = SpanAnswer()
    after = SpanAnswer()
    change = Usd()
    text = serializers.CharField()
    parts = PartAnswer(many=True)


class BridgeView(LedgerView):
    """The bill bridge."""

    known_parameters = _KNOWN | set(_BEFORE)

    @extend_schema(
        parameters=[
            OpenApiParameter("before_from", description="where the period to compare with begins; as from"),
            OpenApiParameter("before_to", description="and where it ends; as to"),
            *(each for each in FILTER_PARAMETERS if each.name in _KNOWN),
        ],
        responses=BridgeAnswer,
    )
    def get(self, request: Request) -> Response:
        """What the current month so far, or ``from`` to ``to``, cost more than the period before, by cause.

        The period before is the same stretch of the previous month where no bounds are given, else one of the same
        length that ends where this one begins.
        """
        filters = read_filters(self.actor, request)
        zone, now = self.actor.org.time_zone, clock.now()
        after = read_range(filters, now, zone)
        before = self._read_before(request) or _default_before(after, zone, is_month=filters.start is None)
        found = find_bridge(self.actor, before=before, after=after, filters=filters)
        bridge = found.bridge
        body = {
            "before": _show_span(before, bridge.before),
            "after": _show_span(after, bridge.after),
            "change": bridge.change,
            "text": describe_change(bridge),
            "parts": [
                {
                    "cause": part.cause.value,
                    "title": TITLES[part.cause],
                    "amount": part.nanos,
                    "model": part.driver.model if part.driver else "",
                    "text": describe_part(part),
                }
                for part in bridge.parts
            ],
        }
        return Response(BridgeAnswer(body).data)

    def _read_before(self, request: Request) -> Span | None:
        given = {name: str(value) for name, value in request.query_params.items() if name in _BEFORE and value}
        if not given:
            return None
        zone = ZoneInfo(self.actor.org.time_zone)
        start = read_moment(given, "before_from", zone)
        end = read_moment(given, "before_to", zone, is_end=True)
        if start is None or end is None:
            missing = next(name for name in _BEFORE if name not in given)
            raise InvalidField("Give both ends of the period to compare with, or neither.", field=missing)
        if start > end:
            raise InvalidField("Give an end that is not before the start.", field="before_to")
        return start, end


def _default_before(after: Span, zone: str, *, is_month: bool) -> Span:
    start, end = after
    length = end - start
    if not is_month:
        return start - length, start
    month = period_bounds("month", start, zone)[0]
    earlier, _ = previous_bounds("month", month, zone)
    return earlier, min(earlier + length, month)


def _show_span(span: tuple[datetime, datetime], nanos: int) -> dict[str, Any]:
    return {"from": span[0], "to": span[1], "effective_cost": nanos}
