"""A message with all that sending it needs: the database is done with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.alerts.core.texts import AlertText
from billing.choices import AlertEvent


@dataclass(frozen=True, slots=True)
class CallTold:
    """A call that is out, as its caller knows it: ``kind`` is ``deferred`` or ``response``, ``url`` where its answer
    is. ``is_late``: it was out behind its deadline."""

    id: str
    kind: str
    status: str
    url: str
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class ChangeTold:
    """An entry of the audit log: who (``actor``) did what (``action``) to what (``kind``, ``target_id``)."""

    id: str
    number: int
    action: str
    actor: str
    kind: str
    target_id: str
    changes: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Item:
    """One event of one alert in a message, or of a ``call``, or a ``change``. ``facts`` and ``id`` are the alert's;
    calls, changes and a test of a channel have neither."""

    event: AlertEvent
    kind: str
    severity: str
    text: AlertText
    at: datetime
    alert_id: str = ""
    subject: str = ""
    threshold: int = 0
    facts: dict[str, Any] | None = None
    call: CallTold | None = None
    change: ChangeTold | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """``id`` is the same at every try. ``address`` is a mail address or a URL, ``secrets`` sign a webhook's body.

    ``page`` and ``mute`` are links, empty where the installation does not know its own address.
    """

    id: str
    org_name: str
    address: str
    items: tuple[Item, ...]
    at: datetime
    secrets: tuple[str, ...] = ()
    page: str = ""
    mute: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether it arrived; ``status`` is what the receiver answered, ``error`` says why not, for people.

    ``is_gone``: the receiver wants nothing any more. ``again_at``: it said when to come again.
    """

    is_sent: bool
    status: int | None = None
    error: str = ""
    is_gone: bool = False
    again_at: datetime | None = None
