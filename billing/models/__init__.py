"""The tables of billing: what people are told of, and how. Every row belongs to one organisation."""

from billing.models.alerts import Alert, AlertRule
from billing.models.channels import Channel, Delivery, Mute

__all__ = ["Alert", "AlertRule", "Channel", "Delivery", "Mute"]
