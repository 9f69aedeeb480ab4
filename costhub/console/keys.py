"""The console's page of keys. A secret is on the page that answers the form which made it, and nowhere else."""

from collections.abc import Mapping
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.spend.selectors import Totals
from billing.spend.selectors.last_use import find_last_uses
from costhub.console.acts import Act, PageLink, try_to, try_to_set
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.frame import frame, list_snippets
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import STEP, show_form, show_list
from costhub.console.projects import sum_by_month
from costhub.console.sign_in import member_page, org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_named, access_row, find_row
from tenants.actions.keys import NewKey, create_key, revoke_key, rotate_key, update_key
from tenants.actions.stops import set_stopped
from tenants.choices import Permission
from tenants.models import ApiKey
from tenants.selectors import list_keys, list_models, list_projects

COLUMNS: Final = (
    Column("name", "Key", "name"),
    Column("project", "Project", "project__name", css="optional"),
    Column("end_user", "End user", "end_user", css="optional"),
    Column("last_use", "Last use", None, "The newest call in the ledger", "optional"),
    Column("spend", "Spend this month", None, "Effective cost of the month to date", "number"),
    Column("expires", "Expires", "expires_at", css="optional"),
    Column("created", "Made", "created_at", css="optional"),
    Column("state", "", None, css="number"),
)
#: what a key may be narrowed to beside models
NARROWED: Final = (
    Field(
        "addresses",
        "Addresses",
        "textarea",
        help="Networks that it may be used from, a line each. Left empty: from everywhere.",
        placeholder="203.0.113.0/24",
    ),
    Field(
        "endpoints",
        "Paths",
        "textarea",
        help="What it may call, a line each. Left empty: everything below /v1.",
        placeholder="/v1/chat/completions",
    ),
    Field(
        "hides_amounts",
        "Tell its callers no amounts",
        "checkbox",
        help="No cost, no price, and budgets in per cent: for a key that your own customers' programs have. Settings has the"
        " same for all keys.",
    ),
)
STATES: Final = {"live": "Live keys", "stopped": "Stopped", "dead": "Revoked or expired", "all": "All keys"}
GRACES: Final = (("0", "Ends at once"), ("3600", "Works for an hour more"), ("86400", "Works for a day more"))


@require_GET
@member_page
def keys(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Keys, live ones first asked for, the newest first."""
    actor.check_anywhere(Permission.READ)
    now = clock.now()

    def make(params: Mapping[str, str]) -> Listing:
        state = params.get("state") or "live"
        if state not in STATES:
            raise InvalidField(f"state: give one of {', '.join(STATES)}.", field="state")
        rows = list_keys(actor)
        dead = rows.filter(revoked_at__isnull=False) | rows.filter(expires_at__lte=now)
        if state == "dead":
            rows = dead
        elif state != "all":
            rows = rows.exclude(pk__in=dead.values("pk"))
            rows = rows.filter(is_stopped=True) if state == "stopped" else rows
        if params.get("project"):
            rows = rows.filter(project=access_named(list_projects(actor), actor, params["project"], field="project"))
        listing = make_listing(
            request,
            params,
            rows,
            COLUMNS,
            search=["name", "prefix", "end_user", "project__name"],
            sort="-created",
            filters=["state", "project"],
        )
        shown = [row.pk for row in listing.rows] if actor.may(Permission.READ_MONEY) else []
        used = find_last_uses(actor, shown) if shown else {}
        spent = sum_by_month(actor, "key", shown) if shown else {}
        for row in listing.rows:
            row.used_at = used.get(row.pk)
            row.totals = spent.get(str(row.pk), Totals())
        return listing

    context = {
        "title": "Keys",
        "now": now,
        "placeholder": "Name, prefix, project or end user",
        "choices": [
            {
                "name": "state",
                "label": "State",
                "value": request.GET.get("state") or "live",
                "options": list(STATES.items()),
            }
        ],
        "page_acts": _new_link(actor),
        "may_write": actor.may_anywhere(Permission.WRITE_KEYS),
        "sees_money": actor.may(Permission.READ_MONEY),
    }
    return show_list(request, actor, "console/keys.html", "keys", make, context)


@require_http_methods(["GET", "POST"])
@member_page
def new_key(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a key, and its answer with the secret."""
    actor.check_anywhere(Permission.WRITE_KEYS)
    projects = list_projects(actor).filter(is_archived=False).order_by("created_at", "id")
    fields = [
        Field("name", "Name", is_required=True, placeholder="search in production", most=120),
        Field("project", "Project", "select", choices=[(str(row.pk), row.name) for row in projects[:500]]),
        Field("end_user", "End user", help="All calls of the key are this end user's.", most=200),
        Field("models", "Models", "checks", help="None ticked: every model.", choices=_model_choices(actor)),
        *NARROWED,
        Field("expires_at", "Expires", "datetime-local"),
    ]
    form = Form(fields, {"project": request.GET.get("project", "")})
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: _create(actor, form))
        if made is not None:
            return _show_secret(request, actor, made, "made")
    return show_form(request, actor, "keys", "Keys", form, "New key", submit_label="Create key")


