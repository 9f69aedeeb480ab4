"""What attempts are made with."""

from typing import NamedTuple

from proxy.edges.counting import Counting
from proxy.edges.reserve import Replan, Reservations
from proxy.upstreams.health import UpstreamHealth
from proxy.upstreams.transport import Upstreams


class Means(NamedTuple):
    """What attempts are made with: who is asked, who answers at the moment, the money, and the plan made again."""

    upstreams: Upstreams
    health: UpstreamHealth
    reservations: Reservations
    counting: Counting
    replan: Replan
