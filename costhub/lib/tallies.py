"""Counts what somebody does, in Valkey, so that it can be said when it is too often."""

from typing import Final, cast

from costhub.lib.redis import client

#: ARGV seconds to count for, from the first time on. Answers how often, and the seconds that are left.
_COUNT: Final = """
local times = redis.call('INCR', KEYS[1])
if times == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return {times, redis.call('TTL', KEYS[1])}
"""


def count(key: str, window_seconds: int) -> tuple[int, int]:
    """Count once more. Gives how often it has been since the window began, this time included, and the seconds until it
    is over, at least one. Raises RedisError."""
    times, seconds = cast("list[int]", client().eval(_COUNT, 1, key, str(window_seconds)))
    return times, max(seconds, 1)