@require_http_methods(["GET", "POST"])
@member_page
def key(request: HttpRequest, actor: Actor, key_id: str) -> HttpResponse:
    """One key: its name and models, and what can be done with it."""
    actor.check_anywhere(Permission.READ)
    row = access_row(list_keys(actor), actor, key_id)
    form = None
    is_dead = row.revoked_at is not None or row.is_expired
    if actor.may(Permission.WRITE_KEYS, row.project_id) and not is_dead:
        fields = [
            Field("name", "Name", is_required=True, most=120),
            Field("models", "Models", "checks", help="None ticked: every model.", choices=_model_choices(actor)),
            *NARROWED,
        ]
        shown = {
            "name": row.name,
            "models": list(row.allowed_models),
            "addresses": "\n".join(row.allowed_addresses),
            "endpoints": "\n".join(row.allowed_endpoints),
            "hides_amounts": "1" if row.hides_amounts else "",
        }
        form = Form(fields, shown, is_edit=True)
        if request.method == "POST":
            if form.submit(request, actor, lambda form: _update(actor, row, form)) is not None:
                return redirect("keys", slug=actor.org.slug)
            row.refresh_from_db()
    elif request.method == "POST":
        actor.check(Permission.WRITE_KEYS, row.project_id)
    acts = [] if is_dead else _acts(actor, row)
    used = find_last_uses(actor, [row.pk]) if actor.may(Permission.READ_MONEY) else {}
    heir = find_row(list_keys(actor), actor, row.rotated_to) if row.rotated_to else None
    more: dict[str, Any] = {"key": row, "is_dead": is_dead, "acts": acts, "used_at": used.get(row.pk), "heir": heir}
    return show_form(request, actor, "keys", "Keys", form, row.name, template="console/key.html", **more)


@require_POST
@member_page
def rotate(request: HttpRequest, actor: Actor, key_id: str) -> HttpResponse:
    """Replace a key by a new one, whose secret is shown now."""
    actor.check_anywhere(Permission.WRITE_KEYS)
    row = access_row(list_keys(actor), actor, key_id)
    form = Form([Field("grace_seconds", "The old key", "select")])
    made = form.submit(
        request, actor, lambda form: rotate_key(actor=actor, key=row, grace_seconds=form.whole("grace_seconds"))
    )
    if made is not None:
        return _show_secret(request, actor, made, "rotated")
    messages.error(request, form.wrong, extra_tags="bad")
    return redirect("key", slug=actor.org.slug, key_id=str(row.pk))


