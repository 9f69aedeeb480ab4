"""The cache's numbers, as the ledger has them; what is in the semantic level; and why a call was answered from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Case, Count, IntegerField, Q, QuerySet, Sum, Value, When

from billing.routes.core.holdout import FEWEST_CALLS, Arm, Effect, Quality, compare_quality, compare_strata
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.sums import Question, add_up
from costhub.lib.errors import NotFound
from costhub.lib.money import PICOS_PER_NANO
from proxy.cache.model import CacheEntry, CacheGate, CacheLookup
from proxy.cache.sealed_questions import open_lookups, open_text, place_of_question
from proxy.models import LedgerEntry
from tenants.access import Actor, find_uuid
from tenants.choices import Permission
from tenants.price_histories import find_price_version
from tenants.sealed_rows import Sealer

#: how the ledger names answers that were there already
HITS: Final = ("hit-l1", "hit-l2", "hit-semantic", "coalesced")
#: a search opens the questions of so many entries
MOST_SEARCHED: Final = 20_000
_SHADOWS: Final = ("shadow-hit-l1", "shadow-hit-l2", "shadow-hit-semantic")
#: by model and arm: calls, their costs and squares of costs, and what applications said of the answers
_ARMS: Final = """
    SELECT request_model, cache_status = 'held-out', count(*), coalesce(sum(effective_cost), 0)::bigint,
           coalesce(sum(effective_cost::numeric * effective_cost), 0)::numeric,
           count(told), count(*) FILTER (WHERE is_right)
    FROM (SELECT * FROM proxy_ledgerentry WHERE org_id = %s AND started_at >= %s AND started_at < %s
          ORDER BY started_at DESC LIMIT %s) AS newest
    LEFT JOIN (SELECT org_id AS teller, request_id AS told, is_right FROM proxy_feedback) AS feedback
      ON teller = org_id AND told = id
    WHERE kind = 'call' AND status BETWEEN 200 AND 399
      AND cache_status IN ('held-out', 'hit-l1', 'hit-l2', 'hit-semantic', 'coalesced', 'partial', 'miss', 'recheck')
    GROUP BY 1, 2"""
#: so many of the newest calls are compared: more would make a page wait
MOST_COMPARED: Final = 50_000
#: calls that were looked up
LOOKED_UP: Final = (*HITS, "partial", *_SHADOWS, "miss", "recheck")

_NOBODY: Final = Arm(0, 0, 0)
_MEASURES: Final = (
    "requests",
    "list_cost",
    "effective_cost",
    "saved_by_cache",
    "saved_by_coalescing",
    "cache_read_tokens",
    "cache_write_tokens",
)


@dataclass(frozen=True, slots=True)
class Level:
    """The calls of one status. Money is nano-USD; ``saved`` is what they would have cost."""

    status: str
    requests: int
    list_cost: int
    effective_cost: int
    saved: int


@dataclass(frozen=True, slots=True)
class ProviderCache:
    """What the providers' own prompt caches did: tokens read and written, and nano-USD that reading saved net of what
    writing cost more than plain input. Not one of our savings: the provider bills it so."""

    read_tokens: int
    written_tokens: int
    saved: int


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the cache did in a stretch of time."""

    levels: tuple[Level, ...]
    provider: ProviderCache

    @property
    def looked_up(self) -> int:
        """Calls that were looked up."""
        return sum(level.requests for level in self.levels)

    @property
    def hits(self) -> int:
        """Those that were answered without an upstream call of their own."""
        return sum(level.requests for level in self.levels if level.status in HITS)

    @property
    def hit_rate_per_mille(self) -> int:
        """Hits among them."""
        return self.hits * 1000 // self.looked_up if self.looked_up else 0

    @property
    def saved(self) -> int:
        """Nano-USD, as the ledger attributes them to the cache and to coalescing."""
        return sum(level.saved for level in self.levels)


