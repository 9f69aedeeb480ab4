"""The console's prices: the form of a new version, and a model's history with what each version changed."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from costhub.console.forms import Field, Form
from costhub.console.pages import lead_on, show_form
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.moments import from_ms, to_ms
from tenants.access import Actor, access_named, access_row
from tenants.actions.price_adjustments import AdjustmentKind, adjust_list_price
from tenants.actions.pricing import create_price
from tenants.choices import Permission
from tenants.models import LanguageModel, Price
from tenants.price_histories import LIST_PRICES_OF, load_prices
from tenants.price_snapshots import UNIT_CLASSES, PriceSnapshot, Rates
from tenants.selectors import list_models, list_upstreams

#: classes that most prices are about; the API has the others
TYPED: Final = {
    "input_per_million": "Input",
    "output_per_million": "Output",
    "cached_input_per_million": "Cached input",
    "cache_write_per_million": "Writing to the provider's cache",
    "audio_input_per_million": "Audio input",
    "audio_output_per_million": "Audio output",
}
_PERCENT: Final = 100
_MOST_MOMENT: Final = 40
_ZERO: Final = Decimal(0)
_REQUIRED: Final = ("input_per_million", "output_per_million")
_SHOWN_AT_FIRST: Final = ("input", "output")
#: what classes without a price of their own cost
_USUAL: Final = ("input", "cached_input", "output")


@dataclass(frozen=True, slots=True)
class PriceChange:
    """What a version changed of one class: pico-USD before and after; ``per_cent`` is the change in whole per cent."""

    name: str
    before: int | None
    after: int
    is_unit: bool

    @property
    def per_cent(self) -> int | None:
        """None where there was no price, or nothing to compare with."""
        return (self.after - self.before) * _PERCENT // self.before if self.before else None


@dataclass(frozen=True, slots=True)
class Version:
    """A version with what it changed of the one before it."""

    price: PriceSnapshot
    since: datetime
    changes: tuple[PriceChange, ...]
    is_current: bool
    is_future: bool


@require_http_methods(["GET", "POST"])
@org_page
def new_price(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a price version, of a model or of all that have none; with the model's present price in it."""
    actor.check(Permission.WRITE_MONEY)
    names = [(name, name) for name in list_models(actor).order_by("name").values_list("name", flat=True)[:1_000]]
    fields = [
        Field("model", "Model", "select", choices=[("", "Every model that has no price"), *names]),
        *(
            Field(name, f"{label}, USD per million tokens", is_required=name in _REQUIRED, placeholder="0.15", most=40)
            for name, label in TYPED.items()
        ),
        Field("per_request", "A call, USD", placeholder="0", most=40),
        Field("effective_from", "From", "datetime-local", help="Left empty: from now on. Prices are never edited."),
    ]
    form = Form(fields, _present(actor, request.GET.get("model", "")))
    form.values["effective_from"] = request.GET.get("effective_from", "")[:_MOST_MOMENT].replace("\x00", "")
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: _create(actor, form))
        if made is not None:
            return lead_on(request, actor, _after(actor, made.model))
    return show_form(request, actor, "models", "Models & prices", form, "New price", submit_label="Add this price")


@require_http_methods(["GET", "POST"])
@org_page
def new_adjustment(request: HttpRequest, actor: Actor, model_id: str) -> HttpResponse:
    """The form of a discount or mark-up on a model's list price."""
    actor.check(Permission.WRITE_MONEY)
    row = access_row(list_models(actor), actor, model_id)
    fields = [
        Field("kind", "What", "select", choices=[("discount", "Discount"), ("markup", "Mark-up")]),
        Field("percent", "Per cent", is_required=True, placeholder="10", most=20),
        Field("effective_from", "From", "datetime-local", help="Left empty: from now on."),
    ]
    form = Form(fields)
    if request.method == "POST" and form.submit(request, actor, lambda form: _adjust(actor, row, form)) is not None:
        return redirect(_after(actor, row))
    title = f"Discount or mark-up on {row.name}"
    return show_form(request, actor, "models", "Models & prices", form, title, submit_label="Add")