@require_POST
@member_page
def revoke(request: HttpRequest, actor: Actor, key_id: str) -> HttpResponse:
    """End a key for ever, once it was named."""
    actor.check_anywhere(Permission.WRITE_KEYS)
    row = access_row(list_keys(actor), actor, key_id)

    def act() -> None:
        check_confirmed(request, row.name)
        revoke_key(actor=actor, key=row)

    try_to(request, actor, f"The key {row.name} is revoked: it is refused from now on.", act)
    return redirect("key", slug=actor.org.slug, key_id=str(row.pk))


@require_POST
@org_page
def stop_key(request: HttpRequest, actor: Actor, key_id: str) -> HttpResponse:
    """Stop a key's calls, or take them again."""
    row = access_row(list_keys(actor), actor, key_id)
    words = f"Calls of {row.name} are stopped.", f"Calls of {row.name} are taken again."
    try_to_set(
        request, actor, "is_stopped", words, lambda is_on: set_stopped(actor=actor, target=row, is_stopped=is_on)
    )
    return redirect("key", slug=actor.org.slug, key_id=str(row.pk))


def _create(actor: Actor, form: Form) -> NewKey:
    project = None
    if form.text("project"):
        project = access_named(list_projects(actor), actor, form.text("project"), field="project")
    return create_key(
        actor=actor,
        name=form.text("name"),
        project=project,
        end_user=form.text("end_user"),
        models=form.many("models"),
        expires_at=form.moment("expires_at", actor.org.time_zone),
        addresses=form.listed("addresses"),
        endpoints=form.listed("endpoints"),
        hides_amounts=form.flag("hides_amounts"),
    )


def _update(actor: Actor, row: ApiKey, form: Form) -> ApiKey:
    return update_key(
        actor=actor,
        key=row,
        name=form.text("name"),
        models=form.many("models"),
        addresses=form.listed("addresses"),
        endpoints=form.listed("endpoints"),
        hides_amounts=form.flag("hides_amounts"),
    )


def _acts(actor: Actor, row: ApiKey) -> list[Act]:
    def address(name: str) -> str:
        return reverse(name, args=[actor.org.slug, row.pk])

    acts = []
    if actor.may(Permission.WRITE_MONEY):
        acts.append(
            Act(
                "Take its calls again",
                address("stop-key"),
                "Resume",
                "It is stopped: every call is refused.",
                hidden=[("is_stopped", "no")],
            )
            if row.is_stopped
            else Act(
                "Stop it",
                address("stop-key"),
                "Stop",
                "Calls are refused until somebody resumes them.",
                hidden=[("is_stopped", "yes")],
            )
        )
    if actor.may(Permission.WRITE_KEYS, row.project_id):
        if row.rotated_to is None:
            acts += [
                Act(
                    f"Rotate it: the old key {'ends at once' if grace == '0' else text.lower()}",
                    address("rotate-key"),
                    "Rotate",
                    "A new key with the same rights and budgets takes its place; its secret is shown once.",
                    hidden=[("grace_seconds", grace)],
                )
                for grace, text in GRACES[::2]
            ]
        acts.append(
            Act(
                "Revoke it",
                address("revoke-key"),
                "Revoke",
                "It is refused from now on, for ever. What it did stays in the ledger.",
                confirm=row.name,
                tone="bad",
            )
        )
    return acts


def _model_choices(actor: Actor) -> list[tuple[str, str]]:
    return [(name, name) for name in list_models(actor).order_by("name").values_list("name", flat=True)[:500]]


def _new_link(actor: Actor) -> list[PageLink]:
    link = PageLink("New key", reverse("new-key", args=[actor.org.slug]))
    return [link] if actor.may_anywhere(Permission.WRITE_KEYS) else []


def _show_secret(request: HttpRequest, actor: Actor, made: NewKey, verb: str) -> HttpResponse:
    context = {
        **frame(request, actor, "keys"),
        "key": made.key,
        "secret": made.secret,
        "verb": verb,
        "snippets": list_snippets(request, actor, made.secret, made.key.allowed_models),
        "is_step": STEP in request.GET,
    }
    return render(request, "console/key_secret.html", context)