@dataclass(frozen=True, slots=True)
class CacheProof:
    """What calls that were asked although they might have been hits prove of those that were looked up, over models
    with enough of both; all zeros where there are none."""

    treated: Arm
    held_out: Arm
    effect: Effect | None
    quality: Quality | None

    @property
    def proven(self) -> Effect | None:
        """Over all calls that were looked up."""
        return self.effect.times(self.treated.calls) if self.effect else None


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What is known of look-ups by meaning: how many would have been hits, how many of these were asked all the same,
    and how many of those whose truth is known would have been wrong."""

    lookups: int
    would_serve: int
    rechecked: int
    known: int
    wrong: int
    learned_from: int


def read_stats(actor: Actor, start: datetime, end: datetime) -> CacheStats:
    """What the cache did in ``[start, end)``, as the ledger's rows say it. Who found an answer and was refused by
    a rate limit got none."""
    actor.check(Permission.READ_MONEY)
    question = Question(LedgerFilters(start, end), ("cache", "price"), _MEASURES)
    levels = dict.fromkeys(LOOKED_UP, Level("", 0, 0, 0, 0))
    tokens: dict[UUID, tuple[int, int]] = {}
    for sums in add_up(actor, [question])[question]:
        (status, price_id), amounts = sums.keys, sums.amounts
        if status:
            levels[status] = _add(levels[status], status, amounts)
        if price_id:
            read, written = tokens.get(price_id, (0, 0))
            tokens[price_id] = read + amounts["cache_read_tokens"], written + amounts["cache_write_tokens"]
    return CacheStats(
        tuple(level for level in levels.values() if level.requests), _sum_provider(str(actor.org.pk), tokens)
    )


def prove_savings(actor: Actor, start: datetime, end: datetime) -> CacheProof:
    """What the cache saves a call in ``[start, end)``, by comparison with calls that chance has kept from it, model by
    model, among the newest ``MOST_COMPARED``. Raises Forbidden if the actor may not see money."""
    actor.check(Permission.READ_MONEY)
    arms: dict[str, list[Arm]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_ARMS, [actor.org.pk, start, end, MOST_COMPARED])
        for model, is_held_out, *sums in cursor.fetchall():
            arms.setdefault(model, [_NOBODY, _NOBODY])[is_held_out] = Arm(*map(int, sums))
    pairs = [(treated, held) for treated, held in arms.values() if min(treated.calls, held.calls) >= FEWEST_CALLS]
    treated, held_out = (
        (sum(of_models, start=_NOBODY) for of_models in zip(*pairs, strict=True))
        if pairs
        else (
            _NOBODY,
            _NOBODY,
        )
    )
    return CacheProof(treated, held_out, compare_strata(pairs), compare_quality(treated, held_out))


def find_hit_rate(actor: Actor, start: datetime, end: datetime) -> int | None:
    """Hits among the calls of ``[start, end)`` that were looked up, per mille, as ``CacheStats`` has it; None where
    none was. Of the sums it asks for one: less than ``read_stats``, for a page that says nothing else of the cache.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    question = Question(LedgerFilters(start, end), ("cache",), ("requests",))
    calls = {sums.keys[0]: sums.amounts["requests"] for sums in add_up(actor, [question])[question] if sums.keys[0]}
    looked_up = sum(calls.values())
    return sum(calls.get(status, 0) for status in HITS) * 1000 // looked_up if looked_up else None


def _add(level: Level, status: str, amounts: Mapping[str, int]) -> Level:
    return Level(
        status,
        level.requests + amounts["requests"],
        level.list_cost + amounts["list_cost"],
        level.effective_cost + amounts["effective_cost"],
        level.saved + amounts["saved_by_cache"] + amounts["saved_by_coalescing"],
    )


def sealer_of(actor: Actor) -> Sealer:
    """What opens questions of the actor's organisation."""
    return Sealer(str(actor.org.pk), bytes(actor.org.data_key))


