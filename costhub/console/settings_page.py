"""The console's page of an organisation's settings, its emergency stop, and the end of demo data."""

from typing import Final, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from billing.demo.seed import remove_demo
from costhub.console.acts import Act, try_to, try_to_set
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page, works_when_read_only
from costhub.console.status_page import find_status_link, list_status_acts
from costhub.lib import clock
from costhub.ops.departure import send_archive
from costhub.ops.erasure import ask_for_erasure
from tenants.access import Actor
from tenants.actions.orgs import require_second_factor, update_organization
from tenants.actions.stops import set_stopped
from tenants.actions.values import list_time_zones
from tenants.actions.visits import allow_visits
from tenants.choices import Permission
from tenants.models import Organization
from tenants.selectors import list_capture_policies

#: for so long a click lets operators in
VISIT_HOURS: Final = 24
_KEPT_HELP: Final = (
    "Of calls that ask for it (store). They hold what people said, sealed, and can be asked for again. 0: none is kept."
)
_AMOUNTS_HELP: Final = (
    "No cost, no price, and budgets in per cent, whatever a key says: for an organisation whose calls are made by its own"
    " customers' programs. Members who may see money see it here as ever."
)
_FACTOR_HELP: Final = "Whoever has none is led to its set-up before they see anything. Set up your own first."
_ZONE_HELP: Final = "Days, weeks and months of budgets and reports begin at midnight there. By its IANA name."


