"""A provider's bill: where it is fetched, kept by the day, and held against the ledger."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import Fact
from billing.bills.models import BilledDay, BillSource
from billing.bills.provider import Provider
from billing.bills.selectors import compare, list_sources
from billing.choices import AlertKind
from billing.spend.core.upstream_bill import CLASSES, Bill, Reconciled
from costhub.lib import clock
from costhub.lib.errors import AppError, InvalidField
from costhub.lib.net import Gate
from costhub.lib.secrets import unseal
from tenants.access import Actor, find_row, job_scope
from tenants.actions.audit import record
from tenants.actions.upstreams import seal_credential
from tenants.choices import Permission, UpstreamKind
from tenants.models import Upstream

#: a bill is fetched anew after so long
EVERY: Final = timedelta(hours=6)
#: at first so many days are fetched; later those in which a provider may still have changed its mind
FIRST_DAYS: Final = 31
LATER_DAYS: Final = 7
#: the days that are compared: what a provider has not billed after two days, it has not billed
COMPARED: Final = (timedelta(days=8), timedelta(days=2))
_DAY: Final = timedelta(days=1)
#: after so long no other bill of an organisation is begun
_TURN_SECONDS: Final = 30.0
_MOST_PROJECT: Final = 64


def connect_bill(*, actor: Actor, upstream: Upstream, credential: str, provider_project: str = "") -> BillSource:
    """Have an upstream's bill fetched with an admin key of its provider's; again, with another key. Raises InvalidField
    for an upstream that has no such API, or a key or project that cannot be, and StaleSession."""
    actor.check(Permission.WRITE_SETTINGS)
    actor.check_fresh()
    if upstream.kind == UpstreamKind.ANTHROPIC:
        raise InvalidField(
            "Its provider has no API of costs like OpenAI's: give its bill as CSV to /upstream-bills.", field="upstream"
        )
    if len(provider_project) > _MOST_PROJECT or not provider_project.isascii() or not provider_project.isprintable():
        raise InvalidField("Give the provider's id of the project, such as proj_abc.", field="provider_project")
    new = {**seal_credential(actor, upstream.origin, credential), "provider_project": provider_project}
    with transaction.atomic():
        # Days of another account or project are no days of this one.
        BillSource.objects.filter(org=actor.org, upstream=upstream.pk).delete()
        source = BillSource.objects.create(org=actor.org, upstream=upstream.pk, **new)
        record(actor, "created", source, upstream=upstream.name, provider_project=provider_project)
    return source


def disconnect_bill(*, actor: Actor, source: BillSource) -> None:
    """Fetch it no more, and forget its days: an alert of it ends, without a word that it went well."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        record(actor, "deleted", source, upstream=str(source.upstream))
        gone = Fact(AlertKind.BILL, str(source.upstream), 0, {}, is_gone=True)
        source.delete()
        report(actor.org, AlertKind.BILL, [gone], now=clock.now(), is_complete=False)


def fetch_bills(org_id: UUID, gate: Gate, now: datetime) -> int:
    """Fetch the bills of an organisation that are due, as many as its turn is long, and alert where they and the ledger
    are not one; none of a demo, whose provider knows nothing of it. Gives how many were fetched. Not within a
    transaction: a provider may take its time."""
    ends_ns, fetched = clock.ends_in(_TURN_SECONDS), 0
    with job_scope(org_id) as actor:
        due = [row for row in list_sources(actor) if row.fetched_at is None or row.fetched_at <= now - EVERY]
        if actor.org.is_demo:
            due = []
    for source in due:
        if clock.monotonic_ns() > ends_ns:
            break
        fetched += _fetch(org_id, source, gate, now)
    return fetched


def _fetch(org_id: UUID, source: BillSource, gate: Gate, now: datetime) -> bool:
    end = now.astimezone(UTC).date()
    first = end - timedelta(days=FIRST_DAYS)
    if source.fetched_at is not None:
        first = max(first, source.fetched_at.astimezone(UTC).date() - timedelta(days=LATER_DAYS))
    try:
        with job_scope(org_id) as actor:
            upstream = find_row(Upstream.objects.all(), actor, str(source.upstream))
            if upstream is None:
                raise InvalidField("Its upstream is gone.", field="upstream")
            provider = Provider(gate, upstream.base_url, _reveal(actor, upstream, source), source.provider_project)
        bill = provider.read_bill(first, end)
    except AppError as error:
        with job_scope(org_id) as actor:
            BillSource.objects.filter(org=actor.org, pk=source.pk).update(problem=error.message[:300])
        return False
    with job_scope(org_id) as actor, transaction.atomic():
        locked = BillSource.objects.select_for_update().filter(org=actor.org, pk=source.pk).first()
        if locked is None:
            return False  # somebody has disconnected it meanwhile
        _keep(actor, locked, bill, first, end)
        locked.fetched_at, locked.problem = now, ""
        locked.save(update_fields=["fetched_at", "problem"])
        _alert(actor, locked, upstream, now)
    return True


def _reveal(actor: Actor, upstream: Upstream, source: BillSource) -> str:
    """The key in clear. Raises UnusableCredential where the upstream has moved to another origin since."""
    return unseal(
        settings.MASTER_KEYS,
        bytes(actor.org.data_key),
        org_id=str(actor.org.pk),
        origin=upstream.origin,
        sealed=bytes(source.credential),
    )


def _keep(actor: Actor, source: BillSource, bill: Bill, first: date, end: date) -> None:
    """These days as they are billed now, in place of what was kept of them."""
    BilledDay.objects.filter(org=actor.org, source=source, day__gte=first, day__lt=end).delete()
    BilledDay.objects.bulk_create(
        (
            BilledDay(
                org=actor.org,
                source=source,
                day=day,
                model=model[:200],
                cost_nanos=used.cost,
                **{name: getattr(used, name) for name in CLASSES},
            )
            for (day, model), used in sorted(bill.items())
            if first <= day < end
        ),
        batch_size=500,
    )


def _alert(actor: Actor, source: BillSource, upstream: Upstream, now: datetime) -> None:
    today = now.astimezone(UTC).date()
    first, last = (today - before for before in COMPARED)
    found = compare(actor, source, first, last)
    fact = Fact(AlertKind.BILL, str(upstream.pk), _per_cent(found), _describe(found, upstream.name, first, last))
    report(actor.org, AlertKind.BILL, [fact], now=now, is_complete=False)


def _per_cent(found: Reconciled) -> int:
    billed = sum(match.theirs.cost or 0 for match in found.matches)
    if billed <= 0:
        return 100 if found.apart else 0
    return min(found.apart * 100 // billed, 1_000)


def _describe(found: Reconciled, name: str, first: date, last: date) -> dict[str, Any]:
    widest = max(found.matches, key=lambda match: abs(match.drift), default=None)
    return {
        "name": name,
        "first": first.isoformat(),
        "last": last.isoformat(),
        "billed": sum(match.theirs.cost or 0 for match in found.matches),
        "ledger": sum(match.ours.cost or 0 for match in found.matches),
        "model": widest.model if widest else "",
        "why": widest.text if widest else "",
    }
