"""What people want to hear of, and what there was to hear."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from billing.choices import AlertKind, Severity
from tenants.models.base import TenantRow


class AlertRule(TenantRow):
    """When to alert. ``thresholds`` are in the kind's own unit (``billing.alerts.core.kinds``); of a rule of budgets
    none means each budget's own. Without ``budget`` it is of every budget, without ``channels`` it tells all that take
    its kind.
    """

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in AlertKind])
    budget = models.UUIDField(null=True, blank=True)
    thresholds = ArrayField(models.PositiveIntegerField(), default=list, blank=True)
    channels = ArrayField(models.UUIDField(), default=list, blank=True)
    tells_recovery = models.BooleanField(default=True)
    is_active = models.BooleanField(default=True)

    class Meta:
        verbose_name = "alert rule"
        indexes = [models.Index(fields=["org", "kind"], name="rules_of_a_kind")]

    def __str__(self) -> str:
        return self.name


class Alert(TenantRow):
    """One thing that happened: once for each rule, subject, window and threshold, which is what the constraint says.

    ``subject`` tells what it is about, in the kind's own words: a budget and whose, a model, an upstream. ``facts`` is
    what its texts are made of, money in nano-USD. ``ended_at`` is when it was over, whether anybody was told of it or
    not.
    """

    rule = models.UUIDField()
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in AlertKind])
    subject = models.CharField(max_length=300)
    window_start = models.DateTimeField()
    threshold = models.BigIntegerField()
    severity = models.CharField(max_length=8, choices=[(severity.value, severity.value) for severity in Severity])
    facts = models.JSONField(default=dict)
    ended_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=254, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org", "rule", "subject", "window_start", "threshold"], name="an_alert_fires_once"
            ),
            models.UniqueConstraint(
                fields=["org", "rule", "subject", "threshold"],
                condition=Q(ended_at__isnull=True),
                name="one_open_alert_of_a_subject",
            ),
        ]
        indexes = [
            models.Index(fields=["org", "-created_at", "-id"], name="alerts_newest_first"),
            models.Index(fields=["org", "kind"], condition=Q(ended_at__isnull=True), name="open_alerts"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} {self.threshold}"
