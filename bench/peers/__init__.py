"""The gateways that are measured beside CostHub: one small module each, all of the same shape.

Everybody gets the same conditions: one worker on the same core, the same upstream, the same calls, logging of calls
off. The peers run without accounting, without a database and without checking keys; CostHub runs with all of it.
"""

from bench.peers.base import Peer
from bench.peers.costhub import CostHub
from bench.peers.direct import Direct
from bench.peers.litellm import LiteLLM
from bench.peers.nginx import Nginx
from bench.peers.portkey import Portkey
from bench.peers.tensorzero import TensorZero


def all_peers() -> list[Peer]:
    """Every gateway, in the order of the report."""
    return [Direct(), Nginx(), CostHub(), TensorZero(), Portkey(), LiteLLM()]
