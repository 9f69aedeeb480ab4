"""The console's page of billing: the plan and others to choose, credits and how they are bought, a month's papers."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.invoices.actions import accounts
from billing.invoices.actions.accounts import connect_bucket, find_leaving, update_account
from billing.invoices.actions.packs import make_pack, read_meter_of, send_pack_again
from billing.invoices.actions.top_up import is_collected, open_checkout, open_portal, set_top_up
from billing.invoices.actions.wallet import find_available
from billing.invoices.choices import InvoiceKind, PackTo
from billing.invoices.core.terms import Terms, show_terms
from billing.invoices.models import BillingAccount, FinancePack, Subscription
from billing.invoices.selectors.accounts import (
    find_account,
    find_last_subscription,
    find_subscription,
    has_left,
    is_admitted,
    list_public_plans,
    terms_of,
)
from billing.invoices.selectors.invoices import list_invoices
from billing.invoices.selectors.packs import list_owed
from billing.invoices.selectors.periods import load_periods
from billing.invoices.selectors.wallet import find_balance, list_transfers
from costhub.console.acts import Act, PageLink, try_to
from costhub.console.budget_forms import plain_usd
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.frame import frame
from costhub.console.pages import show_form
from costhub.console.plans import list_terms
from costhub.console.sign_in import org_page, works_when_read_only
from costhub.lib import clock
from costhub.lib.errors import AppError, InvalidField, NotFound
from tenants.access import Actor, access_row, find_uuid
from tenants.choices import Permission

#: so many of the newest months and transfers are shown
_MONTHS: Final = 24
_TRANSFERS: Final = 10
_PAPERS_TO: Final = {
    PackTo.NOBODY: "nowhere by themselves",
    PackTo.MAIL: "by mail to the finance contacts",
    PackTo.FILES: "to the operator’s files",
    PackTo.BUCKET: "to a bucket of your own",
}
_BUCKET_FIELDS: Final = ("bucket_url", "bucket_region", "bucket_key_id")
_NO_CUSTOMER: Final = "This organisation is no customer yet: the operator of this installation makes it one, and then a plan can be chosen."

_ENDED: Final = "The plan has ended, and calls are refused: they work again within seconds of choosing one."


@require_GET
@org_page
def billing(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What was agreed, what is left of prepaid money, and what can be done about either."""
    actor.check(Permission.READ_MONEY)
    account, subscription = find_account(actor), find_subscription(actor)
    terms = terms_of(subscription) if subscription else None
    more: dict[str, Any] = {
        "lead": _find_lead(actor, account),
        "account": account,
        "subscription": subscription,
        "terms": list_terms(show_terms(terms)) if terms else [],
        "months": _list_months(actor),
        "papers_to": _PAPERS_TO[PackTo(account.pack_to)] if account else "",
        "owed": list_owed(actor) if account and account.pack_to != PackTo.NOBODY else [],
        "may_send": actor.may(Permission.WRITE_MONEY),
        "acts": _list_acts(actor, account, subscription),
        "links": _list_links(actor, account),
    }
    if account is not None and ((terms and terms.prepaid) or list_transfers(actor).exists()):
        more |= {
            "balance": find_balance(actor),
            "available": find_available(actor),
            "transfers": list_transfers(actor).order_by("-created_at", "-id")[:_TRANSFERS],
        }
    return show_form(
        request, actor, "invoices", "Invoices & billing", None, "Billing", template="console/billing.html", **more
    )


