"""Which of an upstream's servers a call goes to: the least busy one for its weight, in turn where several are."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Final

from tenants.snapshots import EndpointSnapshot

#: of one upstream that are tried for one call, where they cannot be reached
MOST_SERVERS: Final = 8


def choose(
    servers: Sequence[EndpointSnapshot], calls: Mapping[str, int], turns: MutableMapping[str, int]
) -> EndpointSnapshot:
    """The server with the fewest calls under way for its weight. ``servers`` is not empty; ``calls`` is what is under
    way at each, by its id.

    Between equals it is nginx's smooth weighted round robin: each gains its weight in ``turns``, who has most is
    chosen and pays what all have gained, so that a heavier one comes more often and never in one run.
    """
    least = servers[0]
    for server in servers[1:]:
        if calls.get(server.id, 0) * least.weight < calls.get(least.id, 0) * server.weight:
            least = server
    count = calls.get(least.id, 0)
    equal = [server for server in servers if calls.get(server.id, 0) * least.weight == count * server.weight]
    if len(equal) == 1:
        return least
    for server in equal:
        turns[server.id] = turns.get(server.id, 0) + server.weight
    chosen = max(equal, key=lambda server: turns[server.id])
    turns[chosen.id] -= sum(server.weight for server in equal)
    return chosen
