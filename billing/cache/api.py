"""/cache: what it did, what is in it, and why a call was answered from it."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.cache.selectors import (
    access_entry,
    explain,
    list_entries,
    prove_savings,
    read_shadow_report,
    read_stats,
    sealer_of,
)
from billing.routes.api import ArmAnswer, EffectAnswer, QualityAnswer
from billing.spend.api.query import RANGE_PARAMETERS
from billing.spend.core.ranges import read_range
from costhub.lib import clock
from proxy.cache.actions import forget_entry
from proxy.cache.model import CacheEntry
from proxy.cache.sealed_questions import open_text, place_of_question
from tenants.api.base import ManagementView, TenantViewSet
from tenants.api.fields import Usd
from tenants.choices import Permission


class LevelAnswer(serializers.Serializer[Any]):
    """The calls of one status, as the ledger names it."""

    status = serializers.CharField()
    requests = serializers.IntegerField()
    list_cost = Usd()
    effective_cost = Usd()
    saved = Usd()


class ProviderCacheAnswer(serializers.Serializer[Any]):
    """The providers' own prompt caches: tokens read and written, and what that saved net of writing."""

    read_tokens = serializers.IntegerField()
    written_tokens = serializers.IntegerField()
    saved = Usd()


class CacheStatsAnswer(serializers.Serializer[Any]):
    """What the cache did in a stretch of time, from the ledger: ``saved`` is what the ledger attributes to it,
    ``effect`` and ``proven`` what calls held out prove, a call and over all that were ``treated``; null while no model
    has thirty calls in each arm. ``quality`` compares what applications said of the answers."""

    looked_up = serializers.IntegerField()
    hits = serializers.IntegerField()
    hit_rate_per_mille = serializers.IntegerField()
    saved = Usd()
    levels = LevelAnswer(many=True)
    provider = ProviderCacheAnswer()
    treated = ArmAnswer()
    held_out = ArmAnswer()
    effect = EffectAnswer(allow_null=True)
    proven = EffectAnswer(allow_null=True)
    quality = QualityAnswer(allow_null=True)


class CacheShadowAnswer(serializers.Serializer[Any]):
    """Look-ups by meaning that are remembered: how many would have been hits, how many of those were asked all the same
    to learn whether they would have been right, of how many the truth is known, and how many of these were wrong; and
    from how many the gate has learned."""

    lookups = serializers.IntegerField()
    would_serve = serializers.IntegerField()
    rechecked = serializers.IntegerField()
    known = serializers.IntegerField()
    wrong = serializers.IntegerField()
    learned_from = serializers.IntegerField()


class CacheEntryAnswer(serializers.ModelSerializer[CacheEntry]):
    """A question of the semantic level. ``id`` is the request that brought its answer."""

    scope = serializers.SerializerMethodField()

    class Meta:
        model = CacheEntry
        fields = ("id", "scope", "model", "tags", "question", "created_at", "expires_at")

    def get_scope(self, row: CacheEntry) -> str:
        """As purges name it."""
        return bytes(row.scope).hex()

    def to_representation(self, instance: CacheEntry) -> dict[str, Any]:
        """With the question as it was asked."""
        sealer = sealer_of(self.context["view"].actor)
        question = open_text(sealer, place_of_question(instance.id), instance.question)
        return super().to_representation(instance) | {"question": question}


class LookupAnswer(serializers.Serializer[Any]):
    """How a call was compared with what is kept. ``likelihood`` is that of the candidate's answer being right (its
    cosine, before the gate has learned), ``veto`` the guard that objected, ``right`` what became known."""

    asked = serializers.CharField()
    kept_question = serializers.CharField()
    entry_id = serializers.UUIDField(allow_null=True)
    similarity = serializers.FloatField()
    likelihood = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField(allow_null=True)
    veto = serializers.CharField()
    was_served = serializers.BooleanField()
    is_shadow = serializers.BooleanField()
    is_recheck = serializers.BooleanField()
    right = serializers.BooleanField(allow_null=True)


class CacheRequestAnswer(serializers.Serializer[Any]):
    """Why a call got the answer that it got. Without a ``lookup`` the kept call was equal, or there was none."""

    request = serializers.UUIDField()
    cache_status = serializers.CharField()
    entry = serializers.UUIDField(allow_null=True)
    saved = Usd()
    lookup = LookupAnswer(allow_null=True)


class CacheStatsView(ManagementView):
    """The numbers."""

    known_parameters = frozenset({"range", "from", "to"})

    @extend_schema(parameters=RANGE_PARAMETERS, responses=CacheStatsAnswer)
    def get(self, request: Request) -> Response:
        """What the cache did in the current month, or in a stretch of time."""
        span = read_range(request.query_params, clock.now(), self.actor.org.time_zone)
        stats = read_stats(self.actor, span.start, span.end)
        proof = prove_savings(self.actor, span.start, span.end)
        names = ("looked_up", "hits", "hit_rate_per_mille", "saved", "levels", "provider")
        told: dict[str, Any] = {name: getattr(stats, name) for name in names}
        told |= {name: getattr(proof, name) for name in ("treated", "held_out", "effect", "proven", "quality")}
        return Response(CacheStatsAnswer(told).data)


class CacheShadowView(ManagementView):
    """The report of the semantic level."""

    @extend_schema(responses=CacheShadowAnswer)
    def get(self, request: Request) -> Response:
        """What the semantic level would have done, or did, and how often that was wrong."""
        self.actor.check(Permission.READ_MONEY)
        return Response(CacheShadowAnswer(read_shadow_report(self.actor)).data)


class CacheRequestView(ManagementView):
    """One call."""

    @extend_schema(responses=CacheRequestAnswer)
    def get(self, request: Request, pk: str) -> Response:
        """Why a call was answered from the cache, or was not, with both questions where they were compared."""
        self.actor.check(Permission.READ_MONEY)
        return Response(CacheRequestAnswer(explain(self.actor, pk)).data)


class CacheEntryViewSet(TenantViewSet):
    """Questions of the semantic level."""

    queryset = CacheEntry.objects.all()
    serializer_class = CacheEntryAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[CacheEntry]:
        """Those of the open organisation."""
        return list_entries(self.actor)

    def access(self, pk: str) -> CacheEntry:
        """One of them. Raises NotFound."""
        return access_entry(self.actor, pk)

    def destroy(self, request: Request, pk: str) -> Response:
        """Give the entry up: nobody gets its answer any more."""
        forget_entry(actor=self.actor, entry_id=pk)
        return Response(status=204)
