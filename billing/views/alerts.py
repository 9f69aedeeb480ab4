"""The console's page of alerts, and the page behind the link that stops mails."""

from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.actions.alerts import acknowledge
from billing.actions.channels import ensure_channels
from billing.actions.mutes import read_mute_token, set_muted
from billing.choices import TOPICS, AlertEvent, AlertKind
from billing.core.alert_kinds import KINDS
from billing.core.alert_texts import describe
from billing.models import Alert, Delivery, Mute
from billing.selectors import list_alerts, list_gravest
from billing.views.frame import frame
from costhub.lib.errors import NotFound
from tenants.access import Actor, access_row, enter_org
from tenants.choices import Permission, Role
from tenants.models import Membership, Organization, User
from tenants.views import org_page

PAGE: Final = 50
LOG: Final = 20


@require_GET
@org_page
def alerts(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What stands, what is over, by which ways people are told, and which mails one gets oneself."""
    rows = list_alerts(actor)
    user = cast(User, request.user)
    muted = set(Mute.objects.filter(org=actor.org, user=user).values_list("kind", flat=True))
    context = {
        **frame(request, actor, "alerts"),
        "open_alerts": [_show(actor, row) for row in list_gravest(actor)[:PAGE]],
        "past_alerts": [_show(actor, row) for row in rows.exclude(ended_at=None).order_by("-created_at", "-id")[:PAGE]],
        "channels": ensure_channels(actor.org),
        "deliveries": _deliveries(actor),
        "kinds": [
            {
                "kind": kind.value,
                "name": KINDS[kind].title,
                "topic": TOPICS[kind].value,
                "is_muted": kind.value in muted,
            }
            for kind in KINDS
        ],
        "can_acknowledge": actor.may(Permission.READ_MONEY),
    }
    return render(request, "billing/alerts.html", context)


@require_POST
@org_page
def acknowledge_alert(request: HttpRequest, actor: Actor, alert_id: str) -> HttpResponse:
    """The button beside an alert."""
    acknowledge(actor=actor, alert=access_row(list_alerts(actor), actor, alert_id))
    return redirect("alerts", slug=actor.org.slug)


@require_POST
@org_page
def choose_mails(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of one's own mails: the kinds that are ticked come."""
    wanted = {AlertKind(kind) for kind in request.POST.getlist("kind") if kind in set(AlertKind)}
    user_id = cast(User, request.user).pk
    set_muted(actor=actor, user_id=user_id, kinds=wanted, is_muted=False)
    set_muted(actor=actor, user_id=user_id, kinds=set(AlertKind) - wanted, is_muted=True)
    return redirect(f"{reverse('alerts', args=[actor.org.slug])}#mails")


# Mail programs post here by themselves (RFC 8058): the token is the proof, and there is no session to forge.
@csrf_exempt
@require_http_methods(["GET", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Stop mails of a kind to a member. A GET only asks, because programs follow links by themselves."""
    try:
        org_id, user_id, kinds = read_mute_token(token)
    except NotFound as error:
        return render(request, "billing/unsubscribe.html", {"error": error.message}, status=404)
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
    return render(request, "billing/unsubscribe.html", context)


def _show(actor: Actor, alert: Alert) -> dict[str, Any]:
    zone = ZoneInfo(actor.org.time_zone)
    text = describe(AlertKind(alert.kind), alert.facts, AlertEvent.OPENED, zone)
    return {"row": alert, "text": text, "kind": KINDS[AlertKind(alert.kind)].title}


def _deliveries(actor: Actor) -> list[dict[str, Any]]:
    if not actor.may(Permission.READ_MONEY):
        return []
    names = {channel.pk: channel.name for channel in ensure_channels(actor.org)}
    rows = Delivery.objects.filter(org=actor.org).select_related("user").order_by("-created_at", "-id")[:LOG]
    alerts_by_id = {row.pk: row for row in Alert.objects.filter(org=actor.org, pk__in=[row.alert for row in rows])}
    return [
        {
            "row": row,
            "channel": names.get(row.channel, ""),
            "what": _title(actor.org, alerts_by_id[row.alert]) if row.alert in alerts_by_id else "Test",
        }
        for row in rows
    ]


def _title(org: Organization, alert: Alert) -> str:
    return describe(AlertKind(alert.kind), alert.facts, AlertEvent.OPENED, ZoneInfo(org.time_zone)).title
