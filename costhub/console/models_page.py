"""The console's page of models and what they cost.

Not called ``models``: Django would take it for the database's, and import it and all that it needs in every process.
"""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.invoices.models import Rerating
from billing.invoices.selectors.rerating import list_reratings
from costhub.console.acts import PageLink, switch_act, try_to_set
from costhub.console.forms import Field, Form
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import lead_on, show_form, show_list
from costhub.console.prices import has_list_price, list_versions
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.moments import to_ms
from tenants.access import Actor, access_named, access_row
from tenants.actions.models import create_model, update_model
from tenants.choices import Permission, Tokenizer
from tenants.models import LanguageModel, Upstream
from tenants.price_histories import load_prices
from tenants.price_snapshots import PriceSnapshot
from tenants.selectors import list_models, list_upstreams

#: so many re-ratings of a model are on its page
_RERATINGS: Final = 20
COLUMNS: Final = (
    Column("name", "Model", "name"),
    Column("upstream", "Upstream", "upstream__name", css="optional"),
    Column("input", "Input", None, "USD per million tokens, as calls are charged now", "number"),
    Column("output", "Output", None, "USD per million tokens, as calls are charged now", "number"),
    Column("context", "Context", "context_window", "Tokens", "number optional"),
    Column("state", "", None, css="number"),
)


@require_GET
@org_page
def models(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Models, each with its price of now."""
    actor.check(Permission.READ)

    def make(params: Mapping[str, str]) -> Listing:
        listing = make_listing(
            request,
            params,
            list_models(actor),
            COLUMNS,
            search=["name", "upstream_model", "upstream__name"],
            sort="name",
        )
        prices = find_prices(actor, listing.rows)
        for row in listing.rows:
            row.price = prices.get(row.name)
        return listing

    may_write = actor.may(Permission.WRITE_SETTINGS)
    may_price = actor.may(Permission.WRITE_MONEY)
    links = [
        *([PageLink("New model", reverse("new-model", args=[actor.org.slug]))] if may_write else []),
        *([PageLink("Price of all others", reverse("new-price", args=[actor.org.slug]))] if may_price else []),
    ]
    context = {
        "title": "Models & prices",
        "placeholder": "Model or upstream",
        "page_acts": links,
        "may_write": may_write,
        "sees_money": actor.may(Permission.READ_MONEY),
    }
    return show_list(request, actor, "console/models.html", "models", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_model(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a model."""
    actor.check(Permission.WRITE_SETTINGS)
    upstreams = [(row.name, row.name) for row in list_upstreams(actor).filter(is_active=True).order_by("name")]
    fields = [
        Field("name", "Name", is_required=True, help="As your applications ask for it.", most=200),
        Field("upstream", "Upstream", "select", choices=upstreams),
        *_fields(is_new=True),
    ]
    form = Form(fields, {"upstream": request.GET.get("upstream", "")})
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: _create(actor, form))
        if made is not None:
            return lead_on(request, actor, reverse("model", args=[actor.org.slug, made.pk]))
    lead = "" if upstreams else "There is no upstream yet: make one first."
    return show_form(
        request, actor, "models", "Models & prices", form, "New model", submit_label="Create model", lead=lead
    )


@require_http_methods(["GET", "POST"])
@org_page
def model(request: HttpRequest, actor: Actor, model_id: str) -> HttpResponse:
    """One model: what it is, and every price that it had, with what changed."""
    actor.check(Permission.READ)
    row = access_row(list_models(actor), actor, model_id)
    form = None
    if actor.may(Permission.WRITE_SETTINGS):
        form = Form(_fields(), _initial(row), is_edit=True)
        if request.method == "POST":
            if form.submit(request, actor, lambda form: _update(actor, row, form)) is not None:
                return redirect("models", slug=actor.org.slug)
            row.refresh_from_db()
    elif request.method == "POST":
        actor.check(Permission.WRITE_SETTINGS)
    address = reverse("switch-model", args=[actor.org.slug, row.pk])
    act = switch_act(address, "Calls to it are refused.", "Calls to it are taken again.", is_on=row.is_active)
    more: dict[str, Any] = {
        "model": row,
        "versions": list_versions(actor, row) if actor.may(Permission.READ_MONEY) else [],
        "may_price": actor.may(Permission.WRITE_MONEY),
        "sees_money": actor.may(Permission.READ_MONEY),
        "reratings": _list_reratings(actor, row),
        "has_list_price": has_list_price(row),
        "acts": [act] if form else [],
    }
    return show_form(request, actor, "models", "Models & prices", form, row.name, template="console/model.html", **more)