@require_POST
@org_page
@works_when_read_only
def choose_plan(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Put the organisation under another plan, from now on."""
    actor.check(Permission.WRITE_MONEY)
    wanted = find_uuid(request.POST.get("plan", ""))
    plan = list_public_plans().filter(pk=wanted).first() if wanted else None
    if plan is None:
        raise NotFound("There is no such plan.")
    done = f"The plan is {plan.name} from now on; what is left of the month is prorated."
    try_to(request, actor, done, lambda: accounts.choose_plan(actor=actor, plan=plan))
    return redirect("billing", slug=actor.org.slug)


@require_POST
@org_page
@works_when_read_only
def end_plan(request: HttpRequest, actor: Actor) -> HttpResponse:
    """End the plan with the month, once its name was typed."""
    actor.check(Permission.WRITE_MONEY)

    def end() -> None:
        subscription = find_last_subscription(actor, clock.now())
        if subscription is not None:
            check_confirmed(request, subscription.plan.name)
        left = accounts.leave(actor=actor)
        if left.ends_at is not None:
            ends.append(_show_moment(actor, left.ends_at))

    ends: list[str] = []
    if try_to(request, actor, "", end):
        messages.success(request, f"The plan ends on {ends[0]}.", extra_tags="good")
    return redirect("billing", slug=actor.org.slug)


@require_http_methods(["GET", "POST"])
@org_page
@works_when_read_only
def buy_credits(request: HttpRequest, actor: Actor) -> HttpResponse:
    """How many credits, and then the way to Stripe's page at which they are paid for."""
    actor.check(Permission.WRITE_MONEY)
    form = Form([Field("amount", "Credits, in USD", is_required=True, placeholder="50.00", most=20)])
    if request.method == "POST":
        found = form.submit(request, actor, lambda form: _open_checkout(actor, form))
        if found is not None:
            return _lead_away(request, actor, f"Buy credits of {plain_usd(form.money('amount'))} USD", found)
    subscription = find_subscription(actor)
    has_invoice = subscription is not None and terms_of(subscription).invoices_credits
    words = "They are paid for at Stripe, and are here within seconds."
    if has_invoice:
        words += " Tax that is due on them is added there, and their invoice is here as well."
    return _show_form(request, actor, form, "Buy credits", "Go on to pay", words)


@require_http_methods(["GET", "POST"])
@org_page
@works_when_read_only
def change_top_up(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Credits that are bought by themselves when few are left."""
    actor.check(Permission.WRITE_MONEY)
    account = find_account(actor)
    if account is None:
        raise NotFound("This organisation is no customer.")
    initial = {
        name: "" if nanos is None else plain_usd(nanos)
        for name, nanos in (("top_up_below", account.top_up_below_nanos), ("top_up_amount", account.top_up_nanos))
    }
    fields = [
        Field("top_up_below", "When fewer USD are left than", placeholder="10.00", most=20),
        Field("top_up_amount", "Buy credits, in USD", placeholder="50.00", most=20),
    ]
    form = Form(fields, initial, is_edit=True)
    if (
        request.method == "POST"
        and form.submit(request, actor, lambda form: _set_top_up(actor, account, form)) is not None
    ):
        return redirect("billing", slug=actor.org.slug)
    lead = "The means of payment that Stripe has for you is charged. Leave both empty to buy nothing by itself."
    return _show_form(request, actor, form, "Buy credits by themselves", "Save", lead)


@require_http_methods(["GET", "POST"])
@org_page
@works_when_read_only
def send_papers(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Where a month's papers go by themselves."""
    actor.check(Permission.WRITE_MONEY)
    account = find_account(actor)
    if account is None:
        raise NotFound("This organisation is no customer.")
    form = Form(_list_paper_fields(account), _show_papers_to(account), is_edit=True)
    if (
        request.method == "POST"
        and form.submit(request, actor, lambda form: _send_papers(actor, account, form)) is not None
    ):
        return redirect("billing", slug=actor.org.slug)
    lead = "Once an invoice is issued: the archive of its month, which can be downloaded in any case."
    return _show_form(request, actor, form, "A month’s papers by themselves", "Save", lead)


@require_POST
@org_page
def send_again(request: HttpRequest, actor: Actor, pack_id: str) -> HttpResponse:
    """Have a month's papers that could not be delivered tried again."""
    actor.check(Permission.WRITE_MONEY)
    pack = access_row(FinancePack.objects.filter(org=actor.org), actor, pack_id)
    done = f"The papers of {pack.month:%B %Y} are sent again within minutes."
    try_to(request, actor, done, lambda: send_pack_again(actor=actor, pack=pack))
    return redirect("billing", slug=actor.org.slug)


@require_POST
@org_page
@works_when_read_only
def visit_portal(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The way to Stripe's page of one's means of payment."""
    actor.check(Permission.WRITE_MONEY)
    found: list[str] = []
    if not try_to(request, actor, "", lambda: found.append(open_portal(actor=actor))):
        return redirect("billing", slug=actor.org.slug)
    return _lead_away(request, actor, "Means of payment", found[0])


@require_GET
@org_page
def papers(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A month's papers as one archive, made of what there is now."""
    actor.check(Permission.READ_MONEY)
    actor.check_fresh()
    month = next((month for month in _list_months(actor) if f"{month:%Y-%m}" == request.GET.get("month")), None)
    if month is None:
        raise NotFound("No invoice is issued of such a month.")
    content, _ = make_pack(actor, month, clock.now(), read_meter_of(actor, month))
    answer = HttpResponse(content, content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="finance-{month:%Y-%m}.zip"'
    return answer


def _open_checkout(actor: Actor, form: Form) -> str:
    return open_checkout(actor=actor, amount=form.money("amount"), key=form.once)


def _set_top_up(actor: Actor, account: BillingAccount, form: Form) -> BillingAccount:
    below, amount = (form.money(name) if form.text(name) else None for name in ("top_up_below", "top_up_amount"))
    return set_top_up(actor=actor, account=account, below=below, amount=amount)


def _list_paper_fields(account: BillingAccount) -> list[Field]:
    kept = "Left empty, it stays." if account.bucket_url else ""
    return [
        Field("pack_to", "They go", "select", choices=[(each.value, label) for each, label in _PAPERS_TO.items()]),
        Field("bucket_url", "Bucket", placeholder="https://s3.eu-central-1.amazonaws.com/acme-finance", most=300),
        Field("bucket_region", "Region", placeholder="eu-central-1", most=40),
        Field("bucket_key_id", "Access key ID", most=128),
        Field(
            "bucket_secret",
            "Secret access key",
            "password",
            help=f"Sealed, used for this bucket only, never shown again. {kept}".strip(),
            most=4096,
        ),
    ]


def _show_papers_to(account: BillingAccount) -> dict[str, str]:
    return {name: getattr(account, name) for name in ("pack_to", *_BUCKET_FIELDS)}


def _send_papers(actor: Actor, account: BillingAccount, form: Form) -> BillingAccount:
    to = PackTo(form.text("pack_to")) if form.text("pack_to") in set(PackTo) else None
    if to is None:
        raise InvalidField("Choose one of the list.", field="pack_to")
    typed = {name: form.text(name) for name in _BUCKET_FIELDS}
    secret = form.text("bucket_secret")
    if to is PackTo.BUCKET and (secret or typed != {name: getattr(account, name) for name in _BUCKET_FIELDS}):
        values = {name.removeprefix("bucket_"): text for name, text in typed.items()}
        try:
            return connect_bucket(actor=actor, account=account, secret=secret, **values)
        except AppError as error:
            if error.field is None:
                raise
            raise InvalidField(error.message, field=f"bucket_{error.field}") from error
    return update_account(actor=actor, account=account, pack_to=to)


def _show_form(request: HttpRequest, actor: Actor, form: Form, title: str, label: str, lead: str) -> HttpResponse:
    back = reverse("billing", args=[actor.org.slug])
    return show_form(request, actor, "invoices", "Billing", form, title, back=back, submit_label=label, lead=lead)


def _lead_away(request: HttpRequest, actor: Actor, title: str, address: str) -> HttpResponse:
    """A link to a page of Stripe's: no form of ours may lead there."""
    context = {**frame(request, actor, "invoices"), "title": title, "address": address}
    return render(request, "console/lead_away.html", context)


def _list_months(actor: Actor) -> list[date]:
    """The first days of the months that have an issued invoice, the newest first."""
    issued = list_invoices(actor, [InvoiceKind.INVOICE]).exclude(number="").order_by("-period_start")[:_MONTHS]
    periods = load_periods(actor)
    return list(dict.fromkeys(periods.name((row.period_start, row.period_end)) for row in issued))


def _list_acts(actor: Actor, account: BillingAccount | None, subscription: Subscription | None) -> list[Act]:
    """Plans to choose, the means of payment and the plan's end, for who may change money. The plan that holds can be
    chosen only once it is to end."""
    if account is None or not actor.may(Permission.WRITE_MONEY):
        return []
    plan = subscription.plan_id if subscription is not None and subscription.ends_at is None else None
    address = reverse("choose-plan", args=[actor.org.slug])
    acts = [
        Act(
            f"Choose {row.name}",
            address,
            "Choose",
            "; ".join(f"{name} {value}" for name, value in list_terms(row.terms)) or "Usage at cost, and nothing else.",
            hidden=[("plan", str(row.pk))],
        )
        for row in list_public_plans().order_by("name")
        if row.pk != plan
    ]
    if is_collected(account):
        address = reverse("visit-portal", args=[actor.org.slug])
        acts.append(Act("Means of payment", address, "Open", "Stripe's page with your cards and its receipts."))
    now = clock.now()
    last, end = find_last_subscription(actor, now), find_leaving(actor, now)
    if last is not None and end is not None:
        address, name = reverse("end-plan", args=[actor.org.slug]), last.plan.name
        acts.append(Act(f"End the plan {name}", address, "End", _tell_end(actor, terms_of(last), end), name, "bad"))
    return acts


def _tell_end(actor: Actor, terms: Terms, end: datetime) -> str:
    """What ending a plan comes to, in words."""
    whole = [
        name for name, nanos in (("fee", terms.fee), ("seats", terms.seat_fee), ("minimum", terms.minimum)) if nanos
    ]
    said = [f"It ends with the month, on {_show_moment(actor, end)}."]
    if whole:
        said.append(f"Until then everything is billed as agreed, the whole month's {_join(whole)} too.")
    else:
        said.append("Until then everything is billed as agreed.")
    if terms.included:
        said.append("Included usage is there until then; what of it is not used is gone.")
    said.append("From then on calls are refused, until a plan is chosen again.")
    if terms.prepaid:
        said.append("Prepaid credits that are left stay yours, for the next prepaid plan.")
    return " ".join(said)


def _join(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _show_moment(actor: Actor, moment: datetime) -> str:
    """In the organisation's time zone."""
    local = moment.astimezone(ZoneInfo(actor.org.time_zone))
    return f"{local.day} {local:%B %Y, %H:%M} ({actor.org.time_zone})"


def _find_lead(actor: Actor, account: BillingAccount | None) -> str:
    if account is None:
        return _NO_CUSTOMER
    now = clock.now()
    if not has_left(actor, now):
        return ""
    if account.admitted_until is not None and is_admitted(account, now):
        until = _show_moment(actor, account.admitted_until)
        return f"The plan has ended. Calls are taken until {until}, and refused from then on: choose a plan before."
    return _ENDED


def _list_links(actor: Actor, account: BillingAccount | None) -> list[PageLink]:
    if account is None or not actor.may(Permission.WRITE_MONEY):
        return []
    pages = [("Send papers", "send-papers")]
    if is_collected(account):
        pages = [("Buy credits", "buy-credits"), ("Buy by itself", "change-top-up"), *pages]
    return [PageLink(label, reverse(name, args=[actor.org.slug])) for label, name in pages]
