"""One call to an upstream as the hot path makes it: gate, pin, connection, request, answer."""

from dataclasses import replace
from typing import Any, Final

from costhub.lib.errors import AppError
from costhub.lib.net import Gate
from costhub.lib.origins import parse_origin
from costhub.lib.secrets import MasterKeys, make_data_key, seal
from proxy.upstreams.transport import NotTaken, Upstreams
from tenants.snapshots import OrgSnapshot, UpstreamSnapshot

MASTER_KEY: Final = MasterKeys(b"m" * 32)
ORG_ID: Final = "0197e9d4-0000-7000-8000-00000000000a"
ORG: Final = OrgSnapshot(
    id=ORG_ID,
    slug="acme",
    version=1,
    shard=0,
    time_zone="UTC",
    is_active=True,
    data_key=make_data_key(MASTER_KEY, ORG_ID),
    models={},
    upstreams={},
    budgets=(),
)


def make_upstream(base_url: str, **fields: Any) -> UpstreamSnapshot:
    """An upstream at this URL, without a credential."""
    upstream = UpstreamSnapshot(
        id="0197e9d4-0000-7000-8000-0000000000ff",
        name="gpu",
        kind="openai_compatible",
        base_url=base_url,
        origin="",
        credential=None,
        drain_on_disconnect=False,
        bill_path="",
        connect_timeout_ms=5_000,
        timeout_ms=20_000,
        max_retries=0,
    )
    return replace(upstream, **fields)


def seal_for(base_url: str, credential: str) -> bytes:
    """A credential as the database keeps it for this URL's origin."""
    origin = parse_origin(base_url).origin
    return seal(MASTER_KEY, ORG.data_key, org_id=ORG.id, origin=origin, text=credential)


async def post(upstreams: Upstreams, upstream: UpstreamSnapshot, body: bytes = b"{}") -> tuple[int, bytes]:
    """One whole call. Gives status and body."""
    async with upstreams.post(upstream, ORG, "chat/completions", body, "call:1") as exchange:
        return exchange.status, await exchange.read_whole()


async def call_once(gate: Gate, base_url: str) -> tuple[int, bytes]:
    """One whole call of a process that has called nobody yet. Raises the gate's own error when it refuses."""
    upstreams = Upstreams(gate, MASTER_KEY)
    try:
        return await post(upstreams, make_upstream(base_url))
    except NotTaken as refused:
        if isinstance(refused.__cause__, AppError):
            raise refused.__cause__ from refused
        raise
    finally:
        upstreams.close()
