"""The console's forms of compression policies; the list of them stands on the page of compression."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from billing.routes.core.keeping import MOST_PERCENT
from billing.routes.playground import Shortened, shorten_text
from billing.routes.selectors import OF_KEEPING, read_keeping
from billing.spend.core.chart import make_band_chart
from billing.spend.core.ranges import read_range
from costhub.console.acts import try_to
from costhub.console.forms import Field, Form
from costhub.console.pages import show_form
from costhub.console.policies import mode_field, model_field, removal
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_row
from tenants.actions.compression import (
    create_compression_policy,
    delete_compression_policy,
    update_compression_policy,
)
from tenants.choices import Compression, Mode, Permission
from tenants.models import CompressionPolicy
from tenants.selectors import list_compression_policies, list_models

METHODS: Final = {
    Compression.LOSSLESS: "Lossless: blanks, JSON and tables in fewer characters",
    Compression.FILLER: "Filler: words that only are polite",
    Compression.EXTRACT: "Passages: those that the question does not need",
    Compression.PRUNE: "Words: those that carry least",
    Compression.PERPLEXITY: "Words that a model would have guessed",
    Compression.SYSTEM_PROMPT: "System prompts in the words that somebody approved",
}
_FIRST: Final = {
    "mode": "shadow",
    "methods": ["lossless"],
    "keep_percent": "0",
    "extract_percent": "0",
    "holdout_percent": "2",
}
_MOST_TRIED: Final = 20_000


@require_http_methods(["GET", "POST"])
@org_page
def new_compression_policy(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a compression policy."""
    actor.check(Permission.WRITE_SETTINGS)
    taken = set(list_compression_policies(actor).values_list("model", flat=True))
    form = Form([model_field(actor, taken), *_fields(actor)], _FIRST)

    def create(form: Form) -> CompressionPolicy:
        return create_compression_policy(actor=actor, model=form.text("model"), **_read(form))

    return _answer(request, actor, form, create, "New compression policy", submit_label="Create policy")


@require_http_methods(["GET", "POST"])
@org_page
def compression_policy(request: HttpRequest, actor: Actor, policy_id: str) -> HttpResponse:
    """One policy's form, and its end."""
    actor.check(Permission.WRITE_SETTINGS)
    row = access_row(list_compression_policies(actor), actor, policy_id)
    form = Form(_fields(actor), _initial(row), is_edit=True)
    gone = "Prompts of it follow the policy of every other model, if there is one, and else are sent as they came."
    acts = [removal(actor, "remove-compression-policy", row.pk, "Remove this policy", gone)]

    def update(form: Form) -> CompressionPolicy:
        return update_compression_policy(actor=actor, policy=row, **_read(form))

    title = f"Compression of {row.model or 'every other model and route'}"
    return _answer(request, actor, form, update, title, partial(_draw, actor, row), acts=acts)


@require_POST
@org_page
def remove_compression_policy(request: HttpRequest, actor: Actor, policy_id: str) -> HttpResponse:
    """There is no such policy any more."""
    row = access_row(list_compression_policies(actor), actor, policy_id)
    done = f"The compression policy of {row.model or 'every other model and route'} is removed."
    try_to(request, actor, done, lambda: delete_compression_policy(actor=actor, policy=row))
    return redirect("compression", slug=actor.org.slug)


def _answer(
    request: HttpRequest,
    actor: Actor,
    form: Form,
    act: Any,
    title: str,
    draw: Callable[[], Mapping[str, Mapping[str, Any]]] = dict,
    **more: Any,
) -> HttpResponse:
    """Save what was sent, or only show what it would make of the text that was pasted. ``draw``: the curves of sliders,
    for a page alone."""
    tried: Shortened | None = None
    if request.method == "POST" and "preview" in request.POST:
        tried = form.try_out(request, lambda form: _try(form, act(form)))
    elif request.method == "POST" and form.submit(request, actor, act) is not None:
        return redirect("compression", slug=actor.org.slug)
    form.curves = draw()
    return show_form(
        request,
        actor,
        "compression",
        "Compression",
        form,
        title,
        template="console/compression_policy.html",
        preview_label="Try it on the text",
        tried=tried,
        **more,
    )


