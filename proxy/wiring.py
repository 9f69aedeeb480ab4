"""What a process keeps open for its calls: made once, when the server starts, and handed to every call."""

from dataclasses import dataclass

from django.conf import settings

from costhub.lib.net import gate_from_settings
from proxy.edges import ledger, replays, reserves, settles
from proxy.edges.auth import Auth
from proxy.edges.catalog import Catalog
from proxy.edges.ledger import Ledger
from proxy.edges.limits import Limits
from proxy.edges.otlp import Exporter
from proxy.edges.replays import Replays
from proxy.edges.traces import Tracer
from proxy.edges.valkey import Valkey
from proxy.upstreams.transport import Upstreams


@dataclass(frozen=True, slots=True)
class Edges:
    """Everything that a call may wait for."""

    valkey: Valkey
    catalog: Catalog
    auth: Auth
    limits: Limits
    ledger: Ledger
    replays: Replays
    upstreams: Upstreams

    async def close(self, patience_seconds: float) -> None:
        """Write what is unwritten, for at most so long, then close everything."""
        await self.ledger.close(patience_seconds)
        await self.limits.close()
        self.upstreams.close()
        await self.catalog.close()
        await self.valkey.close()


async def open_edges() -> Edges:
    """Connect to Valkey and subscribe to changes. Returns also when Valkey is away: calls are refused until it is
    back."""
    valkey = Valkey(
        settings.REDIS_URL,
        [reserves.RESERVE, settles.SETTLE, ledger.GIVE_UP, ledger.LATE, ledger.CORRECT, replays.REPLACE_CLAIM],
        settings.GOVERNANCE_TIMEOUT_MS,
    )
    await valkey.open()
    catalog = Catalog(settings.REDIS_URL)
    await catalog.open()
    reserver = Limits(valkey)
    await reserver.open()
    writer = Ledger(valkey, reserver, _open_tracer())
    await writer.open()
    return Edges(
        valkey=valkey,
        catalog=catalog,
        auth=Auth(catalog, settings.KEY_PEPPER),
        limits=reserver,
        ledger=writer,
        replays=Replays(valkey),
        upstreams=Upstreams(gate_from_settings(), settings.MASTER_KEY),
    )


def _open_tracer() -> Tracer | None:
    if not settings.TRACES_ENDPOINT:
        return None
    exporter = Exporter(settings.TRACES_ENDPOINT, settings.TRACES_SERVICE, settings.TRACES_HEADERS)
    return Tracer(exporter.export, settings.TRACES_PER_MILLE)
