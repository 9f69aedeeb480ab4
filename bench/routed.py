"""What a router and lossless compression cost a worker: the same calls to a model and to a route, in turns."""

from bench.figures import Figures
from bench.load import NotServed, run_load
from bench.machine import cpu_seconds, wait_until_quiet
from bench.peers.base import Unavailable
from bench.peers.costhub import Order, endpoint_for
from bench.scenarios import CONNECTIONS, Bench, Ready
from bench.upstream import Kind, Upstream

_MODEL = "a model"
_ROUTE = "a router with lossless compression"


def measure_routes(bench: Bench, ready: Ready, upstream: Upstream) -> dict[str, Figures]:
    """Calls a second and the worker's processor time a call, by a model's name and by a route's."""
    base_urls = {Kind.JSON.value: upstream.base_url(Kind.JSON)}
    stack = ready.peer.stack  # type: ignore[attr-defined]
    try:
        ways = {
            name: endpoint_for(stack, Kind.JSON, stack.populate(Order(base_urls, 1, 1, has_routes=routed))[0][0])
            for name, routed in ((_MODEL, False), (_ROUTE, True))
        }
        speed = {name: Figures() for name in ways}
        worker = {f"{name}: processor time of the worker, µs": Figures() for name in ways}
        for endpoint in ways.values():
            run_load(endpoint, CONNECTIONS, bench.pace.seconds, bench.cores.load, bench.work)
        for _ in range(bench.pace.rounds * 3):
            for (name, endpoint), spent in zip(ways.items(), worker.values(), strict=True):
                wait_until_quiet(bench.cores)
                pid = stack.worker_pid()
                before = cpu_seconds(pid)
                load = run_load(endpoint, CONNECTIONS, bench.pace.seconds, bench.cores.load, bench.work)
                speed[name].add(load.per_second)
                spent.add((cpu_seconds(pid) - before) / load.requests * 1e6)
    except (NotServed, Unavailable, OSError) as error:
        return {"routes": Figures(failed=str(error))}
    pairs = zip(speed[_ROUTE].rounds, speed[_MODEL].rounds, strict=True)
    return speed | {f"{_ROUTE}: share of the speed": Figures([routed / plain for routed, plain in pairs])} | worker
