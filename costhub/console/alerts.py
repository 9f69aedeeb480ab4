"""The console's page of alerts, and the page behind the link that stops mails."""

from collections.abc import Mapping
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.alerts.actions.alerts import acknowledge
from billing.alerts.actions.channels import ensure_channels
from billing.alerts.actions.deliveries import redeliver
from billing.alerts.actions.mutes import read_mute_token, set_muted
from billing.alerts.core.kinds import KINDS, Traits
from billing.alerts.core.texts import describe
from billing.alerts.models import Alert, AlertRule, Channel, Delivery, Mute
from billing.alerts.selectors import GRAVITY, list_alerts, list_gravest, list_mailed_kinds
from billing.choices import READERS, TOPICS, AlertEvent, AlertKind, DeliveryState, Severity, Topic
from costhub.console.acts import try_to
from costhub.console.alert_links import list_alert_links
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_list
from costhub.console.rules import list_rules
from costhub.console.sign_in import org_page, works_when_read_only
from costhub.lib import clock
from costhub.lib.errors import InvalidField, NotFound
from tenants.access import Actor, access_row, enter_org
from tenants.actions.orgs import set_wants_summaries
from tenants.choices import Permission, Role
from tenants.models import Membership, Organization, User

LOG: Final = 20
_STATES: Final = {"": "Open", "over": "Over"}
_SORTS: Final = {"-time": "Newest first", "-severity": "Gravest first", "time": "Oldest first"}


