"""/routes/{id}/savings and what a route has learned, the playground, what compression saved and what it keeps,
/what-if."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.routes.core.holdout import Arm, Effect
from billing.routes.core.keeping import Kept
from billing.routes.core.what_if import Band
from billing.routes.learned import bring_back_learned
from billing.routes.playground import plan_request
from billing.routes.prompts import preview
from billing.routes.selectors import (
    OF_KEEPING,
    Replay,
    list_learned,
    read_comparisons,
    read_compression_report,
    read_keeping,
    read_route_report,
    read_thresholds,
    replay_calls,
    replay_threshold,
)
from billing.spend.api.query import RANGE_PARAMETERS
from billing.spend.core.ranges import Range, read_range
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.money import Picos, compile_price
from proxy.routing.model import LearnedRoute
from tenants.access import access_row
from tenants.actions.routes import use_learned
from tenants.actions.system_prompts import MOST_CHARACTERS
from tenants.api.base import ManagementView
from tenants.api.fields import Amount, Body, Flag, Nothing, Text, Usd, Whole
from tenants.choices import Permission
from tenants.models import Route
from tenants.price_terms import check_amount
from tenants.selectors import list_compression_policies, list_routes

_RANGE_NAMES: Final = frozenset({"range", "from", "to"})
_MOST_LEARNED: Final = 50


class ArmAnswer(serializers.Serializer[Any]):
    """Calls that were treated alike; ``mean`` is what one cost. Of ``told`` an application has said whether the answer
    was right, and of ``right`` that it was."""

    calls = serializers.IntegerField()
    cost = Usd()
    mean = Usd()
    told = serializers.IntegerField()
    right = serializers.IntegerField()


class EffectAnswer(serializers.Serializer[Any]):
    """What a call costs less because of the policy, and between what that lies in 95 of 100 cases."""

    a_call = Usd()
    low = Usd()
    high = Usd()


class QualityAnswer(serializers.Serializer[Any]):
    """By how much more often answers are right with the policy than without, in hundredths of a percentage point, and
    between what that lies in 95 of 100 cases."""

    difference = serializers.IntegerField()
    low = serializers.IntegerField()
    high = serializers.IntegerField()


class ShareAnswer(serializers.Serializer[Any]):
    """Calls of one arm that one model served last; ``several`` asked more than one."""

    arm = serializers.CharField()
    model = serializers.CharField()
    calls = serializers.IntegerField()
    cost = Usd()
    saved = Usd()
    several = serializers.IntegerField()


class ComparisonsAnswer(serializers.Serializer[Any]):
    """What was asked beside the calls, to learn from: answers that were the ``same``, and ``other`` ones."""

    calls = serializers.IntegerField()
    cost = Usd()
    same = serializers.IntegerField()
    other = serializers.IntegerField()


class RouteSavingsAnswer(serializers.Serializer[Any]):
    """What a route did: ``saved`` is what the ledger attributes to it, ``effect`` and ``proven`` what calls held out
    prove, a call and over all that were routed; null while an arm has fewer than thirty calls. ``quality``
    compares what applications said of the answers; null while of an arm fewer than thirty were told of."""

    calls = serializers.IntegerField()
    saved = Usd()
    shares = ShareAnswer(many=True)
    routed = ArmAnswer()
    held_out = ArmAnswer()
    effect = EffectAnswer(allow_null=True)
    proven = EffectAnswer(allow_null=True)
    quality = QualityAnswer(allow_null=True)
    comparisons = ComparisonsAnswer()


class CompressionSavingsAnswer(serializers.Serializer[Any]):
    """What compression did, in the same words; ``watched`` calls of a policy in shadow would have saved
    ``shadow_tokens``. ``scoring`` is what models were paid for saying which words could be guessed, and is not taken
    off ``saved``."""

    saved = Usd()
    scoring = Usd()
    compressed = ArmAnswer()
    held_out = ArmAnswer()
    watched = serializers.IntegerField()
    shadow_tokens = serializers.IntegerField()
    effect = EffectAnswer(allow_null=True)
    proven = EffectAnswer(allow_null=True)
    quality = QualityAnswer(allow_null=True)


class LearnedAnswer(serializers.ModelSerializer[LearnedRoute]):
    """What a route learned at one time. ``is_used``: it decides by this one now."""

    is_used = serializers.SerializerMethodField()

    class Meta:
        model = LearnedRoute
        fields = ("id", "made_at", "kind", "labels", "report", "is_used")

    def get_is_used(self, row: LearnedRoute) -> bool:
        """Whether the route decides by it."""
        return bool(self.context["used"] == str(row.pk))


class LearnBody(Body):
    """Which of what the route has learned: a version's id, or without one the newest that it can decide by."""

    version = Text(required=False, allow_blank=True)


