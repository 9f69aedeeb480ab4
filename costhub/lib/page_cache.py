"""Django's cache in Valkey, for the limits of account pages only. While Valkey is away nothing is remembered, so that
people can still sign in and see what is wrong."""

import logging
from typing import Any

from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.exceptions import RedisError

from costhub.lib.redis import client

_log = logging.getLogger(__name__)


class _PageCacheClient(RedisCacheClient):
    """With the connections that all pages and jobs have, which know clusters and Sentinels."""

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:
        return client()


class ForgivingRedisCache(RedisCache):
    """``RedisCache`` that finds nothing, and keeps nothing, when Valkey cannot be asked."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _PageCacheClient

    def add(self, key: Any, value: Any, timeout: Any = None, version: Any = None) -> bool:
        """Store what is not there; True without Valkey, as if it had been stored."""
        try:
            return bool(super().add(key, value, self.default_timeout if timeout is None else timeout, version))
        except RedisError:
            _log.warning("page_cache_away")
            return True

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        """What was stored; the default without Valkey."""
        try:
            return super().get(key, default, version)
        except RedisError:
            return default

    def set(self, key: Any, value: Any, timeout: Any = None, version: Any = None) -> None:
        """Store, if Valkey can be asked."""
        try:
            super().set(key, value, self.default_timeout if timeout is None else timeout, version)
        except RedisError:
            _log.warning("page_cache_away")

    def delete(self, key: Any, version: Any = None) -> bool:
        """Forget, if Valkey can be asked."""
        try:
            return bool(super().delete(key, version))
        except RedisError:
            return False