def list_versions(actor: Actor, row: LanguageModel) -> list[Version]:
    """A model's prices from every source, newest first, each with what it changed."""
    upstreams = {str(one.pk): one for one in list_upstreams(actor)}
    history = load_prices(actor.org, [row], upstreams)[row.pk].own
    now_ms = to_ms(clock.now())
    current = next((one for one in history if one.effective_from_ms <= now_ms), None)
    older = [*history[1:], None][: len(history)]
    return [
        Version(
            price=price,
            since=from_ms(price.effective_from_ms),
            changes=compare(before, price),
            is_current=price is current,
            is_future=price.effective_from_ms > now_ms,
        )
        for price, before in zip(history, older, strict=True)
    ]


def compare(before: PriceSnapshot | None, after: PriceSnapshot) -> tuple[PriceChange, ...]:
    """The classes whose price differs; without one before, those that have a price of their own."""
    changes = []
    for name in Rates._fields:
        is_unit = name in UNIT_CLASSES
        old, new = (getattr(before.rates, name) if before else None), getattr(after.rates, name)
        if name == "reasoning" or old == new or (is_unit and not new and not old):
            continue
        if not is_unit and name not in _SHOWN_AT_FIRST and _follows(name, before, after):
            continue
        changes.append(PriceChange(name.replace("_", " "), old, new, is_unit))
    old_call = before.per_request if before else 0
    if after.per_request != old_call:
        changes.append(PriceChange("a call", old_call if before else None, after.per_request, is_unit=True))
    return tuple(changes)


def _follows(name: str, before: PriceSnapshot | None, after: PriceSnapshot) -> bool:
    """Whether a class costs what a usual one does, in both versions: it has no price of its own."""
    return any(
        getattr(after.rates, name) == getattr(after.rates, usual)
        and (before is None or getattr(before.rates, name) == getattr(before.rates, usual))
        for usual in _USUAL
        if usual != name
    )


def has_list_price(row: LanguageModel) -> bool:
    """Whether the model's upstream is billed at a provider's public prices."""
    return row.upstream.kind in LIST_PRICES_OF


def _create(actor: Actor, form: Form) -> Price:
    name = form.text("model")
    model = access_named(LanguageModel.objects.all(), actor, name, field="model") if name else None
    amounts: dict[str, Any] = {field: form.decimal(field) for field in TYPED}
    return create_price(
        actor=actor,
        model=model,
        per_request=form.decimal("per_request") or _ZERO,
        effective_from=form.moment("effective_from", actor.org.time_zone),
        **amounts,
    )


def _adjust(actor: Actor, row: LanguageModel, form: Form) -> object:
    percent = form.decimal("percent")
    if percent is None:
        raise InvalidField("Give per cent, such as 10.", field="percent")
    return adjust_list_price(
        actor=actor,
        kind=form.choice("kind", AdjustmentKind),
        percent=percent,
        model=row,
        effective_from=form.moment("effective_from", actor.org.time_zone),
    )


def _present(actor: Actor, name: str) -> dict[str, str]:
    """What the organisation's own price of the model is now."""
    row = Price.objects.filter(org=actor.org, model__name=name.replace("\x00", ""), effective_from__lte=clock.now())
    newest = row.order_by("-effective_from").first() if name else None
    if newest is None:
        return {"model": name}
    shown = {field: getattr(newest, field) for field in [*TYPED, "per_request"]}
    return {"model": name} | {field: f"{amount.normalize():f}" for field, amount in shown.items() if amount is not None}


def _after(actor: Actor, model: LanguageModel | None) -> str:
    slug = actor.org.slug
    return reverse("model", args=[slug, model.pk]) if model else reverse("models", args=[slug])