class InForceAnswer(serializers.Serializer[Any]):
    """By what the route decides: the id of what was learned, or nothing."""

    learned = serializers.CharField()


class PlaygroundBody(Body):
    """A request's body as it would be sent to /v1, with our headers, by a key's id or by one that may use every model.
    ``endpoint`` is the path below /v1 that it would be sent to; without one, what the body looks like."""

    body = serializers.DictField()
    headers = serializers.DictField(child=Text(), required=False)
    key = Text(required=False, allow_blank=True)
    endpoint = Text(required=False, allow_blank=True)


class PlaygroundAnswer(serializers.Serializer[Any]):
    """Where it would go and why, and the most that a try at each model might cost."""

    reason = serializers.CharField()
    route = serializers.DictField(allow_null=True)
    rungs = serializers.ListField(child=serializers.CharField())
    is_cascade = serializers.BooleanField()
    candidates = serializers.ListField(child=serializers.DictField())
    compression = serializers.CharField()


class WhatIfBody(Body):
    """Past calls of a model or route, and the policy that they are replayed under. ``to`` is another model, or a route
    of a kind that reads no prompts: fixed, fallbacks, weighted or canary. Only what is given changes; the two
    prices, in USD for a million tokens, go together, and without ``to``.
    ``confidence_percent`` is of a cascade, and goes with none of the others."""

    model = Text()
    range = Text(required=False)
    to = Text(required=False)
    input_per_million = Amount(required=False)
    output_per_million = Amount(required=False)
    share_percent = Whole(required=False, min_value=1, max_value=100)
    compression_percent = serializers.ListField(
        child=Whole(min_value=0, max_value=95), required=False, min_length=2, max_length=2
    )
    is_batch = Flag(required=False)
    confidence_percent = Whole(required=False, min_value=1, max_value=99)


class DistilBody(Body):
    """A system prompt."""

    text = Text(max_length=MOST_CHARACTERS)


class DistilAnswer(serializers.Serializer[Any]):
    """A proposal for shorter words, the sentences that it leaves out, and the tokens of both by OpenAI's vocabulary.
    Nothing is kept of it."""

    text = serializers.CharField()
    dropped = serializers.ListField(child=serializers.CharField())
    tokens_before = serializers.IntegerField()
    tokens_after = serializers.IntegerField()


class BandAnswer(serializers.Serializer[Any]):
    """Between what it lies."""

    low = Usd()
    high = Usd()


class WhatIfAnswer(serializers.Serializer[Any]):
    """What the calls did cost, what they would have cost, what that saves, and what it rests on."""

    calls = serializers.IntegerField()
    cost = Usd()
    then = BandAnswer()
    saved = BandAnswer()
    assumptions = serializers.ListField(child=serializers.CharField())


class ThresholdAnswer(serializers.Serializer[Any]):
    """What the calls would have come to with a confidence that is enough."""

    confidence_percent = serializers.IntegerField()
    then = BandAnswer()
    saved = BandAnswer()
    went_up = serializers.IntegerField()
    right_per_mille = serializers.IntegerField(allow_null=True)


class ThresholdsAnswer(serializers.Serializer[Any]):
    """A cascade's cost and quality by its confidence, from its past calls. ``confidence_percent`` is the one in
    force."""

    calls = serializers.IntegerField()
    cost = Usd()
    confidence_percent = serializers.IntegerField()
    points = ThresholdAnswer(many=True)
    assumptions = serializers.ListField(child=serializers.CharField())


class RouteThresholdsView(ManagementView):
    """Cost and quality of a cascade by its confidence."""

    known_parameters = _RANGE_NAMES

    @extend_schema(operation_id="route_thresholds", parameters=RANGE_PARAMETERS, responses=ThresholdsAnswer)
    def get(self, request: Request, pk: str) -> Response:
        """What its calls would have cost with each confidence from 1 to 100 per cent, and how often they would have
        been answered right where it has learned from labels."""
        self.actor.check(Permission.READ_MONEY)
        route = access_row(list_routes(self.actor), self.actor, pk)
        span = _read_span(self, request)
        found = read_thresholds(self.actor, route, span.start, span.end)
        points = [point._asdict() | {"saved": found.saved(point)} for point in found.points]
        shown = {"calls": found.calls, "cost": found.cost, "points": points, "assumptions": found.assumptions}
        return Response(ThresholdsAnswer(shown | {"confidence_percent": found.confidence_percent}).data)


