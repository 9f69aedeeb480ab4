"""/paid-replays: captured calls that another model is asked again, within a cap."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.money import format_usd
from proxy.learning.models import PaidReplay
from proxy.learning.replay_core import estimate_ratio
from proxy.learning.replays import MOST_CALLS, cancel_paid_replay, start_paid_replay
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Text, Usd, Whole
from tenants.choices import Permission


class RatioAnswer(serializers.Serializer[Any]):
    """What a USD of the calls costs with the other model, and between what that lies in 95 of 100 cases."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class PaidReplayAnswer(Answer):
    """A replay: how many calls it has, was answered, and got no answer for; what those that were answered did cost, and
    cost now. ``error`` is what it waits for, or why it ended. ``ratio`` is null below thirty answers."""

    cap = Usd(source="cap_nanos")
    cost = Usd(source="cost_nanos")
    before = serializers.SerializerMethodField()
    calls = serializers.SerializerMethodField()
    answered = serializers.SerializerMethodField()
    ratio = serializers.SerializerMethodField()

    class Meta:
        model = PaidReplay
        fields: ClassVar = [
            *("id", "model", "to", "state", "error", "calls", "answered", "same", "failed"),
            *("cap", "cost", "before", "ratio", "created_at"),
        ]

    def get_calls(self, row: PaidReplay) -> int:
        """How many it has."""
        return len(row.calls)

    def get_answered(self, row: PaidReplay) -> int:
        """How many were answered."""
        return len(row.pairs)

    @extend_schema_field(Usd())
    def get_before(self, row: PaidReplay) -> str:
        """What those that were answered did cost."""
        return format_usd(sum(before for before, _ in row.pairs))

    @extend_schema_field(RatioAnswer(allow_null=True))
    def get_ratio(self, row: PaidReplay) -> dict[str, Any] | None:
        """What the others would cost."""
        ratio = estimate_ratio([(before, now) for before, now in row.pairs])
        return ratio._asdict() if ratio else None


class NewPaidReplay(Body):
    """Which captured calls, the newest first, whom to ask, the most that it may cost in decimal USD, and who calls,
    whose budgets hold."""

    model = Text(max_length=200)
    to = Text(max_length=200)
    cap = Usd()
    api_key = Text(max_length=100)
    calls = Whole(required=False, min_value=1, max_value=MOST_CALLS)


class PaidReplayViewSet(TenantViewSet):
    """Replays."""

    queryset = PaidReplay.objects.all()
    serializer_class = PaidReplayAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[PaidReplay]:
        """Those of the open organisation."""
        return PaidReplay.objects.filter(org=self.actor.org)

    @extend_schema(request=NewPaidReplay, responses={201: PaidReplayAnswer})
    def create(self, request: Request) -> Response:
        """Have captured calls asked again of another model, through the proxy and within the cap."""
        body = self.read(NewPaidReplay)
        replay = start_paid_replay(
            actor=self.actor,
            model=body["model"],
            to=body["to"],
            cap_nanos=body["cap"],
            api_key=body["api_key"],
            most_calls=body.get("calls", 100),
        )
        return self.show(replay, 201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Ask no more calls; what was found stays."""
        cancel_paid_replay(actor=self.actor, replay=self.access(pk))
        return Response(status=204)
