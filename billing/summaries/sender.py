"""Sends the summaries that are due, to each member once."""

import logging
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse

from billing.alerts.channels import mail
from billing.alerts.channels.message import Item, Message
from billing.choices import READERS, AlertEvent, Topic
from billing.spend.selectors import Spend, find_spend
from billing.summaries.core import Due, Part, describe, list_due
from costhub.lib import keyspace
from costhub.lib.redis import client
from tenants.access import Actor, job_scope
from tenants.models import Membership

_log = logging.getLogger(__name__)

#: longer than a summary is due
_REMEMBERED_SECONDS: Final = 45 * 86_400
_NAMES: Final = UUID("6f1c0a52-7a0e-4f0c-9a53-0d1f6c5b7e11")


def send_summaries(actor: Actor, now: datetime) -> int:
    """Mail an organisation's owners and finance what the week or month that has ended did cost. Gives how many mails
    were taken; one that was not is tried again in an hour, for three days. Nothing is said of a time without calls."""
    sent = 0
    for due in list_due(now, actor.org.time_zone):
        with job_scope(actor.org.pk) as reader:
            messages = [] if reader.org.is_demo else _make_messages(reader, due, now)
        # The database is done with: a mail server may take its time.
        sent += sum(_send_once(message, due, actor) for message in messages)
    return sent


def _make_messages(actor: Actor, due: Due, now: datetime) -> list[Message]:
    models, models_before = _spend(actor, due, "model")
    if not models.total.requests:
        return []
    users, users_before = _spend(actor, due, "end_user")
    zone = ZoneInfo(actor.org.time_zone)
    text = describe(
        due,
        models.total,
        models_before.total.effective_cost,
        _parts(models, models_before, "model"),
        _parts(users, users_before, "end_user"),
        zone,
    )
    item = Item(AlertEvent.OPENED, "summary", "info", text, now)
    page = f"{settings.PUBLIC_URL}{reverse('alerts', args=[actor.org.slug])}#mails" if settings.PUBLIC_URL else ""
    members = Membership.objects.filter(
        org=actor.org,
        role__in=[role.value for role in READERS[Topic.MONEY]],
        wants_summaries=True,
        user__is_active=True,
        suspended_at=None,
        # A summary is the whole organisation's.
        projects=[],
    )
    return [
        Message(
            str(uuid5(_NAMES, f"{member.pk} {due.period} {due.start.isoformat()}")),
            actor.org.name,
            member.user.email,
            (item,),
            now,
            page=page,
        )
        for member in members.select_related("user").order_by("user_id")
    ]


def _spend(actor: Actor, due: Due, group: str) -> tuple[Spend, Spend]:
    measures = ("requests", "list_cost", "effective_cost")
    now, before = (
        find_spend(actor, start=start, end=end, group_by=[group], measures=measures)
        for start, end in ((due.start, due.end), (due.before, due.start))
    )
    return now, before


def _parts(now: Spend, before: Spend, group: str) -> list[Part]:
    earlier = {row.group[group]: row.totals.effective_cost for row in before.rows}
    found = [Part(row.group[group], row.totals.effective_cost, earlier.pop(row.group[group], 0)) for row in now.rows]
    return [*found, *(Part(name, 0, nanos) for name, nanos in earlier.items())]


def _send_once(message: Message, due: Due, actor: Actor) -> bool:
    mark = keyspace.summary_key(str(actor.org.pk), message.id)
    if not client().set(mark, due.period, nx=True, ex=_REMEMBERED_SECONDS):
        return False
    outcome = mail.send(message)
    if not outcome.is_sent:
        client().delete(mark)
        _log.warning("a summary was not taken", extra={"org": str(actor.org.pk), "reason": outcome.error})
    return outcome.is_sent