@require_GET
@org_page
def alerts(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What stands, what is over, by which ways people are told, and which mails one gets oneself."""
    user = cast(User, request.user)
    muted = set(Mute.objects.filter(org=actor.org, user=user).values_list("kind", flat=True))
    shown: dict[str, Any] = {}

    def make(params: Mapping[str, str]) -> Listing:
        rows = _find_rows(actor, params).annotate(gravity=GRAVITY, words=Cast("facts", TextField()))
        columns = [Column("time", "Time", "created_at"), Column("severity", "Severity", "gravity")]
        filters = ["state", "kind", "severity"]
        listing = make_listing(
            request, params, rows, columns, search=["subject", "words"], sort="-time", filters=filters
        )
        shown.update(rows=[_show(actor, row) for row in listing.rows], is_over=params.get("state") == "over")
        return listing

    context = {
        "title": "Alerts",
        "shown": shown,
        "choices": _list_choices(request.GET.dict()),
        "channels": ensure_channels(actor.org),
        "rules": _rules(actor),
        "may_rule": actor.may(Permission.WRITE_MONEY),
        "deliveries": _deliveries(actor),
        "kinds": [
            {
                "kind": kind.value,
                "name": KINDS[kind].title,
                "topic": TOPICS[kind].value,
                "is_muted": kind.value in muted,
            }
            for kind in _mailed(actor)
        ],
        "gets_summaries": actor.role in READERS[Topic.MONEY],
        "wants_summaries": Membership.objects.filter(org=actor.org, user=user, wants_summaries=True).exists(),
        "may_edit": actor.may(Permission.WRITE_SETTINGS),
        "can_acknowledge": actor.may(Permission.READ_MONEY),
    }
    return show_list(request, actor, "console/alerts.html", "alerts", make, context)


def _find_rows(actor: Actor, params: Mapping[str, str]) -> QuerySet[Alert]:
    """Those of the address. Raises InvalidField for what is no state, kind or severity."""
    state, kind, severity = (params.get(name, "") for name in ("state", "kind", "severity"))
    for name, value, known in (
        ("state", state, _STATES),
        ("kind", kind, {"", *AlertKind}),
        ("severity", severity, {"", *Severity}),
    ):
        if value not in known:
            raise InvalidField(f"{name}: give one of {', '.join(sorted(filter(None, known)))}.", field=name)
    rows = list_alerts(actor).exclude(ended_at=None) if state else list_gravest(actor)
    wanted = {"kind": kind, "severity": severity}
    return rows.filter(**{name: value for name, value in wanted.items() if value})


def _list_choices(params: Mapping[str, str]) -> list[dict[str, Any]]:
    options: dict[str, tuple[str, list[tuple[str, str]]]] = {
        "state": ("State", list(_STATES.items())),
        "severity": ("Severity", [("", "Any severity"), *((one.value, one.value) for one in reversed(Severity))]),
        "kind": ("Kind", [("", "All kinds"), *((kind.value, traits.title) for kind, traits in KINDS.items())]),
        "sort": ("Order", list(_SORTS.items())),
    }
    return [
        {"name": name, "label": label, "options": values, "value": params.get(name, "")}
        for name, (label, values) in options.items()
    ]


def _mailed(actor: Actor) -> list[AlertKind]:
    """The kinds that the actor's role is mailed, in the order in which they are shown everywhere."""
    ensure_channels(actor.org)
    mailed = list_mailed_kinds(actor)
    return [kind for kind in KINDS if kind in mailed]


@require_POST
@org_page
def acknowledge_alert(request: HttpRequest, actor: Actor, alert_id: str) -> HttpResponse:
    """The button beside an alert."""
    acknowledge(actor=actor, alert=access_row(list_alerts(actor), actor, alert_id))
    return redirect("alerts", slug=actor.org.slug)


@require_POST
@org_page
def send_again(request: HttpRequest, actor: Actor, delivery_id: str) -> HttpResponse:
    """The button beside a message that was given up or dropped."""
    row = access_row(Delivery.objects.filter(org=actor.org), actor, delivery_id)
    try_to(request, actor, "The message is sent again.", lambda: redeliver(actor=actor, delivery=row, now=clock.now()))
    return redirect(f"{reverse('alerts', args=[actor.org.slug])}#log-title")


@require_POST
@org_page
@works_when_read_only
def choose_mails(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of one's own mails: the kinds that are ticked come."""
    # What has no box is left as it is.
    offered = set(_mailed(actor))
    wanted = {kind for kind in offered if kind.value in request.POST.getlist("kind")}
    user_id = cast(User, request.user).pk
    set_muted(actor=actor, user_id=user_id, kinds=wanted, is_muted=False)
    set_muted(actor=actor, user_id=user_id, kinds=offered - wanted, is_muted=True)
    if actor.role in READERS[Topic.MONEY]:
        set_wants_summaries(actor=actor, user_id=user_id, is_wanted="summary" in request.POST)
    return redirect(f"{reverse('alerts', args=[actor.org.slug])}#mails")


# Mail programs post here by themselves (RFC 8058): the token is the proof, and there is no session to forge.
@csrf_exempt
@require_http_methods(["GET", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Stop mails of a kind to a member. A GET only asks, because programs follow links by themselves."""
    try:
        org_id, user_id, kinds = read_mute_token(token)
    except NotFound as error:
        return render(request, "console/unsubscribe.html", {"error": error.message}, status=404)
    enter_org(org_id)
    membership = get_object_or_404(Membership.objects.select_related("org", "user"), org=org_id, user=user_id)
    if request.method == "POST":
        actor = Actor(membership.org, Role(membership.role), membership.user.email, user_id)
        set_muted(actor=actor, user_id=user_id, kinds=kinds, is_muted="again" not in request.POST)
    context = {
        "org": membership.org,
        "email": membership.user.email,
        "kinds": [KINDS[kind].title for kind in kinds] if len(kinds) < len(AlertKind) else ["All alerts"],
        "is_done": request.method == "POST" and "again" not in request.POST,
        "is_back": "again" in request.POST,
    }
    return render(request, "console/unsubscribe.html", context)


def _show(actor: Actor, alert: Alert) -> dict[str, Any]:
    zone = ZoneInfo(actor.org.time_zone)
    text = describe(AlertKind(alert.kind), alert.facts, AlertEvent.OPENED, zone)
    links = list_alert_links(actor, alert)
    return {"row": alert, "text": text, "kind": KINDS[AlertKind(alert.kind)].title, "links": links}


def _rules(actor: Actor) -> list[tuple[AlertRule, Traits]]:
    """Every rule with what is usual for its kind, for who may see money, as in the API."""
    if not actor.may(Permission.READ_MONEY):
        return []
    return [(row, KINDS[AlertKind(row.kind)]) for row in list_rules(actor).order_by("kind", "created_at")]


def _deliveries(actor: Actor) -> list[dict[str, Any]]:
    if not actor.may(Permission.READ_MONEY):
        return []
    channels = {channel.pk: channel for channel in ensure_channels(actor.org)}
    rows = Delivery.objects.filter(org=actor.org).select_related("user").order_by("-created_at", "-id")[:LOG]
    alerts_by_id = {row.pk: row for row in list_alerts(actor).filter(pk__in=[row.alert for row in rows])}
    return [
        {
            "row": row,
            "channel": channels[row.channel].name if row.channel in channels else "",
            "may_send": _may_send(actor, row, channels.get(row.channel)),
            "what": _title(actor.org, alerts_by_id[row.alert]) if row.alert in alerts_by_id else _name_other(row),
        }
        for row in rows
    ]


def _may_send(actor: Actor, row: Delivery, channel: Channel | None) -> bool:
    """Whether a message can be sent again by hand: one that was not, by a channel that is on."""
    is_over = row.state in {DeliveryState.FAILED, DeliveryState.DROPPED}
    return is_over and channel is not None and channel.is_active and actor.may(Permission.WRITE_SETTINGS)


def _name_other(row: Delivery) -> str:
    """What a message tells of that is about no alert, or about one that this release does not know."""
    if row.alert is not None:
        return "Another alert"
    if row.change is not None:
        return "Something was changed"
    return "A call with a deadline is out" if row.call is not None else "Test"


def _title(org: Organization, alert: Alert) -> str:
    return describe(AlertKind(alert.kind), alert.facts, AlertEvent.OPENED, ZoneInfo(org.time_zone)).title
