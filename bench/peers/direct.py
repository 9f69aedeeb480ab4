"""No gateway at all: what the upstream and the load cost by themselves. Added latency is counted from here."""

from pathlib import Path

from bench.load import Endpoint
from bench.machine import Cores
from bench.peers.base import Peer
from bench.upstream import Kind, Upstream


class Direct(Peer):
    """The upstream, called without a gateway."""

    name = "direct"
    title = "no gateway"
    note = "the upstream itself, on the load's cores"

    def start(self, upstream: Upstream, cores: Cores, work: Path) -> dict[Kind, Endpoint]:
        return {kind: Endpoint(port, kind) for kind, port in upstream.ports.items()}
