"""How people are told, and every message that was to be sent."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from billing.choices import AlertEvent, AlertKind, ChannelKind, DeliveryState, Digest
from tenants.models.base import TenantRow


class Channel(TenantRow):
    """A way to people. ``roles`` are whose members get the mails of an e-mail channel; a webhook has ``url`` and a
    secret, sealed for the URL's origin. ``kinds`` are the kinds of alerts it takes.

    Quiet hours are minutes of the organisation's day, and may span midnight. ``failing_since`` is the moment since
    which no message has arrived; ``disabled_reason`` says why we switched the channel off.
    """

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=[(kind.value, kind.value) for kind in ChannelKind])
    kinds = ArrayField(models.CharField(max_length=16), default=list)
    roles = ArrayField(models.CharField(max_length=16), default=list, blank=True)
    url = models.CharField(max_length=500, blank=True)
    origin = models.CharField(max_length=300, blank=True, editable=False)
    secret = models.BinaryField(null=True, editable=False)
    # Until then messages are signed with both, so that a receiver may change over.
    former_secret = models.BinaryField(null=True, editable=False)
    former_secret_until = models.DateTimeField(null=True, editable=False)
    # Whether it is told of calls with deadlines when they are out: webhooks only.
    gets_calls = models.BooleanField(default=False)
    # Whether it is told of what the audit log says: webhooks only. Of its entries those up to this number are told.
    gets_changes = models.BooleanField(default=False, db_default=False)
    changes_told = models.BigIntegerField(default=0, db_default=0, editable=False)
    digest = models.CharField(
        max_length=8, default=Digest.NONE.value, choices=[(digest.value, digest.value) for digest in Digest]
    )
    quiet_from = models.PositiveSmallIntegerField(null=True, blank=True)
    quiet_until = models.PositiveSmallIntegerField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    disabled_reason = models.CharField(max_length=300, blank=True, editable=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "name"], name="channel_names_are_unique")]

    def __str__(self) -> str:
        return self.name


class Delivery(TenantRow):
    """One message to one recipient: an event of an alert by a channel, for an e-mail channel to one member; or that
    the ``call`` with a deadline is out, or the ``change`` of the audit log has been made, each by its id.

    Its id is what the receiver knows it by (``Message-ID``, ``webhook-id``), the same at every try: a message whose
    answer was lost is sent again under it. ``due_at`` is when to try next.
    """

    alert = models.UUIDField(null=True)
    call = models.UUIDField(null=True)
    change = models.UUIDField(null=True)
    event = models.CharField(max_length=10, choices=[(event.value, event.value) for event in AlertEvent])
    channel = models.UUIDField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+", db_constraint=False
    )
    state = models.CharField(
        max_length=8,
        default=DeliveryState.QUEUED.value,
        choices=[(state.value, state.value) for state in DeliveryState],
    )
    due_at = models.DateTimeField()
    is_digest = models.BooleanField(default=False)
    tries = models.PositiveSmallIntegerField(default=0)
    # The id of the message that it went in: its own, or that of a digest.
    sent_as = models.UUIDField(null=True)
    sent_at = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = "delivery"
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["org", "alert", "event", "channel", "user"],
                condition=Q(alert__isnull=False),
                nulls_distinct=False,
                name="told_once",
            ),
            models.UniqueConstraint(
                fields=["org", "call", "channel"], condition=Q(call__isnull=False), name="call_told_once"
            ),
            models.UniqueConstraint(
                fields=["org", "change", "channel"], condition=Q(change__isnull=False), name="change_told_once"
            ),
        ]
        indexes = [
            models.Index(fields=["org", "-created_at", "-id"], name="deliveries_newest_first"),
            models.Index(fields=["due_at"], condition=Q(state__in=["queued", "sending"]), name="deliveries_due"),
        ]

    def __str__(self) -> str:
        return f"{self.event} by {self.channel}: {self.state}"


class Mute(TenantRow):
    """A member who wants no mails of a kind."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in AlertKind])

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org", "user", "kind"], name="muted_once")]

    def __str__(self) -> str:
        return f"{self.user_id} mutes {self.kind}"
