"""What people are told of, and how. Every row belongs to one organisation."""

from billing.alerts.models.alerts import Alert, AlertRule
from billing.alerts.models.channels import Channel, Delivery, Mute

__all__ = ["Alert", "AlertRule", "Channel", "Delivery", "Mute"]
