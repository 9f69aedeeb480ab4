"""/cache-policies and /cache-purges."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.cache import create_cache_policy, delete_cache_policy, purge_cache, update_cache_policy
from tenants.api.base import TenantViewSet
from tenants.api.fields import Amount, Answer, Body, Choice, Flag, Moment, Text, Whole
from tenants.choices import CacheMode, CacheSharing, PurgeKind
from tenants.models import CachePolicy, CachePurge
from tenants.selectors import list_cache_policies, list_cache_purges


class CachePolicyAnswer(Answer):
    """What the cache may do for a model, or with an empty ``model`` for all that have no policy of their own."""

    max_temperature = Amount()
    max_error_rate = Amount()

    class Meta:
        model = CachePolicy
        fields: ClassVar = [
            "id",
            "model",
            "mode",
            "semantic",
            "ttl_seconds",
            "max_temperature",
            "max_error_rate",
            "sharing",
            "marks_prompts",
            "replay_ms",
            "holdout_percent",
            "created_at",
        ]


class CachePolicyChanges(Body):
    """What may change."""

    mode = Choice(CacheMode, required=False)
    semantic = Choice(CacheMode, required=False)
    ttl_seconds = Whole(required=False)
    max_temperature = Amount(required=False)
    max_error_rate = Amount(required=False)
    sharing = Choice(CacheSharing, required=False)
    marks_prompts = Flag(required=False)
    replay_ms = Whole(required=False)
    holdout_percent = Whole(required=False)


class NewCachePolicy(CachePolicyChanges):
    """What a policy is made of; without a ``model`` it is every model's."""

    model = Text(required=False, allow_blank=True)
    mode = Choice(CacheMode)


class CachePolicyViewSet(TenantViewSet):
    """What the cache may do, by model."""

    queryset = CachePolicy.objects.all()
    serializer_class = CachePolicyAnswer

    def rows(self) -> QuerySet[CachePolicy]:
        """Those of the open organisation."""
        return list_cache_policies(self.actor)

    @extend_schema(request=NewCachePolicy, responses={201: CachePolicyAnswer})
    def create(self, request: Request) -> Response:
        """Say what the cache may do for a model, or for all."""
        return self.show(create_cache_policy(actor=self.actor, **self.read(NewCachePolicy)), 201)

    @extend_schema(request=CachePolicyChanges, responses=CachePolicyAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what the cache may do."""
        policy = self.access(pk)
        return self.show(update_cache_policy(actor=self.actor, policy=policy, **self.read(CachePolicyChanges)))

    def destroy(self, request: Request, pk: str) -> Response:
        """The model has no policy of its own any more."""
        delete_cache_policy(actor=self.actor, policy=self.access(pk))
        return Response(status=204)


class CachePurgeAnswer(Answer):
    """Answers kept before a moment are not given any more."""

    class Meta:
        model = CachePurge
        fields: ClassVar = ["id", "kind", "subject", "before", "created_at"]


class NewCachePurge(Body):
    """What is given up: all, or a model, tag (``team=search``), scope or entry; kept before now, or before a moment."""

    kind = Choice(PurgeKind)
    subject = Text(required=False, allow_blank=True)
    before = Moment(required=False)


class CachePurgeViewSet(TenantViewSet):
    """What was given up of the cache."""

    queryset = CachePurge.objects.all()
    serializer_class = CachePurgeAnswer

    def rows(self) -> QuerySet[CachePurge]:
        """Those of the open organisation that are in force."""
        return list_cache_purges(self.actor)

    @extend_schema(request=NewCachePurge, responses={201: CachePurgeAnswer})
    def create(self, request: Request) -> Response:
        """Give up what is in the cache."""
        return self.show(purge_cache(actor=self.actor, **self.read(NewCachePurge)), 201)
