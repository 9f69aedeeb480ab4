"""The console's forms of alert rules: when people want to be told, and by which channels."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from billing.alerts.actions.channels import ensure_channels
from billing.alerts.actions.rules import create_rule, ensure_rules, list_known_rules, update_rule
from billing.alerts.core.kinds import KINDS
from billing.alerts.models import AlertRule
from billing.choices import AlertKind
from costhub.console.acts import switch_act, try_to_set
from costhub.console.forms import Field, Form
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from tenants.access import Actor, access_row
from tenants.choices import Permission
from tenants.selectors import list_budgets


@require_http_methods(["GET", "POST"])
@org_page
def new_rule(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a rule."""
    actor.check(Permission.WRITE_MONEY)
    kinds = Field("kind", "Of what", "select", choices=[(kind.value, KINDS[kind].title) for kind in KINDS])
    form = Form([kinds, *_fields(actor)], {"tells_recovery": True})
    if request.method == "POST":
        made = form.submit(
            request, actor, lambda form: create_rule(actor=actor, kind=form.choice("kind", AlertKind), **_read(form))
        )
        if made is not None:
            return _back(actor)
    return show_form(request, actor, "alerts", "Alerts", form, "New rule", submit_label="Create rule")


@require_http_methods(["GET", "POST"])
@org_page
def rule(request: HttpRequest, actor: Actor, rule_id: str) -> HttpResponse:
    """A rule's form, and what switches it off."""
    actor.check(Permission.WRITE_MONEY)
    row = access_row(list_rules(actor), actor, rule_id)
    form = Form(_fields(actor), _initial(row), is_edit=True)
    if request.method == "POST":
        changed = form.submit(request, actor, lambda form: update_rule(actor=actor, rule=row, **_read(form)))
        if changed is not None:
            return _back(actor)
        row.refresh_from_db()
    address = reverse("switch-rule", args=[actor.org.slug, row.pk])
    act = switch_act(address, "Nobody is told by it any more.", "People are told again.", is_on=row.is_active)
    return show_form(
        request, actor, "alerts", "Alerts", form, row.name, lead=f"{KINDS[AlertKind(row.kind)].title}.", acts=[act]
    )


@require_POST
@org_page
def switch_rule(request: HttpRequest, actor: Actor, rule_id: str) -> HttpResponse:
    """Switch a rule off, or on again."""
    row = access_row(list_rules(actor), actor, rule_id)
    words = f"{row.name} is switched on.", f"{row.name} is switched off."
    try_to_set(request, actor, "is_active", words, lambda is_on: update_rule(actor=actor, rule=row, is_active=is_on))
    return redirect("rule", slug=actor.org.slug, rule_id=str(row.pk))


def list_rules(actor: Actor) -> QuerySet[AlertRule]:
    """The organisation's rules, those that are there from the beginning included."""
    ensure_rules(actor.org)
    return list_known_rules(actor.org)


def _fields(actor: Actor) -> list[Field]:
    budgets = [
        (str(row.pk), row.name or f"{row}")
        for row in list_budgets(actor).filter(is_active=True).order_by("name", "created_at")[:500]
    ]
    channels = [(str(each.pk), each.name) for each in ensure_channels(actor.org)]
    return [
        Field("name", "Name", is_required=True, most=120),
        Field(
            "thresholds",
            "From",
            help="Rising whole numbers with commas between, such as 50, 80, 100; of what depends on the kind."
            " Left empty: what is usual.",
            most=200,
        ),
        Field("budget", "One budget", "select", choices=[("", "Every budget"), *budgets]),
        Field(
            "channels", "Channels", "checks", help="None ticked: every channel that takes the kind.", choices=channels
        ),
        Field("tells_recovery", "Tell when it is over, too", "checkbox"),
    ]


def _initial(row: AlertRule) -> dict[str, Any]:
    return {
        "name": row.name,
        "thresholds": ", ".join(map(str, row.thresholds)),
        "budget": str(row.budget) if row.budget else "",
        "channels": [str(one) for one in row.channels],
        "tells_recovery": row.tells_recovery,
    }


def _read(form: Form) -> dict[str, Any]:
    return {
        "name": form.text("name"),
        "thresholds": form.wholes("thresholds"),
        "budget": form.text("budget") or None,
        "channels": form.many("channels"),
        "tells_recovery": form.flag("tells_recovery"),
    }


def _back(actor: Actor) -> HttpResponse:
    return redirect(f"{reverse('alerts', args=[actor.org.slug])}#rules")
