"""The operators' page of plans: every version with its terms as they are stored, and the form of the next one."""

from collections.abc import Mapping
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from billing.invoices.actions.sellers import create_plan
from billing.invoices.core.terms import CURRENCIES, parse_terms, show_terms
from billing.invoices.models import Plan
from costhub.console.forms import Field, Form
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.staff import staff_page
from costhub.lib.errors import InvalidField
from tenants.access import find_uuid
from tenants.models import User

_MONEY: Final = {
    "fee": "Fee of a month",
    "seat_fee": "Fee of a month for each further member",
    "included": "Usage that is included",
    "minimum": "The least that a month comes to",
}
_WHOLE: Final = {
    "included_seats": "Members that are included",
    "trial_days": "Days of trial",
    "grace_days": "Days until a month is closed",
    "payment_days": "Days to pay in",
}
_FLAGS: Final = {
    "pass_through": "Organisations pay their upstreams themselves: only the fee is charged",
    "prepaid": "Usage is taken from credits, and calls stop when they are gone",
    "invoices_credits": "Credits that are bought have an invoice at once, and their tax on top",
}
_LISTS: Final = {"models": "Mark-ups of models", "tiers": "Mark-ups by usage"}
FIELDS: Final = (
    Field("name", "Name", is_required=True, most=120, help="That of a plan which is there makes its next version."),
    Field("is_public", "Organisations may choose it themselves", "checkbox"),
    Field("currency", "Currency", "select", choices=[(code, code) for code in CURRENCIES]),
    *(Field(name, label, most=30) for name, label in _MONEY.items()),
    *(Field(name, label, "number", most=9) for name, label in _WHOLE.items()),
    Field("markup", "Mark-up on usage, per cent", most=8, help="Below zero it is a discount."),
    Field("models", _LISTS["models"], "textarea", help="A line each: its name, and per cents.", placeholder="large 5"),
    Field(
        "tiers",
        _LISTS["tiers"],
        "textarea",
        help="A line each: from how much usage on, and per cents.",
        placeholder="1000.00 -5",
    ),
    *(Field(name, label, "checkbox") for name, label in _FLAGS.items()),
)
COLUMNS: Final = (
    Column("name", "Plan", "name"),
    Column("version", "Version", "version", css="number"),
    Column("terms", "Terms"),
    Column("since", "Since", "created_at"),
    Column("who", "Who chooses it", "is_public"),
)


@require_GET
@staff_page
def plans(request: HttpRequest, user: User) -> HttpResponse:
    """A row a version, the newest first."""
    params, error = request.GET.dict(), ""
    try:
        listing = _list(request, params)
    except InvalidField as found:
        error = found.message
        listing = _list(request, {})
    rows = [{"plan": plan, "terms": list_terms(plan.terms)} for plan in listing.rows]
    context = {"rows": rows, "listing": listing, "error": error}
    return render(request, "console/plans.html", context, status=400 if error else 200)


def _list(request: HttpRequest, params: Mapping[str, str]) -> Listing:
    return make_listing(request, params, Plan.objects.all(), COLUMNS, search=["name"], sort="-since")


@require_http_methods(["GET", "POST"])
@staff_page
def new_plan(request: HttpRequest, user: User) -> HttpResponse:
    """The form of a plan, or of the next version of the one in ``?after=``, with the terms of that."""
    wanted = find_uuid(request.GET.get("after", ""))
    last = Plan.objects.filter(pk=wanted).first() if wanted else None
    form = Form(FIELDS, _fill(last))
    if request.method == "POST":
        made = form.submit(request, None, _create)
        if made is not None:
            messages.success(request, f"Version {made.version} of {made.name} is there.", extra_tags="good")
            return redirect("staff-plans")
    return render(request, "console/new_plan.html", {"form": form, "last": last}, status=form.status)


def _fill(plan: Plan | None) -> dict[str, Any]:
    terms = show_terms(parse_terms(plan.terms if plan else {}))
    return {
        **{name: str(value) for name, value in terms.items() if name not in _FLAGS},
        **{name: "1" if terms[name] else "" for name in _FLAGS},
        "name": plan.name if plan else "",
        "is_public": "1" if plan and plan.is_public else "",
        "models": "\n".join(f"{name} {share}" for name, share in terms["models"].items()),
        "tiers": "\n".join(f"{tier['from']} {tier['markup']}" for tier in terms["tiers"]),
    }


def _create(form: Form) -> Plan:
    terms: dict[str, Any] = {name: form.text(name) for name in ("currency", "markup", *_MONEY) if form.text(name)}
    terms |= {name: form.whole(name) for name in _WHOLE if form.text(name)}
    terms |= {name: form.flag(name) for name in _FLAGS}
    terms["models"] = dict(_read_pairs(form, "models"))
    terms["tiers"] = [{"from": start, "markup": share} for start, share in _read_pairs(form, "tiers")]
    try:
        return create_plan(name=form.text("name"), terms=terms, is_public=form.flag("is_public"))
    except InvalidField as error:
        # The API's fields are those of ``terms``; here each has its own.
        raise InvalidField(error.message, field=(error.field or "").removeprefix("terms.")) from error


def _read_pairs(form: Form, name: str) -> list[tuple[str, str]]:
    lines = [line.split() for line in form.text(name).splitlines() if line.strip()]
    if any(len(words) != 2 for words in lines):
        raise InvalidField("Give two words a line, with a blank between.", field=name)
    return [(first, second) for first, second in lines]


def list_terms(terms: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The terms of a plan by name, as people read them. What is as it is without anybody's saying so is left out."""
    usual = show_terms(parse_terms({}))
    currency = terms.get("currency", usual["currency"])
    return [
        (name.replace("_", " "), _show(name, terms[name], currency))
        for name in usual
        if terms.get(name, usual[name]) != usual[name]
    ]


def _show(name: str, value: Any, currency: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        # The mark-ups of models by their names.
        return ", ".join(f"{model} {share} %" for model, share in value.items())
    if isinstance(value, list):
        return "; ".join(f"from {_show_amount(tier['from'], currency)} on {tier['markup']} %" for tier in value)
    if name in _MONEY:
        return _show_amount(value, currency)
    return f"{value} %" if name == "markup" else str(value)


def _show_amount(usd: str, currency: str) -> str:
    """With cents, and with what is below them only where there is something."""
    whole, _, rest = usd.partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')} {currency}"
