"""redis-py's cluster clients, whose every failure is a RedisError: their own exceptions are none, and pages, jobs and
the hot path catch RedisError."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.cluster import RedisCluster
from redis.exceptions import ConnectionError as AwayError
from redis.exceptions import RedisClusterException

# With asyncio, whoever finds the cluster changed closes all connections, those too on which another task is about to
# write: that one meets a writer that is None, or the event loop's word for a closed transport.
_CLOSED_BY_ANOTHER: Final = (RedisClusterException, AttributeError, RuntimeError)


class Cluster(RedisCluster):
    """Blocking. Raises RedisError also when it is made while no node answers."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        try:
            super().__init__(*arguments, **options)
        except RedisClusterException as error:
            raise AwayError(str(error)) from error

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """A command's answer. Raises AwayError where no node takes it."""
        try:
            return super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]
        except RedisClusterException as error:
            raise AwayError(str(error)) from error

    def get_node_from_key(self, key: Any, replica: bool = False) -> Any:
        """The node of a key's slot. Raises AwayError where none is known."""
        try:
            return super().get_node_from_key(key, replica)  # type: ignore[no-untyped-call]
        except RedisClusterException as error:
            raise AwayError(str(error)) from error

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:
        # Ours never are transactions: they span slots.
        pipe: Any = super().pipeline(None, shard_hint)  # type: ignore[no-untyped-call]
        pipe.execute = _guarded(pipe.execute)
        return pipe


class AsyncCluster(AsyncRedisCluster):
    """For asyncio."""

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """A command's answer. Raises AwayError where no node takes it, and where another task has closed the client."""
        try:
            return await super().execute_command(*arguments, **options)
        except _CLOSED_BY_ANOTHER as error:
            raise AwayError(str(error)) from error

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> Any:
        pipe: Any = super().pipeline(None, shard_hint)
        execute = pipe.execute

        async def guarded(*arguments: Any, **options: Any) -> Any:
            try:
                return await execute(*arguments, **options)
            except _CLOSED_BY_ANOTHER as error:
                raise AwayError(str(error)) from error

        pipe.execute = guarded
        return pipe


def _guarded(execute: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(execute)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return execute(*arguments, **options)
        except RedisClusterException as error:
            raise AwayError(str(error)) from error

    return run