@require_http_methods(["GET", "POST"])
@org_page
def settings_page(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The organisation's name and time zone, who is let in, what is kept, and what stops everything."""
    actor.check(Permission.READ)
    org = actor.org
    form = None
    if actor.may(Permission.WRITE_SETTINGS):
        zones = [(name, name) for name in list_time_zones()]
        fields = [
            Field("name", "Name", is_required=True, most=120),
            Field("time_zone", "Time zone", is_required=True, help=_ZONE_HELP, choices=zones, most=64),
            Field(
                "answers_kept_hours", "Hours for which answers are kept", "number", help=_KEPT_HELP, is_required=True
            ),
        ]
        fields.append(Field("hides_amounts", "Tell callers of all keys no amounts", "checkbox", help=_AMOUNTS_HELP))
        shown = {
            "name": org.name,
            "time_zone": org.time_zone,
            "answers_kept_hours": str(org.answers_kept_hours),
            "hides_amounts": "1" if org.hides_amounts else "",
        }
        if actor.may(Permission.WRITE_MEMBERS):
            label = "Owners, admins and finance need a second factor"
            fields.append(Field("requires_second_factor", label, "checkbox", help=_FACTOR_HELP))
            shown["requires_second_factor"] = "1" if org.requires_second_factor else ""
        form = Form(fields, shown, is_edit=True)
        if request.method == "POST":
            if form.submit(request, actor, lambda form: _update(actor, form)) is not None:
                return redirect("settings", slug=org.slug)
            org.refresh_from_db()
    elif request.method == "POST":
        actor.check(Permission.WRITE_SETTINGS)
    more = {
        "acts": _acts(actor),
        "consents": list_capture_policies(actor).count(),
        "sees_learning": actor.may(Permission.READ_MONEY),
        "retention": settings.LEDGER_MONTHS,
        "status_link": find_status_link(request, actor),
        "sets_apart": settings.LEDGER_OLD_MONTHS == "detach",
    }
    back = reverse("settings", args=[org.slug])
    return show_form(
        request, actor, "settings", org.name, form, "Settings", template="console/settings.html", back=back, **more
    )


@require_POST
@org_page
def stop_all(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The emergency stop of all calls, or its end."""
    actor.check(Permission.WRITE_MONEY)

    def act(is_stopped: bool) -> None:
        if is_stopped:
            check_confirmed(request, actor.org.name)
        set_stopped(actor=actor, target=actor.org, is_stopped=is_stopped)

    words = f"Calls of {actor.org.name} are stopped.", f"Calls of {actor.org.name} are taken again."
    try_to_set(request, actor, "is_stopped", words, act)
    return redirect("settings", slug=actor.org.slug)


@require_POST
@org_page
def change_visits(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Let operators of the installation look in for a day, or no more."""
    words = "Operators may look in for a day.", "Operators may not look in any more."
    try_to_set(
        request, actor, "allow", words, lambda is_on: allow_visits(actor=actor, hours=VISIT_HOURS if is_on else 0)
    )
    return redirect("settings", slug=actor.org.slug)


@require_POST
@org_page
def remove_demo_data(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The end of demo data, once it was named."""
    confirm = request.POST.get("confirm", "")
    if try_to(request, actor, "The demo data is gone.", lambda: remove_demo(actor=actor, confirm=confirm)):
        return redirect("home")
    return redirect("settings", slug=actor.org.slug)


@require_POST
@org_page
@works_when_read_only
def export_data(request: HttpRequest, actor: Actor) -> HttpResponse:
    """All of the organisation as one archive."""
    archives: list[HttpResponseBase] = []
    if not try_to(request, actor, "", lambda: archives.append(send_archive(actor))):
        return redirect("settings", slug=actor.org.slug)
    # A stream, which pages treat as any answer.
    return cast(HttpResponse, archives[0])


@require_POST
@org_page
def erase_data(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The end of the organisation, once it was named."""
    done = f"{actor.org.name} is closed, and is being erased."
    if try_to(request, actor, done, lambda: ask_for_erasure(actor=actor, confirm=request.POST.get("confirm", ""))):
        return redirect("home")
    return redirect("settings", slug=actor.org.slug)


def _update(actor: Actor, form: Form) -> Organization:
    org = update_organization(
        actor=actor,
        name=form.text("name"),
        time_zone=form.text("time_zone"),
        answers_kept_hours=form.whole("answers_kept_hours"),
        hides_amounts=form.flag("hides_amounts"),
    )
    if "requires_second_factor" in form.values:
        is_required = form.flag("requires_second_factor")
        if is_required != org.requires_second_factor:
            require_second_factor(actor=actor, is_required=is_required)
    return org


def _acts(actor: Actor) -> list[Act]:
    acts = []
    if actor.org.is_demo and actor.may(Permission.WRITE_MEMBERS):
        address = reverse("remove-demo", args=[actor.org.slug])
        words = "This organisation and its made-up history go for good. Nothing else is touched."
        acts.append(Act("Remove the demo data", address, "Remove", words, confirm=actor.org.slug, tone="bad"))
    if actor.may(Permission.WRITE_MEMBERS):
        address = reverse("change-visits", args=[actor.org.slug])
        until = actor.org.visits_allowed_until
        acts.append(
            Act(
                "End the operators' visits",
                address,
                "Allow none",
                f"They may look in until {until:%d %b, %H:%M} UTC.",
                hidden=[("allow", "no")],
            )
            if until and until > clock.now()
            else Act(
                "Let an operator look in",
                address,
                "Allow for a day",
                "To help you, operators of this installation see what you see, and change nothing. Each visit and its"
                " reason stand in your audit log.",
                hidden=[("allow", "yes")],
            )
        )
    acts += list_status_acts(actor)
    if actor.may(Permission.WRITE_MONEY):
        address = reverse("stop-all", args=[actor.org.slug])
        acts.append(
            Act(
                "Take calls again",
                address,
                "Resume",
                "Everything is stopped: every call is refused.",
                hidden=[("is_stopped", "no")],
            )
            if actor.org.is_stopped
            else Act(
                "Emergency stop",
                address,
                "Stop all calls",
                "Every call of every key is refused within a second, until somebody resumes.",
                confirm=actor.org.name,
                tone="bad",
                hidden=[("is_stopped", "yes")],
            )
        )
    if actor.rights.is_owner:
        acts += [
            Act(
                "Take everything with you",
                reverse("export-data", args=[actor.org.slug]),
                "Export",
                "One archive: every table, files and people. What was kept of calls is in it in clear; secrets are not.",
            ),
            Act(
                "Erase this organisation",
                reverse("erase-data", args=[actor.org.slug]),
                "Erase",
                "It is closed at once and erased within minutes: calls, keys, files, and people who belong to no other"
                " one. There is no way back.",
                confirm=actor.org.slug,
                tone="bad",
            ),
        ]
    return acts