def _try(form: Form, row: CompressionPolicy) -> Shortened:
    if not form.text("sample"):
        raise InvalidField("Paste a text to try it on.", field="sample")
    return shorten_text(row, form.text("sample").replace("\r\n", "\n"))


def _draw(actor: Actor, row: CompressionPolicy) -> dict[str, dict[str, Any]]:
    """What the policy's calls of thirty days would have cost with each share kept, beside what public texts kept of
    what answers need; nothing without such calls, or where what was given back is more than they cost."""
    span = read_range({"range": "30d"}, clock.now(), actor.org.time_zone)
    found = read_keeping(actor, row, span.start, span.end)
    if found.whole <= 0:
        return {}
    drawn = {}
    for name, points, now in (
        ("keep_percent", found.words, row.keep_percent),
        ("extract_percent", found.passages, row.extract_percent),
    ):
        bands = [(each.then.low, each.then.high) if each.percent and each.then else None for each in points]
        shares = [each.measured and each.measured.kept if each.percent else None for each in points]
        chart = make_band_chart(bands, shares)
        drawn[name] = {
            "template": "console/_keeping.html",
            "table": "console/_keeping_table.html",
            "calls": found.calls,
            "assumptions": OF_KEEPING,
            "chart": chart,
            "steps": [
                {"point": point, "place": place, "percent": point.percent}
                for point, place in zip(points, chart.places, strict=True)
            ],
            "measured": [each for each in points if each.measured],
            "now": now,
        }
    return drawn


def _fields(actor: Actor) -> list[Field]:
    models = [(row.name, row.name) for row in list_models(actor).filter(is_active=True).order_by("name")]
    return [
        mode_field("mode", "Prompts are shortened"),
        Field("methods", "How", "checks", choices=[(each.value, text) for each, text in METHODS.items()]),
        Field(
            "keep_percent",
            "Per cent of the words that are kept",
            "range",
            help="Where words are left out; 0 leaves out words of grammar only.",
            most=3,
            bounds=(0, MOST_PERCENT),
        ),
        Field(
            "extract_percent",
            "Per cent of passages or turns that are kept",
            "range",
            help="By their length, where they are left out; 0 keeps what their question needs.",
            most=3,
            bounds=(0, MOST_PERCENT),
        ),
        Field(
            "holdout_percent",
            "Per cent of the conversations that are held out",
            help="They are sent as they came, so that what it saves can be proven. 0 to 50.",
            is_required=True,
            most=3,
        ),
        Field(
            "scorer",
            "Model that says which words could be guessed",
            "select",
            help="It is asked, and paid for; its completions echo log probabilities of the prompt.",
            choices=[("", "None"), *models],
        ),
        Field(
            "sample",
            "A text to try it on",
            "textarea",
            help="Only looked at. A message's last paragraph, which asks, loses nothing; passages, and words that a"
            " model would have guessed, are left out of calls alone.",
            most=_MOST_TRIED,
        ),
    ]


def _initial(row: CompressionPolicy) -> dict[str, Any]:
    return {
        "mode": row.mode,
        "methods": list(row.methods),
        "keep_percent": str(row.keep_percent),
        "extract_percent": str(row.extract_percent),
        "holdout_percent": str(row.holdout_percent),
        "scorer": row.scorer,
    }


def _read(form: Form) -> dict[str, Any]:
    if unknown := [each for each in form.many("methods") if each not in set(Compression)]:
        raise InvalidField(f"There is no {unknown[0][:40]!r}; there are: {', '.join(Compression)}.", field="methods")
    return {
        "mode": form.choice("mode", Mode),
        "methods": [Compression(each) for each in form.many("methods")],
        "keep_percent": form.whole("keep_percent"),
        "extract_percent": form.whole("extract_percent"),
        "holdout_percent": form.whole("holdout_percent"),
        "scorer": form.text("scorer"),
    }