def list_entries(actor: Actor) -> QuerySet[CacheEntry]:
    """Questions of the semantic level, sealed as they are kept; ``sealed_questions.open_entries`` opens them."""
    return CacheEntry.objects.filter(org_id=actor.org.pk).defer("packed")


def search_entries(actor: Actor, text: str) -> QuerySet[CacheEntry]:
    """Those with a text in their model or, of the newest ``MOST_SEARCHED``, in their question, whatever its case; all
    of them without a text. Sealed as ``list_entries`` has them."""
    rows = list_entries(actor)
    if not text:
        return rows
    sealer, wanted = sealer_of(actor), text.casefold()
    newest = rows.order_by("-created_at").values_list("id", "question")[:MOST_SEARCHED]
    found = [
        entry_id
        for entry_id, question in newest.iterator()
        if wanted in open_text(sealer, place_of_question(entry_id), question).casefold()
    ]
    return rows.filter(Q(id__in=found) | Q(model__icontains=text))


def access_entry(actor: Actor, entry_id: str) -> CacheEntry:
    """One of them by its id, sealed. Raises NotFound."""
    wanted = find_uuid(entry_id)
    entry = list_entries(actor).filter(id=wanted).first() if wanted else None
    if entry is None:
        raise NotFound("There is no such cache entry.")
    return entry


def list_lookups(actor: Actor) -> QuerySet[CacheLookup]:
    """Look-ups by meaning, as long as they are remembered, with their questions sealed;
    ``sealed_questions.open_lookups`` opens them."""
    return CacheLookup.objects.filter(org_id=actor.org.pk)


def explain(actor: Actor, request_id: str) -> dict[str, Any]:
    """Why a call got the answer that it got: both texts side by side, where it was found by meaning.

    Raises NotFound for a call of which the ledger says nothing, or another organisation's.
    """
    wanted = find_uuid(request_id)
    row = LedgerEntry.objects.filter(org_id=actor.org.pk, id=wanted, kind="call").first() if wanted else None
    if wanted is None or row is None:
        raise NotFound("There is no such request.")
    looked = list_lookups(actor).filter(request_id=wanted).first()
    if looked is not None:
        open_lookups(sealer_of(actor), [looked])
    _, _, rest = row.route_reason.partition("cached: ")
    return {
        "request": row.id,
        "cache_status": row.cache_status,
        "entry": find_uuid(rest.partition(",")[0]),
        "saved": sum(row.savings.get(name, 0) for name in ("cache", "coalescing")),
        "lookup": looked,
    }


def read_shadow_report(actor: Actor) -> ShadowReport:
    """What the semantic level has learned, in shadow or in earnest, of all look-ups that are remembered."""
    serves = Q(was_served=True)
    counts = list_lookups(actor).aggregate(
        lookups=Count("request_id"),
        would_serve=Count("request_id", filter=serves),
        rechecked=Count("request_id", filter=Q(is_recheck=True)),
        known=Count("request_id", filter=serves & Q(right__isnull=False)),
        wrong=Sum(Case(When(serves & Q(right=False), then=Value(1)), default=Value(0), output_field=IntegerField())),
    )
    gate = CacheGate.objects.filter(org_id=actor.org.pk).first()
    return ShadowReport(
        counts["lookups"],
        counts["would_serve"],
        counts["rechecked"],
        counts["known"],
        counts["wrong"] or 0,
        gate.learned_from if gate else 0,
    )


def _sum_provider(org_id: str, tokens: Mapping[UUID, tuple[int, int]]) -> ProviderCache:
    """At the default rates of each price version: what a long context or another tier adds is not in it."""
    read = written = picos = 0
    for price_id, (reads, writes) in tokens.items():
        read, written = read + reads, written + writes
        version = find_price_version(org_id, price_id) if reads or writes else None
        if version is not None:
            rates = version.rates
            picos += reads * (rates.input - rates.cached_input) - writes * (rates.cache_write - rates.input)
    return ProviderCache(read, written, picos // PICOS_PER_NANO)
