"""/roi: whether fine-tuning, self-hosting, a cache, batches or a router pay, on the traffic there is."""

from dataclasses import MISSING, dataclass, fields
from fractions import Fraction
from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.spend.api.roi_fields import CORE_NAMES, SCENARIOS, TRAFFIC_PER_CENT, RoiBody
from billing.spend.core.roi import Outcome, Traffic, Verdict, price_tokens, weigh
from billing.spend.core.roi_ranges import TRAFFIC, Band, Range, Spread, draw_curve, run_trials, summarise
from billing.spend.core.roi_texts import describe_outcome, format_decimal
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.roi import FoundTraffic, find_traffic
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_named
from tenants.api.base import ManagementView
from tenants.api.fields import Usd
from tenants.choices import Permission
from tenants.models import Project

_DEFAULT_WEEKS: Final = 4
_DEFAULT_DAYS: Final = 365
_DEFAULT_TRIALS: Final = 1_000
_DEFAULT_SEED: Final = 1
_ONE_SCENARIO: Final = f"Give one scenario with its assumptions: {', '.join(SCENARIOS)}."


class DayAnswer(serializers.Serializer[Any]):
    """The average day that was reckoned with; ``from`` and ``to`` where it is the ledger's."""

    requests = serializers.CharField()
    input_tokens = serializers.CharField()
    output_tokens = serializers.CharField()
    cost = Usd()
    to = serializers.DateTimeField(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        """``from`` is a word of Python's."""
        return super().get_fields() | {"from": serializers.DateTimeField(allow_null=True)}


class UsdBand(serializers.Serializer[Any]):
    """Decimal USD: a tenth of the trials lies below ``low``, half below ``middle``, a tenth above ``high``."""

    low = Usd()
    middle = Usd()
    high = Usd()


class DaysBand(serializers.Serializer[Any]):
    """The same in days; null is never."""

    low = serializers.CharField(allow_null=True)
    middle = serializers.CharField(allow_null=True)
    high = serializers.CharField(allow_null=True)


class SpreadAnswer(serializers.Serializer[Any]):
    """What the trials say. ``pays``, ``too_late`` and ``never`` count those with that verdict."""

    trials = serializers.IntegerField()
    seed = serializers.IntegerField()
    pays = serializers.IntegerField()
    too_late = serializers.IntegerField()
    never = serializers.IntegerField()
    saving_per_day = UsdBand()
    net = UsdBand()
    break_even_days = DaysBand()


class PointAnswer(serializers.Serializer[Any]):
    """What is gained, or below zero lost, by the end of a day; ``low`` to ``high`` in four of five trials."""

    day = serializers.IntegerField()
    net = Usd()
    low = Usd()
    high = Usd()


class RoiAnswer(serializers.Serializer[Any]):
    """Whether a change pays within the horizon. Money is decimal USD, ``saving_per_day`` and ``net`` below zero where
    it costs more than it saves; ``break_even_days`` is null where it never pays."""

    scenario = serializers.ChoiceField(choices=list(SCENARIOS))
    verdict = serializers.ChoiceField(choices=[verdict.value for verdict in Verdict])
    text = serializers.CharField()
    traffic = DayAnswer()
    cost_per_day = Usd()
    cost_per_day_after = Usd()
    saving_per_day = Usd()
    once = Usd()
    break_even_days = serializers.CharField(allow_null=True)
    horizon_days = serializers.IntegerField()
    net = Usd()
    curve = PointAnswer(many=True)
    spread = SpreadAnswer(allow_null=True)


class RoiView(ManagementView):
    """The calculator. It writes nothing."""

    works_when_read_only = True

    @extend_schema(request=RoiBody, responses=RoiAnswer)
    def post(self, request: Request) -> Response:
        """Weigh one change: what an average day costs now and after it, and when what it costs once has come back.

        The average day is the ledger's where ``traffic`` is left out. With ``ranges``, or where the ledger has several
        weeks, trials say how sure that is.
        """
        found = reckon(self.actor, self.read(RoiBody))
        plain = found.plain
        answer = {
            "scenario": found.scenario,
            "verdict": plain.verdict.value,
            "text": found.text,
            "traffic": _show_day(found.traffic, plain.before, is_ledger=found.is_ledger),
            "cost_per_day": plain.before,
            "cost_per_day_after": plain.after,
            "saving_per_day": plain.saving,
            "once": plain.once,
            "break_even_days": _show_days(plain.break_even_days),
            "horizon_days": plain.horizon_days,
            "net": plain.net,
            "curve": draw_curve(plain, found.trials),
            "spread": _show_spread(summarise(found.trials), found.seed) if found.trials else None,
        }
        return Response(RoiAnswer(answer).data)


@dataclass(frozen=True, slots=True)
class Reckoned:
    """What came of weighing a change: as assumed, and once for each trial where something is uncertain."""

    scenario: str
    traffic: FoundTraffic
    is_ledger: bool
    plain: Outcome
    trials: list[Outcome]
    seed: int

    @property
    def text(self) -> str:
        """The verdict in a sentence."""
        return describe_outcome(self.plain, has_traffic=self.traffic.day.requests > 0)


def reckon(actor: Actor, body: dict[str, Any]) -> Reckoned:
    """Weigh what a checked ``RoiBody`` says. Raises Forbidden for who may not see money, InvalidField and
    ValidationError for what cannot be."""
    actor.check(Permission.READ_MONEY)
    named = [name for name in SCENARIOS if name in body]
    if len(named) != 1:
        raise InvalidField(_ONE_SCENARIO, field=named[1] if named else "fine_tune")
    name = named[0]
    scenario = _make_scenario(name, body[name])
    found = _read_traffic(actor, body)
    ranges = _read_ranges(name, body, found)
    horizon, seed = body.get("horizon_days", _DEFAULT_DAYS), body.get("seed", _DEFAULT_SEED)
    count = body.get("trials", _DEFAULT_TRIALS)
    trials = run_trials(scenario, found.day, horizon, ranges, seed=seed, trials=count) if ranges else []
    return Reckoned(name, found, "traffic" not in body, weigh(scenario, found.day, horizon), trials, seed)


def _make_scenario(name: str, assumptions: dict[str, Any]) -> Any:
    _, core = SCENARIOS[name]
    given = {CORE_NAMES.get(field, field): value for field, value in assumptions.items()}
    required = {each.name for each in fields(core) if each.default is MISSING}
    return core(**{field: Fraction(0) for field in required} | given)


def _read_traffic(actor: Actor, body: dict[str, Any]) -> FoundTraffic:
    now = clock.now()
    if "traffic" in body:
        if "ledger" in body:
            raise InvalidField("Give the traffic, or whose calls of the ledger make it, not both.", field="ledger")
        typed = body["traffic"]
        requests = typed["requests_per_day"]
        tokens_in, tokens_out = requests * typed["input_tokens"], requests * typed["output_tokens"]
        cost = price_tokens(tokens_in, tokens_out, typed["input_per_million"], typed["output_per_million"])
        return FoundTraffic(Traffic(requests, tokens_in, tokens_out, cost), now, now)
    wanted = body.get("ledger", {})
    project = None
    if "project" in wanted:
        project = access_named(Project.objects.all(), actor, wanted["project"], field="project").pk
    filters = LedgerFilters(model=wanted.get("model"), project=project)
    return find_traffic(actor, end=now, weeks=wanted.get("weeks", _DEFAULT_WEEKS), filters=filters)


def _read_ranges(name: str, body: dict[str, Any], found: FoundTraffic) -> dict[str, Range]:
    """By the core's names; the ledger's own weeks are the traffic's range where none is given."""
    ranges = {}
    form = SCENARIOS[name][0]()
    for field, given in body.get("ranges", {}).items():
        if field == TRAFFIC:
            ranges[TRAFFIC] = _read_range(field, TRAFFIC_PER_CENT, given, Fraction(1))
            continue
        if field not in body[name]:
            known = ", ".join([TRAFFIC, *body[name]])
            sentence = f"There is no such assumption in this scenario: a range may have {known}."
            raise InvalidField(sentence, field=f"ranges.{field}")
        ranges[CORE_NAMES.get(field, field)] = _read_range(field, form.fields[field], given, body[name][field])
    if TRAFFIC not in ranges and found.quietest is not None and found.busiest is not None:
        ranges[TRAFFIC] = Range(found.quietest, Fraction(1), found.busiest)
    return ranges


def _read_range(field: str, reader: Any, given: dict[str, Any], likely: Fraction) -> Range:
    ends = []
    for end in ("low", "high"):
        try:
            ends.append(reader.to_internal_value(given[end]))
        except serializers.ValidationError as error:
            raise serializers.ValidationError({"ranges": {field: {end: error.detail}}}) from error
    if not ends[0] <= likely <= ends[1]:
        what = "100, the average day," if field == TRAFFIC else "the assumption itself"
        raise InvalidField(f"Give a low and a high with {what} between them.", field=f"ranges.{field}")
    return Range(ends[0], likely, ends[1])


def _show_day(found: FoundTraffic, cost: int, *, is_ledger: bool) -> dict[str, Any]:
    day = found.day
    amounts = {name: format_decimal(getattr(day, name), 3) for name in ("requests", "input_tokens", "output_tokens")}
    bounds = {"from": found.start if is_ledger else None, "to": found.end if is_ledger else None}
    return amounts | bounds | {"cost": cost}


def _show_days(days: Fraction | None) -> str | None:
    return None if days is None else format_decimal(days, 4)


def _show_spread(spread: Spread, seed: int) -> dict[str, Any]:
    days = spread.break_even_days
    return {
        "trials": spread.trials,
        "seed": seed,
        **{verdict.value: count for verdict, count in spread.verdicts.items()},
        "saving_per_day": spread.saving,
        "net": spread.net,
        "break_even_days": Band(_show_days(days.low), _show_days(days.middle), _show_days(days.high)),
    }
