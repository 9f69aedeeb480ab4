"""What a process keeps open for its calls: made once, when the server starts, and handed to every call."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from django.conf import settings

from costhub.lib.net import gate_from_settings
from costhub.lib.objects import Objects
from proxy.attempts.merges import Merges
from proxy.attempts.packs import Packs
from proxy.cache import valkey_cache
from proxy.cache.embedder import Embedder, load_model
from proxy.cache.semantic import Semantic
from proxy.cache.visit import Cache
from proxy.edges import draw, idempotency, reserve, reserve_batch, settle, settle_batch, told
from proxy.edges.auth import Auth
from proxy.edges.background_tasks import BackgroundTasks
from proxy.edges.capture import Capture
from proxy.edges.catalog import Catalog
from proxy.edges.cooling import tell_cool_down
from proxy.edges.counting import Counting
from proxy.edges.database_threads import DATABASE_THREADS
from proxy.edges.idempotency import Idempotency
from proxy.edges.ledger_writer import LedgerWriter
from proxy.edges.reserve import Reservations
from proxy.edges.valkey import Valkey
from proxy.edges.valkey_cluster import make_valkey
from proxy.routing.compressor import Compressor
from proxy.routing.labels import Labels
from proxy.routing.learned import LearnedRoutes
from proxy.telemetry.export import Exporter
from proxy.telemetry.tracer import Tracer
from proxy.upstreams.health import UpstreamHealth
from proxy.upstreams.transport import Upstreams

#: what runs in Valkey of a call's accounting; the cache has scripts and a connection of its own
_SCRIPTS: Final = (
    reserve_batch.RESERVE,
    reserve.TURN,
    reserve.GIVE_BACK,
    settle_batch.SETTLE,
    settle.GIVE_UP,
    settle.LATE,
    settle.CORRECT,
    idempotency.REPLACE_CLAIM,
    draw.DRAW,
    told.TELL,
)


@dataclass(frozen=True, slots=True)
class Edges:
    """Everything that a call may wait for."""

    valkey: Valkey
    catalog: Catalog
    auth: Auth
    reservations: Reservations
    ledger: LedgerWriter
    idempotency: Idempotency
    cache: Cache
    upstreams: Upstreams
    health: UpstreamHealth
    counting: Counting
    objects: Objects
    merges: Merges
    packs: Packs
    compressor: Compressor
    learned_routes: LearnedRoutes
    labels: Labels
    background_tasks: BackgroundTasks
    capture: Capture

    async def close(self, patience_seconds: float) -> None:
        """Write what is unwritten, for at most so long, then close everything."""
        await self.background_tasks.close()
        await self.compressor.close()
        await self.ledger.close(patience_seconds)
        await self.reservations.close()
        self.upstreams.close()
        await self.labels.close()
        await self.learned_routes.close()
        await self.cache.close()
        await self.catalog.close()
        await self.valkey.close()
        self.counting.close()
        DATABASE_THREADS.close()


async def open_edges() -> Edges:
    """Connect to Valkey and subscribe to changes. Returns also when Valkey is away: calls are refused until it is
    back."""
    valkey = make_valkey(settings.REDIS_URL, _SCRIPTS, settings.GOVERNANCE_TIMEOUT_MS)
    await valkey.open()
    catalog = Catalog(settings.REDIS_URL)
    await catalog.open()
    counting = Counting()
    reservations = Reservations(valkey, counting)
    await reservations.open()
    ledger = LedgerWriter(valkey, reservations, _open_tracer())
    await ledger.open()
    embedder = Embedder(partial(load_model, settings.CACHE_EMBEDDER))
    cache = await _open_cache(embedder, counting)
    upstreams = Upstreams(gate_from_settings(), settings.MASTER_KEYS)
    health = UpstreamHealth(partial(tell_cool_down, valkey))
    return Edges(
        valkey=valkey,
        catalog=catalog,
        auth=Auth(catalog, settings.KEY_PEPPER, settings.TRUSTED_PROXIES),
        reservations=reservations,
        ledger=ledger,
        idempotency=Idempotency(valkey),
        cache=cache,
        upstreams=upstreams,
        health=health,
        counting=counting,
        objects=Objects(settings.FILES_URL),
        merges=Merges(upstreams, health, reservations, counting),
        packs=Packs(upstreams, health, reservations, counting),
        compressor=Compressor(counting, embedder, settings.COMPRESSION_DEADLINE_MS),
        learned_routes=LearnedRoutes(),
        labels=Labels(embedder),
        background_tasks=BackgroundTasks(),
        capture=Capture(valkey, settings.MASTER_KEYS),
    )


async def _open_cache(embedder: Embedder, counting: Counting) -> Cache:
    answers = make_valkey(settings.CACHE_URL, [valkey_cache.LOOK_UP, valkey_cache.LAND], settings.CACHE_TIMEOUT_MS)
    semantic = Semantic(embedder, settings.CACHE_SEMANTIC_DEADLINE_MS, lookup_cost=settings.CACHE_LOOKUP_NANOS)
    cache = Cache(valkey_cache.ValkeyCache(answers), settings.CACHE_PROCESS_BYTES, semantic, counting=counting)
    await cache.open()
    return cache


def _open_tracer() -> Tracer | None:
    if not settings.TRACES_ENDPOINT:
        return None
    exporter = Exporter(settings.TRACES_ENDPOINT, settings.TRACES_SERVICE, settings.TRACES_HEADERS)
    return Tracer(exporter.export, settings.TRACES_PER_MILLE)
