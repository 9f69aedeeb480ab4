"""/routes, their versions, and /compression-policies."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.compression import (
    create_compression_policy,
    delete_compression_policy,
    update_compression_policy,
)
from tenants.actions.route_policies import MOST_LISTED, MOST_TARGETS
from tenants.actions.routes import create_route, delete_route, roll_back, update_route
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Flag, Text, Usd, Whole
from tenants.choices import Compression, Mode, Permission, RouteKind, Sticky
from tenants.models import CompressionPolicy, Route, RouteVersion
from tenants.selectors import list_compression_policies, list_route_changes, list_route_versions, list_routes


class Condition(Body):
    """For which calls a target is there: all that is said must hold. Lengths are in tokens of about four bytes;
    ``is_degraded``: a budget's ladder has the call on a rung."""

    tags = serializers.DictField(child=Text(), required=False)
    end_users = serializers.ListField(child=Text(), required=False, max_length=MOST_LISTED)
    min_tokens = Whole(required=False)
    max_tokens = Whole(required=False)
    has_tools = Flag(required=False)
    is_degraded = Flag(required=False)


class Target(Body):
    """A model that a route may choose."""

    model = Text()
    weight = Whole(required=False)
    when = Condition(required=False)


class RouteChanges(Body):
    """What may change. Which settings there are depends on the kind: docs/routes.md has them."""

    kind = Choice(RouteKind, required=False)
    mode = Choice(Mode, required=False)
    targets = serializers.ListField(child=Target(), required=False, max_length=MOST_TARGETS)
    baseline = Text(required=False, allow_blank=True)
    sticky = Choice(Sticky, required=False)
    holdout_percent = Whole(required=False)
    share_percent = Whole(required=False)
    hard_from = Text(required=False)
    answer_worth = Usd(required=False)
    explore_percent = Whole(required=False)
    confidence_percent = Whole(required=False)
    latency_cap_ms = Whole(required=False)
    agreement_samples = Whole(required=False)
    compare_percent = Whole(required=False)
    compare_monthly_limit = Usd(required=False)
    pack_window_ms = Whole(required=False)
    pack_most = Whole(required=False)
    deadline_seconds = Whole(required=False)
    stopped_tasks = serializers.ListField(child=Text(), required=False, max_length=MOST_LISTED)
    is_learning = Flag(required=False)


class NewRoute(RouteChanges):
    """What a route is made of."""

    name = Text()
    kind = Choice(RouteKind)
    mode = Choice(Mode)
    targets = serializers.ListField(child=Target(), max_length=MOST_TARGETS)


class PolicyAnswer(serializers.Serializer[Any]):
    """A route's targets and settings; those that its kind does not have are left out."""

    targets = serializers.ListField(child=Target())
    baseline = serializers.CharField()
    sticky = serializers.CharField(required=False)
    holdout_percent = serializers.IntegerField(required=False)
    share_percent = serializers.IntegerField(required=False)
    hard_from = serializers.CharField(required=False)
    answer_worth = Usd(required=False)
    explore_percent = serializers.IntegerField(required=False)
    confidence_percent = serializers.IntegerField(required=False)
    latency_cap_ms = serializers.IntegerField(required=False)
    agreement_samples = serializers.IntegerField(required=False)
    compare_percent = serializers.IntegerField(required=False)
    compare_monthly_limit = Usd(required=False)
    pack_window_ms = serializers.IntegerField(required=False)
    pack_most = serializers.IntegerField(required=False)
    deadline_seconds = serializers.IntegerField(required=False)
    stopped_tasks = serializers.ListField(child=serializers.CharField(), required=False)
    is_learning = serializers.BooleanField(required=False)


class RouteAnswer(Answer):
    """A route as it is now. ``learned`` is the id of what it has learned and decides by."""

    policy = PolicyAnswer()

    class Meta:
        model = Route
        fields: ClassVar = ["id", "name", "kind", "mode", "version", "policy", "learned", "created_at"]


class RouteVersionAnswer(Answer):
    """A route as it was. ``changed``: old and new value of each field that the version before has otherwise."""

    policy = PolicyAnswer()
    changed = serializers.SerializerMethodField()

    class Meta:
        model = RouteVersion
        fields: ClassVar = ["number", "kind", "mode", "policy", "made_by", "created_at", "changed"]

    def get_changed(self, row: RouteVersion) -> dict[str, list[Any]]:
        """By field: what it was before, and what it was then."""
        return {field: list(values) for field, values in self.context["changes"][row.number].items()}