class MeasuredAnswer(serializers.Serializer[Any]):
    """What public texts kept at a setting."""

    times_shorter = serializers.DecimalField(max_digits=4, decimal_places=2)
    kept_per_mille = serializers.IntegerField()
    low_per_mille = serializers.IntegerField()
    high_per_mille = serializers.IntegerField()


class KeptPointAnswer(serializers.Serializer[Any]):
    """What the calls would have come to with a share kept."""

    percent = serializers.IntegerField()
    then = BandAnswer(allow_null=True)
    measured = MeasuredAnswer(allow_null=True)


class KeptAnswer(serializers.Serializer[Any]):
    """The cost of a compression policy's past calls by the share that is kept, beside what public texts kept."""

    calls = serializers.IntegerField()
    as_they_came = Usd()
    words = KeptPointAnswer(many=True)
    passages = KeptPointAnswer(many=True)
    assumptions = serializers.ListField(child=serializers.CharField())


class CompressionKeptView(ManagementView):
    """Cost and quality of a compression policy by the share that it keeps."""

    known_parameters = _RANGE_NAMES

    @extend_schema(operation_id="compression_kept", parameters=RANGE_PARAMETERS, responses=KeptAnswer)
    def get(self, request: Request, pk: str) -> Response:
        """What its calls would have cost with each share of words and of passages kept, and what public texts kept at
        those that were measured."""
        self.actor.check(Permission.READ_MONEY)
        policy = access_row(list_compression_policies(self.actor), self.actor, pk)
        span = _read_span(self, request)
        found = read_keeping(self.actor, policy, span.start, span.end)
        shown = {
            "calls": found.calls,
            "as_they_came": found.whole,
            "words": list(map(_show_kept, found.words)),
            "passages": list(map(_show_kept, found.passages)),
            "assumptions": OF_KEEPING,
        }
        return Response(KeptAnswer(shown).data)


def _show_kept(point: Kept) -> dict[str, Any]:
    told = point.measured
    measured = told and {
        "times_shorter": Decimal(told.ratio) / 100,
        "kept_per_mille": told.kept,
        "low_per_mille": told.low,
        "high_per_mille": told.high,
    }
    return {"percent": point.percent, "then": point.then, "measured": measured}


class RouteSavingsView(ManagementView):
    """What a route saved."""

    known_parameters = _RANGE_NAMES

    @extend_schema(operation_id="route_savings", parameters=RANGE_PARAMETERS, responses=RouteSavingsAnswer)
    def get(self, request: Request, pk: str) -> Response:
        """By arm and model, attributed and proven."""
        self.actor.check(Permission.READ_MONEY)
        route = access_row(list_routes(self.actor), self.actor, pk)
        span = _read_span(self, request)
        report = read_route_report(self.actor, route, span.start, span.end)
        proven = report.effect.times(report.routed.calls) if report.effect else None
        shown = {
            "calls": report.calls,
            "saved": report.saved,
            "shares": report.shares,
            "routed": report.routed,
            "held_out": report.held_out,
            "effect": report.effect,
            "proven": proven,
            "quality": report.quality,
            "comparisons": read_comparisons(self.actor, route, span.start, span.end),
        }
        return Response(RouteSavingsAnswer(shown).data)


class CompressionSavingsView(ManagementView):
    """What compression saved."""

    known_parameters = _RANGE_NAMES

    @extend_schema(operation_id="compression_savings", parameters=RANGE_PARAMETERS, responses=CompressionSavingsAnswer)
    def get(self, request: Request) -> Response:
        """Attributed and proven."""
        self.actor.check(Permission.READ_MONEY)
        span = _read_span(self, request)
        report = read_compression_report(self.actor, span.start, span.end)
        proven = report.effect.times(report.compressed.calls) if report.effect else None
        arms: dict[str, Arm | Effect | int | None] = {
            name: getattr(report, name)
            for name in ("saved", "scoring", "compressed", "held_out", "watched", "shadow_tokens")
        }
        return Response(
            CompressionSavingsAnswer(
                {**arms, "effect": report.effect, "proven": proven, "quality": report.quality}
            ).data
        )


class LearnedView(ManagementView):
    """What a route has learned."""

    @extend_schema(
        operation_id="route_learned",
        responses=inline_serializer("LearnedListAnswer", {"data": serializers.ListField(child=LearnedAnswer())}),
    )
    def get(self, request: Request, pk: str) -> Response:
        """Every version, the newest first."""
        self.actor.check(Permission.READ)
        route = access_row(list_routes(self.actor), self.actor, pk)
        rows = list(list_learned(self.actor, route)[:_MOST_LEARNED])
        return Response({"data": LearnedAnswer(rows, many=True, context={"used": route.learned}).data})


