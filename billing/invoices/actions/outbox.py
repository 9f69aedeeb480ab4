"""Usage on its way to Stripe's meters: a transactional outbox of hourly deltas.

What an hour has in the ledger, less all deltas of that hour that there are, is the next delta; so late rows and
corrections go out by themselves, and nothing goes twice however often this runs. A delta's identifier is made from
organisation, meter, hour and number: sent again, Stripe takes it for the same event.

Stripe remembers identifiers for a day. A delta whose first try is older than 23 hours and whose fate is not known is
not sent again before the meter's own sum of that hour has said whether it arrived. Nothing older than 35 days is taken
by a meter: such usage is on the next invoice anyway, as late usage, and its delta is noted and not sent, once the meter
has said that no try of it arrived.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import DateTimeField, F, Max, Sum, Value
from django.db.models.functions import Coalesce

from billing.invoices.choices import OutboxState
from billing.invoices.models import BillingAccount, MeterDelta
from billing.invoices.selectors.accounts import find_metered
from billing.invoices.selectors.usage import floor_hour, hourly_usage
from billing.invoices.stripe_client import Stripe, StripeRefused, StripeUnavailable
from costhub.lib import clock
from costhub.lib.database import session_cursor
from tenants.access import Actor, org_scope

#: an identifier may be repeated for this long after it was first sent
REPEATABLE: Final = timedelta(hours=23)
#: no meter takes what is older
OLDEST: Final = timedelta(days=35)
#: each run looks at so many hours that are over; the nightly one at all that a meter takes
RECENT: Final = timedelta(hours=48)
BATCH: Final = 200
#: so many tries are written in one transaction
TOGETHER: Final = 50
#: what arrived is in doubt for no longer: reconciling compares it with the meter
_WRITTEN_EVERY_NS: Final = 1_000_000_000
_HOUR: Final = timedelta(hours=1)
_log = logging.getLogger(__name__)


def fill_outbox(actor: Actor, now: datetime, *, since: datetime | None = None) -> int:
    """Write the deltas of hours that are over, from ``since`` on (48 hours back unless given). Gives how many."""
    account = find_metered(actor)
    if account is None or account.metered_from is None:
        return 0
    end = floor_hour(now)
    start = max(floor_hour(since or now - RECENT), floor_hour(account.metered_from))
    if start >= end:
        return 0
    with transaction.atomic():
        # One at a time for an organisation: two would both see the same hour short.
        BillingAccount.objects.select_for_update().get(pk=account.pk)
        ledger = hourly_usage(actor, start, end)
        rows = MeterDelta.objects.filter(org=actor.org, meter=account.stripe_meter, hour__gte=start, hour__lt=end)
        held = {
            hour: (int(total), int(last))
            for hour, total, last in rows.values_list("hour")
            .annotate(total=Sum("value"), last=Max("sequence"))
            .order_by()
        }
        deltas = []
        for hour in sorted({*ledger, *held}):
            total, last = held.get(hour, (0, 0))
            if change := ledger.get(hour, 0) - total:
                deltas.append(_make_delta(actor, account, hour, last + 1, change, now))
        MeterDelta.objects.bulk_create(deltas, batch_size=500)
    return len(deltas)


def send_outbox(actor: Actor, gateway: Stripe, now: datetime, *, most: int = BATCH) -> int:
    """Send the organisation's pending deltas in order of time, one sender for a customer and meter. Gives how many
    arrived. Stops at the first that gets no answer; one that is refused waits with its reason.

    Not within a transaction: what is written of a try must outlive whoever made it."""
    with org_scope(actor.org.pk):
        account = find_metered(actor)
    if account is None:
        return 0
    arrived, is_answered = 0, True
    with _only_sender(account.stripe_customer, account.stripe_meter) as is_ours:
        waiting = _take(actor, most) if is_ours else []
        while waiting and is_answered:
            together = _list_together(waiting, now)
            if together:
                came, is_answered = _send(actor, gateway, together, now)
            else:
                came, is_answered = _clear_up(actor, gateway, waiting[0], now)
            arrived += came
            waiting = waiting[max(len(together), 1) :]
    return arrived


def _make_delta(
    actor: Actor, account: BillingAccount, hour: datetime, sequence: int, value: int, now: datetime
) -> MeterDelta:
    meter = hashlib.sha256(account.stripe_meter.encode()).hexdigest()[:12]
    return MeterDelta(
        org=actor.org,
        customer=account.stripe_customer,
        meter=account.stripe_meter,
        hour=hour,
        sequence=sequence,
        value=value,
        identifier=f"{actor.org.pk.hex}-{meter}-{hour:%Y%m%d%H}-{sequence}",
        state=(OutboxState.NOTED if hour < now - OLDEST else OutboxState.PENDING).value,
    )


def _take(actor: Actor, most: int) -> list[MeterDelta]:
    """The oldest pending ones. What failed before takes no more than a tenth of the places: no number of refused ones
    keeps new usage from going out."""
    with org_scope(actor.org.pk):
        rows = MeterDelta.objects.filter(org=actor.org, state=OutboxState.PENDING.value).order_by("hour", "sequence")
        new, failed = list(rows.filter(error="")[:most]), rows.exclude(error="").order_by("tries", "hour", "sequence")
        again = list(failed[: max(most // 10, most - len(new))])
    chosen = new[: most - len(again)] + again
    return sorted(chosen, key=lambda delta: (delta.hour, delta.sequence))


def _list_together(waiting: Sequence[MeterDelta], now: datetime) -> list[MeterDelta]:
    """The first of them that may be sent as they are, but no two of one hour: where nobody lives to write down which of
    them arrived, the meter's sum of the hour must tell."""
    together: list[MeterDelta] = []
    hours: set[tuple[str, datetime]] = set()
    for delta in waiting[:TOGETHER]:
        hour = (delta.meter, delta.hour)
        if hour in hours or not _is_repeatable(delta, now):
            break
        hours.add(hour)
        together.append(delta)
    return together


