"""How often a credential may ask: so many requests a minute, for each token and each person in an organisation.

While Valkey cannot be asked nobody is refused for that: people need the API to see what is wrong.
"""

import logging
from typing import Final

from django.conf import settings
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from costhub.lib.errors import TooManyRequests
from costhub.lib.keyspace import management_calls_key
from costhub.lib.tallies import count
from tenants.access import Actor
from tenants.api.authentication import PlatformActor

WINDOW_SECONDS: Final = 60

_log = logging.getLogger(__name__)


class CredentialThrottle(BaseThrottle):
    """Refuses what is too often. Who has shown no credential is refused anyway, and not counted."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """True. Raises TooManyRequests."""
        who, most = request.auth, settings.API_CALLS_A_MINUTE
        if not most or not isinstance(who, Actor | PlatformActor):
            return True
        owner = who.token.pk if isinstance(who, PlatformActor) else who.org.pk
        try:
            times, seconds = count(management_calls_key(str(owner), who.name), WINDOW_SECONDS)
        except RedisError:
            _log.warning("requests of the management API cannot be counted")
            return True
        if times > most:
            raise TooManyRequests(f"More than {most:,} requests came within a minute: wait {seconds} s.", seconds)
        return True