@require_POST
@org_page
def switch_model(request: HttpRequest, actor: Actor, model_id: str) -> HttpResponse:
    """Switch a model off, or on again."""
    row = access_row(list_models(actor), actor, model_id)
    words = f"{row.name} is switched on.", f"{row.name} is switched off."
    try_to_set(request, actor, "is_active", words, lambda is_on: update_model(actor=actor, model=row, is_active=is_on))
    return redirect("model", slug=actor.org.slug, model_id=str(row.pk))


def find_prices(actor: Actor, rows: Any) -> dict[str, PriceSnapshot]:
    """What calls of these models are charged by now, by name; one without a price is not there."""
    wanted = list(rows)
    upstreams = {str(row.pk): row for row in list_upstreams(actor)}
    histories = load_prices(actor.org, wanted, upstreams)
    now_ms = to_ms(clock.now())
    found = {}
    for row in wanted:
        current = next((one for one in histories[row.pk].own if one.effective_from_ms <= now_ms), None)
        if current is not None:
            found[row.name] = current
    return found


def _list_reratings(actor: Actor, row: LanguageModel) -> list[Rerating]:
    """A model's newest; none for those who may not see money."""
    if not actor.may(Permission.READ_MONEY):
        return []
    return list(list_reratings(actor).filter(model=row.name).order_by("-created_at", "-pk")[:_RERATINGS])


def _fields(*, is_new: bool = False) -> list[Field]:
    assumed = "Left empty: by the name of a well-known model." if is_new else ""
    tokenizers = [*([("", "By the model's name")] if is_new else []), *((each.value, each.value) for each in Tokenizer)]
    return [
        Field("upstream_model", "Name at the upstream", help="Left empty: the same." if is_new else "", most=200),
        Field("context_window", "Context window in tokens", help=assumed, most=12),
        Field("max_output_tokens", "Most output tokens", help=assumed, most=12),
        Field("tokenizer", "Vocabulary", "select", choices=tokenizers),
        Field("max_tool_calls", "Most paid tool calls of a request", most=6),
        Field(
            "merge_window_ms",
            "Embeddings wait for each other, ms",
            help="Calls that come within so long are asked as one; 0: each alone.",
            most=5,
        ),
        Field("ends_on", "Its provider ends it on", "date", help="Left empty: nobody knows of a day.", most=10),
        Field("fallbacks", "Fallbacks", help="Models that are asked in its place, in this order, with commas between."),
    ]


def _initial(row: LanguageModel) -> dict[str, Any]:
    return {
        "upstream_model": row.upstream_model,
        "context_window": str(row.context_window),
        "max_output_tokens": str(row.max_output_tokens),
        "tokenizer": row.tokenizer,
        "merge_window_ms": str(row.merge_window_ms),
        "ends_on": row.ends_on,
        "max_tool_calls": "" if row.max_tool_calls is None else str(row.max_tool_calls),
        "fallbacks": ", ".join(row.fallbacks),
    }


def _read(form: Form) -> dict[str, Any]:
    found: dict[str, Any] = {name: form.whole(name) for name in _SIZES if form.text(name)}
    found["max_tool_calls"] = form.whole("max_tool_calls") if form.text("max_tool_calls") else None
    found["merge_window_ms"] = form.whole("merge_window_ms") if form.text("merge_window_ms") else 0
    found["ends_on"] = form.text("ends_on")
    if form.text("tokenizer"):
        found["tokenizer"] = form.choice("tokenizer", Tokenizer)
    found["fallbacks"] = [name.strip() for name in form.text("fallbacks").split(",") if name.strip()]
    return found


_SIZES: Final = ("context_window", "max_output_tokens")


def _create(actor: Actor, form: Form) -> LanguageModel:
    upstream = access_named(Upstream.objects.all(), actor, form.text("upstream"), field="upstream")
    name = form.text("name")
    return create_model(
        actor=actor, name=name, upstream=upstream, upstream_model=form.text("upstream_model") or name, **_read(form)
    )


def _update(actor: Actor, row: LanguageModel, form: Form) -> LanguageModel:
    changes = _read(form)
    if form.text("upstream_model"):
        changes["upstream_model"] = form.text("upstream_model")
    return update_model(actor=actor, model=row, **changes)
