"""Stored enumerations, as plain ``StrEnum`` so that the pure core may import them too."""

from enum import StrEnum
from typing import Final

from tenants.choices import Role


class Cube(StrEnum):
    """What the sums of a bucket are split by. Every row of the ledger is once in each, but for ``TAGS``.

    By the quarter of an hour those from ``STATUSES`` on are kept for some weeks only, and ``CALLS`` not at all.
    """

    TOTAL = "total"
    #: by project and model
    MODELS = "models"
    #: by project and key; in blocks of days and of quarters, too
    KEYS = "keys"
    #: by project, upstream and status
    STATUSES = "statuses"
    #: by what the cache did, and the price version
    CACHE = "cache"
    #: by project and end user; in blocks of days and of quarters, too
    END_USERS = "end_users"
    #: by project and tag: a row of the ledger is here once for each tag that it has
    TAGS = "tags"
    #: by project, key, model, upstream and status
    CALLS = "calls"


class AlertKind(StrEnum):
    """What an alert is about."""

    BUDGET = "budget"
    FORECAST = "forecast"
    ANOMALY = "anomaly"
    UNPRICED = "unpriced"
    OVERRUN = "overrun"
    UPSTREAM = "upstream"
    DRIFT = "drift"
    #: Stripe's meter against the ledger
    METER = "meter"
    #: what a route has learned was taken back
    LEARNED = "learned"
    #: an invoice, by hand and at Stripe
    PAID_TWICE = "paid_twice"
    #: credits that should have been bought by themselves
    TOP_UP = "top_up"
    #: a payment that was given back or disputed at Stripe
    TAKEN_BACK = "taken_back"
    #: what Stripe told of could not be done
    STRIPE_EVENT = "stripe_event"
    #: an upstream's bill against the ledger
    BILL = "bill"
    KEY_EXPIRING = "key_expiring"
    CHANNEL_OFF = "channel_off"
    #: its messages do not arrive, and it is not switched off for that yet
    CHANNEL_FAILING = "channel_failing"
    #: a model's price in force is another one
    PRICE = "price"


#: what rows may say: while a release is rolled out, or taken back, there may be some of kinds that another one knows
KNOWN_KINDS: Final = frozenset(kind.value for kind in AlertKind)


class Topic(StrEnum):
    """Whose business a kind of alert is."""

    MONEY = "money"
    OPERATIONS = "operations"


TOPICS: Final[dict[AlertKind, Topic]] = {
    AlertKind.BUDGET: Topic.MONEY,
    AlertKind.FORECAST: Topic.MONEY,
    AlertKind.ANOMALY: Topic.MONEY,
    AlertKind.UNPRICED: Topic.MONEY,
    AlertKind.OVERRUN: Topic.MONEY,
    AlertKind.UPSTREAM: Topic.OPERATIONS,
    AlertKind.DRIFT: Topic.OPERATIONS,
    AlertKind.METER: Topic.MONEY,
    AlertKind.LEARNED: Topic.OPERATIONS,
    AlertKind.PAID_TWICE: Topic.MONEY,
    AlertKind.TOP_UP: Topic.MONEY,
    AlertKind.TAKEN_BACK: Topic.MONEY,
    AlertKind.STRIPE_EVENT: Topic.MONEY,
    AlertKind.BILL: Topic.MONEY,
    AlertKind.KEY_EXPIRING: Topic.OPERATIONS,
    AlertKind.CHANNEL_OFF: Topic.OPERATIONS,
    AlertKind.CHANNEL_FAILING: Topic.OPERATIONS,
    AlertKind.PRICE: Topic.MONEY,
}
#: kinds whose facts hold amounts: for who may see money, whatever the topic
SHOWS_MONEY: Final = frozenset({kind for kind, topic in TOPICS.items() if topic is Topic.MONEY} | {AlertKind.DRIFT})
#: who gets a topic's mails until somebody changes that
READERS: Final[dict[Topic, tuple[Role, ...]]] = {
    Topic.MONEY: (Role.OWNER, Role.FINANCE),
    Topic.OPERATIONS: (Role.OWNER, Role.ADMIN),
}


class Severity(StrEnum):
    """How much it hurts. What is critical is told in quiet hours too, and waits for no digest."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertEvent(StrEnum):
    """What happened to an alert that people are told of."""

    OPENED = "opened"
    RECOVERED = "recovered"
    #: nothing has happened: somebody tries a channel
    TEST = "test"
    #: no alert: a call with a deadline has its answer, or has ended without one
    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    #: no alert: somebody has changed something, as the audit log says
    CHANGED = "changed"


class ChannelKind(StrEnum):
    """By which way people are told: mails to members, a signed webhook, or a webhook that takes Slack's bodies."""

    EMAIL = "email"
    WEBHOOK = "webhook"
    SLACK = "slack"


class Digest(StrEnum):
    """Whether alerts are told one by one or together."""

    NONE = "none"
    HOURLY = "hourly"
    DAILY = "daily"


class DeliveryState(StrEnum):
    """How far a message has come. ``sending`` has a lease: whoever died in it is followed by another."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


class ForecastMethod(StrEnum):
    """What a month's forecast was made with."""

    #: nothing is said: there are hardly any days to go by
    NOT_ENOUGH_HISTORY = "not_enough_history"
    #: what the days so far cost on average, without a band
    RUN_RATE = "run_rate"
    #: whole recent weeks drawn again and again, for series that are short or often silent
    RECENT_WEEKS = "recent_weeks"
    #: exponential smoothing with a weekly season, half and half with the mean of four weeks
    SMOOTHING = "smoothing"


class AnomalyUnit(StrEnum):
    """How long the stretch of time is that was unusual, in the organisation's time zone."""

    DAY = "day"
    HOUR = "hour"


class AnomalySeverity(StrEnum):
    """How much an anomaly asks for somebody's attention: more spend than usual, or less."""

    HIGH = "high"
    LOW = "low"


class Cause(StrEnum):
    """What of an excess explains most of it."""

    CALLS = "calls"
    TOKENS = "tokens"
    PRICE = "price"
