"""The console's page of alerts, and the page behind the link that stops mails."""

from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.alerts.actions.alerts import acknowledge
from billing.alerts.actions.channels import ensure_channels
from billing.alerts.actions.mutes import read_mute_token, set_muted
from billing.alerts.core.kinds import KINDS, Traits
from billing.alerts.core.texts import describe
from billing.alerts.models import Alert, AlertRule, Delivery, Mute
from billing.alerts.selectors import list_alerts, list_gravest
from billing.choices import TOPICS, AlertEvent, AlertKind
from costhub.console.acts import PageLink
from costhub.console.frame import frame
from costhub.console.rules import list_rules
from costhub.console.sign_in import org_page, works_when_read_only
from costhub.lib.errors import NotFound
from tenants.access import Actor, access_row, enter_org, find_uuid
from tenants.actions.orgs import set_wants_summaries
from tenants.choices import Permission, Role
from tenants.models import Membership, Organization, User

PAGE: Final = 50
LOG: Final = 20
#: scopes by which the list of calls is filtered
_FILTERED: Final = frozenset({"project", "key", "end_user", "model"})


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
            for kind in KINDS
        ],
        "wants_summaries": Membership.objects.filter(org=actor.org, user=user, wants_summaries=True).exists(),
        "may_edit": actor.may(Permission.WRITE_SETTINGS),
        "can_acknowledge": actor.may(Permission.READ_MONEY),
    }
    return render(request, "console/alerts.html", context)


@require_POST
@org_page
def acknowledge_alert(request: HttpRequest, actor: Actor, alert_id: str) -> HttpResponse:
    """The button beside an alert."""
    acknowledge(actor=actor, alert=access_row(list_alerts(actor), actor, alert_id))
    return redirect("alerts", slug=actor.org.slug)


@require_POST
@org_page
@works_when_read_only
def choose_mails(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of one's own mails: the kinds that are ticked come."""
    wanted = {AlertKind(kind) for kind in request.POST.getlist("kind") if kind in set(AlertKind)}
    user_id = cast(User, request.user).pk
    set_muted(actor=actor, user_id=user_id, kinds=wanted, is_muted=False)
    set_muted(actor=actor, user_id=user_id, kinds=set(AlertKind) - wanted, is_muted=True)
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
    return {"row": alert, "text": text, "kind": KINDS[AlertKind(alert.kind)].title, "links": _links(actor, alert)}


def _links(actor: Actor, alert: Alert) -> list[PageLink]:
    """Where to look: the budget that an alert is about, and the calls of whom it is about."""
    slug, facts = actor.org.slug, alert.facts
    if not actor.may(Permission.READ_MONEY):
        return []
    links = []
    if find_uuid(str(facts.get("budget", ""))):
        links.append(PageLink("Open the budget", reverse("budget", args=[slug, facts["budget"]])))
    scope, subject = str(facts.get("scope", "")), str(facts.get("subject", ""))
    name, separator, value = subject.partition("=")
    wanted = {f"tag:{name}": value} if scope == "tag" and separator else {scope: subject} if scope in _FILTERED else {}
    if alert.kind == AlertKind.UNPRICED and facts.get("model"):
        wanted = {"model": str(facts["model"]), "status": "refused"}
    if alert.kind == AlertKind.ANOMALY:
        wanted = _name_calls_of_anomaly(actor, alert)
    if wanted and all(wanted.values()):
        links.append(PageLink("Its calls", f"{reverse('requests', args=[slug])}?{urlencode(wanted)}"))
    return links


def _name_calls_of_anomaly(actor: Actor, alert: Alert) -> dict[str, str]:
    """The filters of the calls that were unusual: whose they are, on the day in question."""
    scope, _, rest = alert.subject.partition(":")
    day = alert.window_start.astimezone(ZoneInfo(actor.org.time_zone)).date().isoformat()
    wanted = {"from": day, "to": day}
    return wanted | {scope: rest.rpartition(":")[0]} if scope in _FILTERED else wanted


def _rules(actor: Actor) -> list[tuple[AlertRule, Traits]]:
    """Every rule with what is usual for its kind, for who may see money, as in the API."""
    if not actor.may(Permission.READ_MONEY):
        return []
    return [(row, KINDS[AlertKind(row.kind)]) for row in list_rules(actor).order_by("kind", "created_at")]


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
            "what": _title(actor.org, alerts_by_id[row.alert]) if row.alert in alerts_by_id else _name_other(row),
        }
        for row in rows
    ]


def _name_other(row: Delivery) -> str:
    """What a message tells of that is about no alert."""
    if row.change is not None:
        return "Something was changed"
    return "A call with a deadline is out" if row.call is not None else "Test"


def _title(org: Organization, alert: Alert) -> str:
    return describe(AlertKind(alert.kind), alert.facts, AlertEvent.OPENED, ZoneInfo(org.time_zone)).title
