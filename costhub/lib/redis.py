"""The blocking client of Valkey, for jobs, pages and commands. The hot path has its own: ``proxy.edges.valkey``."""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, Final, cast

import redis
import redis.asyncio
import redis.sentinel
from django.conf import settings
from redis.asyncio.cluster import ClusterNode as AsyncNode
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import RedisError
from redis.retry import Retry

from costhub.lib.redis_cluster import AsyncCluster, Cluster
from costhub.lib.valkey_url import Kind, ValkeyUrl, parse_valkey_url

_ONCE: Final = 0


@cache
def client() -> redis.Redis:
    """One client a process; it answers in bytes."""
    return connect(settings.REDIS_URL, health_check_interval=30, protocol=3)


def broker() -> redis.Redis:
    """As ``client``, of the Valkey in which Celery's queue is, and what beats and workers tell each other."""
    if settings.BROKER_URL == settings.REDIS_URL:
        return client()
    return _broker(settings.BROKER_URL)


@cache
def _broker(url: str) -> redis.Redis:
    return connect(url, health_check_interval=30, protocol=3)


def connect(url: str, *, seconds: float = 5, connect_seconds: float = 2, **options: Any) -> redis.Redis:
    """A client for what a URL names. On a cluster it takes the same commands, each for keys of one slot, and pipelines
    without a transaction. Nothing is sent again by itself: what was sent and not answered may have run.

    Raises RedisError where a cluster cannot be reached; other connections are made when they are needed.
    """
    named = parse_valkey_url(url)
    options |= {"socket_timeout": seconds, "socket_connect_timeout": connect_seconds, **_identity(named), **_tls(named)}
    options["retry"] = Retry(NoBackoff(), _ONCE)
    if named.kind is Kind.CLUSTER:
        nodes = [ClusterNode(host, port) for host, port in named.nodes]  # type: ignore[no-untyped-call]
        options.pop("health_check_interval", None)
        found = Cluster(startup_nodes=nodes, require_full_coverage=False, **options)
        return cast("redis.Redis", found)
    options["db"] = named.database
    if named.kind is Kind.SENTINEL:
        options_for_sentinels = _sentinel_options(named, seconds)
        sentinel = redis.sentinel.Sentinel(named.nodes, sentinel_kwargs=options_for_sentinels)  # type: ignore[no-untyped-call]
        return cast("redis.Redis", sentinel.master_for(named.master, **options, ssl=named.is_tls))  # type: ignore[no-untyped-call]
    host, port = named.nodes[0]
    return redis.Redis(host=host, port=port, ssl=named.is_tls, **options)


def connect_async(url: str, *, seconds: float) -> Any:
    """As ``connect``, for asyncio."""
    named = parse_valkey_url(url)
    options: dict[str, Any] = {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": AsyncRetry(NoBackoff(), _ONCE),
        **_identity(named),
        **_tls(named),
    }
    if named.kind is Kind.CLUSTER:
        nodes = [AsyncNode(host, port) for host, port in named.nodes]
        return AsyncCluster(startup_nodes=nodes, require_full_coverage=False, **options)
    options["db"] = named.database
    if named.kind is Kind.SENTINEL:
        options_for_sentinels = _sentinel_options(named, seconds)
        sentinel = AsyncSentinel(named.nodes, sentinel_kwargs=options_for_sentinels)  # type: ignore[no-untyped-call]
        return sentinel.master_for(named.master, ssl=named.is_tls, **options)
    host, port = named.nodes[0]
    return redis.asyncio.Redis(host=host, port=port, ssl=named.is_tls, **options)


def is_cluster(store: "redis.Redis | Cluster") -> bool:
    """Whether what ``connect`` gave is a cluster's."""
    return isinstance(store, Cluster)


def each_server(store: "redis.Redis | Cluster") -> Sequence[redis.Redis]:
    """The server itself, or every master of a cluster. Raises RedisError where they cannot be asked."""
    if isinstance(store, Cluster):
        return [store.get_redis_connection(node) for node in store.get_primaries()]  # type: ignore[no-untyped-call]
    return [store]


class ShardsAway(RedisError):
    """The Valkey of some shards does not answer. Whatever concerns others was done."""

    def __init__(self, shards: Collection[int]) -> None:
        super().__init__(sorted(shards))

    def __str__(self) -> str:
        return f"No Valkey answers for the shards {', '.join(map(str, self.args[0]))}."


def ask_shards(shards: Collection[int], add: Callable[[Any, int], None]) -> dict[int, list[Any]]:
    """What each shard's Valkey answers to the commands on that shard's keys that ``add`` puts into a pipeline. Shards
    whose master of a cluster does not answer are left out. Raises RedisError where none does: ShardsAway, of a
    cluster."""
    store = client()
    pipe = store.pipeline(transaction=False)
    for shard in shards:
        add(pipe, shard)
    try:
        answers = pipe.execute()
    except RedisError:
        if not is_cluster(store):
            raise
    else:
        each = len(answers) // len(shards) if shards else 0
        return {shard: answers[place * each : (place + 1) * each] for place, shard in enumerate(shards)}
    found = {shard: alone for shard in shards if (alone := _ask_alone(store, shard, add)) is not None}
    if not found:
        raise ShardsAway(shards)
    return found


def _ask_alone(store: redis.Redis, shard: int, add: Callable[[Any, int], None]) -> list[Any] | None:
    pipe = store.pipeline(transaction=False)
    add(pipe, shard)
    try:
        return list(pipe.execute())
    except RedisError:
        return None


def run_script(pipe: Any, source: bytes, keys: Sequence[Any], arguments: Sequence[Any]) -> None:
    """Add a script to a pipeline, which on a cluster knows none by its digest."""
    pipe.execute_command("EVAL", source, len(keys), *keys, *arguments)


def publish(store: "redis.Redis | Cluster", channel: str, message: str, beside: str) -> None:
    """Publish; on a cluster, at the master where ``subscription`` listens: what nodes tell each other may get lost."""
    if isinstance(store, Cluster):
        store.publish(channel, message, target_nodes=store.get_node_from_key(beside))
    else:
        store.publish(channel, message)


def subscription(store: "redis.Redis | Cluster", beside: str) -> Any:
    """A subscription; on a cluster, at the master that has the key ``beside``."""
    if isinstance(store, Cluster):
        return store.pubsub(node=store.get_node_from_key(beside))  # type: ignore[no-untyped-call]
    return store.pubsub()  # type: ignore[no-untyped-call]


def _identity(named: ValkeyUrl) -> dict[str, Any]:
    return {"username": named.user or None, "password": named.password or None}


def _tls(named: ValkeyUrl) -> dict[str, Any]:
    if not named.is_tls:
        return {}
    options: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": named.checks_hostname}
    given = {"ssl_ca_certs": named.ca, "ssl_certfile": named.cert, "ssl_keyfile": named.key}
    options |= {name: value for name, value in given.items() if value}
    if named.kind is Kind.CLUSTER:
        options["ssl"] = True
    return options


def _sentinel_options(named: ValkeyUrl, seconds: float) -> dict[str, Any]:
    return {
        "username": named.sentinel_user or None,
        "password": named.sentinel_password or None,
        "socket_timeout": min(seconds, 1),
        "socket_connect_timeout": min(seconds, 1),
        "ssl": named.is_tls,
        **_tls(named),
    }