class Rollback(Body):
    """To which version."""

    number = Whole()


class RouteViewSet(TenantViewSet):
    """Virtual models, and which model answers for each."""

    queryset = Route.objects.all()
    serializer_class = RouteAnswer

    def rows(self) -> QuerySet[Route]:
        """Those of the open organisation."""
        return list_routes(self.actor)

    @extend_schema(request=NewRoute, responses={201: RouteAnswer})
    def create(self, request: Request) -> Response:
        """Make a route."""
        return self.show(create_route(actor=self.actor, **_plain(self.read(NewRoute))), 201)

    @extend_schema(request=RouteChanges, responses=RouteAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a route: a new version of it."""
        changes = _plain(self.read(RouteChanges))
        return self.show(update_route(actor=self.actor, route=self.access(pk), **changes))

    def destroy(self, request: Request, pk: str) -> Response:
        """Nobody can ask for it any more."""
        delete_route(actor=self.actor, route=self.access(pk))
        return Response(status=204)

    @extend_schema(
        responses=inline_serializer("RouteVersionsAnswer", {"data": serializers.ListField(child=RouteVersionAnswer())})
    )
    @action(detail=True, methods=["get"])
    def versions(self, request: Request, pk: str) -> Response:
        """Every version, the newest first, with what each changed."""
        self.actor.check(Permission.READ)
        route = self.access(pk)
        rows = list(list_route_versions(self.actor, route))
        context = {**self.get_serializer_context(), "changes": list_route_changes(self.actor, route)}
        return Response({"data": RouteVersionAnswer(rows, many=True, context=context).data})

    @extend_schema(request=Rollback, responses=RouteAnswer)
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, pk: str) -> Response:
        """Make the route what it was, as a new version."""
        return self.show(roll_back(actor=self.actor, route=self.access(pk), **self.read(Rollback)))


class CompressionPolicyAnswer(Answer):
    """How prompts are shortened of a model or route, or with an empty ``model`` of all without a policy of their
    own."""

    class Meta:
        model = CompressionPolicy
        fields: ClassVar = [
            *["id", "model", "mode", "methods", "keep_percent", "extract_percent", "holdout_percent", "scorer"],
            "created_at",
        ]


class CompressionPolicyChanges(Body):
    """What may change. ``keep_percent``: of the words, when pruning; 0 drops words of grammar only.
    ``extract_percent``: of passages or turns, by their length, when extracting; 0 keeps what their question needs.
    ``scorer``: the model that says which words could be guessed, where they are pruned by perplexity."""

    mode = Choice(Mode, required=False)
    methods = serializers.ListField(child=Choice(Compression), required=False, max_length=len(Compression))
    keep_percent = Whole(required=False)
    extract_percent = Whole(required=False)
    holdout_percent = Whole(required=False)
    scorer = Text(required=False, allow_blank=True)


class NewCompressionPolicy(CompressionPolicyChanges):
    """What a policy is made of."""

    model = Text(required=False, allow_blank=True)
    mode = Choice(Mode)


class CompressionPolicyViewSet(TenantViewSet):
    """How prompts are shortened, by model or route."""

    queryset = CompressionPolicy.objects.all()
    serializer_class = CompressionPolicyAnswer

    def rows(self) -> QuerySet[CompressionPolicy]:
        """Those of the open organisation."""
        return list_compression_policies(self.actor)

    @extend_schema(request=NewCompressionPolicy, responses={201: CompressionPolicyAnswer})
    def create(self, request: Request) -> Response:
        """Say how prompts are shortened."""
        return self.show(create_compression_policy(actor=self.actor, **self.read(NewCompressionPolicy)), 201)

    @extend_schema(request=CompressionPolicyChanges, responses=CompressionPolicyAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change how prompts are shortened."""
        policy = self.access(pk)
        changes = self.read(CompressionPolicyChanges)
        return self.show(update_compression_policy(actor=self.actor, policy=policy, **changes))

    def destroy(self, request: Request, pk: str) -> Response:
        """There is no such policy any more."""
        delete_compression_policy(actor=self.actor, policy=self.access(pk))
        return Response(status=204)


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    """The body with its targets as plain mappings."""
    if "targets" in body:
        body["targets"] = [{**target, **_when(target)} for target in body["targets"]]
    return body


def _when(target: dict[str, Any]) -> dict[str, Any]:
    return {"when": dict(target["when"])} if "when" in target else {}