def _is_repeatable(delta: MeterDelta, now: datetime) -> bool:
    """Whether it can be sent as it is: a meter takes it, and Stripe still knows its identifier, or never met it."""
    return delta.hour >= now - OLDEST and (delta.first_tried_at is None or now - delta.first_tried_at <= REPEATABLE)


def _clear_up(actor: Actor, gateway: Stripe, delta: MeterDelta, now: datetime) -> tuple[int, bool]:
    """What becomes of one that cannot: the meter says that it arrived, or it is noted, or sent anew. As ``_send``."""
    is_too_old = delta.hour < now - OLDEST
    try:
        # What was never tried is not there.
        has_arrived = delta.first_tried_at is not None and _has_arrived(actor, gateway, delta)
    except (StripeRefused, StripeUnavailable) as error:
        # A try of its own: those that cannot be told take turns with what else failed.
        _keep(actor, delta, error=error.message, tries=delta.tries + 1)
        return 0, isinstance(error, StripeRefused)
    if has_arrived:
        _keep(actor, delta, state=OutboxState.SENT, sent_at=now, error="")
        return 1, True
    if is_too_old:
        _keep(actor, delta, state=OutboxState.NOTED)
        return 0, True
    # It never did: from here on its identifier is new to Stripe.
    _keep(actor, delta, first_tried_at=None)
    return _send(actor, gateway, [delta], now)


def _send(actor: Actor, gateway: Stripe, deltas: Sequence[MeterDelta], now: datetime) -> tuple[int, bool]:
    """Send some in their order, up to the first that gets no answer: those behind it have not been tried. Gives how
    many arrived, and whether all were answered.

    All tries are written before the first: whoever dies in between has tried. What arrived is written once a second and
    at the end: until then it would be sent again, and is the same event to Stripe.
    """
    _keep_tries(actor, deltas, now)
    untried, arrived = deque(deltas), list[MeterDelta]()
    count, written_at = 0, clock.monotonic_ns()
    is_answered = True
    try:
        while untried and is_answered:
            delta = untried.popleft()
            try:
                _send_one(gateway, delta)
            except (StripeRefused, StripeUnavailable) as error:
                is_answered = isinstance(error, StripeRefused)
                _keep(actor, delta, error=error.message)
                continue
            count += 1
            arrived.append(delta)
            if clock.monotonic_ns() - written_at > _WRITTEN_EVERY_NS:
                _keep_arrived(actor, arrived, now)
                arrived, written_at = [], clock.monotonic_ns()
    finally:
        _keep_arrived(actor, arrived, now)
        _take_back_tries(actor, untried)
    return count, is_answered


def _send_one(gateway: Stripe, delta: MeterDelta) -> None:
    gateway.send_usage(
        identifier=delta.identifier, meter=delta.meter, customer=delta.customer, value=delta.value, at=delta.hour
    )


def _keep_tries(actor: Actor, deltas: Sequence[MeterDelta], now: datetime) -> None:
    with org_scope(actor.org.pk):
        MeterDelta.objects.filter(org=actor.org, pk__in=[delta.pk for delta in deltas]).update(
            tries=F("tries") + 1, first_tried_at=Coalesce("first_tried_at", Value(now, DateTimeField()))
        )


def _take_back_tries(actor: Actor, deltas: Iterable[MeterDelta]) -> None:
    """Uncount the tries of messages that were not sent after all."""
    for delta in deltas:
        _keep(actor, delta, tries=delta.tries, first_tried_at=delta.first_tried_at)


def _keep_arrived(actor: Actor, deltas: Sequence[MeterDelta], now: datetime) -> None:
    if deltas:
        with org_scope(actor.org.pk):
            MeterDelta.objects.filter(org=actor.org, pk__in=[delta.pk for delta in deltas]).update(
                state=OutboxState.SENT.value, sent_at=now, error=""
            )


def _has_arrived(actor: Actor, gateway: Stripe, delta: MeterDelta) -> bool:
    """What the meter's sum of the hour says. Raises StripeRefused where it fits neither."""
    there = gateway.read_usage(
        meter=delta.meter, customer=delta.customer, start=delta.hour, end=delta.hour + _HOUR
    ).get(delta.hour, 0)
    with org_scope(actor.org.pk):
        sent = (
            MeterDelta.objects.filter(
                org=actor.org, meter=delta.meter, hour=delta.hour, state=OutboxState.SENT.value
            ).aggregate(total=Sum("value"))["total"]
            or 0
        )
    if there == sent + delta.value:
        return True
    if there == sent:
        return False
    raise StripeRefused(
        f"The meter's sum of the hour is {there}, which is neither {sent} nor {sent + delta.value}: look at it first."
    )


def _keep(actor: Actor, delta: MeterDelta, **values: object) -> None:
    """Store what has become of a delta, at once."""
    for name, value in values.items():
        setattr(delta, name, value.value if isinstance(value, OutboxState) else value)
    with org_scope(actor.org.pk):
        delta.save(update_fields=list(values))


@contextmanager
def _only_sender(customer: str, meter: str) -> Iterator[bool]:
    """Whether this process is the only one that sends for a customer and meter."""
    lock = int.from_bytes(hashlib.sha256(f"meter:{customer}:{meter}".encode()).digest()[:8], signed=True)
    with session_cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        is_ours = cursor.fetchone() == (True,)
    try:
        yield is_ours
    finally:
        if is_ours:
            with session_cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])
