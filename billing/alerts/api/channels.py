"""/channels: by which way people are told; a webhook's secret is shown once. /deliveries: every message."""

import re
from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.alerts.actions.channels import create_channel, ensure_channels, rotate_secret, update_channel
from billing.alerts.actions.deliveries import queue_test, redeliver
from billing.alerts.models import Channel, Delivery
from billing.choices import AlertKind, ChannelKind, DeliveryState, Digest
from costhub.lib import clock
from tenants.access import access_row
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Flag, Nothing, Text
from tenants.api.paging import PARAMETERS
from tenants.choices import Permission, Role

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


@extend_schema_field({"type": "string", "pattern": "^([01][0-9]|2[0-3]):([0-5][0-9])$", "example": "22:00"})
class TimeOfDay(serializers.Field[int, Any, str, Any]):
    """A time of the organisation's day: ``22:00`` outside, minutes inside."""

    def to_internal_value(self, data: Any) -> int:
        """Minutes since midnight. Raises ValidationError."""
        found = _TIME.fullmatch(data) if isinstance(data, str) else None
        if found is None:
            raise serializers.ValidationError("Give a time of day such as 22:00.")
        return int(found[1]) * 60 + int(found[2])

    def to_representation(self, value: int) -> str:
        """Hours and minutes."""
        return f"{value // 60:02d}:{value % 60:02d}"


class ChannelAnswer(Answer):
    """A channel without its secret. ``disabled_reason`` says why it was switched off for its failures.

    The ``url`` of a webhook is a secret itself: whoever may not change channels is shown its origin only.
    """

    url = serializers.SerializerMethodField()
    quiet_from = TimeOfDay(allow_null=True)
    quiet_until = TimeOfDay(allow_null=True)

    class Meta:
        model = Channel
        fields: ClassVar = [
            "id",
            "name",
            "kind",
            "kinds",
            "roles",
            "url",
            "digest",
            "gets_calls",
            "gets_changes",
            "quiet_from",
            "quiet_until",
            "failures",
            "failing_since",
            "disabled_reason",
            "is_active",
            "created_at",
        ]

    def get_url(self, channel: Channel) -> str:
        """The address of a webhook, or its origin; empty for mails."""
        actor = self.context["request"].auth
        return channel.url if actor.may(Permission.WRITE_SETTINGS) else channel.origin


class NewChannelAnswer(ChannelAnswer):
    """A channel and its secret, which is shown this once; null where there is none."""

    secret = serializers.CharField(allow_null=True)

    class Meta(ChannelAnswer.Meta):
        fields: ClassVar = [*ChannelAnswer.Meta.fields, "secret"]


class ChannelChanges(Body):
    """What may change."""

    name = Text(required=False)
    kinds = serializers.ListField(child=Choice(AlertKind), required=False, max_length=100)
    roles = serializers.ListField(child=Choice(Role), required=False, max_length=100)
    url = Text(required=False)
    digest = Choice(Digest, required=False)
    gets_calls = Flag(required=False)
    gets_changes = Flag(required=False)
    quiet_from = TimeOfDay(required=False, allow_null=True)
    quiet_until = TimeOfDay(required=False, allow_null=True)
    is_active = Flag(required=False)


class NewChannel(Body):
    """What a channel is made of: ``roles`` for mails, ``url`` for a webhook. Without ``kinds`` it takes all."""

    kind = Choice(ChannelKind)
    name = Text()
    kinds = serializers.ListField(child=Choice(AlertKind), required=False, max_length=100)
    roles = serializers.ListField(child=Choice(Role), required=False, max_length=100)
    url = Text(required=False)
    digest = Choice(Digest, required=False)
    gets_calls = Flag(required=False)
    gets_changes = Flag(required=False)
    quiet_from = TimeOfDay(required=False, allow_null=True)
    quiet_until = TimeOfDay(required=False, allow_null=True)


class DeliveryAnswer(Answer):
    """A message: what became of it, and why. ``sent_as`` is the id that its receiver knows it by."""

    user = serializers.SerializerMethodField()

    class Meta:
        model = Delivery
        fields: ClassVar = [
            "id",
            "alert",
            "call",
            "change",
            "event",
            "channel",
            "user",
            "state",
            "due_at",
            "tries",
            "status",
            "error",
            "sent_as",
            "sent_at",
            "created_at",
        ]

    def get_user(self, delivery: Delivery) -> str | None:
        """The member's address."""
        return delivery.user.email if delivery.user else None


class ChannelViewSet(TenantViewSet):
    """Channels: mails about money and about operations are there from the beginning."""

    queryset = Channel.objects.all()
    serializer_class = ChannelAnswer

    def rows(self) -> QuerySet[Channel]:
        """Those of the open organisation."""
        ensure_channels(self.actor.org)
        return Channel.objects.filter(org=self.actor.org)

    @extend_schema(request=NewChannel, responses={201: NewChannelAnswer})
    def create(self, request: Request) -> Response:
        """Create a channel."""
        channel, secret = create_channel(actor=self.actor, **self.read(NewChannel))
        return self.show(channel, 201, secret=secret)

    @extend_schema(request=ChannelChanges, responses=ChannelAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a channel, or switch it on or off."""
        channel: Any = self.access(pk)
        return self.show(update_channel(actor=self.actor, channel=channel, **self.read(ChannelChanges)))

    def destroy(self, request: Request, pk: str) -> Response:
        """Switch a channel off. Its row stays, because messages speak of it."""
        update_channel(actor=self.actor, channel=self.access(pk), is_active=False)
        return Response(status=204)

    @extend_schema(request=Nothing, responses=NewChannelAnswer)
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, pk: str) -> Response:
        """Give a webhook a new secret; for a day the old one signs too."""
        channel = self.access(pk)
        self.read(Nothing)
        return self.show(channel, secret=rotate_secret(actor=self.actor, channel=channel))

    @extend_schema(request=Nothing, responses={202: DeliveryAnswer(many=True)})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send a test by this channel; the messages tell what becomes of it."""
        channel = self.access(pk)
        self.read(Nothing)
        queued = queue_test(actor=self.actor, channel=channel, now=clock.now())
        return Response({"data": DeliveryAnswer(queued, many=True).data, "next": None}, status=202)


class DeliveryFilters(Body):
    """Which messages."""

    channel = Text(required=False)
    state = Choice(DeliveryState, required=False)


class DeliveryViewSet(TenantViewSet):
    """Messages, newest first, for 90 days."""

    queryset = Delivery.objects.all()
    serializer_class = DeliveryAnswer
    read_permission = Permission.READ_MONEY
    known_parameters = PARAMETERS | {"channel", "state"}

    def rows(self) -> QuerySet[Delivery]:
        """Those of the open organisation."""
        return Delivery.objects.filter(org=self.actor.org).select_related("user")

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those of one channel, or in one state. Raises NotFound."""
        wanted = self.read_query(DeliveryFilters)
        if "channel" in wanted:
            wanted["channel"] = access_row(Channel.objects.all(), self.actor, wanted["channel"]).pk
        return rows.filter(**wanted)

    @extend_schema(parameters=[DeliveryFilters])
    def list(self, request: Request) -> Response:
        """A page of messages, newest first."""
        return super().list(request)

    @extend_schema(request=Nothing, responses=DeliveryAnswer)
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, pk: str) -> Response:
        """Send a message again that was given up or dropped."""
        delivery = self.access(pk)
        self.read(Nothing)
        return self.show(redeliver(actor=self.actor, delivery=delivery, now=clock.now()))
