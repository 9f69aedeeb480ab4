"""Whether a change would pay: the calculator on the page of learning."""

from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse

from billing.spend.core.chart import make_gain_curve
from billing.spend.core.roi import Cache, OtherModel, Outcome, Scenario, SelfHost, Verdict, weigh
from billing.spend.core.roi_ranges import TRAFFIC, Range, draw_curve, run_trials, summarise
from billing.spend.core.roi_texts import describe_outcome
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.roi import find_traffic
from costhub.lib.errors import InvalidField
from costhub.lib.money import NANOS_PER_USD
from tenants.access import Actor

WEEKS: Final = 4
HORIZON_DAYS: Final = 365
TRIALS: Final = 200
_PICOS_A_TOKEN: Final = 1_000_000
#: what the calculator's form asks for, by scenario: its field, label, and what stands there first
ASKED: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "fine_tune": (
        ("once", "Training, USD", "500"),
        ("input", "Input, USD per million tokens", "0.20"),
        ("output", "Output, USD per million tokens", "0.20"),
        ("share", "Per cent of the calls", "100"),
        ("escalated", "Per cent of these asked again", "10"),
    ),
    "self_host": (
        ("once", "To set it up, USD", "0"),
        ("hour", "A GPU, USD an hour", "2.50"),
        ("spot", "On the spot market, USD an hour", "0.90"),
        ("spot_share", "Per cent of the hours on the spot market", "70"),
        ("interruptions", "Interruptions a day", "1"),
        ("minutes", "Minutes lost by each", "10"),
        ("speed", "Tokens per second", "1500"),
        ("busy", "Per cent of the day that it is busy", "50"),
    ),
    "cache": (("once", "To set it up, USD", "0"), ("hits", "Per cent of hits", "20")),
}
_FIRST: Final = "fine_tune"
_NAMES: Final = {"fine_tune": "Fine-tune", "self_host": "Host it yourself", "cache": "Cache"}


def begin_calculation(actor: Actor) -> dict[str, Any]:
    """The form as it is at first, and where its answer comes from."""
    values = {field: first for field, _, first in ASKED[_FIRST]}
    return {**_form(actor, _FIRST, values, ""), "error": "", "outcome": None}


def calculate(request: HttpRequest, actor: Actor, now: datetime) -> dict[str, Any]:
    """What the address asks for, reckoned on the calls of the last four weeks; or what is wrong with it."""
    error = ""
    name = request.GET.get("scenario", _FIRST)
    values: dict[str, str] = {}
    outcome: Outcome | None = None
    trials: list[Outcome] = []
    try:
        if name not in ASKED:
            raise InvalidField(f"Give one of {', '.join(ASKED)}.", field="scenario")
        if "\x00" in request.GET.get("model", ""):
            raise InvalidField("Give a model's name.", field="model")
        values = {field: request.GET.get(field, first) for field, _, first in ASKED[name]}
        traffic = find_traffic(
            actor, end=now, weeks=WEEKS, filters=LedgerFilters(model=request.GET.get("model") or None)
        )
        scenario = _read_scenario(name, values)
        outcome = weigh(scenario, traffic.day, HORIZON_DAYS)
        if traffic.quietest is not None and traffic.busiest is not None:
            ranges = {TRAFFIC: Range(traffic.quietest, Fraction(1), traffic.busiest)}
            trials = run_trials(scenario, traffic.day, HORIZON_DAYS, ranges, seed=1, trials=TRIALS)
    except InvalidField as found:
        error = f"{found.field}: {found.message}"
        name = name if name in ASKED else _FIRST
        values = {field: first for field, _, first in ASKED[name]} | values
    points, zero = make_gain_curve([point.net for point in draw_curve(outcome, trials)]) if outcome else ("", "")
    return {
        **_form(actor, name, values, request.GET.get("model", "")),
        "error": error,
        "outcome": outcome,
        "spread": summarise(trials) if trials else None,
        "pays": sum(trial.verdict is Verdict.PAYS for trial in trials),
        "points": points,
        "zero": zero,
        "verdict": describe_outcome(outcome, has_traffic=outcome.before > 0) if outcome else "",
    }


def _form(actor: Actor, name: str, values: Mapping[str, str], model: str) -> dict[str, Any]:
    return {
        "scenarios": [(each, _NAMES[each], each == name) for each in ASKED],
        "scenario": name,
        "fields": [(field, label, values[field]) for field, label, _ in ASKED[name]],
        "model": model,
        "roi_link": f"{reverse('reckon', args=[actor.org.slug])}?scenario={name}",
    }


def _read_scenario(name: str, values: Mapping[str, str]) -> Scenario:
    read = {field: _read_number(field, text) for field, text in values.items()}

    def usd(field: str) -> Fraction:
        return read[field] * NANOS_PER_USD

    def share(field: str) -> Fraction:
        if read[field] > 100:
            raise InvalidField("Give from 0 to 100 per cent.", field=field)
        return read[field] / 100

    if name == "cache":
        return Cache(usd("once"), share("hits"))
    if name == "fine_tune":
        return OtherModel(
            usd("once"),
            read["input"] * _PICOS_A_TOKEN,
            read["output"] * _PICOS_A_TOKEN,
            share("share"),
            share("escalated"),
        )
    if not read["speed"] or not read["busy"]:
        raise InvalidField("Give more than nothing.", field="speed" if not read["speed"] else "busy")
    return SelfHost(
        once=usd("once"),
        per_gpu_hour=usd("hour"),
        tokens_per_second=read["speed"],
        utilisation=share("busy"),
        spot_per_gpu_hour=usd("spot"),
        spot_share=share("spot_share"),
        interruptions_per_day=read["interruptions"],
        minutes_lost=read["minutes"],
    )


def _read_number(field: str, text: str) -> Fraction:
    whole, _, rest = text.strip().partition(".")
    if not (whole + rest).isascii() or not (whole + rest).isdigit() or len(text) > 20:
        raise InvalidField('Give a number such as "0.20".', field=field)
    return Fraction(text.strip())
