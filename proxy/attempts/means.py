"""What attempts are made with."""

from collections.abc import Callable
from typing import NamedTuple

from proxy.edges.counting import Counting
from proxy.edges.reserve import Replan, Reservations
from proxy.upstreams.health import UpstreamHealth
from proxy.upstreams.transport import Upstreams


class Means(NamedTuple):
    """What attempts are made with: upstreams, their health, the money, a way to plan again, and a way to have an answer
    read to its end even if its caller leaves."""

    upstreams: Upstreams
    health: UpstreamHealth
    reservations: Reservations
    counting: Counting
    replan: Replan
    #: does nothing where no caller can leave
    keep_going: Callable[[], None] = lambda: None
