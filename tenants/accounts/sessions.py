"""Sessions of people: how long ago somebody showed that it is them."""

from typing import Any, Final

from allauth.account.internal.flows.login import get_authentication_records
from django.http import HttpRequest

from costhub.lib import clock
from tenants.models import User

#: for so long after a password, a second factor or a provider's word somebody is not asked again
FRESH_SECONDS: Final = 15 * 60
_METHODS: Final = frozenset({"password", "password_reset", "code", "mfa", "socialaccount"})


def was_recently_confirmed(request: HttpRequest, user: User) -> bool:
    """Whether the session's person has just signed in, or given a password, code or key again."""
    records: list[dict[str, Any]] = get_authentication_records(request, user)
    moments = [record["at"] for record in records if record.get("method") in _METHODS and "at" in record]
    if not moments and user.last_login is not None:
        # A session that no page of ours began, such as one from before there were records.
        moments = [user.last_login.timestamp()]
    return bool(moments) and clock.now().timestamp() - max(moments) < FRESH_SECONDS
