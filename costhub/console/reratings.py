"""The console's pages of re-ratings: what past calls of a model would cost at the prices of now, looked at, and then
applied."""

from datetime import datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.invoices.actions.rerating import approve_rerating, preview_rerating
from billing.invoices.choices import InvoiceKind, ReratingState
from billing.invoices.models import Rerating
from billing.invoices.selectors.invoices import list_invoices
from billing.invoices.selectors.rerating import list_reratings
from billing.spend.core.rerating import LeftOut
from costhub.console.acts import Act, try_to
from costhub.console.forms import Field, Form, check_confirmed, read_usd
from costhub.console.frame import frame
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from costhub.lib.errors import InvalidField
from costhub.lib.money import format_usd
from tenants.access import Actor, access_row
from tenants.choices import Permission
from tenants.models import LanguageModel
from tenants.selectors import list_models

_LEAD: Final = (
    "First it is shown what the calls would cost at the prices that are known now, and nothing changes. To correct a"
    " price that was wrong, add a version from the moment on at which it should have held, and come back."
)
_MOST_GIVEN: Final = 200
_NOTES: Final = (InvoiceKind.CREDIT_NOTE, InvoiceKind.DEBIT_NOTE)
_STATES: Final = {
    ReratingState.COUNTING: "Its calls are still being counted: look again in a minute.",
    ReratingState.PREVIEWED: "Nothing has changed yet.",
    ReratingState.APPROVED: "It is applied within a minute.",
    ReratingState.POSTING: "It is being applied.",
    ReratingState.APPLIED: "It is applied.",
    ReratingState.STALE: "The calls have changed since this preview, and nothing was applied: make another one.",
}
_LEFT_OUT: Final = {
    LeftOut.ESTIMATE: "estimates, whose tokens are not known yet or never were",
    LeftOut.UNPRICED: "without a price at their moment",
    LeftOut.MIXED: "answered by several models, and corrected before",
}


@require_http_methods(["GET", "POST"])
@org_page
def new_rerating(request: HttpRequest, actor: Actor, model_id: str) -> HttpResponse:
    """The form of which past calls of a model are looked at."""
    actor.check(Permission.WRITE_MONEY)
    row = access_row(list_models(actor), actor, model_id)
    zone = actor.org.time_zone
    fields = [
        Field("start", "Calls from", "datetime-local", is_required=True, help=f"In {zone}.", most=40),
        Field("to", "Until before", "datetime-local", is_required=True, help=f"In {zone}.", most=40),
        Field(
            "reason",
            "Why",
            is_required=True,
            help="It stands on the note.",
            placeholder="Typed wrongly",
            most=_MOST_GIVEN,
        ),
        Field(
            "makes_notes",
            "Months that were invoiced have a note at once",
            "checkbox",
            help="Else, and of prepaid plans, the next invoice has it as late usage.",
        ),
    ]
    # A finding of a bill leads here with its days.
    given = {name: request.GET.get(name, "")[:_MOST_GIVEN].replace("\x00", "") for name in ("start", "to", "reason")}
    form = Form(fields, {**given, "makes_notes": True})
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: _preview(actor, row, form))
        if made is not None:
            return redirect("rerating", slug=actor.org.slug, rerating_id=str(made.pk))
    back = reverse("model", args=[actor.org.slug, row.pk])
    title = f"Re-rate calls of {row.name}"
    return show_form(
        request, actor, "models", row.name, form, title, back=back, lead=_LEAD, submit_label="Show what would change"
    )


@require_GET
@org_page
def rerating(request: HttpRequest, actor: Actor, rerating_id: str) -> HttpResponse:
    """What a re-rating changes or has changed, and the button that applies it."""
    actor.check(Permission.READ_MONEY)
    row = access_row(list_reratings(actor), actor, rerating_id)
    state = ReratingState(row.state)
    context = {
        **frame(request, actor, "models"),
        "rerating": row,
        "model": list_models(actor).filter(name=row.model).first(),
        "told": _STATES[state],
        "is_counting": state is ReratingState.COUNTING,
        "is_stale": state is ReratingState.STALE,
        "left_out": [(number, _LEFT_OUT[LeftOut(why)]) for why, number in sorted(row.left_out.items())],
        "notes": list_invoices(actor, _NOTES).filter(pk__in=row.notes).order_by("number"),
        "acts": _acts(actor, row),
    }
    return render(request, "console/rerating.html", context)


@require_POST
@org_page
def apply_rerating(request: HttpRequest, actor: Actor, rerating_id: str) -> HttpResponse:
    """Have it applied, once its model was named, as far as it changes what the page has shown."""
    actor.check(Permission.WRITE_MONEY)
    row = access_row(list_reratings(actor), actor, rerating_id)

    def act() -> None:
        check_confirmed(request, row.model)
        change = read_usd(request.POST.get("change", ""), "change")
        approve_rerating(actor=actor, rerating=row, change_nanos=change)

    try_to(request, actor, "It is applied within a minute.", act)
    return redirect("rerating", slug=actor.org.slug, rerating_id=str(row.pk))


def _acts(actor: Actor, row: Rerating) -> list[Act]:
    """The button; none where there is nothing to apply, or it was."""
    if row.state != ReratingState.PREVIEWED or not row.changed or not actor.may(Permission.WRITE_MONEY):
        return []
    what = "Months that were invoiced have a note of it." if row.makes_notes else "The next invoice has it."
    return [
        Act(
            "Apply it",
            reverse("apply-rerating", args=[actor.org.slug, row.pk]),
            "Apply",
            f"The ledger and budgets that still count have these costs then. {what} There is no way back but another"
            " re-rating.",
            confirm=row.model,
            tone="bad",
            hidden=[("change", format_usd(row.change_nanos))],
        )
    ]


def _preview(actor: Actor, row: LanguageModel, form: Form) -> Rerating:
    return preview_rerating(
        actor=actor,
        model=row.name,
        start=_moment(actor, form, "start"),
        end=_moment(actor, form, "to"),
        reason=form.text("reason"),
        makes_notes=form.flag("makes_notes"),
    )


def _moment(actor: Actor, form: Form, name: str) -> datetime:
    found = form.moment(name, actor.org.time_zone)
    if found is None:
        raise InvalidField("Fill this in.", field=name)
    return found