class UnlearnView(ManagementView):
    """The kill switch."""

    @extend_schema(operation_id="route_unlearn", request=Nothing, responses=InForceAnswer)
    def post(self, request: Request, pk: str) -> Response:
        """Have the route decide by nothing learned, from the next call on."""
        self.read(Nothing)
        self.actor.check(Permission.WRITE_SETTINGS)
        route: Route = access_row(list_routes(self.actor), self.actor, pk)
        use_learned(actor=self.actor, route=route, learned="")
        return Response({"learned": route.learned})


class LearnView(ManagementView):
    """The way back from the kill switch."""

    @extend_schema(operation_id="route_learn", request=LearnBody, responses=InForceAnswer)
    def post(self, request: Request, pk: str) -> Response:
        """Have the route decide by what it has learned, from the next call on: again, or by another version."""
        given = self.read(LearnBody)
        route: Route = access_row(list_routes(self.actor), self.actor, pk)
        bring_back_learned(actor=self.actor, route=route, version=given.get("version", ""))
        return Response({"learned": route.learned})


class PlaygroundView(ManagementView):
    """Plans that are not carried out."""

    @extend_schema(operation_id="route_playground", request=PlaygroundBody, responses=PlaygroundAnswer)
    def post(self, request: Request) -> Response:
        """Where a request would go."""
        given = self.read(PlaygroundBody)
        headers = {name.lower(): value for name, value in given.get("headers", {}).items()}
        try:
            # Integers of any size, and decimals as the numbers that they were.
            raw = json.dumps(given["body"], default=float).encode()
        except RecursionError as error:
            raise InvalidField("The body is nested too deeply.", field="body") from error
        return Response(plan_request(self.actor, raw, headers, given.get("key", ""), given.get("endpoint", "")))


class DistilView(ManagementView):
    """Proposals for system prompts."""

    @extend_schema(operation_id="distil_system_prompt", request=DistilBody, responses=DistilAnswer)
    def post(self, request: Request) -> Response:
        """What a system prompt says without what does not instruct, for a person to look at."""
        self.actor.check(Permission.READ)
        return Response(DistilAnswer(preview(self.read(DistilBody)["text"])).data)


class WhatIfView(ManagementView):
    """Past calls under another policy."""

    @extend_schema(operation_id="what_if", request=WhatIfBody, responses=WhatIfAnswer)
    def post(self, request: Request) -> Response:
        """What they would have cost."""
        given = self.read(WhatIfBody)
        low, high = given.get("compression_percent", (0, 0))
        if low > high:
            raise InvalidField("Give the least first, then the most.", field="compression_percent")
        span = read_range({"range": given.get("range", "30d")}, clock.now(), self.actor.org.time_zone)
        if "confidence_percent" in given:
            return Response(WhatIfAnswer(_show_replay(self._replay_threshold(given, span))).data)
        found = replay_calls(
            self.actor,
            span.start,
            span.end,
            model=given["model"],
            to=given.get("to"),
            prices=_read_prices(given),
            share_percent=given.get("share_percent", 100),
            off_percent=(low, high),
            is_batch=given.get("is_batch", False),
        )
        return Response(WhatIfAnswer(_show_replay(found)).data)

    def _replay_threshold(self, given: dict[str, Any], span: Range) -> Replay:
        if others := sorted(set(given) - {"model", "range", "confidence_percent"}):
            raise InvalidField(
                "This does not go with confidence_percent: ask for one after the other.", field=others[0]
            )
        return replay_threshold(
            self.actor, span.start, span.end, name=given["model"], confidence_percent=given["confidence_percent"]
        )


def _read_prices(given: Mapping[str, Any]) -> tuple[Picos, Picos] | None:
    names = ("input_per_million", "output_per_million")
    missing = [name for name in names if name not in given]
    if len(missing) == 1:
        raise InvalidField("Give the prices of input and of output.", field=missing[0])
    if missing:
        return None
    into, out = (compile_price(check_amount(given[name], name)) for name in names)
    return into, out


def _show_replay(found: Replay) -> dict[str, Any]:
    bands: dict[str, Band] = {"then": found.then, "saved": found.saved}
    return {"calls": found.calls, "cost": found.cost, "assumptions": found.assumptions, **bands}


def _read_span(view: ManagementView, request: Request) -> Range:
    return read_range(request.query_params.dict(), clock.now(), view.actor.org.time_zone)
