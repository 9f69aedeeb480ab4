"""Where an alert leads: first to the thing that it is about, where something can be done, then to its calls."""

from typing import Final
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.http import urlencode

from billing.alerts.models import Alert
from billing.choices import AlertKind
from costhub.console.acts import PageLink
from tenants.access import Actor, find_uuid
from tenants.choices import Permission

#: scopes by which the list of calls is filtered
_FILTERED: Final = frozenset({"project", "key", "end_user", "model"})
#: kinds whose subject begins with the id of a row: what the link says, and the row's page
_ROWS: Final = {
    AlertKind.BUDGET: ("Open the budget", "budget"),
    AlertKind.FORECAST: ("Open the budget", "budget"),
    AlertKind.DRIFT: ("Open the budget", "budget"),
    AlertKind.UPSTREAM: ("Open the upstream", "upstream"),
    AlertKind.BILL: ("Day by day", "bill-days"),
    AlertKind.KEY_EXPIRING: ("Rotate the key", "key"),
    AlertKind.CHANNEL_OFF: ("Open the channel", "channel"),
    AlertKind.CHANNEL_FAILING: ("Open the channel", "channel"),
    AlertKind.PRICE: ("Open its prices", "model"),
}
#: kinds that a whole page is about
_PAGES: Final = {
    AlertKind.LEARNED: ("Open the routes", "routes"),
    AlertKind.METER: ("Open the invoices", "invoices"),
    AlertKind.PAID_TWICE: ("Open the invoices", "invoices"),
    AlertKind.TOP_UP: ("Open billing", "billing"),
    AlertKind.TAKEN_BACK: ("Open billing", "billing"),
    AlertKind.STRIPE_EVENT: ("Open the invoices", "invoices"),
}
#: who may open a page that not everybody who sees the alert may
_NEEDED: Final = {
    "channel": Permission.WRITE_SETTINGS,
    "key": Permission.READ,
    "upstream": Permission.READ,
    "model": Permission.READ,
}


def list_alert_links(actor: Actor, alert: Alert) -> list[PageLink]:
    """The pages that the actor may open; none where there is nothing to do about it."""
    kind, slug = AlertKind(alert.kind), actor.org.slug
    links: list[PageLink] = []
    if kind is AlertKind.UNPRICED and alert.facts.get("model") and actor.may(Permission.WRITE_MONEY):
        query = urlencode({"model": alert.facts["model"]})
        links.append(PageLink("Give it a price", f"{reverse('new-price', args=[slug])}?{query}"))
    if kind in _PAGES and actor.may(Permission.READ_MONEY):
        label, page = _PAGES[kind]
        links.append(PageLink(label, reverse(page, args=[slug])))
    if kind in _ROWS:
        label, page = _ROWS[kind]
        row_id = find_uuid(alert.subject.partition(":")[0])
        if row_id and actor.may(_NEEDED.get(page, Permission.READ_MONEY)):
            links.append(PageLink(label, reverse(page, args=[slug, row_id])))
    wanted = _name_calls(actor, alert, kind)
    if wanted and actor.may(Permission.READ_MONEY):
        links.append(PageLink("Its calls", f"{reverse('requests', args=[slug])}?{urlencode(wanted)}"))
    return links


def _name_calls(actor: Actor, alert: Alert, kind: AlertKind) -> dict[str, str]:
    """The filters of the calls that it is about; empty where there are none, or not all have a value."""
    facts = alert.facts
    wanted: dict[str, str] = {}
    if kind is AlertKind.ANOMALY:
        scope, _, rest = alert.subject.partition(":")
        day = alert.window_start.astimezone(ZoneInfo(actor.org.time_zone)).date().isoformat()
        wanted = {"from": day, "to": day}
        if scope in _FILTERED:
            wanted[scope] = rest.rpartition(":")[0]
    elif kind is AlertKind.UNPRICED:
        wanted = {"model": str(facts.get("model", "")), "status": "refused"}
    elif kind in {AlertKind.OVERRUN, AlertKind.PRICE}:
        wanted = {"model": str(facts.get("model", ""))}
    elif kind is AlertKind.UPSTREAM:
        wanted = {"upstream": alert.subject, "status": "failed"}
    else:
        scope, subject = str(facts.get("scope", "")), str(facts.get("subject", ""))
        name, separator, value = subject.partition("=")
        if scope == "tag" and separator:
            wanted = {f"tag:{name}": value}
        elif scope in _FILTERED:
            wanted = {scope: subject}
    return wanted if all(wanted.values()) else {}
