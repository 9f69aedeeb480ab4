"""Whether a change would pay: the calculator on the page of learning. What it asks for, reads and refuses is what
``/roi`` does."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from rest_framework.exceptions import ValidationError

from billing.spend.api.roi import Reckoned, reckon
from billing.spend.api.roi_fields import RoiBody
from billing.spend.core.chart import make_gain_chart
from billing.spend.core.roi import Verdict
from billing.spend.core.roi_ranges import TRAFFIC, draw_curve, summarise
from billing.spend.core.roi_texts import format_days, format_decimal
from costhub.lib.errors import InvalidField
from tenants.access import Actor
from tenants.api.problems import flatten


class Asked(NamedTuple):
    """An assumption: its field in the API, what it is called here, what stands there first, and between what that
    lies at first."""

    field: str
    label: str
    first: str = ""
    low: str = ""
    high: str = ""


_SHARE: Final = "Share of the calls, per cent"
_INPUT: Final = "Input, USD per million tokens"
_OUTPUT: Final = "Output, USD per million tokens"
_SET_UP: Final = "To set it up, USD"
#: what the form asks for, by scenario
ASKED: Final[Mapping[str, tuple[Asked, ...]]] = {
    "fine_tune": (
        Asked("training_cost", "Training, USD", "500"),
        Asked("input_per_million", _INPUT, "0.20"),
        Asked("output_per_million", _OUTPUT, "0.20"),
        Asked("share_percent", _SHARE, "100"),
        Asked("escalated_percent", "Asked again of the present model, per cent of these", "10", "5", "20"),
        Asked("input_tokens", "Input tokens of a call, where the prompt gets shorter"),
    ),
    "route": (
        Asked("setup_cost", _SET_UP, "0"),
        Asked("share_percent", _SHARE, "50", "40", "60"),
        Asked("input_per_million", _INPUT, "0.20"),
        Asked("output_per_million", _OUTPUT, "0.80"),
        Asked("escalated_percent", "Asked again of the present model, per cent of these", "10", "5", "20"),
    ),
    "self_host": (
        Asked("setup_cost", _SET_UP, "0"),
        Asked("per_gpu_hour", "A GPU, USD an hour", "2.50"),
        Asked("tokens_per_second", "Tokens per second of a busy GPU", "1500"),
        Asked("utilisation_percent", "Busy, per cent of the day", "50", "30", "70"),
        Asked("gpus", "GPUs (as many as the calls need, if it is left empty)"),
        Asked("operations_per_month", "Operations, USD a month", "0"),
        Asked("spot_per_gpu_hour", "A GPU on the spot market, USD an hour", "0.90", "0.60", "1.80"),
        Asked("spot_percent", "On the spot market, per cent of the hours", "70"),
        Asked("interruptions_per_day", "Interruptions of a spot GPU, a day", "1", "0", "4"),
        Asked("minutes_lost", "Minutes lost by each", "10", "5", "30"),
    ),
    "cache": (
        Asked("setup_cost", _SET_UP, "0"),
        Asked("hit_percent", "Hits, per cent of the calls", "20", "10", "30"),
        Asked("per_request", "A look-up, USD", "0"),
    ),
    "batch": (
        Asked("setup_cost", _SET_UP, "0"),
        Asked("share_percent", "Calls that can wait, per cent", "30", "20", "40"),
        Asked("discount_percent", "Discount, per cent", "50"),
    ),
}
NAMES: Final = {
    "fine_tune": "Fine-tune",
    "route": "Route",
    "self_host": "Host it yourself",
    "cache": "Cache",
    "batch": "Batch",
}
#: an average day as somebody expects it, in place of the ledger's
TYPED: Final = (
    Asked("requests_per_day", "Calls a day"),
    Asked("input_tokens", "Input tokens of a call"),
    Asked("output_tokens", "Output tokens of a call"),
    Asked("input_per_million", _INPUT),
    Asked("output_per_million", _OUTPUT),
)
#: a dear model's calls, and a small one that was trained for them
EXAMPLE: Final = {
    "scenario": "fine_tune",
    "training_cost": "500",
    "escalated_percent": "0",
    "traffic.requests_per_day": "10000",
    "traffic.input_tokens": "1000",
    "traffic.output_tokens": "200",
    "traffic.input_per_million": "30",
    "traffic.output_per_million": "60",
}
_FIRST: Final = "fine_tune"
_HORIZON: Final = "365"


def begin_calculation(actor: Actor) -> dict[str, Any]:
    """The form as it is at first, and where its answer comes from."""
    return {**_form(actor, _FIRST, QueryDict()), "error": "", "outcome": None}


def calculate(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    """What the address asks for, reckoned on the calls of the last four weeks or on those that were typed; or what is
    wrong with it."""
    name, error, wrong = request.GET.get("scenario", _FIRST), "", ""
    found: Reckoned | None = None
    try:
        if name not in ASKED:
            raise InvalidField(f"Give one of {', '.join(ASKED)}.", field="scenario")
        form = RoiBody(data=_write_body(name, request.GET))
        form.is_valid(raise_exception=True)
        found = reckon(actor, form.validated_data)
    except ValidationError as refused:
        first = next(flatten(refused.detail))
        error, wrong = first["message"], first["field"]
    except InvalidField as refused:
        error, wrong = refused.message, refused.field or ""
    name = name if name in ASKED else _FIRST
    # A field is called here as the form calls it.
    for prefix in (f"{name}.", "ledger.", "ranges."):
        wrong = wrong.removeprefix(prefix)
    wrong = wrong.removesuffix(".low").removesuffix(".high")
    shown = _form(actor, name, request.GET, wrong)
    if error:
        asked = [*shown["fields"], *shown["traffic_fields"], shown["traffic_range"]]
        label = next((each["label"] for each in asked if each["field"] == wrong), wrong)
        error = f"{label}: {error}" if label else error
    return {**shown, "error": error, **(_show(found) if found is not None else {"outcome": None})}


def _show(found: Reckoned) -> dict[str, Any]:
    plain, trials = found.plain, found.trials
    days, calls = plain.break_even_days, found.traffic.day.requests
    return {
        "outcome": plain,
        "tone": {Verdict.PAYS: "good", Verdict.TOO_LATE: "warn", Verdict.NEVER: "bad"}[plain.verdict],
        "verdict": found.text,
        "is_ledger": found.is_ledger,
        "calls": f"{round(calls):,}" if calls >= 100 else format_decimal(calls, 1),
        "spread": summarise(trials) if trials else None,
        "pays": sum(trial.verdict is Verdict.PAYS for trial in trials),
        "never": sum(trial.verdict is Verdict.NEVER for trial in trials),
        "chart": make_gain_chart(draw_curve(plain, trials), days),
        "break_even": format_days(days) if days is not None else "",
    }


def _write_body(name: str, given: QueryDict) -> dict[str, Any]:
    """The form as a body of the API's. What is left empty is not said."""
    assumptions = {each.field: _read(given, each.field, each.first) for each in ASKED[name]}
    body: dict[str, Any] = {name: {field: text for field, text in assumptions.items() if text}}
    ranges: dict[str, dict[str, str]] = {}
    for each in (*ASKED[name], Asked(TRAFFIC, "")):
        low, high = _read_range(given, each)
        if low or high:
            ranges[each.field] = {"low": low, "high": high}
    typed = {each.field: text for each in TYPED if (text := _read(given, f"traffic.{each.field}"))}
    model = given.get("model", "")
    horizon = _read(given, "horizon_days", _HORIZON)
    body |= {"traffic": typed} if typed else {}
    body |= {"ledger": {"model": model}} if model else {}
    body |= {"ranges": ranges} if ranges else {}
    return body | {
        "horizon_days": int(horizon) if len(horizon) < 10 and horizon.isascii() and horizon.isdigit() else horizon
    }


def _read(given: QueryDict, field: str, first: str = "") -> str:
    return given.get(field, first).strip()


def _read_range(given: QueryDict, asked: Asked) -> tuple[str, str]:
    """What is written first is the range of what is written first: another assumption has none but its own."""
    is_first = asked.field not in given
    low, high = (asked.low, asked.high) if is_first else ("", "")
    return _read(given, f"low.{asked.field}", low), _read(given, f"high.{asked.field}", high)


def _form(actor: Actor, name: str, given: QueryDict, wrong: str = "") -> dict[str, Any]:
    def show(asked: Asked, prefix: str = "") -> dict[str, Any]:
        low, high = _read_range(given, asked)
        field = f"{prefix}{asked.field}"
        return {
            "field": field,
            "label": asked.label,
            "value": _read(given, field, asked.first),
            "low": low,
            "high": high,
            "is_wrong": field == wrong,
        }

    path = reverse("learning", args=[actor.org.slug])
    return {
        "scenarios": [(each, NAMES[each], each == name) for each in ASKED],
        "scenario": name,
        "fields": [show(each) for each in ASKED[name]],
        "traffic_fields": [show(each, "traffic.") for each in TYPED],
        "is_typed": any(_read(given, f"traffic.{each.field}") for each in TYPED),
        "traffic_range": show(Asked(TRAFFIC, "The traffic, per cent of the average day")),
        "model": given.get("model", ""),
        "horizon": _read(given, "horizon_days", _HORIZON),
        "example_link": f"{path}?{urlencode(EXAMPLE)}#roi",
        "roi_link": f"{reverse('reckon', args=[actor.org.slug])}?scenario={name}",
    }
